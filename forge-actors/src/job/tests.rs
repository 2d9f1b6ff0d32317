use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::desk::{Desk, Step};
use super::held::Held;
use super::state::{Ending, MOVES, Verdict, is_finished, judge};
use super::store::{Begun, Job};
use crate::app::job::{JobStatus, RetryBackoff};
use crate::kernel::ids::JobId;
use crate::kernel::time::{hours, millis, secs};

const BACKOFF: RetryBackoff = RetryBackoff::Exponential { base: secs(1), max: secs(60) };

fn queue(name: &str) -> Arc<str> {
    name.into()
}

fn claim(queue: &str, limit: usize) -> Option<Step> {
    claim_and_begin(queue, limit, 0)
}

fn claim_and_begin(queue: &str, limit: usize, begin: usize) -> Option<Step> {
    Some(Step::Claim { queue: queue.into(), limit, begin })
}

#[test]
fn an_end_decides_what_becomes_of_the_job() {
    let check = |ending: Ending, attempt: u32, status: JobStatus, after: Duration, gives_back: bool| {
        let Verdict { status: found, after: waits, gives_back: given, error } =
            judge(ending.clone(), attempt, 3, BACKOFF, 1.0);
        assert_eq!((found, waits, given), (status, after, gives_back), "{ending:?}, attempt {attempt}");
        assert_eq!(error.is_some(), matches!(ending, Ending::Failed(_) | Ending::Refused(_)));
    };
    check(Ending::Done, 1, JobStatus::Completed, Duration::ZERO, false);
    check(Ending::Refused("x".into()), 1, JobStatus::Failed, Duration::ZERO, false);
    check(Ending::Failed("x".into()), 1, JobStatus::Retry, secs(1), false);
    check(Ending::Failed("x".into()), 2, JobStatus::Retry, secs(2), false);
    check(Ending::Failed("x".into()), 3, JobStatus::DeadLetter, Duration::ZERO, false);
    check(Ending::Snoozed(secs(9)), 3, JobStatus::Pending, secs(9), true);
    check(Ending::HandedBack, 3, JobStatus::Pending, Duration::ZERO, true);
}

#[test]
fn every_end_is_an_arrow_of_the_diagram() {
    let arrows: BTreeSet<(&str, &str)> =
        MOVES.iter().flat_map(|(from, to)| to.iter().map(|to| (from.as_str(), to.as_str()))).collect();
    for ending in [
        Ending::Done,
        Ending::Refused("x".into()),
        Ending::Failed("x".into()),
        Ending::Snoozed(secs(1)),
        Ending::HandedBack,
    ] {
        for attempt in [1, 3] {
            let status = judge(ending.clone(), attempt, 3, BACKOFF, 0.5).status;
            assert!(arrows.contains(&("running", status.as_str())), "{status:?} by {ending:?}");
        }
    }
    let out_of_history: Vec<_> = MOVES
        .iter()
        .filter(|(from, to)| is_finished(*from) && !to.is_empty())
        .map(|(from, _)| *from)
        .collect();
    assert_eq!(out_of_history, [JobStatus::Failed, JobStatus::DeadLetter, JobStatus::Cancelled]);
}

#[test]
fn waits_grow_up_to_their_maximum_and_are_drawn() {
    let check = |backoff: RetryBackoff, attempt: u32, ceiling: Duration| {
        assert_eq!(backoff.ceiling(attempt), ceiling, "{backoff:?}, attempt {attempt}");
        for random in [0.0, 0.3, 1.0] {
            let delay = backoff.delay(attempt, random);
            assert!(
                delay >= ceiling / 10 && delay <= ceiling + ceiling / 10,
                "{backoff:?}, {random}: {delay:?}"
            );
        }
    };
    check(RetryBackoff::Fixed(secs(5)), 1, secs(5));
    check(RetryBackoff::Fixed(secs(5)), 900, secs(5));
    let linear = RetryBackoff::Linear { step: secs(5), max: secs(12) };
    check(linear, 1, secs(5));
    check(linear, 2, secs(10));
    check(linear, 3, secs(12));
    let exponential = RetryBackoff::Exponential { base: secs(5), max: hours(1) };
    check(exponential, 1, secs(5));
    check(exponential, 4, secs(40));
    check(exponential, 60, hours(1));
    check(exponential, u32::MAX, hours(1));
    let spread: BTreeSet<_> = (0..10).map(|random| exponential.delay(4, f64::from(random) / 10.0)).collect();
    assert_eq!(spread.len(), 10, "jobs that failed together come back one by one");
}

#[test]
fn a_claim_asks_for_no_more_than_there_is_room_for() {
    let mut desk: Desk<u32> = Desk::new(4, 100);
    assert_eq!(desk.next(0), None, "nobody said that there is work");
    desk.wake(&[queue("mail")]);
    assert_eq!(desk.next(1), claim("mail", 3));
    assert_eq!(desk.next(1), None, "one question at a time");
    desk.claimed(queue("mail"), 3, vec![1, 2], 0, Instant::now());
    assert_eq!(
        desk.next(3),
        Some(Step::Promote),
        "the queue is empty; whoever woke us may have dispatched for later"
    );
    desk.promoted(&[]);
    assert_eq!(desk.next(3), None);
    desk.wake(&[queue("mail")]);
    assert_eq!(desk.next(4), Some(Step::Promote), "no room, but a look at what comes costs none");
}

#[test]
fn a_wake_up_during_a_claim_is_not_lost() {
    let mut desk: Desk<u32> = Desk::new(4, 100);
    desk.wake(&[queue("mail")]);
    assert_eq!(desk.next(0), claim("mail", 4));
    desk.wake(&[queue("mail")]);
    desk.claimed(queue("mail"), 4, vec![], 0, Instant::now());
    assert_eq!(desk.next(0), claim("mail", 4), "its job may have come after the statement looked");
}

#[test]
fn queues_take_turns() {
    let mut desk: Desk<u32> = Desk::new(2, 0);
    desk.wake(&[queue("a"), queue("b")]);
    for expected in ["a", "b", "a", "b"] {
        assert_eq!(desk.next(0), claim(expected, 2));
        desk.claimed(queue(expected), 2, vec![1, 2], 0, Instant::now());
        assert_eq!(desk.surrender().count(), 2);
    }
}

#[test]
fn what_is_due_comes_before_claims_and_what_failed_is_asked_again() {
    let mut desk: Desk<u32> = Desk::new(2, 0);
    desk.wake(&[queue("a")]);
    desk.due();
    assert_eq!(desk.next(0), Some(Step::Promote));
    desk.failed(Step::Promote);
    assert_eq!(desk.next(0), Some(Step::Promote));
    desk.promoted(&[queue("b")]);
    let first = desk.next(0);
    assert_eq!(first, claim("a", 2));
    desk.failed(first.expect("a claim"));
    assert_eq!(desk.next(0), claim("b", 2), "the one that failed waits behind the others");
}

#[test]
fn a_claim_begins_what_free_workers_take_at_once() {
    let mut desk: Desk<u32> = Desk::new(3, 10);
    desk.idle(0);
    desk.idle(1);
    desk.wake(&[queue("a")]);
    assert_eq!(desk.next(0), claim_and_begin("a", 3, 2), "two are free");
    desk.idle(2);
    desk.claimed(queue("a"), 3, vec![1, 2, 3], 2, Instant::now());
    assert_eq!(
        (desk.assign(), desk.assign(), desk.assign()),
        (Some((0, 1)), Some((1, 2)), None),
        "the third has not begun"
    );
    assert_eq!(desk.begin(), [3]);
    desk.began([3]);
    assert_eq!(desk.assign(), Some((2, 3)));
}

#[test]
fn nothing_begins_that_has_no_free_worker() {
    let mut desk: Desk<u32> = Desk::new(2, 10);
    desk.wake(&[queue("a")]);
    assert_eq!(desk.next(0), claim("a", 2), "nobody is free");
    desk.claimed(queue("a"), 2, vec![1, 2, 3, 4], 0, Instant::now());
    assert!(desk.begin().is_empty());
    desk.idle(1);
    assert_eq!(desk.begin(), [1]);
    desk.idle(0);
    assert!(desk.begin().is_empty(), "one batch at a time");
    assert_eq!(desk.assign(), None, "it is not written yet");
    desk.began([1]);
    assert_eq!(desk.assign(), Some((0, 1)));
    assert_eq!(desk.begin(), [2], "for the other one");
    desk.not_begun(vec![2]);
    assert_eq!(desk.begin(), [2], "again, and in its place");
    desk.began([]);
    assert_eq!(desk.begin(), [3], "somebody else has taken the second over");
    desk.began([3]);
    assert_eq!(desk.surrender().collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn a_claim_leaves_workers_to_what_was_claimed_before() {
    let mut desk: Desk<u32> = Desk::new(4, 100);
    desk.wake(&[queue("a")]);
    assert!(desk.next(0).is_some());
    desk.claimed(queue("a"), 4, vec![1, 2, 3, 4], 0, Instant::now());
    (0..4).for_each(|worker| desk.idle(worker));
    assert_eq!(desk.begin(), [1, 2, 3, 4]);
    assert_eq!(desk.next(0), claim("a", 4), "four are free, and four are being begun");
    desk.began([1, 2, 3]);
    assert_eq!(std::iter::from_fn(|| desk.assign()).count(), 3);
}

#[test]
fn short_jobs_widen_the_window_and_long_ones_close_it() {
    let mut desk: Desk<u32> = Desk::new(16, 500);
    let mut now = Instant::now();
    let mut claims = |pause: Duration, count: usize, expected: usize| {
        for _ in 0..count {
            desk.wake(&[queue("a")]);
            let Some(Step::Claim { limit, .. }) = desk.next(0) else { panic!("a claim") };
            now += pause;
            desk.claimed(queue("a"), limit, vec![0; limit], 0, now);
            assert_eq!(desk.surrender().count(), limit);
        }
        assert_eq!(desk.window(), expected);
    };
    claims(millis(5), 1, 0);
    claims(millis(5), 1, 16);
    claims(millis(5), 6, 500);
    claims(millis(500), 3, 500);
    claims(secs(2), 10, 0);
}

fn claimed(begun: bool) -> Job {
    Job {
        id: JobId::new(),
        name: "mail.send".to_owned(),
        queue: "mail".to_owned(),
        claim: 1,
        begun,
        attempt: u32::from(begun),
        attempts_max: 3,
        args: "{}".into(),
        identity: None,
        trace: None,
        waited: Duration::ZERO,
    }
}

#[test]
fn a_row_that_is_gone_by_its_own_commit_is_not_lost() {
    let (held, now, lease) = (Held::default(), Instant::now(), secs(10));
    let ticket = held.admit(claimed(true), now, lease);
    let asked_for = held.claims();
    assert_eq!(asked_for, [ticket.claim()]);
    let nothing = HashSet::new();

    let concluding = held.conclude(&ticket.job);
    assert!(held.claims().is_empty(), "its row may go at any moment");
    assert_eq!(held.renewed(&asked_for, &nothing, now, lease), 0, "a renewal that was under way");
    drop(concluding);
    assert_eq!(held.claims(), asked_for, "it was not committed");

    held.conclude(&ticket.job).committed();
    assert_eq!((held.renewed(&asked_for, &nothing, now, lease), held.claims().len(), held.len()), (0, 0, 1));
    assert!(ticket.is_fresh(), "its handler may go on");
    drop(ticket);
    assert_eq!(held.len(), 0);
}

#[test]
fn a_job_that_was_taken_over_is_cut() {
    let (held, now, lease) = (Held::default(), Instant::now(), secs(10));
    let ticket = held.admit(claimed(true), now, lease);
    assert_eq!(held.renewed(&held.claims(), &HashSet::new(), now, lease), 1);
    assert!(ticket.lost.is_cancelled() && !ticket.is_fresh());
}

#[test]
fn a_begin_counts_and_renews() {
    let (held, now) = (Held::default(), Instant::now());
    let mut ticket = held.admit(claimed(false), now, Duration::ZERO);
    assert!(!ticket.is_fresh() && held.begun() == 0);
    let begun = Begun { job: ticket.job.id, attempt: 1, waited: secs(3) };
    ticket.begun(&begun, now, secs(10));
    assert!(ticket.is_fresh());
    assert_eq!(
        (held.begun(), ticket.job.begun, ticket.job.attempt, ticket.job.waited),
        (1, true, 1, secs(3))
    );
}
