use super::*;
use crate::store::EntryId;

const BOUND: Duration = Duration::from_secs(30);

fn at(seconds: u64) -> Reading {
    Reading { boot: Duration::from_secs(seconds), wall: Duration::from_secs(1_000_000 + seconds) }
}

fn position(revision: u64) -> LogPosition {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&revision.to_be_bytes());
    LogPosition { revision: Revision::new(revision), entry: EntryId::from_bytes(id) }
}

fn id(number: u8) -> WebConfigId {
    WebConfigId::from_bytes([number; 16])
}

fn put(revision: u64, number: u8, generation: u64) -> LogEntry {
    put_in(revision, number, generation, "context")
}

fn put_in(revision: u64, number: u8, generation: u64, context: &str) -> LogEntry {
    let change = Change::Put {
        id: id(number),
        generation: Generation::new(generation),
        account_id: account(),
        context_id: context.parse().unwrap(),
    };
    LogEntry { position: position(revision), change }
}

fn account() -> AccountId {
    "account".parse().unwrap()
}

fn ended(revision: u64, context: &str) -> LogEntry {
    let scope = Scope::Context(account(), context.parse().unwrap());
    LogEntry { position: position(revision), change: Change::Ended(scope) }
}

fn deleted(revision: u64, number: u8, generation: u64) -> LogEntry {
    let change = Change::Deleted { id: id(number), generation: Generation::new(generation) };
    LogEntry { position: position(revision), change }
}

fn record(revision: u64, generation: u64) -> Loaded {
    Loaded {
        position: position(revision),
        generation: Generation::new(generation),
        fingerprint: generation.to_be_bytes(),
    }
}

fn page(head: u64, living: &[(u8, u64, u64)], more: bool) -> LivingPage {
    let next = living.last().filter(|_| more).map(|&(number, ..)| id(number));
    let living = living.iter().map(|&(number, revision, generation)| Living {
        id: id(number),
        position: position(revision),
        generation: Generation::new(generation),
        account_id: account(),
        context_id: "context".parse().unwrap(),
    });
    LivingPage { head: position(head), living: living.collect(), next }
}

/// A machine that knows web config 1 at revision 5, generation 2, with the log's head at 10.
fn machine() -> Freshness {
    let mut machine = Freshness::new();
    machine.listed(&page(10, &[(1, 5, 2)], false));
    machine
}

fn judge(machine: &mut Freshness, number: u8, head: u64, found: Option<Loaded>) -> Verdict {
    let ticket = machine.begin_load().unwrap();
    machine.judge(ticket, id(number), Revision::new(head), found)
}

fn lives(machine: &Freshness, number: u8) -> bool {
    machine.life(id(number), machine.epoch()) == Life::Lives
}

/// The same revision on a branch of the log that was lost.
fn lost(position: LogPosition) -> LogPosition {
    LogPosition { entry: EntryId::from_bytes([0xff; 16]), ..position }
}

const KEEP: Verdict = Verdict::Keep { epoch: 1 };

#[test]
fn c1_a_proof_holds_for_the_bound_and_no_longer() {
    let proof = Proof { asked: at(100) };
    assert!(proof.holds(at(100), BOUND));
    assert!(proof.holds(at(130), BOUND));
    assert!(!proof.holds(Reading { boot: at(130).boot + Duration::from_nanos(1), ..at(130) }, BOUND));
    assert!(!proof.holds(at(99), BOUND), "a clock that goes back proves nothing");
}

#[test]
fn c1_a_wall_clock_that_runs_ahead_voids_a_proof() {
    let proof = Proof { asked: at(100) };
    let ahead = |by| Reading { wall: at(110).wall + by, ..at(110) };
    assert!(proof.holds(ahead(Duration::from_secs(1)), BOUND));
    assert!(!proof.holds(ahead(Duration::from_millis(1_001)), BOUND));
    let behind = Reading { wall: at(110).wall - Duration::from_secs(500), ..at(110) };
    assert!(proof.holds(behind, BOUND), "one that was set back has seen no pause");
}

#[test]
fn c3_nothing_is_looked_up_before_the_living_are_known() {
    let mut machine = Freshness::new();
    assert!(machine.begin_load().is_none());
    assert_eq!(machine.plan(), Plan::List { after: None });
    machine.listed(&page(10, &[(1, 5, 2)], true));
    assert_eq!(machine.plan(), Plan::List { after: Some(id(1)) });
    assert!(machine.begin_load().is_none());
    machine.listed(&page(12, &[(2, 11, 1)], false));
    assert_eq!(machine.plan(), Plan::Follow { after: position(10) }, "from where the listing began");
    assert!(lives(&machine, 1) && lives(&machine, 2) && !lives(&machine, 3));
    assert_eq!(machine.living_count(), 2);
}

#[test]
fn c3_a_current_record_is_kept() {
    assert_eq!(judge(&mut machine(), 1, 10, Some(record(5, 2))), KEEP);
    assert_eq!(judge(&mut machine(), 7, 12, None), Verdict::Absent);
}

#[test]
fn c3_a_record_ahead_of_the_feed_waits_for_the_log_to_lead_there() {
    let ahead = Verdict::Again { after: Revision::new(12) };
    let mut machine = machine();
    assert_eq!(judge(&mut machine, 1, 12, Some(record(11, 3))), ahead);
    assert_eq!(judge(&mut machine, 7, 12, Some(record(12, 1))), ahead, "also for one created just now");
    machine.apply(&[put(11, 1, 3), put(12, 7, 1)]);
    assert_eq!(judge(&mut machine, 1, 12, Some(record(11, 3))), KEEP);
    assert_eq!(judge(&mut machine, 7, 12, Some(record(12, 1))), KEEP);
}

#[test]
fn c4_a_record_of_a_lost_branch_is_not_kept() {
    let mut machine = machine();
    machine.apply(&[put(11, 1, 3)]);
    let of_the_lost = Loaded { position: lost(position(11)), ..record(11, 3) };
    assert_eq!(judge(&mut machine, 1, 11, Some(of_the_lost)), Verdict::WentBack);
    assert_eq!(judge(&mut machine, 1, 11, Some(record(11, 3))), KEEP);
    assert!(machine.is_current(id(1), position(11)) && !machine.is_current(id(1), lost(position(11))));
}

#[test]
fn c4_a_listing_counts_only_if_the_log_leads_to_where_it_has_been() {
    let listed = || {
        let mut machine = Freshness::new();
        machine.listed(&page(10, &[(1, 5, 2)], true));
        machine.listed(&page(12, &[(2, 12, 1)], false));
        machine
    };
    let mut led_there = listed();
    led_there.apply(&[put(11, 1, 3), put(12, 2, 1)]);
    assert!(led_there.prove(at(100)).is_some());

    let mut ends_before = listed();
    assert!(ends_before.prove(at(100)).is_none());
    let mut other_branch = listed();
    let elsewhere = LogEntry { position: lost(position(12)), ..put(12, 1, 4) };
    other_branch.apply(&[put(11, 1, 3), elsewhere]);
    assert!(other_branch.prove(at(100)).is_none());
}

#[test]
fn c7_a_page_from_a_server_that_lags_is_followed_up_from_where_that_was() {
    let mut machine = Freshness::new();
    machine.listed(&page(12, &[(1, 5, 2)], true));
    // Web config 2 was created at 11, and 3 deleted at 12: this page knows of neither.
    machine.listed(&page(10, &[(3, 9, 1)], false));
    assert_eq!(machine.plan(), Plan::Follow { after: position(10) });
    assert!(machine.clone().prove(at(100)).is_none(), "the log has not led to where the first page was");
    machine.apply(&[put(11, 2, 1), deleted(12, 3, 1)]);
    assert!(machine.prove(at(100)).is_some());
    assert!(lives(&machine, 1) && lives(&machine, 2) && !lives(&machine, 3));
}

#[test]
fn c4_every_page_of_a_listing_must_be_of_the_branch_that_is_followed() {
    let mut machine = Freshness::new();
    let lost_page = LivingPage { head: lost(position(12)), ..page(12, &[(1, 5, 2)], true) };
    machine.listed(&lost_page);
    machine.listed(&page(11, &[(2, 6, 1)], true));
    machine.listed(&page(12, &[(3, 7, 1)], false));
    machine.apply(&[put(12, 3, 2)]);
    assert!(machine.prove(at(100)).is_none(), "the first page was of a branch that was lost");
}

#[test]
fn c3_a_bulk_end_does_not_end_what_a_page_has_shown_from_after_it() {
    let mut machine = Freshness::new();
    machine.listed(&page(10, &[(1, 5, 2)], true));
    machine.listed(&page(12, &[(2, 12, 2)], false));
    machine.apply(&[ended(11, "context"), put(12, 2, 2)]);
    assert!(!lives(&machine, 1) && lives(&machine, 2));
    assert_eq!(judge(&mut machine, 2, 12, Some(record(12, 2))), KEEP);
}

#[test]
fn c3_a_bulk_end_that_is_read_again_ends_the_generation_it_ended() {
    let mut machine = Freshness::new();
    machine.listed(&page(10, &[(1, 5, 2)], true));
    // Put at 11, ended at 12, revived at 13, which this page shows already.
    machine.listed(&page(13, &[(2, 13, 2)], false));
    machine.apply(&[put(11, 2, 1), ended(12, "context"), put(13, 2, 2)]);
    assert_eq!(judge(&mut machine, 2, 13, Some(record(13, 2))), KEEP);
}

#[test]
fn c4_a_listing_that_breaks_off_leaves_nothing_behind() {
    let mut machine = Freshness::new();
    assert!(!machine.failed());
    machine.listed(&page(10, &[(1, 5, 2)], true));
    assert!(machine.failed(), "a new epoch");
    machine.listed(&page(11, &[], false));
    assert!(!lives(&machine, 1));
    assert!(!machine.failed(), "nothing to begin again");
}

#[test]
fn c6_whether_an_id_lives_is_not_known_across_a_new_beginning() {
    let mut machine = machine();
    let before = machine.epoch();
    assert_eq!(machine.life(id(7), before), Life::NotThere);
    machine.distrust();
    assert_eq!(machine.life(id(7), before), Life::Unknown);
    assert_eq!(machine.life(id(7), machine.epoch()), Life::Unknown, "nothing is listed yet");
    machine.listed(&page(10, &[], false));
    assert_eq!(machine.life(id(7), before), Life::Unknown);
    assert_eq!(machine.life(id(7), machine.epoch()), Life::NotThere);
}

#[test]
fn c3_a_snapshot_from_behind_the_feed_does_not_count() {
    assert_eq!(judge(&mut machine(), 1, 9, Some(record(5, 2))), Verdict::Behind);
    assert_eq!(judge(&mut machine(), 7, 9, None), Verdict::Behind);
}

#[test]
fn c3_a_look_up_that_began_before_a_change_does_not_bring_the_old_record_back() {
    let mut machine = machine();
    let ticket = machine.begin_load().unwrap();
    machine.apply(&[put(11, 1, 3)]);
    let verdict = machine.judge(ticket, id(1), Revision::new(10), Some(record(5, 2)));
    assert_eq!(verdict, Verdict::Again { after: Revision::new(11) });
    assert_eq!(judge(&mut machine, 1, 11, Some(record(11, 3))), KEEP);
}

#[test]
fn c3_nor_one_that_began_before_a_delete() {
    let mut machine = machine();
    let ticket = machine.begin_load().unwrap();
    machine.apply(&[deleted(11, 1, 2)]);
    let verdict = machine.judge(ticket, id(1), Revision::new(10), Some(record(5, 2)));
    assert_eq!(verdict, Verdict::Again { after: Revision::new(11) });
    assert!(!lives(&machine, 1));
}

#[test]
fn c3_a_change_of_another_web_config_is_no_reason_to_ask_again() {
    let mut machine = machine();
    let ticket = machine.begin_load().unwrap();
    machine.apply(&[put(11, 2, 1)]);
    assert_eq!(machine.judge(ticket, id(1), Revision::new(10), Some(record(5, 2))), KEEP);
}

#[test]
fn c3_absent_in_a_newer_snapshot_waits_for_the_feed() {
    let mut machine = machine();
    assert_eq!(judge(&mut machine, 1, 11, None), Verdict::Again { after: Revision::new(11) });
    machine.apply(&[deleted(11, 1, 2)]);
    assert_eq!(judge(&mut machine, 1, 11, None), Verdict::Absent);
}

#[test]
fn c3_a_store_that_shows_less_than_was_seen_went_back_in_time() {
    let mut lower = machine();
    assert_eq!(judge(&mut lower, 1, 12, Some(record(12, 1))), Verdict::WentBack, "lower generation");

    let mut other_secret = machine();
    assert_eq!(judge(&mut other_secret, 1, 10, Some(record(5, 2))), KEEP);
    let other = Loaded { fingerprint: [9; 8], ..record(12, 2) };
    other_secret.apply(&[put(12, 1, 2)]);
    assert_eq!(
        judge(&mut other_secret, 1, 12, Some(other)),
        Verdict::WentBack,
        "same generation, other secret"
    );
    other_secret.apply(&[put(13, 1, 3)]);
    assert_eq!(judge(&mut other_secret, 1, 13, Some(record(13, 3))), KEEP, "past the highest seen");

    let mut ended = machine();
    ended.apply(&[deleted(11, 1, 2)]);
    assert_eq!(
        judge(&mut ended, 1, 12, Some(record(12, 2))),
        Verdict::WentBack,
        "deleted, and back as it was"
    );
    ended.apply(&[put(12, 1, 3)]);
    assert_eq!(judge(&mut ended, 1, 12, Some(record(12, 3))), KEEP, "revived");

    assert_eq!(
        judge(&mut machine(), 1, 10, Some(record(4, 2))),
        Verdict::WentBack,
        "older than the log says"
    );
    assert_eq!(judge(&mut machine(), 1, 10, None), Verdict::WentBack, "gone, and the log says nothing");
    assert_eq!(
        judge(&mut machine(), 7, 10, Some(record(4, 1))),
        Verdict::WentBack,
        "there, and the log says nothing"
    );
}

#[test]
fn c3_what_was_highest_outlives_a_new_beginning() {
    let mut machine = machine();
    machine.apply(&[put(11, 1, 3)]);
    machine.distrust();
    assert!(!lives(&machine, 1), "nothing is known until it is listed again");
    machine.listed(&page(6, &[(1, 5, 2)], false));
    assert_eq!(judge(&mut machine, 1, 6, Some(record(5, 2))), Verdict::WentBack);
    machine.apply(&[put(7, 1, 3)]);
    assert_eq!(judge(&mut machine, 1, 7, Some(record(7, 3))), Verdict::Keep { epoch: 2 });
    machine.apply(&[put(8, 1, 4)]);
    assert_eq!(judge(&mut machine, 1, 8, Some(record(8, 4))), Verdict::Keep { epoch: 2 });
}

#[test]
fn c3_a_restored_web_config_that_was_deleted_stays_ended() {
    let mut machine = machine();
    machine.apply(&[deleted(11, 1, 2)]);
    machine.distrust();
    machine.listed(&page(6, &[(1, 5, 2)], false));
    assert_eq!(judge(&mut machine, 1, 6, Some(record(5, 2))), Verdict::WentBack);
    machine.apply(&[put(7, 1, 3)]);
    assert_eq!(judge(&mut machine, 1, 7, Some(record(7, 3))), Verdict::Keep { epoch: 2 });
}

#[test]
fn c4_a_look_up_from_before_a_new_beginning_does_not_count() {
    let mut machine = machine();
    let ticket = machine.begin_load().unwrap();
    machine.distrust();
    machine.listed(&page(10, &[(1, 5, 2)], false));
    let verdict = machine.judge(ticket, id(1), Revision::new(10), Some(record(5, 2)));
    assert!(matches!(verdict, Verdict::Again { .. }), "{verdict:?}");
}

#[test]
fn c4_a_new_beginning_takes_the_proof_away() {
    let mut machine = machine();
    machine.prove(at(100));
    assert!(machine.proof().is_some());
    machine.distrust();
    assert!(machine.proof().is_none());
    assert_eq!(machine.plan(), Plan::List { after: None });
}

#[test]
fn c6_ids_live_and_end_as_the_log_says() {
    let mut machine = machine();
    assert!(lives(&machine, 1));
    machine.apply(&[put(11, 2, 1), deleted(12, 1, 2)]);
    assert!(!lives(&machine, 1) && lives(&machine, 2));
    machine.apply(&[put(13, 1, 3)]);
    assert!(lives(&machine, 1), "revived");
}

#[test]
fn c8_a_token_stands_while_its_generation_is_the_newest() {
    let mut machine = machine();
    let second = Generation::new(2);
    assert!(machine.stands(id(1), second, 1));
    machine.apply(&[put(11, 1, 2)]);
    assert!(machine.stands(id(1), second, 1), "a change of name or origins keeps the secret");
    machine.apply(&[put(12, 1, 3)]);
    assert!(!machine.stands(id(1), second, 1));
    assert!(machine.stands(id(1), Generation::new(3), 1) && !machine.stands(id(1), Generation::new(3), 2));
    machine.apply(&[deleted(13, 1, 3)]);
    assert!(!machine.stands(id(1), Generation::new(3), 1));
}

#[test]
fn c3_what_a_new_beginning_finds_gone_has_ended() {
    let restored = |proved: bool| {
        let mut machine = machine();
        machine.distrust();
        machine.listed(&page(20, &[], false));
        if proved {
            machine.prove(at(100));
        }
        machine.distrust();
        machine.listed(&page(6, &[(1, 5, 2)], false));
        machine
    };
    assert_eq!(judge(&mut restored(true), 1, 6, Some(record(5, 2))), Verdict::WentBack);
    let kept = judge(&mut restored(false), 1, 6, Some(record(5, 2)));
    assert_eq!(kept, Verdict::Keep { epoch: 3 }, "a listing that proved nothing may have lagged");
    let mut revived = restored(true);
    revived.apply(&[put(7, 1, 3)]);
    assert_eq!(judge(&mut revived, 1, 7, Some(record(7, 3))), Verdict::Keep { epoch: 3 });
}

#[test]
fn c1_a_bulk_end_ends_what_lives_in_its_scope() {
    let mut machine = machine();
    machine.apply(&[put_in(11, 2, 1, "other"), put(12, 3, 4)]);
    assert_eq!(judge(&mut machine, 1, 12, Some(record(5, 2))), KEEP);
    let ticket = machine.begin_load().unwrap();
    let mut changed = machine.apply(&[ended(13, "context")]);
    changed.sort();
    assert_eq!(changed, [id(1), id(3)]);
    assert!(!lives(&machine, 1) && lives(&machine, 2) && !lives(&machine, 3));
    assert_eq!(machine.living_count(), 1);
    assert!(!machine.is_current(id(1), position(5)) && !machine.stands(id(1), Generation::new(2), 1));
    let parked = machine.judge(ticket, id(1), Revision::new(12), Some(record(5, 2)));
    assert_eq!(parked, Verdict::Again { after: Revision::new(13) }, "a look-up from before it");
    assert_eq!(judge(&mut machine, 1, 13, None), Verdict::Absent);
    assert_eq!(judge(&mut machine, 1, 13, Some(record(5, 2))), Verdict::WentBack, "the marker is gone");

    machine.apply(&[put(14, 7, 1), put(15, 1, 3)]);
    assert!(lives(&machine, 7), "created there later");
    assert_eq!(judge(&mut machine, 1, 15, Some(record(15, 3))), KEEP, "revived");
    assert_eq!(machine.living_count(), 3);
}

#[test]
fn c3_a_bulk_end_is_a_floor_as_a_deletion_is() {
    let mut machine = machine();
    machine.apply(&[ended(11, "context")]);
    machine.distrust();
    assert_eq!(machine.living_count(), 0);
    machine.listed(&page(6, &[(1, 5, 2)], false));
    assert_eq!(machine.living_count(), 1);
    assert_eq!(judge(&mut machine, 1, 6, Some(record(5, 2))), Verdict::WentBack);
}

#[test]
fn c1_a_bulk_end_counts_for_the_context_it_lives_in_now() {
    let mut machine = machine();
    machine.apply(&[deleted(11, 1, 2), put_in(12, 1, 3, "other"), ended(13, "context")]);
    assert!(lives(&machine, 1), "revived in another context");
    machine.apply(&[ended(14, "other")]);
    assert!(!lives(&machine, 1));
}

#[test]
fn contexts_are_counted_by_what_lives() {
    let mut machine = machine();
    machine.apply(&[put_in(11, 2, 1, "beta"), put_in(12, 3, 1, "alpha"), put_in(13, 4, 1, "beta")]);
    let counted = |machine: &Freshness| {
        let mut counted: Vec<_> =
            machine.contexts().map(|(_, context, count)| format!("{context} {count}")).collect();
        counted.sort();
        counted.join(", ")
    };
    assert_eq!(counted(&machine), "alpha 1, beta 2, context 1");
    machine.apply(&[deleted(14, 2, 1), deleted(15, 3, 1), ended(16, "context")]);
    assert_eq!(counted(&machine), "alpha 0, beta 1, context 0");
    machine.distrust();
    assert_eq!(counted(&machine), "alpha 0, beta 0, context 0", "of another epoch nothing is known");
}
