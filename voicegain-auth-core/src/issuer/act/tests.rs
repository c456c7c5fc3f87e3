use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};

use tokio::sync::oneshot;

use super::*;
use crate::audit::{ActorKind, Given};
use crate::store::Scope;
use crate::testing::{Logged, World, until};
use crate::{CreateRequest, Issued, MintError, RequestId, WebConfigPatch};

/// A log that tests can read, and keep from being written.
#[derive(Clone, Default)]
struct TestLog(Arc<Kept>);

#[derive(Default)]
struct Kept {
    entries: Mutex<Vec<AuditEntry>>,
    is_full: AtomicBool,
    fills_up: AtomicBool,
    /// How many more are written before it hangs, if it is to.
    hangs_after: Mutex<Option<(usize, mpsc::Receiver<()>)>>,
}

impl AuditLog for TestLog {
    fn write(&self, entry: &AuditEntry) -> Result<(), BoxError> {
        let hangs = {
            let mut hangs_after = self.0.hangs_after.lock().unwrap();
            match &mut *hangs_after {
                Some((0, _)) => hangs_after.take(),
                Some((left, _)) => {
                    *left -= 1;
                    None
                }
                None => None,
            }
        };
        if let Some((_, until)) = hangs {
            _ = until.recv();
        }
        if self.0.is_full.load(Ordering::SeqCst) {
            return Err("no space left".into());
        }
        self.0.is_full.store(self.0.fills_up.load(Ordering::SeqCst), Ordering::SeqCst);
        self.0.entries.lock().unwrap().push(entry.clone());
        Ok(())
    }
}

impl TestLog {
    fn set_full(&self, is_full: bool) {
        self.0.is_full.store(is_full, Ordering::SeqCst);
    }

    fn take(&self) -> Vec<AuditEntry> {
        std::mem::take(&mut *self.0.entries.lock().unwrap())
    }

    /// The beginning and the end of the one change that was made since.
    #[track_caller]
    fn change(&self) -> (Deed, Stage) {
        let [begun, end] = self.take().try_into().unwrap();
        assert_eq!((begun.stage, begun.id), (Stage::Begun, end.id));
        assert_eq!((&begun.actor, &begun.deed), (&end.actor, &end.deed));
        assert_eq!(begun.actor, somebody());
        assert!(begun.at <= end.at && begun.at.as_secs() > 1_700_000_000);
        (end.deed, end.stage)
    }
}

fn somebody() -> Actor {
    let request = "0123456789abcdef0123456789abcdef".parse::<RequestId>().unwrap();
    let address = "::ffff:192.0.2.1".parse().unwrap();
    Actor::new(ActorKind::Console, "alice").at(Some(address)).by_request(Some(request))
}

fn audited(world: &World) -> (Issuer, TestLog) {
    let log = TestLog::default();
    (world.issuer.clone().audited(log.clone()).acting_as(somebody()), log)
}

async fn create(issuer: &Issuer) -> Issued {
    let mut request = CreateRequest::new("acc".parse().unwrap(), "ctx".parse().unwrap(), "server");
    request.allowed_origins = vec!["https://a.example".to_owned()];
    issuer.create(request).await.unwrap()
}

#[tokio::test]
async fn every_change_is_told_of_before_and_after() {
    let world = World::new().await;
    let (issuer, log) = audited(&world);
    let Issued { config, .. } = create(&issuer).await;
    let within = |act| Deed::on(act, config.id).within(&config.account_id, &config.context_id);
    let origins = |origin: &str| Given::AllowedOrigins(vec![origin.to_owned()]);
    let new = [Given::Name("server".into()), origins("https://a.example"), Given::Secret { imported: false }];
    assert_eq!(log.change(), (within(Act::Create).given(new), Stage::Done(Effect::of(&config))));

    let again = issuer.regenerate(config.id).await.unwrap();
    let deed = within(Act::Regenerate).given([Given::Secret { imported: false }]);
    assert_eq!(log.change(), (deed, Stage::Done(Effect::of(&again.config))));
    assert_eq!(again.config.generation.get(), 2);

    let patch = WebConfigPatch { name: None, allowed_origins: Some(vec!["b.example".to_owned()]) };
    let updated = issuer.update(config.id, patch).await.unwrap();
    let deed = within(Act::Update).given([origins("b.example")]);
    assert_eq!(log.change(), (deed, Stage::Done(Effect::of(&updated))));

    issuer.mint_for(config.id, "aud=b.example&expInSec=9&api=/data").await.unwrap();
    let given = [Given::Audience("b.example".into()), Given::ExpiresIn(9), Given::ApiPath("/data".into())];
    assert_eq!(log.change(), (within(Act::Mint).given(given), Stage::Done(Effect::default())));

    issuer.delete(config.id).await.unwrap();
    let (deed, stage) = log.change();
    assert_eq!(deed, within(Act::Delete));
    let Stage::Done(effect) = stage else { panic!("{stage:?}") };
    assert!(effect.revision > Some(updated.revision) && effect.generation.is_none());

    create(&issuer).await;
    log.take();
    let scope = Scope::Context(config.account_id.clone(), config.context_id.clone());
    let ended = issuer.end(scope).await.unwrap();
    let deed = Deed::new(Act::End).within(&config.account_id, &config.context_id);
    assert_eq!(log.change(), (deed, Stage::Done(Effect::at(ended.revision).on(1))));
    issuer.end(Scope::Account(config.account_id.clone())).await.unwrap();
    let (deed, _) = log.change();
    assert_eq!((deed.account_id, deed.context_id), (Some(config.account_id), None));
}

#[tokio::test]
async fn w7_an_import_is_told_of_as_one() {
    let world = World::new().await;
    let (issuer, log) = audited(&world);
    let id = create(&issuer).await.config.id;
    issuer.delete(id).await.unwrap();
    log.take();
    let mut request = CreateRequest::new("acc".parse().unwrap(), "ctx".parse().unwrap(), "back");
    request.secret = Some(crate::Secret::from_bytes(&[7; 32]).unwrap());
    (request.id, request.revive) = (Some(id), true);
    issuer.create(request).await.unwrap();
    let (deed, _) = log.change();
    assert_eq!(deed.fields[2..], [Given::Secret { imported: true }, Given::Revival]);
    assert!(!format!("{deed:?}").contains("7, 7"), "never the secret itself");
}

#[tokio::test]
async fn nothing_is_changed_that_cannot_be_written_down() {
    let world = World::new().await;
    let (issuer, log) = audited(&world);
    let Issued { config, .. } = create(&issuer).await;
    log.take();
    log.set_full(true);
    let logged = Logged::begin();
    let patch = WebConfigPatch { name: Some("other".to_owned()), allowed_origins: None };
    let request = CreateRequest::new("acc".parse().unwrap(), "ctx".parse().unwrap(), "second");
    let scope = Scope::Account("acc".parse().unwrap());
    let refused = [
        ("create", issuer.create(request).await.map(drop)),
        ("regenerate", issuer.regenerate(config.id).await.map(drop)),
        ("update", issuer.update(config.id, patch).await.map(drop)),
        ("delete", issuer.delete(config.id).await),
        ("end", issuer.end(scope).await.map(drop)),
    ];
    let lines = logged.take();
    assert_eq!(lines.len(), refused.len(), "{lines:?}");
    for ((what, refused), line) in refused.iter().zip(&lines) {
        assert!(matches!(refused, Err(IssueError::Audit(_))), "{what}: {refused:?}");
        for told in [what, "ERROR", "cannot be written, so nothing was changed", "no space left", "alice"] {
            assert!(line.contains(told), "{told}: {line}");
        }
    }
    let minted = issuer.mint_for(config.id, "aud=b.example").await;
    assert!(matches!(minted, Err(MintError::Untold(IssueError::Audit(_)))), "{minted:?}");
    let there = issuer.list(crate::store::ListQuery { limit: 9, ..Default::default() }).await.unwrap();
    assert_eq!(there, [config], "the store is as it was");
    log.set_full(false);
    issuer.regenerate(there[0].id).await.unwrap();
}

#[tokio::test]
async fn a_change_stands_if_only_its_end_cannot_be_written_down() {
    let world = World::new().await;
    let (issuer, log) = audited(&world);
    let id = create(&issuer).await.config.id;
    log.take();
    log.0.fills_up.store(true, Ordering::SeqCst);
    let logged = Logged::begin();
    assert_eq!(issuer.regenerate(id).await.unwrap().config.generation.get(), 2);
    let [begun] = log.take().try_into().unwrap();
    assert_eq!(begun.stage, Stage::Begun);
    let lines = logged.take();
    let loud = lines.iter().find(|line| line.contains("ERROR")).unwrap();
    assert!(loud.contains("not its outcome") && loud.contains(&begun.id.to_string()), "{loud}");
}

#[tokio::test]
async fn what_the_store_says_is_told() {
    let world = World::new().await;
    let (issuer, log) = audited(&world);
    let id = WebConfigId::generate().unwrap();
    assert!(issuer.regenerate(id).await.is_err());
    let (deed, stage) = log.change();
    assert_eq!((deed.account_id, deed.web_config), (None, Some(id)));
    assert_eq!(stage, Stage::Refused("there is no such web config".to_owned()));

    // What is behind an error is in the program's log, and may be more than the audit log should hold.
    let work = async { Err::<((), _), _>(StoreError::unavailable("a path")) };
    assert!(issuer.act(Deed::new(Act::Reseal), work).await.is_err());
    assert_eq!(log.change().1, Stage::Refused("the store is not available".to_owned()));
    let work = async { Err::<((), _), _>(StoreError::outcome_unknown("a path")) };
    let unknown = issuer.act(Deed::new(Act::Reseal), work).await;
    assert!(matches!(unknown, Err(IssueError::Store(StoreError::OutcomeUnknown(_)))), "M1: {unknown:?}");
    let told = "outcome unknown, look at the generation".to_owned();
    assert_eq!(log.change().1, Stage::Unknown(told));

    // What does not get as far as the store changes nothing, and is not told of.
    let request = CreateRequest::new("acc".parse().unwrap(), "ctx".parse().unwrap(), "");
    assert!(issuer.create(request).await.is_err());
    assert!(issuer.mint_for(id, "aud=b.example").await.is_err());
    assert_eq!(log.take(), []);
}

#[tokio::test]
async fn a_change_comes_to_its_end_whoever_goes_away() {
    let world = World::new().await;
    let (issuer, log) = audited(&world);
    let (go, gone) = oneshot::channel::<()>();
    let work = async {
        gone.await.unwrap();
        Ok(((), Effect::default()))
    };
    let waiting = tokio::spawn(async move { issuer.act(Deed::new(Act::Reseal), work).await });
    until("it has begun", || log.0.entries.lock().unwrap().len() == 1).await;
    waiting.abort();
    assert!(waiting.await.unwrap_err().is_cancelled());
    go.send(()).unwrap();
    until("it is done", || log.0.entries.lock().unwrap().len() == 2).await;
    assert_eq!(log.change().1, Stage::Done(Effect::default()));
}

#[tokio::test]
async fn work_that_panics_has_no_end() {
    let world = World::new().await;
    let (issuer, log) = audited(&world);
    let work = async { panic!("as the test wants it") };
    let result = issuer.act::<(), _>(Deed::new(Act::Reseal), work).await;
    assert!(matches!(result, Err(IssueError::Store(StoreError::OutcomeUnknown(_)))), "{result:?}");
    assert_eq!(log.take().len(), 1);
}

#[tokio::test]
async fn without_a_log_the_programs_own_says_who() {
    let world = World::new().await;
    let logged = Logged::begin();
    let issuer = world.issuer.acting_as(somebody());
    let id = create(&issuer).await.config.id;
    issuer.regenerate(id).await.unwrap();
    world.issuer.delete(id).await.unwrap();
    let lines = logged.take();
    let told = [
        ("a web config was created", "console \"alice\" at 192.0.2.1"),
        ("a secret was regenerated", "console \"alice\" at 192.0.2.1"),
        ("a web config was deleted", "who=unknown"),
    ];
    for (what, who) in told {
        let line =
            lines.iter().find(|line| line.contains(what)).unwrap_or_else(|| panic!("{what}: {lines:?}"));
        assert!(line.contains("INFO") && line.contains(who) && line.contains(&id.to_string()), "{line}");
    }
}

#[test]
fn no_name_ends_a_line() {
    let actor = Actor::new(ActorKind::Oidc, "a\"\nb\u{1b}[2J\u{202e}");
    assert_eq!(actor.to_string(), r#"oidc "a\"\nb\u{1b}[2J\u{202e}""#);
}

#[tokio::test]
async fn a_log_that_hangs_holds_up_no_token_and_lets_nothing_be_changed() {
    let world = World::new().await;
    let (issuer, log) = audited(&world);
    let Issued { config, .. } = create(&issuer).await;
    let (release, released) = mpsc::channel();
    *log.0.hangs_after.lock().unwrap() = Some((1, released));
    // The old token has ended by then: whoever asked for the new one must have it.
    let again = issuer.regenerate(config.id).await.unwrap();
    assert_eq!(again.config.generation.get(), 2);
    let refused = issuer.regenerate(config.id).await.unwrap_err();
    assert!(matches!(refused, IssueError::Audit(_)), "{refused:?}");
    assert_eq!(issuer.get(config.id).await.unwrap().generation.get(), 2);
    drop(release);
    until("the line moves on", || log.0.entries.lock().unwrap().len() >= 4).await;
    issuer.regenerate(config.id).await.unwrap();
    assert_eq!(issuer.get(config.id).await.unwrap().generation.get(), 3);
}
