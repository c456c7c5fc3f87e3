use super::*;
use crate::clock::Reading;
use crate::head::testing::TestHead;
use crate::testing::{API_URL, Controls, Logged, Noting, TestClock, TestStore, World};
use crate::{Clock as _, CreateRequest, Issued, Issuer, MemoryStore, Mode, Policy, Reason, Verifier};

const DAY: Duration = Duration::from_secs(86_400);
const APP: &str = "https://app.example.com";

fn today(clock: &TestClock) -> Day {
    Day::of(clock.read().wall.as_secs())
}

/// A day that is not over soon, so that no test runs into the next.
async fn world() -> World {
    let world = World::new().await;
    let Reading { wall, .. } = world.clock.read();
    world.clock.advance(Duration::from_secs(today(&world.clock).end()) - wall);
    world
}

async fn last_use(world: &World, issued: &Issued) -> Option<Day> {
    let last = world.issuer.last_uses([issued.config.id]).await.unwrap();
    last.get(&issued.config.id).copied()
}

/// What is remembered once all that is known has been written.
async fn written(world: &World, issued: &Issued) -> Option<Day> {
    world.cache.write_uses().await.unwrap();
    last_use(world, issued).await
}

fn noted(world: &World) -> Vec<usize> {
    world.controls.noted.lock().unwrap().clone()
}

async fn ask(verifier: &Verifier, head: &TestHead) -> Result<(), Reason> {
    verifier.authorize(head).await.map(drop).map_err(|rejection| rejection.reason())
}

fn get(token: &str) -> TestHead {
    TestHead::get("/v1/asr").with("host", "api.example.net").bearer(token)
}

#[tokio::test]
async fn what_is_accepted_is_noted_by_every_kind_of_token() {
    let world = world().await;
    let verifier = world.verifier(Policy::default());
    let minter = world.create().await;
    let admitted = verifier.authorize(&get(&minter.jwt)).await.unwrap();
    let caller = admitted.caller().identity().unwrap().clone();
    assert_eq!(last_use(&world, &minter).await, None, "nothing is written at once");
    assert_eq!(written(&world, &minter).await, Some(today(&world.clock)));

    // A day later its short-lived tokens count for it too, and so does one that had to wait for the record.
    world.clock.advance(DAY);
    let short = world.issuer.mint(&caller, Some(&format!("aud={APP}&expInSec=60"))).unwrap();
    assert_eq!(ask(&verifier, &get(&short).with("origin", APP)).await, Ok(()));
    assert_eq!(written(&world, &minter).await, Some(today(&world.clock)));

    // Where none is needed as well.
    world.clock.advance(DAY);
    let other = world.create().await;
    let policy = Policy::builder().mode(Mode::Optional).build().unwrap();
    assert_eq!(ask(&world.verifier(policy), &get(&other.jwt)).await, Ok(()));
    assert_eq!(written(&world, &other).await, Some(today(&world.clock)));
    assert!(last_use(&world, &minter).await < last_use(&world, &other).await);
}

#[tokio::test]
async fn what_is_refused_is_not_noted() {
    let world = world().await;
    let verifier = world.verifier(Policy::default());
    let issued = world.create().await;
    // Its tokens come from a verifier that notes nothing here: another cache of the same store.
    let cache = SecretCache::builder(world.store.clone()).clock(world.clock.clone()).build().unwrap();
    let admitted = Verifier::new(cache, Policy::default()).authorize(&get(&issued.jwt)).await.unwrap();
    let caller = admitted.caller().identity().unwrap();
    let short = world.issuer.mint(caller, Some(&format!("aud={APP}"))).unwrap();
    let brief = world.issuer.mint(caller, Some(&format!("aud={APP}&expInSec=1"))).unwrap();
    let limited = world.issuer.mint(caller, Some("aud=*&api=/transcribe")).unwrap();
    let (signed, signature) = issued.jwt.rsplit_once('.').unwrap();
    let other = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{other}{}", signature.chars().skip(1).collect::<String>());
    world.clock.advance(Duration::from_secs(2));
    for (what, head, reason) in [
        ("expired", get(&brief).with("origin", APP), Reason::TokenExpired),
        ("another origin", get(&short).with("origin", "https://evil.example"), Reason::OriginNotAllowed),
        ("a page's", get(&issued.jwt).with("origin", APP), Reason::OriginNotAllowed),
        ("another path", get(&limited), Reason::InsufficientScope),
        ("forged", get(&forged), Reason::InvalidToken),
        ("none", TestHead::get("/v1/asr"), Reason::MissingToken),
    ] {
        assert_eq!(ask(&verifier, &head).await, Err(reason), "{what}");
        assert_eq!(written(&world, &issued).await, None, "{what}");
    }
    // Nor is what an operator asks about, nor a preflight.
    assert!(verifier.explain(&get(&issued.jwt)).await.rejection.is_none());
    let preflight = TestHead::get("/v1/asr")
        .method("OPTIONS")
        .with("origin", APP)
        .with("access-control-request-method", "GET");
    assert_eq!(ask(&verifier, &preflight).await, Ok(()));
    assert_eq!(written(&world, &issued).await, None);
    assert!(noted(&world).is_empty());
    // That nothing else was in the way.
    assert_eq!(ask(&verifier, &get(&short).with("origin", APP)).await, Ok(()));
    assert_eq!(written(&world, &issued).await, Some(today(&world.clock)));
}

#[tokio::test(flavor = "multi_thread")]
async fn once_a_day_is_enough_however_many_ask() {
    let world = world().await;
    let issued = world.create().await;
    let verifiers = [world.verifier(Policy::default()), world.verifier(Policy::default())];
    let many = async || {
        let mut asking = Vec::new();
        for number in 0..8 {
            let (verifier, head) = (verifiers[number % 2].clone(), get(&issued.jwt));
            asking.push(tokio::spawn(async move {
                for _ in 0..200 {
                    assert_eq!(ask(&verifier, &head).await, Ok(()));
                }
            }));
        }
        for one in asking {
            one.await.unwrap();
        }
    };
    many().await;
    let first = written(&world, &issued).await;
    many().await;
    assert_eq!(written(&world, &issued).await, first);
    assert_eq!(noted(&world), [1]);

    // One second before the day is over, and when it is.
    let Reading { wall, .. } = world.clock.read();
    world.clock.advance(Duration::from_secs(first.unwrap().end()) - wall - Duration::from_secs(20));
    many().await;
    assert_eq!(written(&world, &issued).await, first);
    world.clock.advance(Duration::from_secs(21));
    many().await;
    assert_eq!(written(&world, &issued).await.unwrap().get(), first.unwrap().get() + 1);
    assert_eq!(noted(&world), [1, 1]);

    // A record that was dropped is noted once more, which changes nothing.
    world.issuer.regenerate(issued.config.id).await.unwrap();
    let issued = world.issuer.regenerate(issued.config.id).await.unwrap();
    assert_eq!(ask(&verifiers[0], &get(&issued.jwt)).await, Ok(()));
    assert_eq!(written(&world, &issued).await.unwrap().get(), first.unwrap().get() + 1);
    assert_eq!(noted(&world), [1, 1, 1]);
}

#[tokio::test]
async fn a_clock_that_went_back_takes_nothing_back() {
    let uses = Uses::default();
    let id = WebConfigId::generate().unwrap();
    enter(&mut uses.pending(), id, Day::of(2 * 86_400));
    enter(&mut uses.pending(), id, Day::of(86_400));
    let expected = BTreeMap::from([(id, Day::of(2 * 86_400))]);
    for _ in 0..2 {
        assert_eq!(uses.take().taken, expected, "what was not written waits as before");
    }
    uses.take().taken.clear();
    assert!(uses.take().taken.is_empty());
}

#[tokio::test]
async fn what_has_been_deleted_does_not_come_back() {
    let world = world().await;
    let (issued, other) = (world.create().await, world.create().await);
    let verifier = world.verifier(Policy::default());
    for one in [&issued, &other] {
        assert_eq!(ask(&verifier, &get(&one.jwt)).await, Ok(()));
    }
    world.issuer.delete(issued.config.id).await.unwrap();
    assert_eq!(written(&world, &issued).await, None);
    assert_eq!(last_use(&world, &other).await, Some(today(&world.clock)));
}

/// A cache over a store that can be broken, in a test whose time is paused. Requests are decided by clocks that run on.
struct Paused {
    world: World,
    verifier: Verifier,
    issued: Issued,
}

impl Paused {
    async fn new() -> Self {
        let world = world().await;
        let issued = world.create().await;
        let verifier = world.verifier(Policy::default());
        assert_eq!(ask(&verifier, &get(&issued.jwt)).await, Ok(()));
        Self { world, verifier, issued }
    }

    fn set(&self, noting: Noting) {
        *self.world.controls.uses.lock().unwrap() = noting;
    }

    async fn is_noted(&self) -> bool {
        last_use(&self.world, &self.issued).await.is_some()
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_written_every_minute() {
    let paused = Paused::new().await;
    tokio::time::sleep(Duration::from_secs(58)).await;
    assert!(noted(&paused.world).is_empty());
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(paused.is_noted().await);
    tokio::time::sleep(10 * DAY / 24).await;
    assert_eq!(noted(&paused.world), [1], "nothing new, nothing asked");
}

#[tokio::test(start_paused = true)]
async fn v6_a_store_that_cannot_write_them_costs_nobody_anything() {
    for noting in [Noting::Fails, Noting::Hangs, Noting::Panics] {
        let logged = Logged::begin();
        let paused = Paused::new().await;
        paused.set(noting);
        let (before, proofs) =
            (paused.world.cache.status(), paused.world.controls.proofs.load(Ordering::SeqCst));
        tokio::time::sleep(Duration::from_secs(250)).await;
        let tries = noted(&paused.world).len();
        assert!((3..=4).contains(&tries), "{noting:?}: {tries}");
        assert!(!paused.is_noted().await);
        // Decisions and freshness know nothing of it.
        assert_eq!(ask(&paused.verifier, &get(&paused.issued.jwt)).await, Ok(()));
        let status = paused.world.cache.status();
        assert!(status.ready && status.problem.is_none() && status.revision == before.revision);
        assert!(paused.world.controls.proofs.load(Ordering::SeqCst) > proofs);
        let mine = |lines: Vec<String>| -> Vec<_> {
            lines.into_iter().filter(|line| line.contains("last uses")).collect()
        };
        let said = mine(logged.take());
        assert!(said.len() == 1 && said[0].contains("WARN"), "{noting:?}: {said:?}");

        paused.set(Noting::Works);
        tokio::time::sleep(Duration::from_secs(80)).await;
        assert!(paused.is_noted().await, "{noting:?}");
        let said = mine(logged.take());
        assert!(said.len() == 1 && said[0].contains("INFO"), "{noting:?}: {said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn very_many_come_to_the_store_little_by_little_and_no_more_wait_than_there_is_room_for() {
    let paused = Paused::new().await;
    let uses = &paused.world.cache.inner.shared.uses;
    for number in 0..(MOST as u128) - 1 {
        enter(&mut uses.pending(), WebConfigId::from_bytes((number << 64).to_be_bytes()), Day::of(0));
    }
    let late = paused.world.create().await;
    for _ in 0..3 {
        assert_eq!(ask(&paused.verifier, &get(&late.jwt)).await, Ok(()));
        assert_eq!(uses.pending().len(), MOST);
    }
    paused.set(Noting::Fails);
    assert!(paused.world.cache.write_uses().await.is_err());
    // Nor by somebody who does not wait for the end.
    paused.set(Noting::Hangs);
    assert!(timeout(PAUSE, paused.world.cache.write_uses()).await.is_err());
    assert_eq!((uses.pending().len(), noted(&paused.world)), (MOST, vec![AT_ONCE; 2]), "nothing was lost");

    paused.set(Noting::Works);
    paused.world.controls.noted.lock().unwrap().clear();
    let begun = tokio::time::Instant::now();
    paused.world.cache.write_uses().await.unwrap();
    let rounds = MOST / AT_ONCE;
    assert_eq!(noted(&paused.world), vec![AT_ONCE; rounds]);
    assert!(begun.elapsed() >= PAUSE * (u32::try_from(rounds).unwrap() - 1));
    assert!(paused.is_noted().await);
    // There is room again, and what found none is not forgotten for the day.
    assert_eq!(last_use(&paused.world, &late).await, None);
    assert_eq!(ask(&paused.verifier, &get(&late.jwt)).await, Ok(()));
    assert!(written(&paused.world, &late).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_after_the_end_and_what_is_asked_for_before_it_is() {
    let store = MemoryStore::new().unwrap();
    let faulty = TestStore::new(store.clone());
    let controls: Arc<Controls> = Arc::clone(&faulty.controls);
    let cache = SecretCache::builder(faulty).last_use_interval(Duration::ZERO).build().unwrap();
    let issuer = Issuer::new(cache.clone(), API_URL).unwrap();
    let request = CreateRequest::new("acc".parse().unwrap(), "ctx".parse().unwrap(), "test");
    let issued = issuer.create(request).await.unwrap();
    let verifier = Verifier::new(cache.clone(), Policy::default());
    assert_eq!(ask(&verifier, &get(&issued.jwt)).await, Ok(()));
    cache.write_uses().await.unwrap();
    assert_eq!(controls.noted.lock().unwrap().len(), 1);
    drop((cache, issuer, verifier));
    tokio::time::sleep(DAY).await;
    assert_eq!(controls.noted.lock().unwrap().len(), 1);
}
