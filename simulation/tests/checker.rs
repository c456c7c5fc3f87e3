//! The checker itself: for each property a history that keeps it, and one that breaks it for just that reason.

use simulation::checker::{Promise, Property, check};
use simulation::history::{
    Answer, Change, Decision, Event, Exchange, Fault, History, Kind, Outcome, Rollback, SecretName, Target,
    Time, Token,
};
use voicegain_auth_core::WebConfigId;

const BOUND: Time = 100;
const PROMISE: Promise = Promise { bound: BOUND, grace: 20, exchange_slack: 5 };

fn id() -> WebConfigId {
    WebConfigId::from_bytes([1; 16])
}

fn change(number: u64, at: Time, outcome: Outcome, kind: Kind) -> Event {
    let target = match kind {
        Kind::End => Target::Account("account-a".into()),
        _ => Target::WebConfig(id()),
    };
    let (asked, returned) = (at, Some(at + 5));
    Event::Change(Change { id: number, target, kind, asked, returned, outcome, revision: None })
}

fn create(number: u64, at: Time, secret: SecretName, generation: u64, origins: &[&str]) -> Event {
    let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
    let (account, context) = ("account-a".into(), "context-1".into());
    let kind = Kind::Create { account, context, secret, generation: Some(generation), origins };
    change(number, at, Outcome::Done, kind)
}

fn regenerate(number: u64, at: Time, outcome: Outcome, secret: SecretName, generation: u64) -> Event {
    change(number, at, outcome, Kind::Regenerate { secret, generation: Some(generation) })
}

fn decision(secret: SecretName, sent: Time, answer: Answer) -> Decision {
    let token = Token { web_config: id(), secret, minted: false };
    Decision { process: 1, sent, decided: sent + 1, token, origin: None, answer }
}

fn decided(secret: SecretName, sent: Time, answer: Answer) -> Event {
    Event::Decision(decision(secret, sent, answer))
}

fn fault(process: Option<u32>, from: Time, to: Time, stopped: bool) -> Event {
    Event::Fault(Fault { process, from, to, what: "a fault".into(), stopped })
}

fn found(events: impl IntoIterator<Item = Event>) -> Vec<Property> {
    let mut history = History { events: events.into_iter().collect() };
    history.push(Event::End { at: 10_000 });
    let mut written = Vec::new();
    history.write(&mut written).unwrap();
    assert_eq!(History::read(&written[..]).unwrap(), history, "it survives being written down");
    check(&history, &PROMISE).findings.into_iter().map(|finding| finding.property).collect()
}

/// Secret 1 from 10, replaced by secret 2 in a change that returned at 1,005.
fn replaced() -> Vec<Event> {
    vec![create(1, 10, 1, 1, &[]), regenerate(2, 1_000, Outcome::Done, 2, 2)]
}

fn with(mut events: Vec<Event>, more: impl IntoIterator<Item = Event>) -> Vec<Event> {
    events.extend(more);
    events
}

#[test]
fn c1_an_old_token_is_accepted_up_to_the_bound_and_no_later() {
    assert_eq!(found(with(replaced(), [decided(1, 1_105, Answer::Accepted)])), []);
    let late = with(replaced(), [decided(1, 1_106, Answer::Accepted)]);
    assert_eq!(found(late), [Property::LateAccept]);
    let mut slow = decision(1, 1_105, Answer::Accepted);
    slow.decided = 5_000;
    assert_eq!(found(with(replaced(), [Event::Decision(slow)])), [], "what counts is when it was sent");
    let refused = with(replaced(), [decided(1, 1_106, Answer::OriginNotAllowed)]);
    assert_eq!(found(refused), [Property::LateAccept], "it follows the old record as well");
}

#[test]
fn c1_nor_after_delete_bulk_end_and_revive() {
    for kind in [Kind::Delete, Kind::End] {
        let ended = vec![create(1, 10, 1, 1, &[]), change(2, 1_000, Outcome::Done, kind)];
        assert_eq!(found(with(ended.clone(), [decided(1, 1_105, Answer::Accepted)])), []);
        assert_eq!(found(with(ended, [decided(1, 1_106, Answer::Accepted)])), [Property::LateAccept]);
    }
    let revived = vec![create(1, 10, 1, 1, &[]), create(2, 1_000, 2, 2, &[])];
    assert_eq!(found(with(revived, [decided(1, 1_106, Answer::Accepted)])), [Property::LateAccept]);
    let mut elsewhere = change(2, 1_000, Outcome::Done, Kind::End);
    if let Event::Change(change) = &mut elsewhere {
        change.target = Target::Context("account-a".into(), "context-2".into());
    }
    let other = [create(1, 10, 1, 1, &[]), elsewhere, decided(1, 1_106, Answer::Accepted)];
    assert_eq!(found(other), [], "the end of another context");
}

#[test]
fn m1_an_unknown_outcome_may_or_may_not_have_happened() {
    let unknown = vec![create(1, 10, 1, 1, &[]), regenerate(2, 1_000, Outcome::Unknown, 2, 2)];
    for (secret, answer) in
        [(1, Answer::Accepted), (1, Answer::InvalidToken), (2, Answer::Accepted), (2, Answer::InvalidToken)]
    {
        assert_eq!(found(with(unknown.clone(), [decided(secret, 2_000, answer)])), []);
    }
    let before = with(unknown, [decided(1, 900, Answer::InvalidToken)]);
    assert_eq!(found(before), [Property::RefusedNewest], "not before it was asked for");
    let failed = [create(1, 10, 1, 1, &[]), regenerate(2, 1_000, Outcome::Failed, 2, 2)];
    let failed = with(failed.into(), [decided(2, 2_000, Answer::Accepted)]);
    assert_eq!(found(failed), [Property::NeverMade]);
}

#[test]
fn v3_nobody_gets_in_with_a_secret_that_was_not_set() {
    assert_eq!(found(with(replaced(), [decided(3, 500, Answer::Accepted)])), [Property::NeverMade]);
    assert_eq!(
        found(with(replaced(), [decided(2, 998, Answer::Accepted)])),
        [Property::NeverMade],
        "not yet"
    );
    assert_eq!(found(with(replaced(), [decided(2, 999, Answer::Accepted)])), [], "it may have happened then");
}

#[test]
fn c1_origins_of_an_old_record_are_not_followed() {
    let (old, new) = ("https://a.example", "https://b.example");
    let changed = vec![
        create(1, 10, 1, 1, &[old]),
        change(2, 1_000, Outcome::Done, Kind::SetOrigins { origins: vec![new.into()] }),
    ];
    let from = |origin: &'static str, sent, answer| {
        let decision = Decision { origin: Some(origin.into()), ..decision(1, sent, answer) };
        found(with(changed.clone(), [Event::Decision(decision)]))
    };
    assert_eq!(from(old, 1_105, Answer::Accepted), []);
    assert_eq!(from(old, 1_106, Answer::Accepted), [Property::LateOrigin]);
    assert_eq!(from(new, 1_105, Answer::OriginNotAllowed), []);
    assert_eq!(from(new, 1_106, Answer::OriginNotAllowed), [Property::LateOrigin]);
    assert_eq!(from(new, 900, Answer::Accepted), [Property::LateOrigin], "not allowed yet");
}

#[test]
fn c3_no_process_goes_back() {
    let back = |process, sent| Event::Decision(Decision { process, ..decision(1, sent, Answer::Accepted) });
    let newer = with(replaced(), [decided(2, 1_020, Answer::Accepted)]);
    assert_eq!(found(with(newer.clone(), [back(1, 1_030)])), [Property::WentBack]);
    assert_eq!(found(with(newer.clone(), [back(2, 1_030)])), [], "another process");
    assert_eq!(found(with(newer, [back(1, 1_021)])), [], "at the same time");
    let rollback = Event::Rollback(Rollback { from: 1_500, to: 1_500, lost: vec![2] });
    let set_back = with(replaced(), [decided(2, 1_020, Answer::Accepted), rollback, back(1, 2_000)]);
    assert_eq!(found(set_back), [Property::WentBack], "a restore is no excuse for who has seen more");
}

#[test]
fn c3_nor_does_it_accept_again_what_it_has_called_invalid() {
    let deleted = vec![create(1, 10, 1, 1, &[]), change(2, 1_000, Outcome::Done, Kind::Delete)];
    let rollback = Event::Rollback(Rollback { from: 1_500, to: 1_500, lost: vec![2] });
    let before = decided(1, 500, Answer::Accepted);
    let restored = with(deleted, [decided(1, 1_020, Answer::InvalidToken), rollback]);
    let again = decided(1, 2_000, Answer::Accepted);
    assert_eq!(found(with(restored.clone(), [before.clone(), again.clone()])), [Property::WentBack]);
    assert_eq!(found(with(restored.clone(), [again])), [], "it may never have known it");
    let elsewhere = Event::Decision(Decision { process: 2, ..decision(1, 2_000, Answer::Accepted) });
    assert_eq!(found(with(restored, [before, elsewhere])), [], "another process");
}

#[test]
fn c4_what_a_restore_has_lost_is_over() {
    let rollback = Event::Rollback(Rollback { from: 1_500, to: 1_500, lost: vec![2] });
    let lost = with(replaced(), [rollback]);
    assert_eq!(
        found(with(lost.clone(), [decided(1, 2_000, Answer::Accepted)])),
        [],
        "the old one lives again"
    );
    assert_eq!(found(with(lost.clone(), [decided(2, 1_600, Answer::Accepted)])), []);
    assert_eq!(found(with(lost, [decided(2, 1_601, Answer::Accepted)])), [Property::LateAccept]);
}

#[test]
fn c7_the_newest_token_is_never_invalid() {
    assert_eq!(found(with(replaced(), [decided(2, 1_005, Answer::InvalidToken)])), [Property::RefusedNewest]);
    assert_eq!(found(with(replaced(), [decided(2, 1_004, Answer::InvalidToken)])), [], "not answered yet");
    assert_eq!(found(with(replaced(), [decided(1, 1_005, Answer::InvalidToken)])), []);
    let again = with(replaced(), [regenerate(3, 1_100, Outcome::Done, 3, 3)]);
    assert_eq!(
        found(with(again.clone(), [decided(2, 1_098, Answer::InvalidToken)])),
        [Property::RefusedNewest]
    );
    assert_eq!(found(with(again, [decided(2, 1_099, Answer::InvalidToken)])), [], "the next has begun");
}

#[test]
fn c6_a_503_needs_a_fault() {
    let unavailable =
        |more: Vec<Event>| found(with(with(replaced(), more), [decided(2, 2_000, Answer::Unavailable)]));
    assert_eq!(unavailable(vec![]), [Property::NeedlessUnavailable]);
    assert_eq!(unavailable(vec![fault(None, 1_000, 1_880, false)]), []);
    assert_eq!(unavailable(vec![fault(Some(1), 2_001, 3_000, false)]), []);
    let over = vec![fault(None, 1_000, 1_879, false)];
    assert_eq!(
        unavailable(over),
        [Property::NeedlessUnavailable],
        "over for longer than the bound and the grace"
    );
    let of_another = vec![fault(Some(2), 1_000, 3_000, false)];
    assert_eq!(unavailable(of_another), [Property::NeedlessUnavailable]);
    let rollback = Event::Rollback(Rollback { from: 1_500, to: 1_500, lost: vec![2] });
    assert_eq!(unavailable(vec![rollback.clone()]), [], "who has seen more than the store has (rule C3)");
    let past = vec![rollback, regenerate(3, 1_600, Outcome::Done, 3, 3)];
    assert_eq!(unavailable(past), [Property::NeedlessUnavailable], "the store is past it again");
}

#[test]
fn c8_an_exchange_ends_with_its_token() {
    let exchange = |ended| {
        let token = Token { web_config: id(), secret: 1, minted: false };
        Event::Exchange(Exchange { process: 1, token, begun: 500, ended })
    };
    assert_eq!(found(with(replaced(), [exchange(Some(1_110))])), []);
    assert_eq!(found(with(replaced(), [exchange(Some(1_111))])), [Property::LateExchange]);
    assert_eq!(found(with(replaced(), [exchange(None)])), [Property::LateExchange]);
    assert_eq!(found([create(1, 10, 1, 1, &[]), exchange(None)]), [], "nothing has ended it");
    let stopped = [exchange(Some(3_003)), fault(Some(1), 1_107, 3_000, true)];
    assert_eq!(found(with(replaced(), stopped)), [], "it was stopped, and then ran for 3 more only");
    let stopped = [exchange(Some(3_004)), fault(Some(1), 1_107, 3_000, true)];
    assert_eq!(found(with(replaced(), stopped)), [Property::LateExchange]);
}

#[test]
fn w3_a_minted_token_ends_with_its_minter() {
    let minted = |sent| {
        let token = Token { web_config: id(), secret: 1, minted: true };
        Event::Decision(Decision { token, ..decision(1, sent, Answer::Accepted) })
    };
    assert_eq!(found(with(replaced(), [minted(1_105)])), []);
    assert_eq!(found(with(replaced(), [minted(1_106)])), [Property::MintedOutlives]);
}
