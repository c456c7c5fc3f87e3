use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use voicegain_auth_core::store::{BoxError, ChangeFeed, ListQuery, Scope, SecretStore, StoreError};
use voicegain_auth_core::{Generation, NewWebConfig, RestoredWebConfig, Secret, WebConfigId};

use super::fixture::{head, ids_in_order, load, log_after, new_config, new_config_of, new_id, secret, soon};
use super::restore::restored;
use crate::sealing::{
    MasterKeyError, MasterKeys, Resealed, Retired, Sealing, SealingMismatch, keys_do_not_fit,
};

/// How the tests get at a store that seals its secrets, and at what it keeps of them.
pub trait SealedFixture: Send + Sync + Sized + 'static {
    /// The store.
    type Store: SecretStore + ChangeFeed;

    /// A secret as the store keeps it, with all that belongs to it. It can be put into another place's store too.
    type Raw: Clone + Send + Sync + 'static;

    /// Makes a place for an empty store. It is removed on drop.
    fn new() -> impl Future<Output = Self> + Send;

    /// Opens the store at this place, as another process would. If it does not fit, the error's chain of sources
    /// holds the [`SealingMismatch`].
    fn open_with(&self, sealing: Sealing) -> impl Future<Output = Result<Self::Store, BoxError>> + Send;

    /// Whether what the store keeps holds these bytes anywhere.
    fn holds_bytes(&self, bytes: &[u8]) -> impl Future<Output = bool> + Send;

    /// What the store keeps of a secret.
    fn raw_secret(&self, id: WebConfigId) -> impl Future<Output = Self::Raw> + Send;

    /// Puts that into a record, as someone could who can write to the store's disk. Nothing else changes.
    fn put_raw_secret(&self, id: WebConfigId, raw: Self::Raw) -> impl Future<Output = ()> + Send;

    /// Calls the store's `reseal`.
    fn reseal(
        store: &Self::Store,
        after: Option<WebConfigId>,
        limit: usize,
    ) -> impl Future<Output = Result<Resealed, StoreError>> + Send;

    /// Calls the store's `retire_keys`.
    fn retire_keys(store: &Self::Store) -> impl Future<Output = Result<Retired, StoreError>> + Send;

    /// Calls the store's `known_keys`.
    fn known_keys(store: &Self::Store) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Calls the store's `adopt_keys`.
    fn adopt_keys(
        store: &Self::Store,
        keys: &MasterKeys,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// Makes one test of each case that concerns sealed secrets, for one
/// [`SealedFixture`](crate::contract::SealedFixture).
#[macro_export]
macro_rules! sealed_store_contract {
    ($fixture:ty) => {
        $crate::store_contract! { @tests $fixture:
            sealed_secrets_do_not_lie_in_the_store,
            sealed_a_secret_of_another_web_config_does_not_count,
            sealed_a_secret_of_another_generation_does_not_count,
            sealed_a_plain_secret_that_is_put_in_does_not_count,
            v6_sealed_an_unknown_key_is_not_available,
            sealed_a_wrong_key_does_not_open_the_store,
            sealed_a_missing_key_does_not_open_the_store,
            sealed_plain_and_sealed_stores_are_not_mixed_up,
            sealed_a_key_seals_nothing_before_the_store_knows_it,
            sealed_keys_change_while_two_handles_are_open,
            sealed_sealing_anew_pages_and_changes_nothing_else,
            m1_sealed_sealing_anew_loses_no_regenerate,
            sealed_a_retired_key_alone_does_not_open_the_store,
            sealed_a_key_in_use_is_not_retired,
            sealed_what_does_not_open_is_skipped_and_its_key_kept,
            sealed_a_retired_key_does_not_come_back,
            sealed_nothing_is_sealed_under_a_key_while_it_is_retired,
            sealed_keys_are_retired_while_others_change_the_store,
            sealed_what_has_ended_needs_no_key,
            sealed_keys_that_do_not_fit_are_not_put_to_use,
            sealed_a_first_key_is_known_once_it_is_put_to_use,
            sealed_two_keys_under_one_id_are_told_apart_before_they_seal,
            sealed_the_store_says_which_keys_it_knows,
            sealed_what_is_restored_is_sealed_here,
        }
    };
}

/// A set of keys, each 32 times its byte.
fn keys(keys: &[(&str, u8)]) -> MasterKeys {
    let line = |(id, byte): &(&str, u8)| format!("{id}:{}\n", BASE64_STANDARD.encode([*byte; 32]));
    MasterKeys::parse(&keys.iter().map(line).collect::<String>()).unwrap()
}

async fn opened<F: SealedFixture>(place: &F, these: &[(&str, u8)]) -> F::Store {
    place.open_with(keys(these).into()).await.unwrap()
}

/// What a store says that does not open.
async fn refused<F: SealedFixture>(place: &F, sealing: Sealing) -> SealingMismatch {
    let Err(error) = place.open_with(sealing).await else { panic!("the store was opened") };
    mismatch(&*error)
}

/// What does not fit, somewhere among an error's causes.
fn mismatch(error: &(dyn Error + 'static)) -> SealingMismatch {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(mismatch) = error.downcast_ref::<SealingMismatch>() {
            return mismatch.clone();
        }
        cause = error.source();
    }
    panic!("{error}");
}

async fn retired<F: SealedFixture>(store: &F::Store) -> Vec<String> {
    F::retire_keys(store).await.unwrap().retired
}

fn missing(key_ids: &[&str]) -> SealingMismatch {
    SealingMismatch::MissingKey { key_ids: key_ids.iter().map(|id| (*id).to_owned()).collect() }
}

fn unavailable<T: std::fmt::Debug>(result: Result<T, StoreError>, why: &str) {
    match result {
        Err(error @ StoreError::Unavailable(_)) => assert!(error.chain().contains(why), "{}", error.chain()),
        other => panic!("{other:?}"),
    }
}

fn marked(mark: &str) -> Secret {
    Secret::from_bytes(mark.repeat(4).as_bytes()).unwrap()
}

/// Neither living nor superseded nor deleted ones, and a plain store shows that the search finds what is there.
pub async fn sealed_secrets_do_not_lie_in_the_store<F: SealedFixture>() {
    let place = F::new().await;
    let store = opened(&place, &[("a", 1)]).await;
    let marks = ["mark-one-1", "mark-two-2", "mark-three-3"];
    let new =
        NewWebConfig { secret: marked(marks[0]), name: "a-name-to-find".to_owned(), ..new_config(new_id()) };
    store.create(new.clone()).await.unwrap();
    store.regenerate(new.id, marked(marks[1])).await.unwrap();
    let gone = NewWebConfig { secret: marked(marks[2]), ..new_config(new_id()) };
    store.create(gone.clone()).await.unwrap();
    store.delete(gone.id).await.unwrap();
    for mark in marks {
        assert!(!place.holds_bytes(mark.as_bytes()).await, "{mark}");
    }
    assert!(place.holds_bytes(b"a-name-to-find").await, "the control");
    assert_eq!(load(&store, new.id).await.unwrap().secret, marked(marks[1]));

    let plain_place = F::new().await;
    let plain = plain_place.open_with(Sealing::Plain).await.unwrap();
    plain.create(new).await.unwrap();
    assert!(plain_place.holds_bytes(marks[0].as_bytes()).await, "the control");
}

/// Put into another record, it is no secret, of whichever account that is; put back, it is one again.
pub async fn sealed_a_secret_of_another_web_config_does_not_count<F: SealedFixture>() {
    let place = F::new().await;
    let store = opened(&place, &[("a", 1)]).await;
    let (mine, theirs) = (new_config(new_id()), new_config(new_id()));
    store.create(mine.clone()).await.unwrap();
    store.create(theirs.clone()).await.unwrap();
    let (raw, before) = (place.raw_secret(mine.id).await, place.raw_secret(theirs.id).await);
    place.put_raw_secret(theirs.id, raw).await;
    unavailable(store.load(theirs.id).await, "does not open under the master key a");
    assert_eq!(ids_of_page(&store).await, [mine.id], "the other one is left out");
    assert_eq!(load(&store, mine.id).await.unwrap().secret, mine.secret);
    place.put_raw_secret(theirs.id, before).await;
    assert_eq!(load(&store, theirs.id).await.unwrap().secret, theirs.secret);
}

async fn ids_of_page(store: &impl SecretStore) -> Vec<WebConfigId> {
    let page = store.load_page(None, 10).await.unwrap().value;
    page.stored.iter().map(|stored| stored.config.id).collect()
}

/// Rule V3: a superseded secret that is put back into its record does not count again.
pub async fn sealed_a_secret_of_another_generation_does_not_count<F: SealedFixture>() {
    let place = F::new().await;
    let store = opened(&place, &[("a", 1)]).await;
    let id = store.create(new_config(new_id())).await.unwrap().id;
    let superseded = place.raw_secret(id).await;
    let new = secret();
    store.regenerate(id, new.clone()).await.unwrap();
    let current = place.raw_secret(id).await;
    place.put_raw_secret(id, superseded).await;
    unavailable(store.load(id).await, "does not open under the master key a");
    // The next Regenerate makes it good.
    place.put_raw_secret(id, current).await;
    assert_eq!(load(&store, id).await.unwrap().secret, new);
    assert_eq!(store.regenerate(id, secret()).await.unwrap().config.generation, Generation::new(3));
}

/// Or whoever can write to the store could sign with a secret of their own.
pub async fn sealed_a_plain_secret_that_is_put_in_does_not_count<F: SealedFixture>() {
    let place = F::new().await;
    let store = opened(&place, &[("a", 1)]).await;
    let new = new_config(new_id());
    store.create(new.clone()).await.unwrap();
    let plain_place = F::new().await;
    let plain = plain_place.open_with(Sealing::Plain).await.unwrap();
    plain.create(NewWebConfig { secret: marked("my-own-secret"), ..new.clone() }).await.unwrap();
    place.put_raw_secret(new.id, plain_place.raw_secret(new.id).await).await;
    unavailable(store.load(new.id).await, "not sealed");
}

/// Rule V6: a record under a key that this process has not is not available, says which key it is, and stops
/// nothing else; once the key is there, so is the record.
pub async fn v6_sealed_an_unknown_key_is_not_available<F: SealedFixture>() {
    let place = F::new().await;
    let behind = keys(&[("a", 1)]);
    let store = place.open_with(behind.clone().into()).await.unwrap();
    let known = new_config(new_id());
    store.create(known.clone()).await.unwrap();
    let ahead = opened(&place, &[("b", 2), ("a", 1)]).await;
    let new = new_config(new_id());
    ahead.create(new.clone()).await.unwrap();
    assert_eq!(load(&ahead, known.id).await.unwrap().secret, known.secret);

    unavailable(store.load(new.id).await, "under the master key b, which");
    assert_eq!(ids_of_page(&store).await, [known.id], "the other one is left out");
    let resealed = F::reseal(&store, None, 10).await.unwrap();
    assert_eq!((resealed.resealed, resealed.skipped), (0, 1));
    assert_eq!(load(&store, known.id).await.unwrap().secret, known.secret);
    assert_eq!(store.list(ListQuery { limit: 10, ..ListQuery::default() }).await.unwrap().len(), 2);
    assert_eq!(store.living(None, 10).await.unwrap().living.len(), 2);
    behind.replace(&keys(&[("a", 1), ("b", 2)])).unwrap();
    assert_eq!(load(&store, new.id).await.unwrap().secret, new.secret);
}

/// The same id for another key is an error, also beside a key that is right.
pub async fn sealed_a_wrong_key_does_not_open_the_store<F: SealedFixture>() {
    let place = F::new().await;
    let new = new_config(new_id());
    opened(&place, &[("a", 1)]).await.create(new.clone()).await.unwrap();
    opened(&place, &[("b", 2), ("a", 1)]).await;
    let wrong = |key_id: &str| SealingMismatch::WrongKey { key_id: key_id.to_owned() };
    assert_eq!(refused(&place, keys(&[("a", 9)]).into()).await, wrong("a"));
    assert_eq!(refused(&place, keys(&[("b", 9), ("a", 1)]).into()).await, wrong("b"));
    assert_eq!(refused(&place, keys(&[("a", 1), ("b", 9)]).into()).await, wrong("b"));
    let store = opened(&place, &[("a", 1), ("b", 2)]).await;
    assert_eq!(load(&store, new.id).await.unwrap().secret, new.secret);
}

/// Nor is a store opened without a key that it may be sealed under, be it empty.
pub async fn sealed_a_missing_key_does_not_open_the_store<F: SealedFixture>() {
    let place = F::new().await;
    opened(&place, &[("a", 1)]).await;
    assert_eq!(refused(&place, keys(&[("b", 2)]).into()).await, missing(&["a"]));
    assert_eq!(refused(&place, keys(&[("b", 1)]).into()).await, missing(&["a"]), "a key goes by its id");
    // A key that only opens has not sealed anything.
    opened(&place, &[("a", 1), ("b", 2)]).await;
    opened(&place, &[("a", 1)]).await;
    assert_eq!(refused(&place, keys(&[("b", 2)]).into()).await, missing(&["a"]));
    // From now on it takes both.
    opened(&place, &[("b", 2), ("a", 1)]).await;
    assert_eq!(refused(&place, keys(&[("b", 2)]).into()).await, missing(&["a"]));
    assert_eq!(refused(&place, keys(&[("a", 1)]).into()).await, missing(&["b"]));
    let none = refused(&place, keys(&[("c", 3)]).into()).await;
    assert_eq!(none, missing(&["a", "b"]));
    assert!(none.to_string().contains("were not given: a, b. Give them too"), "{none}");
    opened(&place, &[("a", 1), ("b", 2), ("c", 3)]).await;
}

/// A sealed store is not opened as a plain one, nor the other way round, and neither is changed by the attempt.
pub async fn sealed_plain_and_sealed_stores_are_not_mixed_up<F: SealedFixture>() {
    let (sealed_place, plain_place) = (F::new().await, F::new().await);
    let new = new_config(new_id());
    let sealed = opened(&sealed_place, &[("a", 1)]).await;
    let plain = plain_place.open_with(Sealing::Plain).await.unwrap();
    sealed.create(new.clone()).await.unwrap();
    plain.create(new.clone()).await.unwrap();
    let key_ids = vec!["a".to_owned()];
    assert_eq!(refused(&sealed_place, Sealing::Plain).await, SealingMismatch::StoreIsSealed { key_ids });
    assert_eq!(refused(&plain_place, keys(&[("a", 1)]).into()).await, SealingMismatch::StoreIsPlain);
    for (place, store, sealing) in
        [(&sealed_place, sealed, keys(&[("a", 1)]).into()), (&plain_place, plain, Sealing::Plain)]
    {
        assert_eq!(load(&store, new.id).await.unwrap().secret, new.secret);
        let again = place.open_with(sealing).await.unwrap();
        assert_eq!(load(&again, new.id).await.unwrap().secret, new.secret);
    }
    let plain = plain_place.open_with(Sealing::Plain).await.unwrap();
    unavailable(F::reseal(&plain, None, 10).await, "the store is plain");
    unavailable(F::retire_keys(&plain).await, "the store is plain");
    assert!(F::known_keys(&plain).await.unwrap().is_empty());
    let error = F::adopt_keys(&plain, &keys(&[("a", 1)])).await.unwrap_err();
    assert_eq!(mismatch(&error), SealingMismatch::StoreIsPlain);
}

/// A key seals nothing before the store knows of it, and another key under its id neither opens the store nor seals
/// anything.
pub async fn sealed_a_key_seals_nothing_before_the_store_knows_it<F: SealedFixture>() {
    let place = F::new().await;
    let (right, wrong) = (keys(&[("a", 1)]), keys(&[("a", 1)]));
    let (store, misled) = (
        place.open_with(right.clone().into()).await.unwrap(),
        place.open_with(wrong.clone().into()).await.unwrap(),
    );
    right.replace(&keys(&[("b", 2), ("a", 1)])).unwrap();
    wrong.replace(&keys(&[("b", 9), ("a", 1)])).unwrap();
    let new = new_config(new_id());
    unavailable(store.create(new.clone()).await, "does not know the master key b");
    right.replace(&keys(&[("a", 1)])).unwrap();
    F::adopt_keys(&store, &keys(&[("b", 2), ("a", 1)])).await.unwrap();
    store.create(new.clone()).await.unwrap();
    let mismatch = SealingMismatch::WrongKey { key_id: "b".to_owned() };
    assert_eq!(refused(&place, keys(&[("b", 9), ("a", 1)]).into()).await, mismatch);

    let before = head(&store).await;
    let why = "the master key b is not the one";
    unavailable(misled.create(new_config(new_id())).await, why);
    unavailable(misled.regenerate(new.id, secret()).await, why);
    assert_eq!(head(&store).await, before, "nothing was changed");
    assert_eq!(load(&store, new.id).await.unwrap().secret, new.secret);
}

/// The keys change step by step while two processes work, and in the end the old one is not needed any more.
pub async fn sealed_keys_change_while_two_handles_are_open<F: SealedFixture>() {
    let place = F::new().await;
    let mut stores = Vec::new();
    for _ in 0..2 {
        stores.push(place.open_with(keys(&[("old", 1)]).into()).await.unwrap());
    }
    let ids = ids_in_order(6);
    let mut secrets = Vec::new();
    for id in &ids {
        let new = new_config(*id);
        secrets.push(new.secret.clone());
        stores[0].create(new).await.unwrap();
    }
    let (old_first, new_first) = (keys(&[("old", 1), ("new", 2)]), keys(&[("new", 2), ("old", 1)]));
    // Each step reaches one process before the other, and after each both work.
    for (step, (process, next)) in
        [(0, &old_first), (1, &old_first), (0, &new_first), (1, &new_first)].into_iter().enumerate()
    {
        F::adopt_keys(&stores[process], next).await.unwrap();
        for writer in [0, 1] {
            let number = (step + writer) % ids.len();
            secrets[number] = secret();
            stores[writer].regenerate(ids[number], secrets[number].clone()).await.unwrap();
            for store in &stores {
                for (id, secret) in ids.iter().zip(&secrets) {
                    assert_eq!(load(store, *id).await.unwrap().secret, *secret, "step {step}");
                }
            }
        }
    }
    let resealed = F::reseal(&stores[1], None, 100).await.unwrap();
    assert!(resealed.resealed > 0 && resealed.skipped == 0 && !resealed.more, "{resealed:?}");
    assert_eq!(retired::<F>(&stores[1]).await, ["old"]);
    let new = keys(&[("new", 2)]);
    for store in &stores {
        F::adopt_keys(store, &new).await.unwrap();
    }
    stores.push(place.open_with(new.into()).await.unwrap());
    for store in &stores {
        for (id, secret) in ids.iter().zip(&secrets) {
            assert_eq!(load(store, *id).await.unwrap().secret, *secret);
        }
        assert_eq!(store.load_page(None, 100).await.unwrap().value.stored.len(), ids.len());
    }
    stores[2].regenerate(ids[0], secret()).await.unwrap();
}

/// Page by page, each secret once; no revision is used up and nothing is logged.
pub async fn sealed_sealing_anew_pages_and_changes_nothing_else<F: SealedFixture>() {
    let place = F::new().await;
    let old = opened(&place, &[("old", 1)]).await;
    let ids = ids_in_order(5);
    for id in ids.iter().rev() {
        old.create(new_config(*id)).await.unwrap();
    }
    let deleted = old.create(new_config(new_id())).await.unwrap().id;
    old.delete(deleted).await.unwrap();
    let store = opened(&place, &[("new", 2), ("old", 1)]).await;
    store.regenerate(ids[3], secret()).await.unwrap();
    let before: Vec<_> = load_all(&store, &ids).await;
    let at = head(&store).await;

    let (mut after, mut counts) = (None, Vec::new());
    loop {
        let page = F::reseal(&store, after, 2).await.unwrap();
        after = page.last;
        counts.push(page.resealed);
        if !page.more {
            break;
        }
    }
    assert_eq!(counts, [2, 1, 1], "one was under the new key already");
    assert_eq!(head(&store).await, at);
    assert!(log_after(&store, at).await.is_empty());
    assert_eq!(retired::<F>(&store).await, ["old"]);
    assert_eq!(head(&store).await, at);
    for store in [&store, &opened(&place, &[("new", 2)]).await] {
        assert_eq!(load_all(store, &ids).await, before);
    }
    assert_eq!(F::reseal(&store, None, 100).await.unwrap().resealed, 0);
    // Whoever has the old key alone has nothing any more.
    unavailable(old.load(ids[0]).await, "under the master key new, which");
    let empty = F::new().await;
    let resealed = F::reseal(&opened(&empty, &[("a", 1)]).await, None, 2).await.unwrap();
    assert_eq!(resealed, Resealed { last: None, resealed: 0, skipped: 0, more: false });
}

async fn load_all(
    store: &impl SecretStore,
    ids: &[WebConfigId],
) -> Vec<(voicegain_auth_core::WebConfig, Secret, voicegain_auth_core::store::LogPosition)> {
    let mut all = Vec::new();
    for id in ids {
        let stored = load(store, *id).await.unwrap();
        let position = stored.position();
        all.push((stored.config, stored.secret, position));
    }
    all
}

/// Rule M1: a secret that is sealed anew never takes the place of a newer one.
pub async fn m1_sealed_sealing_anew_loses_no_regenerate<F: SealedFixture>() {
    let place = F::new().await;
    // What one of them writes is always for the other to seal anew.
    let old_first = opened(&place, &[("old", 1), ("new", 2)]).await;
    let id = old_first.create(new_config(new_id())).await.unwrap().id;
    let new_first = Arc::new(opened(&place, &[("new", 2), ("old", 1)]).await);
    let done = Arc::new(AtomicBool::new(false));
    let resealing = tokio::spawn({
        let (store, done) = (Arc::clone(&new_first), Arc::clone(&done));
        async move {
            let mut resealed = 0;
            while !done.load(Ordering::SeqCst) {
                resealed += F::reseal(&store, None, 100).await.unwrap().resealed;
                tokio::task::yield_now().await;
            }
            resealed
        }
    });
    for number in 2..=40 {
        let new = secret();
        let config = soon(old_first.regenerate(id, new.clone())).await.unwrap().config;
        assert_eq!(config.generation, Generation::new(number));
        let stored = load(&old_first, id).await.unwrap();
        assert_eq!((stored.config, stored.secret), (config, new), "generation {number}");
        tokio::task::yield_now().await;
    }
    done.store(true, Ordering::SeqCst);
    let resealed = soon(resealing).await.unwrap();
    assert!(resealed > 0, "nothing was sealed anew meanwhile");
    let before = load(&old_first, id).await.unwrap();
    F::reseal(&new_first, None, 100).await.unwrap();
    assert_eq!(retired::<F>(&new_first).await, ["old"]);
    let alone = opened(&place, &[("new", 2)]).await;
    assert_eq!(load(&alone, id).await.unwrap().secret, before.secret);
}

/// A process that has missed the change of keys does not start. What was sealed anew does not need the old key any more,
/// nor does what has ended.
pub async fn sealed_a_retired_key_alone_does_not_open_the_store<F: SealedFixture>() {
    let (old, new) = (("old", 1), ("new", 2));
    let place = F::new().await;
    let before = opened(&place, &[old]).await;
    let (kept, ended) = (new_config(new_id()), new_config_of("ended", "context", new_id()));
    before.create(kept.clone()).await.unwrap();
    before.create(ended.clone()).await.unwrap();
    before.end(Scope::Account("ended".parse().unwrap())).await.unwrap();
    let store = opened(&place, &[new, old]).await;
    assert_eq!(refused(&place, keys(&[new]).into()).await, missing(&["old"]));
    assert_eq!(refused(&place, keys(&[old]).into()).await, missing(&["new"]));
    opened(&place, &[old, new]).await;

    let resealed = F::reseal(&store, None, 10).await.unwrap();
    assert_eq!((resealed.resealed, resealed.skipped), (1, 0), "the ended one is left alone");
    assert_eq!(refused(&place, keys(&[new]).into()).await, missing(&["old"]), "it was not retired yet");
    let at = head(&store).await;
    assert_eq!(retired::<F>(&store).await, ["old"]);
    assert!(retired::<F>(&store).await.is_empty(), "there is nothing left to retire");
    assert_eq!(head(&store).await, at, "that is no change");

    assert_eq!(refused(&place, keys(&[old]).into()).await, missing(&["new"]));
    opened(&place, &[new, old]).await;
    let alone = opened(&place, &[new]).await;
    assert_eq!(load(&alone, kept.id).await.unwrap().secret, kept.secret);
    assert!(load(&alone, ended.id).await.is_none());
    let revived = alone.create(NewWebConfig { revive: true, ..ended }).await.unwrap();
    assert_eq!(revived.generation, Generation::new(2), "rule W7");
}

/// As long as a living web config needs it.
pub async fn sealed_a_key_in_use_is_not_retired<F: SealedFixture>() {
    let (old, new) = (("old", 1), ("new", 2));
    let place = F::new().await;
    let before = opened(&place, &[old]).await;
    let ids = ids_in_order(2);
    for id in &ids {
        before.create(new_config(*id)).await.unwrap();
    }
    let store = opened(&place, &[new, old]).await;
    let page = F::reseal(&store, None, 1).await.unwrap();
    assert_eq!(page, Resealed { last: Some(ids[0]), resealed: 1, skipped: 0, more: true });
    assert!(retired::<F>(&store).await.is_empty());
    assert_eq!(refused(&place, keys(&[new]).into()).await, missing(&["old"]));
    // Nor is ever the key that seals, whatever is under it.
    let empty = F::new().await;
    assert!(retired::<F>(&opened(&empty, &[new]).await).await.is_empty());
    assert_eq!(refused(&empty, keys(&[old]).into()).await, missing(&["new"]));

    let page = F::reseal(&store, page.last, 1).await.unwrap();
    assert_eq!(page, Resealed { last: Some(ids[1]), resealed: 1, skipped: 0, more: false });
    assert_eq!(retired::<F>(&store).await, ["old"]);
}

/// One secret that nobody can open does not keep the others from being sealed anew, on its page or after it.
pub async fn sealed_what_does_not_open_is_skipped_and_its_key_kept<F: SealedFixture>() {
    let (old, new) = (("old", 1), ("new", 2));
    let place = F::new().await;
    let before = opened(&place, &[old]).await;
    let ids = ids_in_order(4);
    let configs: Vec<_> = ids.iter().map(|id| new_config(*id)).collect();
    for config in &configs {
        before.create(config.clone()).await.unwrap();
    }
    place.put_raw_secret(ids[1], place.raw_secret(ids[0]).await).await;
    let store = opened(&place, &[new, old]).await;
    let first = F::reseal(&store, None, 2).await.unwrap();
    assert_eq!(first, Resealed { last: Some(ids[1]), resealed: 1, skipped: 1, more: true });
    let second = F::reseal(&store, first.last, 2).await.unwrap();
    assert_eq!(second, Resealed { last: Some(ids[3]), resealed: 2, skipped: 0, more: false });
    assert!(retired::<F>(&store).await.is_empty());
    opened(&place, &[new, old]).await;
    assert_eq!(refused(&place, keys(&[new]).into()).await, missing(&["old"]));
    for number in [0, 2, 3] {
        assert_eq!(load(&store, ids[number]).await.unwrap().secret, configs[number].secret);
    }
    unavailable(store.load(ids[1]).await, "does not open under the master key old");

    store.regenerate(ids[1], secret()).await.unwrap();
    let again = F::reseal(&store, None, 10).await.unwrap();
    assert_eq!((again.resealed, again.skipped), (0, 0));
    assert_eq!(retired::<F>(&store).await, ["old"]);
    assert_eq!(ids_of_page(&opened(&place, &[new]).await).await, ids);
}

/// A process that was left behind with a retired key seals nothing under it, and does no harm to the others.
pub async fn sealed_a_retired_key_does_not_come_back<F: SealedFixture>() {
    let (old, new) = (("old", 1), ("new", 2));
    let place = F::new().await;
    let behind = opened(&place, &[old, new]).await;
    let store = opened(&place, &[new, old]).await;
    let id = behind.create(new_config(new_id())).await.unwrap().id;
    F::reseal(&store, None, 10).await.unwrap();
    assert_eq!(retired::<F>(&store).await, ["old"]);
    let before = load(&store, id).await.unwrap();
    let why = "does not know the master key old";
    unavailable(behind.regenerate(id, secret()).await, why);
    unavailable(behind.create(new_config(new_id())).await, why);
    unavailable(F::reseal(&behind, None, 10).await, why);
    unavailable(F::retire_keys(&behind).await, why);
    assert_eq!(load(&opened(&place, &[new]).await, id).await.unwrap().secret, before.secret);
    assert!(retired::<F>(&store).await.is_empty());
    // Nor does it come back by the same file's being read once more.
    let error = F::adopt_keys(&behind, &keys(&[old, new])).await.unwrap_err();
    assert!(error.chain().contains(why), "{}", error.chain());
    // With the present keys it works again.
    F::adopt_keys(&behind, &keys(&[new])).await.unwrap();
    behind.regenerate(id, secret()).await.unwrap();
}

/// Whichever comes first, retiring a key and sealing under it, be it a change or sealing anew: what is sealed under a key
/// is there only while the store remembers that key.
pub async fn sealed_nothing_is_sealed_under_a_key_while_it_is_retired<F: SealedFixture>() {
    let (old, new) = (("old", 1), ("new", 2));
    let place = F::new().await;
    let (old_first, new_first) = (opened(&place, &[old, new]).await, opened(&place, &[new, old]).await);
    let id = new_first.create(new_config(new_id())).await.unwrap().id;
    let new_alone = keys(&[new]);
    for round in 0..40 {
        // The key is remembered, and nothing is under it.
        for first in [[new, old], [old, new]] {
            F::adopt_keys(&old_first, &keys(&first)).await.unwrap();
        }
        F::reseal(&new_first, None, 10).await.unwrap();
        let (sealed, retired) = if round % 2 == 0 {
            let regenerating = async { old_first.regenerate(id, secret()).await.map(drop) };
            soon(async { tokio::join!(regenerating, F::retire_keys(&new_first)) }).await
        } else {
            let resealing = async { F::reseal(&old_first, None, 10).await.map(drop) };
            soon(async { tokio::join!(resealing, F::retire_keys(&new_first)) }).await
        };
        if sealed.is_ok() {
            assert!(retired.unwrap().retired.is_empty(), "round {round}");
            let error = F::adopt_keys(&new_first, &new_alone).await.unwrap_err();
            assert_eq!(mismatch(&error), missing(&["old"]), "round {round}");
        } else {
            unavailable(sealed, "does not know the master key old");
            assert_eq!(retired.unwrap().retired, ["old"], "round {round}");
        }
        assert!(load(&new_first, id).await.is_some());
    }
}

/// A store that is changed all the time gets rid of its old keys too.
pub async fn sealed_keys_are_retired_while_others_change_the_store<F: SealedFixture>() {
    let (old, new) = (("old", 1), ("new", 2));
    let place = F::new().await;
    opened(&place, &[old]).await;
    let store = opened(&place, &[new, old]).await;
    let busy = opened(&place, &[new, old]).await;
    let id = busy.create(new_config(new_id())).await.unwrap().id;
    let changing = tokio::spawn(async move {
        loop {
            busy.regenerate(id, secret()).await.unwrap();
        }
    });
    let begun = head(&store).await.revision;
    soon(async { while head(&store).await.revision == begun {} }).await;
    assert_eq!(soon(retired::<F>(&store)).await, ["old"]);
    changing.abort();
    assert!(changing.await.unwrap_err().is_cancelled());
}

/// What a bulk end has ended is never opened again, so that its key may be lost, and its secret damaged, without any harm to
/// the change of keys.
pub async fn sealed_what_has_ended_needs_no_key<F: SealedFixture>() {
    let (lost, old, new) = (("lost", 3), ("old", 1), ("new", 2));
    let place = F::new().await;
    let store = opened(&place, &[old]).await;
    let ids = ids_in_order(5);
    let ended = |number: usize| new_config_of("ended", "context", ids[number]);
    store.create(new_config(ids[0])).await.unwrap();
    store.create(ended(1)).await.unwrap();
    store.create(new_config(ids[3])).await.unwrap();
    let others = opened(&place, &[lost, old]).await;
    others.create(ended(2)).await.unwrap();
    others.create(ended(4)).await.unwrap();
    place.put_raw_secret(ids[1], place.raw_secret(ids[0]).await).await;
    let before = F::reseal(&store, None, 10).await.unwrap();
    assert_eq!((before.resealed, before.skipped), (0, 2), "as long as they live");
    assert_eq!(retired::<F>(&store).await, [""; 0]);
    store.end(Scope::Account("ended".parse().unwrap())).await.unwrap();

    // Nobody has the key any more that they are under.
    let resealed = F::reseal(&store, None, 10).await.unwrap();
    assert_eq!(resealed, Resealed { last: Some(ids[4]), resealed: 0, skipped: 0, more: false });
    assert_eq!(retired::<F>(&store).await, ["lost"]);
    let store = opened(&place, &[new, old]).await;
    let page = F::reseal(&store, None, 2).await.unwrap();
    assert_eq!(page, Resealed { last: Some(ids[1]), resealed: 1, skipped: 0, more: true }, "pages end");
    let page = F::reseal(&store, page.last, 10).await.unwrap();
    assert_eq!(page, Resealed { last: Some(ids[4]), resealed: 1, skipped: 0, more: false });
    assert_eq!(retired::<F>(&store).await, ["old"]);
    let store = opened(&place, &[new]).await;
    assert_eq!(ids_of_page(&store).await, [ids[0], ids[3]]);
    let revived = store.create(NewWebConfig { revive: true, ..ended(2) }).await.unwrap();
    assert_eq!(revived.generation, Generation::new(2), "rule W7");
    assert!(load(&store, ids[2]).await.is_some());
}

/// Keys are looked at as for opening, and by what is in use; if they do not fit, nothing is written, and the store goes on
/// with those it has.
pub async fn sealed_keys_that_do_not_fit_are_not_put_to_use<F: SealedFixture>() {
    let (old, new) = (("old", 1), ("new", 2));
    let place = F::new().await;
    let held = keys(&[old]);
    let store = place.open_with(held.clone().into()).await.unwrap();
    let error = F::adopt_keys(&store, &keys(&[new])).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)) && keys_do_not_fit(&error), "{error:?}");
    assert_eq!(mismatch(&error), missing(&["old"]));
    let error = F::adopt_keys(&store, &keys(&[new, ("old", 9)])).await.unwrap_err();
    let StoreError::Unavailable(cause) = &error else { panic!("{error:?}") };
    assert!(matches!(cause.downcast_ref(), Some(MasterKeyError::KeyChanged { key_id }) if key_id == "old"));
    assert!(error.chain().contains("restart this process"), "{}", error.chain());
    assert_eq!(held.key_ids(), ["old"]);
    assert_eq!(F::known_keys(&store).await.unwrap(), ["old"]);
    opened(&place, &[old]).await;
    // What is behind the first one has not sealed anything, and is not known.
    for these in [&[old][..], &[old, new]] {
        F::adopt_keys(&store, &keys(these)).await.unwrap();
        assert_eq!(F::known_keys(&store).await.unwrap(), ["old"]);
    }
    assert_eq!(held.key_ids(), ["old", "new"]);
    opened(&place, &[old]).await;
}

/// From when a key is put to use, and before anything is under it, nobody opens the store without it.
pub async fn sealed_a_first_key_is_known_once_it_is_put_to_use<F: SealedFixture>() {
    let (old, new) = (("old", 1), ("new", 2));
    let place = F::new().await;
    let store = opened(&place, &[old]).await;
    F::adopt_keys(&store, &keys(&[old, new])).await.unwrap();
    opened(&place, &[old]).await;
    let at = head(&store).await;
    for _ in 0..2 {
        F::adopt_keys(&store, &keys(&[new, old])).await.unwrap();
        assert_eq!(refused(&place, keys(&[old]).into()).await, missing(&["new"]));
        assert_eq!(F::known_keys(&store).await.unwrap(), ["new", "old"]);
    }
    assert_eq!(head(&store).await, at, "that is no change");
    let new_one = new_config(new_id());
    store.create(new_one.clone()).await.unwrap();
    assert_eq!(retired::<F>(&store).await, ["old"]);
    assert_eq!(load(&opened(&place, &[new]).await, new_one.id).await.unwrap().secret, new_one.secret);
}

/// Two processes that have another key each under one id hear of it when the second one puts it to use, also if both do so
/// at once; neither has sealed anything by then.
pub async fn sealed_two_keys_under_one_id_are_told_apart_before_they_seal<F: SealedFixture>() {
    let old = ("old", 1);
    let place = F::new().await;
    let [one, other] = [opened(&place, &[old]).await, opened(&place, &[old]).await];
    for round in 0..10 {
        let id = format!("new-{round}");
        let [one_has, other_has] = [100, 200].map(|base| keys(&[(&*id, base + round), old]));
        let adopting =
            async { tokio::join!(F::adopt_keys(&one, &one_has), F::adopt_keys(&other, &other_has)) };
        let (error, winner, loser) = match soon(adopting).await {
            (Ok(()), Err(error)) => (error, &one, &other),
            (Err(error), Ok(())) => (error, &other, &one),
            both => panic!("round {round}: {both:?}"),
        };
        assert_eq!(mismatch(&error), SealingMismatch::WrongKey { key_id: id.clone() });
        // The one that was refused goes on as it did.
        let created = loser.create(new_config(new_id())).await.unwrap().id;
        assert!(load(winner, created).await.is_some(), "round {round}");
        // Back to where it began.
        assert_eq!(retired::<F>(loser).await, [&*id], "nothing is under it");
        F::adopt_keys(winner, &keys(&[old])).await.unwrap();
    }
}

/// Whoever has missed an answer can ask again: the change of keys is done when the new key alone is known.
pub async fn sealed_the_store_says_which_keys_it_knows<F: SealedFixture>() {
    let (old, new) = (("old", 1), ("new", 2));
    let strings = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    let place = F::new().await;
    let store = opened(&place, &[old]).await;
    let nothing = Retired { retired: Vec::new(), known: strings(&["old"]) };
    assert_eq!(F::retire_keys(&store).await.unwrap(), nothing);
    store.create(new_config(new_id())).await.unwrap();
    F::adopt_keys(&store, &keys(&[new, old])).await.unwrap();
    let not_yet = Retired { retired: Vec::new(), known: strings(&["new", "old"]) };
    assert_eq!(F::retire_keys(&store).await.unwrap(), not_yet);
    F::reseal(&store, None, 10).await.unwrap();
    let done = Retired { retired: strings(&["old"]), known: strings(&["new"]) };
    assert_eq!(F::retire_keys(&store).await.unwrap(), done);
    let again = Retired { retired: Vec::new(), known: strings(&["new"]) };
    assert_eq!(F::retire_keys(&store).await.unwrap(), again);
    assert_eq!(F::known_keys(&store).await.unwrap(), ["new"]);
}

/// Under the key of this store, and bound to the generation that it was restored at.
pub async fn sealed_what_is_restored_is_sealed_here<F: SealedFixture>() {
    let place = F::new().await;
    let store = opened(&place, &[("a", 1)]).await;
    let mark = "mark-restored";
    let from = RestoredWebConfig { secret: marked(mark), ..restored(4) };
    store.restore(from.clone()).await.unwrap();
    assert_eq!(load(&store, from.id).await.unwrap().secret, from.secret);
    assert!(!place.holds_bytes(mark.as_bytes()).await, "it lies there as it is");
    let raw = place.raw_secret(from.id).await;
    store.regenerate(from.id, secret()).await.unwrap();
    place.put_raw_secret(from.id, raw).await;
    unavailable(store.load(from.id).await, "does not open");

    // Nothing is restored under a key that the store does not know.
    let unknown = keys(&[("a", 1)]);
    let store = place.open_with(unknown.clone().into()).await.unwrap();
    unknown.replace(&keys(&[("b", 2), ("a", 1)])).unwrap();
    let other = RestoredWebConfig { id: new_id(), ..from };
    unavailable(store.restore(other.clone()).await, "does not know the master key b");
    assert!(load(&store, other.id).await.is_none());
}
