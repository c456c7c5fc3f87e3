use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use voicegain_auth_core::store::{
    Change, ChangeFeed, EntryId, LogPosition, LogRead, Revision, SecretStore as _,
};
use voicegain_auth_core::{Generation, NewWebConfig, WebConfigId, WebConfigPatch};

use super::fixture::{
    Fixture, head, id_of, load, log_after, new_config, new_config_of, new_id, secret, soon, store,
};

async fn assert_gone(store: &impl ChangeFeed, after: LogPosition) {
    assert_eq!(store.read_log(after, 100).await.unwrap(), LogRead::Gone, "{after:?}");
}

/// Rule C3: what one handle has acknowledged, every other one answers, and the other way round.
pub async fn c3_another_handle_sees_what_was_acknowledged<F: Fixture>() {
    let (place, one) = store::<F>().await;
    let other = place.open().await;
    let begin = head(&one).await;
    assert_eq!(head(&other).await, begin);
    let id = new_id();
    for round in 0..20 {
        let (writes, reads) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        let config = match round {
            0 => writes.create(new_config(id)).await.unwrap(),
            _ => writes.regenerate(id, secret()).await.unwrap().config,
        };
        assert_eq!(load(reads, id).await.unwrap().config, config);
        assert_eq!(head(reads).await.revision, config.revision);
        assert_eq!(head(reads).await, head(writes).await);
    }
    let revision = other.delete(id).await.unwrap();
    assert!(load(&one, id).await.is_none());
    assert_eq!(head(&one).await.revision, revision);
    assert_eq!(log_after(&one, begin).await, log_after(&other, begin).await);
    assert_eq!(log_after(&one, begin).await.len(), 21);
}

/// Rule C4: there is something to compare with from the beginning.
pub async fn c4_an_empty_store_has_a_head<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let begin = head(&store).await;
    let nothing = LogRead::Entries { entries: Vec::new(), more: false };
    for limit in [0, 1, 100] {
        assert_eq!(store.read_log(begin, limit).await.unwrap(), nothing);
    }
    let created = store.create(new_config(new_id())).await.unwrap();
    assert!(created.revision > begin.revision);
    assert_eq!(log_after(&store, begin).await.len(), 1);
}

/// Each change is there once, in order, with its generation.
pub async fn c4_the_log_says_what_happened<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let begin = head(&store).await;
    let (a, b) = (new_id(), new_id());
    let put = |id: WebConfigId, number: u64, context: &str| Change::Put {
        id,
        generation: Generation::new(number),
        account_id: "account".parse().unwrap(),
        context_id: context.parse().unwrap(),
    };
    let deleted = |id, number| Change::Deleted { id, generation: Generation::new(number) };
    let mut expected = Vec::new();
    expected.push((put(a, 1, "context"), store.create(new_config(a)).await.unwrap().revision));
    let other = new_config_of("account", "other", b);
    expected.push((put(b, 1, "other"), store.create(other).await.unwrap().revision));
    expected.push((put(a, 2, "context"), store.regenerate(a, secret()).await.unwrap().config.revision));
    expected.push((put(a, 2, "context"), store.update(a, WebConfigPatch::default()).await.unwrap().revision));
    expected.push((deleted(a, 2), store.delete(a).await.unwrap()));
    let revived = NewWebConfig { revive: true, ..new_config_of("account", "elsewhere", a) };
    expected.push((put(a, 3, "elsewhere"), store.create(revived).await.unwrap().revision));

    let log = log_after(&store, begin).await;
    let found: Vec<_> = log.iter().map(|entry| (entry.change.clone(), entry.position.revision)).collect();
    assert_eq!(found, expected);
    assert!(log.is_sorted_by_key(|entry| entry.position.revision));
    assert_eq!(log.last().unwrap().position, head(&store).await);
    // A record and the listing name the very entry of the last change, so that a lost branch is told apart.
    for living in store.living(None, 100).await.unwrap().living {
        let last = log.iter().rfind(|entry| id_of(&entry.change) == Some(living.id)).unwrap();
        assert_eq!(living.position, last.position);
        let stored = store.load(living.id).await.unwrap().value.unwrap();
        assert_eq!(stored.position(), last.position);
    }
    let mut entries: Vec<_> = log.iter().map(|entry| *entry.position.entry.as_bytes()).collect();
    entries.push(*begin.entry.as_bytes());
    entries.sort_unstable();
    entries.dedup();
    assert_eq!(entries.len(), expected.len() + 1, "entry ids repeat");
}

/// Page by page it is the same log, and only the last page says that there is no more.
pub async fn c4_the_log_pages<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let begin = head(&store).await;
    for _ in 0..7 {
        store.create(new_config(new_id())).await.unwrap();
    }
    let log = log_after(&store, begin).await;
    assert_eq!(log.len(), 7);
    for limit in [1, 2, 3, 6, 7, 8, usize::MAX] {
        let (mut after, mut found) = (begin, Vec::new());
        loop {
            let LogRead::Entries { entries, more } = store.read_log(after, limit).await.unwrap() else {
                panic!("gone at {after:?}");
            };
            assert!(entries.len() <= limit);
            after = entries.last().map_or(after, |entry| entry.position);
            found.extend(entries);
            assert_eq!(more, found.len() < log.len(), "limit {limit}");
            if !more {
                break;
            }
        }
        assert_eq!(found, log, "limit {limit}");
    }
    let nothing = store.read_log(begin, 0).await.unwrap();
    assert_eq!(nothing, LogRead::Entries { entries: Vec::new(), more: true });
}

/// Rule C4: the same revision is not the same entry, and one that is yet to come is not there.
pub async fn c4_an_entry_under_another_id_is_gone<F: Fixture>() {
    let (_place, here) = store::<F>().await;
    let (_elsewhere, there) = store::<F>().await;
    let begin = head(&here).await;
    let beginning_elsewhere = head(&there).await;
    assert_gone(&here, beginning_elsewhere).await;
    for _ in 0..3 {
        here.create(new_config(new_id())).await.unwrap();
        there.create(new_config(new_id())).await.unwrap();
    }
    // What a store would be that was restored to an older state and went on from there.
    let other = head(&there).await;
    let mine = head(&here).await;
    assert_ne!(mine.entry, other.entry);
    assert_gone(&here, LogPosition { revision: mine.revision, entry: other.entry }).await;
    assert_gone(&here, LogPosition { revision: begin.revision, entry: mine.entry }).await;
    for revision in [mine.revision.get() + 1, mine.revision.get() + 1_000, u64::MAX] {
        assert_gone(&here, LogPosition { revision: Revision::new(revision), entry: mine.entry }).await;
    }
    let made_up = EntryId::generate().unwrap();
    for entry in log_after(&here, begin).await {
        let revision = entry.position.revision;
        assert_gone(&here, LogPosition { revision, entry: made_up }).await;
        assert!(matches!(here.read_log(entry.position, 1).await.unwrap(), LogRead::Entries { .. }));
    }
}

/// Rule C4: what was compacted away is gone; the last so many entries are there, and the place before them
/// answers.
pub async fn c4_what_was_compacted_is_gone<F: Fixture>() {
    for capacity in [1, 5] {
        let place = F::new(capacity).await;
        let store = place.open().await;
        let mut positions = vec![head(&store).await];
        let kept = usize::try_from(capacity).unwrap();
        for _ in 0..kept {
            store.create(new_config(new_id())).await.unwrap();
            positions.push(head(&store).await);
        }
        assert_eq!(log_after(&store, positions[0]).await.len(), kept, "as many are kept as were asked for");
        for _ in 0..10 {
            store.create(new_config(new_id())).await.unwrap();
            positions.push(head(&store).await);
        }
        place.compact().await;
        let (compacted, readable) = positions.split_at(positions.len() - 1 - kept);
        for position in compacted {
            assert_gone(&store, *position).await;
        }
        for (passed, position) in readable.iter().enumerate() {
            let log = log_after(&store, *position).await;
            let found: Vec<_> = log.iter().map(|entry| entry.position).collect();
            assert_eq!(found, readable[passed + 1..], "capacity {capacity}");
        }
        assert_eq!(
            store.living(None, 100).await.unwrap().living.len(),
            kept + 10,
            "only the log is compacted"
        );
    }
}

/// Rule C4: what counts as a proof answers as the log does, and knows what any handle has acknowledged.
pub async fn c4_a_proof_answers_as_the_log_does<F: Fixture>() {
    let (place, store) = store::<F>().await;
    let other = place.open().await;
    let begin = head(&store).await;
    let nothing = LogRead::Entries { entries: Vec::new(), more: false };
    assert_eq!(store.prove(begin, 100).await.unwrap(), nothing);
    for round in 0..5 {
        let before = head(&store).await;
        let changes = [&store, &other][round % 2];
        changes.create(new_config(new_id())).await.unwrap();
        for proves in [&store, &other] {
            let LogRead::Entries { entries, more: false } = proves.prove(before, 100).await.unwrap() else {
                panic!("round {round}");
            };
            assert_eq!(entries.len(), 1, "round {round}");
            assert_eq!(entries[0].position, head(&store).await);
            assert_eq!(proves.prove(entries[0].position, 100).await.unwrap(), nothing);
        }
    }
    let log = log_after(&store, begin).await;
    for limit in [1, 2, 4, 5, 6, usize::MAX] {
        let LogRead::Entries { entries, more } = store.prove(begin, limit).await.unwrap() else {
            panic!("gone");
        };
        assert_eq!(entries, log[..limit.min(5)], "limit {limit}");
        assert_eq!(more, limit < 5, "limit {limit}");
    }
    let head = head(&store).await;
    for gone in [
        LogPosition { revision: head.revision, entry: begin.entry },
        LogPosition { revision: head.revision, entry: EntryId::generate().unwrap() },
        LogPosition { revision: begin.revision, entry: head.entry },
        LogPosition { revision: Revision::new(head.revision.get() + 1), entry: head.entry },
    ] {
        assert_eq!(store.prove(gone, 100).await.unwrap(), LogRead::Gone, "{gone:?}");
    }
}

/// Whoever asks late is told at once.
pub async fn changed_resolves_when_behind<F: Fixture>() {
    let (place, store) = store::<F>().await;
    let begin = head(&store).await.revision;
    let other = place.open().await;
    store.create(new_config(new_id())).await.unwrap();
    soon(store.changed(begin)).await;
    soon(other.changed(begin)).await;
}

/// Polls once, so that the future has begun to wait.
async fn begin_waiting(future: &mut (impl Future<Output = ()> + Unpin)) {
    poll_fn(|context| {
        let _ = std::pin::Pin::new(&mut *future).poll(context);
        Poll::Ready(())
    })
    .await;
}

async fn wakes<F: Fixture>(waits: &F::Store, changes: &F::Store) {
    let id = new_id();
    let mut seen = changes.create(new_config(id)).await.unwrap().revision;
    for _ in 0..5 {
        let mut waiting = pin!(waits.changed(seen));
        begin_waiting(&mut waiting).await;
        let revision = changes.regenerate(id, secret()).await.unwrap().config.revision;
        // It may resolve for nothing, but not for ever without something.
        soon(waiting).await;
        while head(waits).await.revision < revision {
            soon(waits.changed(seen)).await;
        }
        seen = revision;
    }
}

/// A change through the same handle wakes those who wait.
pub async fn changed_wakes_for_this_handle<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    wakes::<F>(&store, &store).await;
}

/// A change through another handle wakes those who wait.
pub async fn changed_wakes_for_another_handle<F: Fixture>() {
    let (place, one) = store::<F>().await;
    let other = place.open().await;
    wakes::<F>(&one, &other).await;
}

/// Dropping the future loses nothing.
pub async fn changed_can_be_dropped<F: Fixture>() {
    let (_place, store) = store::<F>().await;
    let seen = head(&store).await.revision;
    for _ in 0..100 {
        begin_waiting(&mut pin!(store.changed(seen))).await;
    }
    store.create(new_config(new_id())).await.unwrap();
    soon(store.changed(seen)).await;
}
