//! The cache against a store that is parked, broken and changed behind its back.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Held;
use super::exchanges::MAX_NAP;
use crate::head::testing::TestHead;
use crate::store::{Change, EntryId, LogEntry, LogPosition, Revision};
use crate::testing::{Controls, PausedClock, TestStore, World, until};
use crate::{Policy, Reason, Secret, SecretCache, SecretStore, Verifier, WebConfigPatch};

async fn verdict(verifier: &Verifier, jwt: &str) -> Result<(), Reason> {
    let head = TestHead::get("/v1/x").bearer(jwt);
    verifier.authorize(&head).await.map(drop).map_err(|rejection| rejection.reason())
}

/// A token of this secret, for a secret that was put into the store by another process.
fn jwt(world: &World, id: crate::WebConfigId, secret: &Secret) -> String {
    let key = crate::mac::MacKey::new(secret);
    crate::jws::sign(&key, &crate::claims::long_lived_payload(world.issuer.api_url(), id))
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_a_look_up_parked_across_regenerate_does_not_bring_the_old_secret_back() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let old = world.create().await;
    world.controls.park_loads(true);

    // The look-up has read the old record and waits on its way back.
    let waiting = tokio::spawn({
        let (verifier, jwt) = (verifier.clone(), old.jwt.clone());
        async move { verdict(&verifier, &jwt).await }
    });
    until("a look-up is parked", || world.controls.parked.load(Ordering::SeqCst) == 1).await;
    let new = world.issuer.regenerate(old.config.id).await.unwrap();
    world.controls.park_loads(false);

    assert_eq!(waiting.await.unwrap(), Err(Reason::InvalidToken));
    assert_eq!(verdict(&verifier, &old.jwt).await, Err(Reason::InvalidToken));
    assert_eq!(verdict(&verifier, &new.jwt).await, Ok(()));
    assert_eq!(verdict(&verifier, &old.jwt).await, Err(Reason::InvalidToken));
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_nor_one_parked_across_delete() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let old = world.create().await;
    world.controls.park_loads(true);
    let waiting = tokio::spawn({
        let (verifier, jwt) = (verifier.clone(), old.jwt.clone());
        async move { verdict(&verifier, &jwt).await }
    });
    until("a look-up is parked", || world.controls.parked.load(Ordering::SeqCst) == 1).await;
    world.issuer.delete(old.config.id).await.unwrap();
    world.controls.park_loads(false);
    assert_eq!(waiting.await.unwrap(), Err(Reason::InvalidToken));
    assert_eq!(verdict(&verifier, &old.jwt).await, Err(Reason::InvalidToken));
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_nor_the_old_origins_after_a_change_of_them() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create_for(&["https://app.example.com"]).await;
    let head = TestHead::get("/v1/x").bearer(&issued.jwt).with("origin", "https://app.example.com");
    world.controls.park_loads(true);
    let waiting = tokio::spawn({
        let (verifier, head) = (verifier.clone(), head.clone());
        async move { verifier.authorize(&head).await.map(drop).map_err(|rejection| rejection.reason()) }
    });
    until("a look-up is parked", || world.controls.parked.load(Ordering::SeqCst) == 1).await;
    let patch = WebConfigPatch { allowed_origins: Some(vec![]), ..WebConfigPatch::default() };
    world.issuer.update(issued.config.id, patch).await.unwrap();
    world.controls.park_loads(false);
    assert_eq!(waiting.await.unwrap(), Err(Reason::OriginNotAllowed));
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_look_ups_of_one_web_config_are_shared_and_finish_without_requesters() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    world.controls.park_loads(true);
    let waiting: Vec<_> = (0..50)
        .map(|_| {
            let (verifier, jwt) = (verifier.clone(), issued.jwt.clone());
            tokio::spawn(async move { verdict(&verifier, &jwt).await })
        })
        .collect();
    until("a look-up is parked", || world.controls.parked.load(Ordering::SeqCst) == 1).await;
    for task in &waiting {
        task.abort();
    }
    world.controls.park_loads(false);
    until("the record is cached", || world.cache.see(issued.config.id).record.is_some()).await;
    assert_eq!(world.controls.loads.load(Ordering::SeqCst), 1);
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    assert_eq!(world.controls.loads.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_made_up_ids_cost_no_look_up() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let secret = Secret::generate().unwrap();
    for _ in 0..100 {
        let forged = jwt(&world, crate::WebConfigId::generate().unwrap(), &secret);
        assert_eq!(verdict(&verifier, &forged).await, Err(Reason::InvalidToken));
    }
    assert_eq!(world.controls.loads.load(Ordering::SeqCst), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_change_by_another_process_counts_at_once_even_if_the_feed_is_deaf() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let first = world.create().await;
    assert_eq!(verdict(&verifier, &first.jwt).await, Ok(()));
    world.controls.deaf.store(true, Ordering::SeqCst);
    world.controls.fail_feed.store(false, Ordering::SeqCst);
    // One more round, so that the feed rests without listening.
    assert_eq!(verdict(&verifier, "e30.e30.e30").await, Err(Reason::InvalidToken));
    assert_eq!(
        verdict(&verifier, &jwt(&world, first.config.id, &Secret::generate().unwrap())).await,
        Err(Reason::InvalidToken)
    );

    let secret = Secret::generate().unwrap();
    let new = jwt(&world, first.config.id, &secret);
    world.store.regenerate(first.config.id, secret).await.unwrap();
    assert_eq!(verdict(&verifier, &new).await, Ok(()));
    assert_eq!(verdict(&verifier, &first.jwt).await, Err(Reason::InvalidToken));
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_a_look_up_that_is_ahead_of_the_feed_waits_for_it() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let id = world.create().await.config.id;
    world.rare_proofs(Duration::from_millis(300)).await;
    world.controls.deaf.store(true, Ordering::SeqCst);
    // One more round, so that the feed rests without listening.
    world.create().await;
    let secret = Secret::generate().unwrap();
    let new = jwt(&world, id, &secret);
    world.store.regenerate(id, secret).await.unwrap();
    assert_eq!(verdict(&verifier, &new).await, Ok(()));
    let loads = world.controls.loads.load(Ordering::SeqCst);
    assert!(loads <= 2, "one that was ahead, and one that was not: {loads}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_what_cannot_be_proved_wrong_is_not_called_invalid() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    world.controls.fail_feed.store(true, Ordering::SeqCst);
    let forged = jwt(&world, issued.config.id, &Secret::generate().unwrap());
    assert_eq!(verdict(&verifier, &forged).await, Err(Reason::TemporarilyUnavailable));
    let unknown = jwt(&world, crate::WebConfigId::generate().unwrap(), &Secret::generate().unwrap());
    assert_eq!(verdict(&verifier, &unknown).await, Err(Reason::TemporarilyUnavailable));
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()), "while the last proof holds");
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_dead_feed_ends_accepting_within_the_bound() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    world.controls.fail_feed.store(true, Ordering::SeqCst);
    world.store.regenerate(issued.config.id, Secret::generate().unwrap()).await.unwrap();
    world.clock.advance(Duration::from_secs(31));
    assert_eq!(verdict(&verifier, &issued.jwt).await, Err(Reason::TemporarilyUnavailable));
    assert!(!world.cache.status().ready);
    world.controls.fail_feed.store(false, Ordering::SeqCst);
    until("the feed is back", || world.cache.status().ready).await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Err(Reason::InvalidToken));
}

#[tokio::test(start_paused = true)]
async fn c1_a_cache_that_can_prove_nothing_is_not_ready() {
    let store = TestStore::new(crate::MemoryStore::new().unwrap());
    let controls = Arc::clone(&store.controls);
    controls.fail_feed.store(true, Ordering::SeqCst);
    let cache = SecretCache::builder(store).build().unwrap();
    assert!(!cache.ready().await);
    controls.fail_feed.store(false, Ordering::SeqCst);
    assert!(cache.ready().await);
}

#[tokio::test(start_paused = true)]
async fn c1_the_shortest_bound_is_kept_though_nobody_asks() {
    let bound = Duration::from_secs(2);
    let builder = SecretCache::builder(crate::MemoryStore::new().unwrap()).clock(PausedClock::new());
    let cache = builder.max_revocation_delay(bound).build().unwrap();
    assert!(cache.ready().await);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let age = cache.status().proof_age.unwrap();
        assert!(age <= bound / 2, "several attempts fit into the bound: {age:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_wall_clock_that_jumps_ahead_voids_the_proof() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    world.controls.fail_feed.store(true, Ordering::SeqCst);
    world.clock.jump_wall(Duration::from_secs(2));
    assert_eq!(verdict(&verifier, &issued.jwt).await, Err(Reason::TemporarilyUnavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn v6_a_failing_store_is_never_a_401_and_is_left_alone_for_a_second() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    world.controls.fail_loads.store(true, Ordering::SeqCst);
    for _ in 0..20 {
        assert_eq!(verdict(&verifier, &issued.jwt).await, Err(Reason::TemporarilyUnavailable));
    }
    assert_eq!(world.controls.loads.load(Ordering::SeqCst), 1);
    world.controls.fail_loads.store(false, Ordering::SeqCst);
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_failed_look_up_does_not_keep_a_new_token_waiting() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    world.controls.fail_loads.store(true, Ordering::SeqCst);
    assert_eq!(verdict(&verifier, &issued.jwt).await, Err(Reason::TemporarilyUnavailable));
    world.controls.fail_loads.store(false, Ordering::SeqCst);
    let new = world.issuer.regenerate(issued.config.id).await.unwrap();
    assert_eq!(verdict(&verifier, &new.jwt).await, Ok(()));

    // Nor does one that was under way when the change came, and fails after it.
    world.controls.park_loads(true);
    let old = tokio::spawn({
        let (verifier, jwt) = (verifier.clone(), world.create().await);
        async move { (verdict(&verifier, &jwt.jwt).await, jwt.config.id) }
    });
    until("a look-up is parked", || world.controls.parked.load(Ordering::SeqCst) == 1).await;
    world.controls.fail_parked.store(true, Ordering::SeqCst);
    let id = *world.cache.inner.shared.look_ups().ids().first().unwrap();
    let new = world.issuer.regenerate(id).await.unwrap();
    world.controls.park_loads(false);
    old.await.unwrap().0.unwrap_err();
    world.controls.fail_parked.store(false, Ordering::SeqCst);
    assert_eq!(verdict(&verifier, &new.jwt).await, Ok(()));
}

/// Rule C7: what this process changes itself it hears of without a proof, so that the next who needs one has not to wait.
#[tokio::test(flavor = "multi_thread")]
async fn c7_a_change_made_here_costs_no_proof() {
    let world = World::new().await;
    world.rare_proofs(Duration::from_secs(4)).await;
    world.controls.deaf.store(true, Ordering::SeqCst);
    world.create().await;
    let before = world.controls.proofs.load(Ordering::SeqCst);
    for _ in 0..5 {
        let revision = world.create().await.config.revision;
        assert!(world.cache.status().revision >= revision, "it is applied by the time it has returned");
    }
    assert!(world.controls.proofs.load(Ordering::SeqCst) <= before + 1, "the heartbeat's, perhaps");
}

#[tokio::test(flavor = "multi_thread")]
async fn v6_a_store_that_stalls_for_a_moment_is_waited_for_and_one_that_is_away_is_not() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    world.controls.fail_feed.store(true, Ordering::SeqCst);
    let waiting = tokio::spawn({
        let (verifier, unknown) = (verifier.clone(), crate::WebConfigId::generate().unwrap());
        let jwt = jwt(&world, unknown, &Secret::generate().unwrap());
        async move { verdict(&verifier, &jwt).await }
    });
    until("some attempts have failed", || world.cache.status().problem.is_some()).await;
    world.controls.fail_feed.store(false, Ordering::SeqCst);
    assert_eq!(waiting.await.unwrap(), Err(Reason::InvalidToken));

    world.controls.fail_feed.store(true, Ordering::SeqCst);
    let unknown = jwt(&world, crate::WebConfigId::generate().unwrap(), &Secret::generate().unwrap());
    let begun = std::time::Instant::now();
    assert_eq!(verdict(&verifier, &unknown).await, Err(Reason::TemporarilyUnavailable));
    assert!(begun.elapsed() < Duration::from_secs(15), "long before the time is up that a request may wait");
    // From then on nobody waits for more than one attempt.
    let began = world.cache.inner.shared.status.borrow().failing_since;
    world.clock.advance(Duration::from_secs(1));
    let attempts = world.controls.fails.load(Ordering::SeqCst);
    assert_eq!(verdict(&verifier, &unknown).await, Err(Reason::TemporarilyUnavailable));
    assert!(world.controls.fails.load(Ordering::SeqCst) - attempts <= 2);
    assert_eq!(world.cache.inner.shared.status.borrow().failing_since, began);
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_log_that_was_compacted_away_means_starting_anew() {
    let world = World::with_log_capacity(2).await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    world.controls.fail_feed.store(true, Ordering::SeqCst);
    let secret = Secret::generate().unwrap();
    let new = jwt(&world, issued.config.id, &secret);
    world.store.regenerate(issued.config.id, secret).await.unwrap();
    for number in 0..5 {
        let patch = WebConfigPatch { name: Some(format!("n{number}")), ..WebConfigPatch::default() };
        world.store.update(issued.config.id, patch).await.unwrap();
    }
    world.controls.fail_feed.store(false, Ordering::SeqCst);
    until("the feed has caught up", || world.cache.see(issued.config.id).record.is_none()).await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Err(Reason::InvalidToken));
    assert_eq!(verdict(&verifier, &new).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_long_exchanges_hear_of_their_tokens_end() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    let admitted = verifier.authorize(&TestHead::get("/v1/x").bearer(&issued.jwt)).await.unwrap();
    let identity = admitted.caller().identity().unwrap().clone();

    let watching = tokio::spawn(world.cache.revoked(&identity));
    let patch = WebConfigPatch { name: Some("new".into()), ..WebConfigPatch::default() };
    world.issuer.update(issued.config.id, patch).await.unwrap();
    world.create().await;
    assert!(!watching.is_finished());
    world.issuer.regenerate(issued.config.id).await.unwrap();
    watching.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_the_end_of_a_tokens_time_ends_no_exchange_that_has_begun() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    let identity = async |jwt: &str| {
        let admitted = verifier.authorize(&TestHead::get("/v1/x").bearer(jwt)).await.unwrap();
        admitted.caller().identity().unwrap().clone()
    };
    let minted = world.issuer.mint(&identity(&issued.jwt).await, Some("aud=*&expInSec=5")).unwrap();
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    let _watch = world.cache.on_revoked(&identity(&minted).await, move || end.store(true, Ordering::SeqCst));
    // Long past its end, clock skew included, and well within the bound of proofs.
    world.clock.advance(Duration::from_secs(20));
    assert_eq!(verdict(&verifier, &minted).await, Err(Reason::TokenExpired));
    tokio::time::sleep(MAX_NAP + Duration::from_millis(200)).await;
    assert!(!ended.load(Ordering::SeqCst));
    world.issuer.regenerate(issued.config.id).await.unwrap();
    until("the exchange has ended", || ended.load(Ordering::SeqCst)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_store_that_panics_does_not_end_the_feed() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    world.controls.panic_feed.store(true, Ordering::SeqCst);
    let forged = jwt(&world, issued.config.id, &Secret::generate().unwrap());
    let waiting = tokio::spawn({
        let verifier = verifier.clone();
        async move { verdict(&verifier, &forged).await }
    });
    until("the store has panicked", || !world.controls.panic_feed.load(Ordering::SeqCst)).await;
    assert_eq!(waiting.await.unwrap(), Err(Reason::InvalidToken));
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_secret_that_a_failover_lost_is_not_accepted() {
    for touched_there in [false, true] {
        let world = World::new().await;
        let verifier = world.verifier(Policy::default());
        let issued = world.create().await;
        // The feed hears nothing of what happens now: a change that a look-up sees, and a failover that loses it.
        world.controls.deaf.store(true, Ordering::SeqCst);
        world.controls.fail_feed.store(true, Ordering::SeqCst);
        let standby = world.store.fork();
        let (lost_secret, new_secret) = (Secret::generate().unwrap(), Secret::generate().unwrap());
        let lost = jwt(&world, issued.config.id, &lost_secret);
        world.store.regenerate(issued.config.id, lost_secret).await.unwrap();
        let waiting = tokio::spawn({
            let (verifier, lost) = (verifier.clone(), lost.clone());
            async move { verdict(&verifier, &lost).await }
        });
        until("a look-up has run", || world.controls.loads.load(Ordering::SeqCst) > 0).await;
        *world.road.lock().unwrap() = standby.clone();
        let mut current = issued.jwt.clone();
        if touched_there {
            current = jwt(&world, issued.config.id, &new_secret);
            standby.regenerate(issued.config.id, new_secret).await.unwrap();
        }
        world.controls.fail_feed.store(false, Ordering::SeqCst);

        // While the feed was away the lost one may have been accepted; not afterwards.
        let _ = waiting.await.unwrap();
        until("the feed is back", || world.cache.status().problem.is_none()).await;
        assert_eq!(verdict(&verifier, &current).await, Ok(()), "touched there: {touched_there}");
        assert_eq!(
            verdict(&verifier, &lost).await,
            Err(Reason::InvalidToken),
            "touched there: {touched_there}"
        );
        assert_eq!(verdict(&verifier, &current).await, Ok(()), "touched there: {touched_there}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c8_a_new_beginning_ends_long_exchanges() {
    let world = World::with_log_capacity(2).await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    let admitted = verifier.authorize(&TestHead::get("/v1/x").bearer(&issued.jwt)).await.unwrap();
    let watching = tokio::spawn(world.cache.revoked(admitted.caller().identity().unwrap()));
    world.controls.fail_feed.store(true, Ordering::SeqCst);
    for _ in 0..5 {
        world.store.update(issued.config.id, WebConfigPatch::default()).await.unwrap();
    }
    assert!(!watching.is_finished());
    world.controls.fail_feed.store(false, Ordering::SeqCst);
    watching.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn c2_a_change_is_heard_of_without_a_proof_of_its_own() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    world.rare_proofs(Duration::from_secs(3600)).await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    let proofs = world.controls.proofs.load(Ordering::SeqCst);
    // And the next one too.
    for _ in 0..3 {
        let secret = Secret::generate().unwrap();
        let new = jwt(&world, issued.config.id, &secret);
        world.store.regenerate(issued.config.id, secret).await.unwrap();
        let seen = || world.cache.see(issued.config.id);
        until("the old record is forgotten", || seen().record.is_none()).await;
        until("no more is told", || seen().stamp.is_settled()).await;
        assert_eq!(verdict(&verifier, &new).await, Ok(()));
    }
    assert_eq!(world.controls.proofs.load(Ordering::SeqCst), proofs);
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_server_that_answers_but_cannot_prove_does_not_keep_the_promise_alive() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    world.rare_proofs(Duration::from_millis(1)).await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    world.controls.no_proofs.store(true, Ordering::SeqCst);
    let reads = world.controls.log_reads.load(Ordering::SeqCst);
    let changed = world.create().await;
    until("the log was read", || world.controls.log_reads.load(Ordering::SeqCst) > reads).await;
    assert_eq!(verdict(&verifier, &changed.jwt).await, Ok(()), "while the last proof holds");
    world.clock.advance(Duration::from_secs(31));
    let begun = std::time::Instant::now();
    assert_eq!(verdict(&verifier, &issued.jwt).await, Err(Reason::TemporarilyUnavailable));
    assert!(begun.elapsed() < Duration::from_secs(15), "what it answers is no hope of a proof");
    assert!(world.cache.status().not_ready_since.is_some());
    world.controls.no_proofs.store(false, Ordering::SeqCst);
    until("a proof", || world.cache.status().ready).await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    assert_eq!(world.cache.status().not_ready_since, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn c4_a_quick_answer_that_lags_is_no_reason_to_distrust_everything() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    world.rare_proofs(Duration::from_millis(1)).await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    let epoch = world.cache.see(issued.config.id).stamp.epoch;
    world.controls.quick_road_lags.store(true, Ordering::SeqCst);
    world.store.regenerate(issued.config.id, Secret::generate().unwrap()).await.unwrap();
    until("the old record is forgotten", || world.cache.see(issued.config.id).record.is_none()).await;
    assert_eq!(world.cache.see(issued.config.id).stamp.epoch, epoch);
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_a_quick_road_that_is_no_use_makes_proofs_no_more_frequent() {
    const INTERVAL: Duration = Duration::from_millis(200);
    for lags in [true, false] {
        let world = World::new().await;
        let id = world.create().await.config.id;
        world.rare_proofs(INTERVAL).await;
        world.controls.quick_road_lags.store(lags, Ordering::SeqCst);
        world.controls.quick_road_fails.store(!lags, Ordering::SeqCst);
        let (before, begun) = (world.controls.proofs.load(Ordering::SeqCst), std::time::Instant::now());
        for _ in 0..20 {
            world.store.update(id, WebConfigPatch::default()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let proofs = world.controls.proofs.load(Ordering::SeqCst) - before;
        let allowed = begun.elapsed().as_millis() / INTERVAL.as_millis() + 2;
        assert!(proofs as u128 <= allowed, "{proofs} proofs for 20 changes, {allowed} allowed; lags: {lags}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_forged_tokens_share_proofs_and_do_not_make_them_more_frequent() {
    const INTERVAL: Duration = Duration::from_millis(200);
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    world.rare_proofs(INTERVAL).await;
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    let forged = jwt(&world, issued.config.id, &Secret::generate().unwrap());
    let (before, begun) = (world.controls.proofs.load(Ordering::SeqCst), std::time::Instant::now());
    for _ in 0..3 {
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let (verifier, forged) = (verifier.clone(), forged.clone());
                tokio::spawn(async move { verdict(&verifier, &forged).await })
            })
            .collect();
        for task in waiting {
            assert_eq!(task.await.unwrap(), Err(Reason::InvalidToken));
        }
    }
    let proofs = world.controls.proofs.load(Ordering::SeqCst) - before;
    let allowed = begun.elapsed().as_millis() / INTERVAL.as_millis() + 2;
    assert!(proofs as u128 <= allowed, "{proofs} proofs for 300 forged tokens, {allowed} allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn c5_hints_that_lead_to_nothing_are_followed_no_more_often_than_proofs_are_asked_for() {
    const INTERVAL: Duration = Duration::from_millis(100);
    let world = World::new().await;
    world.rare_proofs(INTERVAL).await;
    world.controls.cries_wolf.store(true, Ordering::SeqCst);
    world.create().await;
    let (before, begun) = (world.controls.log_reads.load(Ordering::SeqCst), std::time::Instant::now());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reads = world.controls.log_reads.load(Ordering::SeqCst) - before;
    let allowed = 2 * (begun.elapsed().as_millis() / INTERVAL.as_millis() + 2);
    assert!(reads as u128 <= allowed, "{reads} reads, {allowed} allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn c1_a_bulk_end_ends_a_context_or_an_account_and_nothing_else() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let first = world.create_in("acc", "one").await;
    let second = world.create_in("acc", "two").await;
    let elsewhere = world.create_in("other", "one").await;
    for issued in [&first, &second, &elsewhere] {
        assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    }
    let admitted = verifier.authorize(&TestHead::get("/v1/x").bearer(&first.jwt)).await.unwrap();
    let watching = tokio::spawn(world.cache.revoked(admitted.caller().identity().unwrap()));

    let one = crate::store::Scope::Context("acc".parse().unwrap(), "one".parse().unwrap());
    assert_eq!(world.issuer.end(one).await.unwrap().web_configs, 1);
    watching.await.unwrap();
    assert_eq!(verdict(&verifier, &first.jwt).await, Err(Reason::InvalidToken));
    assert_eq!(verdict(&verifier, &second.jwt).await, Ok(()));
    let later = world.create_in("acc", "one").await;
    assert_eq!(verdict(&verifier, &later.jwt).await, Ok(()));

    // By another process, with look-ups that have read the old records and are parked across it.
    let unread = world.create_in("acc", "three").await;
    world.controls.park_loads(true);
    let waiting = tokio::spawn({
        let (verifier, jwt) = (verifier.clone(), unread.jwt.clone());
        async move { verdict(&verifier, &jwt).await }
    });
    until("a look-up is parked", || world.controls.parked.load(Ordering::SeqCst) == 1).await;
    let account = crate::store::Scope::Account("acc".parse().unwrap());
    assert_eq!(world.store.end(account).await.unwrap().web_configs, 3);
    until("the feed has applied it", || world.cache.status().living == 1).await;
    world.controls.park_loads(false);
    assert_eq!(waiting.await.unwrap(), Err(Reason::InvalidToken));
    for ended in [&second, &later, &unread] {
        assert_eq!(verdict(&verifier, &ended.jwt).await, Err(Reason::InvalidToken));
    }
    assert_eq!(verdict(&verifier, &elsewhere.jwt).await, Ok(()));
}

/// One worker, so that whoever gives way lets the clock of the reads run out.
#[tokio::test(flavor = "current_thread", start_paused = true)]
async fn c1_a_bulk_end_of_very_many_is_forgotten_whole_however_slow_the_answer_came() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    world.rare_proofs(Duration::from_millis(100)).await;
    let mut issued = Vec::new();
    for _ in 0..2_500 {
        issued.push(world.create_in("acc", "many").await);
    }
    for issued in &issued {
        assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    }
    // The answer comes at the very end of the time it has.
    *world.controls.slow_reads.lock().unwrap() = Duration::from_secs(5);
    let scope = crate::store::Scope::Account("acc".parse().unwrap());
    world.store.end(scope).await.unwrap();
    until("the feed has applied it", || world.cache.status().living == 1).await;
    *world.controls.slow_reads.lock().unwrap() = Duration::ZERO;
    assert_eq!(verdict(&verifier, "e30.e30.e30").await, Err(Reason::InvalidToken));
    until("all are forgotten", || {
        issued.iter().all(|issued| world.cache.see(issued.config.id).record.is_none())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_what_was_loaded_ahead_needs_no_look_up() {
    let world = World::new().await;
    let issued = [world.create().await, world.create().await, world.create().await];
    let faulty = crate::testing::TestStore::new(world.store.clone());
    let controls = std::sync::Arc::clone(&faulty.controls);
    let cache = crate::SecretCache::builder(faulty).preload(true).build().unwrap();
    until("all are loaded", || !cache.status().preloading).await;
    let loads = controls.loads.load(Ordering::SeqCst);
    let verifier = Verifier::new(cache, Policy::default());
    for issued in &issued {
        assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    }
    assert_eq!(controls.loads.load(Ordering::SeqCst), loads);
    // And it is kept current as any other.
    world.store.regenerate(issued[0].config.id, Secret::generate().unwrap()).await.unwrap();
    assert_eq!(verdict(&verifier, "e30.e30.e30").await, Err(Reason::InvalidToken));
    until("forgotten", || verifier.cache().see(issued[0].config.id).record.is_none()).await;
    assert_eq!(verdict(&verifier, &issued[0].jwt).await, Err(Reason::InvalidToken));
}

/// A cache with the shortest bound over a store of three web configs, a page each, and a token for one of them.
async fn three_pages(setting: impl FnOnce(&Controls)) -> (World, SecretCache, Arc<Controls>) {
    three_pages_with_room_for(3, setting).await
}

async fn three_pages_with_room_for(
    capacity: u64,
    setting: impl FnOnce(&Controls),
) -> (World, SecretCache, Arc<Controls>) {
    let world = World::new().await;
    for _ in 0..3 {
        world.create().await;
    }
    let faulty = TestStore::new(world.store.clone());
    let controls = Arc::clone(&faulty.controls);
    controls.page.store(1, Ordering::SeqCst);
    setting(&controls);
    let builder = SecretCache::builder(faulty).max_revocation_delay(Duration::from_secs(2));
    (world, builder.capacity(capacity).preload(true).build().unwrap(), controls)
}

#[tokio::test(start_paused = true)]
async fn c7_a_page_of_the_listing_may_take_longer_than_a_proof() {
    let slow =
        |by: u64| move |controls: &Controls| *controls.slow_pages.lock().unwrap() = Duration::from_millis(by);
    let (_world, cache, _) = three_pages(slow(4_900)).await;
    until("everything is listed and proved", || cache.status().not_ready_since.is_none()).await;
    assert_eq!(cache.status().living, 3);
    // But not for ever: the next attempt may find a server that answers.
    let (_world, cache, controls) = three_pages(slow(5_100)).await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(cache.status().not_ready_since.is_some());
    assert_eq!(controls.pages.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn c7_a_listing_that_leads_in_a_circle_is_not_followed() {
    let (_world, cache, controls) = three_pages(|controls| {
        controls.page_leads_to_itself.store(true, Ordering::SeqCst);
    })
    .await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(cache.status().not_ready_since.is_some());
    let pages = controls.pages.load(Ordering::SeqCst);
    assert!((2..300).contains(&pages), "{pages} pages in a minute");
}

#[tokio::test(start_paused = true)]
async fn c6_loading_ahead_is_tried_again_and_given_up_in_the_end() {
    let fails = |controls: &Controls| controls.fail_loads.store(true, Ordering::SeqCst);
    let (_world, cache, controls) = three_pages(fails).await;
    until("given up", || !cache.status().preloading).await;
    assert_eq!((controls.loads.load(Ordering::SeqCst), cache.status().cached), (5, 0));
    let (_world, cache, controls) = three_pages(fails).await;
    until("it was tried", || controls.loads.load(Ordering::SeqCst) > 0).await;
    controls.fail_loads.store(false, Ordering::SeqCst);
    until("all are loaded", || cache.status().cached == 3 && !cache.status().preloading).await;
}

#[tokio::test(start_paused = true)]
async fn c6_no_more_is_loaded_ahead_than_there_is_room_for() {
    for (capacity, loaded) in [(1, 1), (2, 2), (3, 3), (4, 3)] {
        let (_world, cache, controls) = three_pages_with_room_for(capacity, |_| ()).await;
        until("all are loaded", || !cache.status().preloading).await;
        assert_eq!(controls.loads.load(Ordering::SeqCst), loaded, "{capacity}");
    }
}

#[tokio::test(start_paused = true)]
async fn c6_loading_ahead_is_over_also_when_the_store_panics() {
    let (_world, cache, _) = three_pages(|_| ()).await;
    until("all are loaded", || cache.status().cached == 3 && !cache.status().preloading).await;
    let (_world, cache, _) =
        three_pages(|controls| controls.panic_preload.store(true, Ordering::SeqCst)).await;
    until("given up", || !cache.status().preloading).await;
    assert_eq!(cache.status().cached, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_a_look_up_that_nobody_may_wait_for_is_not_begun() {
    const PLACES: usize = 4_096;
    let world = World::new().await;
    world.controls.park_loads(true);
    let shared = &world.cache.inner.shared;
    let mut waiting = Vec::new();
    for number in 0..=PLACES {
        let id = world.create().await.config.id;
        let one = super::wait::for_record(shared, id);
        assert_eq!(matches!(one, super::Waiting::InVain(_)), number == PLACES, "{number}");
        waiting.push(one);
    }
    assert_eq!(shared.look_ups().len(), PLACES);
    // As soon as there is room again, it is.
    world.controls.park_loads(false);
    world.controls.release.add_permits(PLACES);
    for one in waiting.drain(..PLACES) {
        assert_eq!(one.await, super::Waited::Look);
    }
    let id = world.create().await.config.id;
    assert_eq!(super::wait::for_record(shared, id).await, super::Waited::Look);
}

#[tokio::test(flavor = "multi_thread")]
async fn c6_no_more_than_so_many_look_ups_run_at_once() {
    let world = World::new().await;
    world.controls.park_loads(true);
    let shared = &world.cache.inner.shared;
    let mut waiting = Vec::new();
    for _ in 0..100 {
        waiting.push(super::wait::for_record(shared, world.create().await.config.id));
    }
    let parked = || world.controls.parked.load(Ordering::SeqCst);
    until("as many as may", || parked() == 64).await;
    // One more would have been begun by now, and if not, the test is only easier to pass.
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(parked(), 64);
    world.controls.park_loads(false);
    for one in waiting {
        assert_eq!(one.await, super::Waited::Look);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c7_no_more_than_so_many_wait_for_a_proof() {
    const PLACES: usize = 4_096;
    let world = World::new().await;
    let issued = world.create().await;
    let verifier = world.verifier(Policy::default());
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
    let forged = jwt(&world, issued.config.id, &Secret::generate().unwrap());
    world.controls.no_proofs.store(true, Ordering::SeqCst);
    let shared = &world.cache.inner.shared;
    let since = world.cache.now().boot;
    let mut waiting = Vec::new();
    for number in 0..=PLACES {
        let one = super::wait::for_proof(shared, since);
        assert_eq!(matches!(one, super::Waiting::InVain(_)), number == PLACES, "{number}");
        waiting.push(one);
    }
    assert_eq!(verdict(&verifier, &forged).await, Err(Reason::TemporarilyUnavailable));
    assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()), "who needs none is served");
    // Who has given up makes room.
    drop(waiting);
    world.controls.no_proofs.store(false, Ordering::SeqCst);
    assert_eq!(verdict(&verifier, &forged).await, Err(Reason::InvalidToken));
}

#[test]
fn v6_a_runtime_that_is_gone_does_not_hang_a_request() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (world, issued) = runtime.block_on(async {
        let world = World::new().await;
        let issued = world.create().await;
        (world, issued)
    });
    let verifier = world.verifier(Policy::default());
    runtime.shutdown_background();
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let own = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _ = sender.send(own.block_on(verdict(&verifier, &issued.jwt)));
    });
    let answer = receiver.recv_timeout(Duration::from_secs(60)).expect("an answer, and no deadlock");
    assert_eq!(answer, Err(Reason::TemporarilyUnavailable));
}

#[tokio::test(flavor = "multi_thread")]
async fn c3_while_changes_are_told_of_nothing_near_counts() {
    let world = World::new().await;
    let issued = world.create().await;
    assert_eq!(verdict(&world.verifier(Policy::default()), &issued.jwt).await, Ok(()));
    let shared = &world.cache.inner.shared;
    let is_near = || (0..3).any(|_| matches!(world.cache.see(issued.config.id).record, Some(Held::Near(_))));
    let is_cached = || matches!(world.cache.see(issued.config.id).record, Some(Held::Cached(_)));
    assert!(is_near());

    assert_eq!(shared.tell(&[]), []);
    assert!(is_near(), "nothing was told");

    let position = LogPosition {
        revision: Revision::new(shared.status.borrow().applied.get() + 1),
        entry: EntryId::from_bytes([7; 16]),
    };
    let change = Change::Deleted {
        id: crate::WebConfigId::from_bytes([7; 16]),
        generation: crate::Generation::new(1),
    };
    shared.tell(&[LogEntry { position, change }]);
    assert!(!is_near() && is_cached());

    shared.published.changed();
    assert!(is_near());
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_one_context_share_its_ids() {
    let world = World::new().await;
    let verifier = world.verifier(Policy::default());
    let mut records = Vec::new();
    for issued in [world.create().await, world.create().await] {
        assert_eq!(verdict(&verifier, &issued.jwt).await, Ok(()));
        records.push(world.cache.see(issued.config.id).record.unwrap());
    }
    let [one, other] = [&records[0], &records[1]];
    assert_ne!(one.id, other.id);
    assert_eq!(one.context_id, other.context_id);
    assert!(std::ptr::eq(one.account_id.as_str(), other.account_id.as_str()));
    assert!(std::ptr::eq(one.context_id.as_str(), other.context_id.as_str()));
}
