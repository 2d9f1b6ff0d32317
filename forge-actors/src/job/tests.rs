use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::config::JobConfig;
use super::leases::LeaseTable;
use super::planner::{ClaimPlanner, ClaimStep, PlannerLimits};
use super::state::{Rewrite, STATUS_CHANGES, Transition, is_another_build, is_finished};
use super::store::ClaimSize;
use super::store::{BegunAttempt, JobRecord};
use crate::app::job::{JobStatus, RetryBackoff};
use crate::app::node::Build;
use crate::function::AttemptResult;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::JobId;
use crate::kernel::limits::{CAUSE_BYTES_MAX, JOB_DELAY_MAX};
use crate::kernel::time::{hours, millis, secs};
use crate::subsystem::ConfigSection;

const BACKOFF: RetryBackoff = RetryBackoff::Exponential { base: secs(1), max: secs(60) };

fn queue(name: &str) -> Arc<str> {
    name.into()
}

/// The bytes that a planner of these tests may claim.
const BYTES_MAX: usize = 1_000;

fn size(limit: usize, begin: usize) -> ClaimSize {
    ClaimSize { limit, begin, bytes_max: BYTES_MAX }
}

fn claim(queue: &str, limit: usize) -> Option<ClaimStep> {
    claim_and_begin(queue, limit, 0)
}

fn claim_and_begin(name: &str, limit: usize, begin: usize) -> Option<ClaimStep> {
    Some(ClaimStep::Claim { queue: queue(name), size: size(limit, begin) })
}

/// A planner of the only queue of a node.
fn planner(workers: usize, prefetch_max: usize) -> ClaimPlanner<u32> {
    static QUEUE: LazyLock<Arc<str>> = LazyLock::new(|| queue("a"));
    ClaimPlanner::new(PlannerLimits {
        workers,
        kept_max: 0,
        prefetch_max,
        prefetch_bytes_max: BYTES_MAX,
        queue_of: |_| &QUEUE,
        bytes_of: |bytes| *bytes as usize,
    })
}

fn fault() -> Fault {
    Fault::new(Code::Conflict, "x")
}

#[test]
fn the_result_of_an_attempt_decides_what_becomes_of_the_job() {
    let check = |result: AttemptResult, attempt: u32, status: JobStatus, delay: Duration, refunds: bool| {
        let transition = Transition::after(&result, attempt, 3, BACKOFF, 1.0);
        assert_eq!(
            (transition.status, transition.delay, transition.refunds_attempt),
            (status, delay, refunds),
            "{result:?}, attempt {attempt}"
        );
        let failed = matches!(result, AttemptResult::HandlerError(_) | AttemptResult::InvalidArguments(_));
        assert_eq!(transition.error.is_some(), failed, "{result:?}");
    };
    check(AttemptResult::Succeeded, 1, JobStatus::Completed, Duration::ZERO, false);
    check(AttemptResult::InvalidArguments(fault()), 1, JobStatus::Failed, Duration::ZERO, false);
    check(AttemptResult::HandlerError(fault()), 1, JobStatus::Retry, secs(1), false);
    check(AttemptResult::HandlerError(fault()), 2, JobStatus::Retry, secs(2), false);
    check(AttemptResult::HandlerError(fault()), 3, JobStatus::DeadLetter, Duration::ZERO, false);
    check(AttemptResult::Snoozed(secs(9)), 3, JobStatus::Pending, secs(9), true);
    check(AttemptResult::Interrupted, 3, JobStatus::Pending, Duration::ZERO, true);
}

#[test]
fn a_refused_job_waits_for_the_builds_that_have_not_refused_it() {
    let build = |name: &str| Some(name.to_owned());
    let check = |builds: &[Option<String>], refused: &[&str], expected: bool| {
        let refused: Vec<String> = refused.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(is_another_build(builds, "one", &refused), expected, "{builds:?}, {refused:?}");
    };
    check(&[build("one")], &[], false);
    check(&[build("one"), build("two")], &[], true);
    check(&[build("one"), build("two")], &["one", "two"], false);
    check(&[build("one"), build("two"), build("three")], &["two"], true);
    check(&[build("one"), None], &[], true);
    check(&[], &[], false);
    let transition = Transition::refused(&fault(), Build("one".into()), 0.5);
    assert_eq!((transition.status, transition.delay), (JobStatus::Pending, secs(4)));
    assert!(transition.refunds_attempt && transition.error.is_some());
    assert_eq!(transition.refused_by, Some(Build("one".into())));
}

#[test]
fn every_transition_is_an_arrow_of_the_diagram() {
    let arrows: BTreeSet<(&str, &str)> = STATUS_CHANGES
        .iter()
        .flat_map(|(from, to)| to.iter().map(|to| (from.as_str(), to.as_str())))
        .collect();
    for result in [
        AttemptResult::Succeeded,
        AttemptResult::InvalidArguments(fault()),
        AttemptResult::HandlerError(fault()),
        AttemptResult::Snoozed(secs(1)),
        AttemptResult::Interrupted,
    ] {
        for attempt in [1, 3] {
            let status = Transition::after(&result, attempt, 3, BACKOFF, 0.5).status;
            assert!(arrows.contains(&("running", status.as_str())), "{status:?} by {result:?}");
        }
    }
    let out_of_history: Vec<_> = STATUS_CHANGES
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
fn no_wait_is_longer_than_the_database_can_add() {
    let snoozed = Transition::after(&AttemptResult::Snoozed(Duration::MAX), 1, 3, BACKOFF, 0.0);
    assert_eq!(snoozed.delay, JOB_DELAY_MAX);
    let (max, base) = (Duration::MAX, Duration::MAX);
    for backoff in [
        RetryBackoff::Fixed(max),
        RetryBackoff::Linear { step: base, max },
        RetryBackoff::Exponential { base, max },
    ] {
        assert_eq!(backoff.delay(3, 1.0), JOB_DELAY_MAX, "{backoff:?}");
    }
}

#[test]
fn a_refused_result_is_rewritten_and_names_the_refusal() {
    let refusal = Fault::new(Code::BadRequest, "refused").because("no such character");
    let failed = Fault::new(Code::Conflict, "broke \u{2713}\0");
    let retry = Transition::after(&AttemptResult::HandlerError(failed), 1, 3, BACKOFF, 1.0);
    let ascii = retry.rewritten(Rewrite::InAscii, &refusal, 1);
    assert_eq!((ascii.status, ascii.delay), (JobStatus::Retry, secs(1)), "it is tried again all the same");
    assert_eq!(ascii.error.as_deref(), Some("CONFLICT: broke \\u{2713}\\u{fffd}"));
    let failed = retry.rewritten(Rewrite::AsFailed, &refusal, 1);
    let error = failed.error.expect("a failure has a reason");
    assert_eq!((failed.status, failed.delay), (JobStatus::Failed, Duration::ZERO));
    assert!(error.is_ascii() && error.contains("`retry`: no such character; CONFLICT: broke"), "{error}");
    let completed = Transition::COMPLETED.rewritten(Rewrite::AsFailed, &refusal, 1);
    assert_eq!(
        completed.error.as_deref(),
        Some("the database refused the result `completed`: no such character")
    );
    let long = Fault::new(Code::BadRequest, "refused").because("\u{2713}".repeat(CAUSE_BYTES_MAX));
    let error = Transition::begin_refused(&long).error.expect("a failure has a reason");
    assert!(error.is_ascii() && error.len() <= CAUSE_BYTES_MAX);
}

#[test]
fn a_job_that_cannot_end_waits_longer_each_time_and_says_why() {
    let refusal = Fault::new(Code::BadRequest, "refused").because("no \u{2713}");
    let after = |claim| Transition::COMPLETED.rewritten(Rewrite::AsWaiting, &refusal, claim);
    let first = after(1);
    assert_eq!((first.status, first.refunds_attempt), (JobStatus::Pending, true));
    assert_eq!(
        first.error.as_deref(),
        Some("the database refused the result `completed`: no \\u{2713}; the job cannot end, and runs again")
    );
    assert_eq!([1, 2, 3, 1_000].map(|claim| after(claim).delay), [secs(10), secs(20), secs(40), secs(3_600)]);
}

#[test]
fn a_claim_asks_for_no_more_than_the_free_capacity() {
    let mut planner = planner(4, 100);
    assert_eq!(planner.next(0), None, "no queue has work");
    planner.wake(&[queue("mail")]);
    assert_eq!(planner.next(1), claim("mail", 3));
    assert_eq!(planner.next(1), None, "one statement at a time");
    planner.claimed(queue("mail"), size(3, 0), vec![1, 2], 0, Instant::now());
    assert_eq!(
        planner.next(3),
        Some(ClaimStep::Promote),
        "the queue is empty; the hint may be about a scheduled job"
    );
    planner.promoted(&[]);
    assert_eq!(planner.next(3), None);
    planner.wake(&[queue("mail")]);
    assert_eq!(planner.next(4), Some(ClaimStep::Promote), "no free place, but a promotion needs none");
}

#[test]
fn a_wake_up_during_a_claim_is_not_lost() {
    let mut planner = planner(4, 100);
    planner.wake(&[queue("mail")]);
    assert_eq!(planner.next(0), claim("mail", 4));
    planner.wake(&[queue("mail")]);
    planner.claimed(queue("mail"), size(4, 0), vec![], 0, Instant::now());
    assert_eq!(
        planner.next(0),
        claim("mail", 4),
        "its job may have been committed after the statement began"
    );
}

#[test]
fn queues_take_turns() {
    let mut planner = planner(2, 0);
    planner.wake(&[queue("a"), queue("b")]);
    for expected in ["a", "b", "a", "b"] {
        assert_eq!(planner.next(0), claim(expected, 2));
        planner.claimed(queue(expected), size(2, 0), vec![1, 2], 0, Instant::now());
        assert_eq!(planner.take_unassigned().count(), 2);
    }
}

#[test]
fn due_promotions_come_before_claims_and_failed_steps_are_repeated() {
    let mut planner = planner(2, 0);
    planner.wake(&[queue("a")]);
    planner.promotion_due();
    assert_eq!(planner.next(0), Some(ClaimStep::Promote));
    planner.failed(ClaimStep::Promote);
    assert_eq!(planner.next(0), Some(ClaimStep::Promote));
    planner.promoted(&[queue("b")]);
    let first = planner.next(0);
    assert_eq!(first, claim("a", 2));
    planner.failed(first.expect("a claim"));
    assert_eq!(planner.next(0), claim("b", 2), "the one that failed waits behind the others");
}

#[test]
fn a_claim_begins_what_free_workers_take_at_once() {
    let mut planner = planner(3, 10);
    planner.worker_free(0);
    planner.worker_free(1);
    planner.wake(&[queue("a")]);
    assert_eq!(planner.next(0), claim_and_begin("a", 3, 2), "two are free");
    planner.worker_free(2);
    planner.claimed(queue("a"), size(3, 0), vec![1, 2, 3], 2, Instant::now());
    assert_eq!(
        (planner.assign(), planner.assign(), planner.assign()),
        (Some((0, 1)), Some((1, 2)), None),
        "the third has not begun"
    );
    assert_eq!(planner.begin_batch(), [3]);
    planner.begun([3]);
    assert_eq!(planner.assign(), Some((2, 3)));
}

#[test]
fn nothing_begins_that_has_no_free_worker() {
    let mut planner = planner(2, 10);
    planner.wake(&[queue("a")]);
    assert_eq!(planner.next(0), claim("a", 2), "no worker is free");
    planner.claimed(queue("a"), size(2, 0), vec![1, 2, 3, 4], 0, Instant::now());
    assert!(planner.begin_batch().is_empty());
    planner.worker_free(1);
    assert_eq!(planner.begin_batch(), [1]);
    planner.worker_free(0);
    assert!(planner.begin_batch().is_empty(), "one batch at a time");
    assert_eq!(planner.assign(), None, "it is not written yet");
    planner.begun([1]);
    assert_eq!(planner.assign(), Some((0, 1)));
    assert_eq!(planner.begin_batch(), [2], "for the other one");
    planner.begin_failed(vec![2]);
    assert_eq!(planner.begin_batch(), [2], "again, and in its place");
    planner.begun([]);
    assert_eq!(planner.begin_batch(), [3], "another node has taken the second over");
    planner.begun([3]);
    assert_eq!(planner.take_unassigned().collect::<Vec<_>>(), [3, 4]);
}

#[test]
fn a_claim_leaves_workers_to_what_was_claimed_before() {
    let mut planner = planner(4, 100);
    planner.wake(&[queue("a")]);
    assert!(planner.next(0).is_some());
    planner.claimed(queue("a"), size(4, 0), vec![1, 2, 3, 4], 0, Instant::now());
    (0..4).for_each(|worker| planner.worker_free(worker));
    assert_eq!(planner.begin_batch(), [1, 2, 3, 4]);
    assert_eq!(planner.next(4), Some(ClaimStep::Promote), "four are being begun for the four that are free");
    planner.begun([1, 2, 3]);
    assert_eq!(std::iter::from_fn(|| planner.assign()).count(), 3);
}

#[test]
fn short_jobs_widen_the_window_and_long_ones_close_it() {
    let mut planner = planner(16, 500);
    let mut now = Instant::now();
    let mut claims = |pause: Duration, count: usize, expected: usize| {
        for _ in 0..count {
            planner.wake(&[queue("a")]);
            let Some(ClaimStep::Claim { size, .. }) = planner.next(0) else { panic!("a claim") };
            now += pause;
            planner.claimed(queue("a"), size, vec![0; size.limit], 0, now);
            assert_eq!(planner.take_unassigned().count(), size.limit);
        }
        assert_eq!(planner.window(), expected);
    };
    claims(millis(5), 1, 0);
    claims(millis(5), 1, 16);
    claims(millis(5), 6, 500);
    claims(millis(500), 3, 500);
    claims(secs(2), 10, 0);
}

/// A job of a node that serves three queues: the queue, and a number.
type QueuedJob = (Arc<str>, u32);

fn planner_of_three_queues(workers: usize, kept_max: usize) -> ClaimPlanner<QueuedJob> {
    let limits = PlannerLimits {
        workers,
        kept_max,
        prefetch_max: 0,
        prefetch_bytes_max: BYTES_MAX,
        queue_of: |job: &QueuedJob| &job.0,
        bytes_of: |_| 0,
    };
    let mut planner = ClaimPlanner::new(limits);
    planner.serve(3);
    (0..workers).for_each(|worker| planner.worker_free(worker));
    planner
}

fn jobs_of(queue: &Arc<str>, count: usize) -> Vec<QueuedJob> {
    (0..).map(|number| (Arc::clone(queue), number)).take(count).collect()
}

/// Claims as many jobs of `queue` as there may be, all of which begin. Returns the workers that run them.
fn fill(planner: &mut ClaimPlanner<QueuedJob>, queue: &Arc<str>, held: usize) -> Vec<usize> {
    planner.wake([queue]);
    let Some(ClaimStep::Claim { queue, size }) = planner.next(held) else { panic!("a claim") };
    assert_eq!(size.limit, size.begin, "free workers have reported");
    planner.claimed(Arc::clone(&queue), size, jobs_of(&queue, size.limit), size.begin, Instant::now());
    std::iter::from_fn(|| planner.assign()).map(|(worker, _)| worker).collect()
}

#[test]
fn a_queue_of_long_jobs_leaves_a_worker_to_each_queue_that_runs_nothing() {
    let [long, mail, report] = ["long", "mail", "report"].map(queue);
    let mut planner = planner_of_three_queues(16, 4);
    assert_eq!(fill(&mut planner, &long, 0).len(), 14, "one is kept for each of the two others");
    assert_eq!(planner.next(14), Some(ClaimStep::Promote), "nothing more of the long ones is claimed");
    planner.promoted([]);
    assert_eq!(fill(&mut planner, &mail, 14).len(), 1, "the other one is kept for the reports");
    let report_workers = fill(&mut planner, &report, 15);
    assert_eq!(report_workers.len(), 1);
    assert_eq!(planner.next(16), Some(ClaimStep::Promote), "all are busy");
    planner.promoted([]);
    report_workers.into_iter().for_each(|worker| planner.worker_free(worker));
    planner.wake([&long, &mail]);
    assert_eq!(
        planner.next(15),
        claim_and_begin("report", 1, 1),
        "only the queue that runs nothing may take it"
    );
}

#[test]
fn no_more_workers_are_kept_than_the_share_says() {
    let long = queue("long");
    assert_eq!(fill(&mut planner_of_three_queues(16, 0), &long, 0).len(), 16);
    assert_eq!(fill(&mut planner_of_three_queues(16, 1), &long, 0).len(), 15);
    assert_eq!(fill(&mut planner_of_three_queues(1, 0), &long, 0).len(), 1);
    let kept = |concurrency, queue_share| {
        JobConfig { concurrency, queue_share, ..JobConfig::default() }.kept_workers()
    };
    assert_eq!([kept(16, 0.75), kept(2, 0.75), kept(1, 0.75), kept(16, 1.0), kept(4, 0.01)], [4, 1, 0, 0, 3]);
}

#[test]
fn jobs_claimed_ahead_do_not_begin_beyond_the_share_of_their_queue() {
    let [long, mail] = ["long", "mail"].map(queue);
    let mut planner = planner_of_three_queues(4, 2);
    planner.wake([&long]);
    assert_eq!(planner.next(0), claim_and_begin("long", 2, 2));
    planner.claimed(Arc::clone(&long), size(2, 0), jobs_of(&long, 4), 0, Instant::now());
    planner.wake([&mail]);
    assert_eq!(planner.next(4), Some(ClaimStep::Promote), "the node holds as many as it has workers");
    planner.promoted([]);
    assert_eq!(planner.next(2), claim_and_begin("mail", 1, 1), "a kept worker");
    planner.claimed(Arc::clone(&mail), size(1, 0), jobs_of(&mail, 1), 0, Instant::now());
    let begun = planner.begin_batch();
    assert_eq!(begun, [&jobs_of(&long, 2)[..], &jobs_of(&mail, 1)].concat(), "past the two that may not");
    planner.begun(begun);
    assert_eq!(std::iter::from_fn(|| planner.assign()).count(), 3);
    assert!(!planner.can_begin(), "the last worker is kept for the third queue");
}

#[test]
fn large_jobs_are_claimed_a_few_at_a_time() {
    // A job of these tests is as large as its number says.
    let mut planner = planner(2, 100);
    (0..2).for_each(|worker| planner.worker_free(worker));
    planner.wake(&[queue("a")]);
    assert_eq!(planner.next(0), claim_and_begin("a", 2, 2));
    planner.claimed(queue("a"), size(2, 2), vec![BYTES_MAX as u32], 1, Instant::now());
    assert_eq!(
        planner.next(1),
        claim_and_begin("a", 1, 1),
        "the bytes have ended the claim, and not the queue"
    );
    planner.claimed(queue("a"), size(1, 1), vec![600], 0, Instant::now());
    let left = ClaimSize { limit: 1, begin: 0, bytes_max: BYTES_MAX - 600 };
    assert_eq!(planner.next(0), Some(ClaimStep::Claim { queue: queue("a"), size: left }), "one ahead");
    planner.claimed(queue("a"), left, vec![400], 0, Instant::now());
    assert_eq!(planner.next(0), Some(ClaimStep::Promote), "no bytes are left for jobs ahead");
}

#[test]
fn claimed_jobs_that_wait_too_long_are_given_back() {
    let mut planner = planner(2, 100);
    (0..2).for_each(|worker| planner.worker_free(worker));
    let mut now = Instant::now();
    for _ in 0..3 {
        planner.wake(&[queue("a")]);
        let Some(ClaimStep::Claim { size, .. }) = planner.next(0) else { panic!("a claim") };
        now += millis(5);
        planner.claimed(queue("a"), size, vec![7; size.limit], 0, now);
        planner.take_unassigned().for_each(drop);
    }
    assert!(planner.window() > 0, "short jobs are claimed ahead");
    planner.wake(&[queue("a")]);
    let Some(ClaimStep::Claim { size, .. }) = planner.next(0) else { panic!("a claim") };
    planner.claimed(queue("a"), size, vec![1, 2, 3, 4], 2, now);
    assert_eq!((planner.assign(), planner.assign()), (Some((0, 1)), Some((1, 2))));
    assert_eq!(planner.oldest_claim(), Some(now));
    assert!(planner.give_back(now - millis(1)).is_empty(), "they have not waited for long");
    assert_eq!(planner.give_back(now), [3, 4]);
    assert_eq!((planner.window(), planner.oldest_claim()), (0, None));
    planner.worker_free(1);
    assert_eq!(
        planner.next(1),
        claim_and_begin("a", 1, 1),
        "its queue is asked again for a free worker only"
    );
}

fn claimed(begun: bool) -> JobRecord {
    JobRecord {
        id: JobId::new(),
        name: "mail.send".to_owned(),
        queue: queue("mail"),
        claim: 1,
        begun,
        attempts_begun: u32::from(begun),
        attempts_max: 3,
        args: "{}".into(),
        identity: None,
        trace: None,
        waited: Duration::ZERO,
        refused_by: Vec::new(),
    }
}

#[test]
fn a_row_that_is_gone_by_its_own_commit_is_not_lost() {
    let (leases, now, lease) = (LeaseTable::default(), Instant::now(), secs(10));
    let job = leases.insert(claimed(true), now, lease);
    let claims = leases.claims();
    assert_eq!(claims, [job.claim()]);
    let nothing = HashSet::new();

    let guard = leases.begin_completion(&job.record);
    assert!(leases.claims().is_empty(), "its row may go at any moment");
    assert_eq!(leases.apply_renewal(&claims, &nothing, now, lease), 0, "a renewal that was under way");
    drop(guard);
    assert_eq!(leases.claims(), claims, "it was not committed");

    leases.begin_completion(&job.record).committed();
    assert_eq!(
        (leases.apply_renewal(&claims, &nothing, now, lease), leases.claims().len(), leases.len()),
        (0, 0, 1)
    );
    assert!(job.is_fresh(), "its handler may go on");
    drop(job);
    assert_eq!(leases.len(), 0);
}

#[test]
fn a_job_that_was_taken_over_is_cut() {
    let (leases, now, lease) = (LeaseTable::default(), Instant::now(), secs(10));
    let job = leases.insert(claimed(true), now, lease);
    assert_eq!(leases.apply_renewal(&leases.claims(), &HashSet::new(), now, lease), 1);
    assert!(job.lost.is_cancelled() && !job.is_fresh());
}

#[test]
fn a_begin_counts_an_attempt_and_renews_the_lease() {
    let (leases, now) = (LeaseTable::default(), Instant::now());
    let mut job = leases.insert(claimed(false), now, Duration::ZERO);
    assert!(!job.is_fresh() && leases.begun() == 0);
    let begun = BegunAttempt { job: job.record.id, attempt: 1, waited: secs(3) };
    job.apply_begin(&begun, now, secs(10));
    assert!(job.is_fresh());
    assert_eq!(
        (leases.begun(), job.record.begun, job.record.attempts_begun, job.record.waited),
        (1, true, 1, secs(3))
    );
}

#[test]
fn a_configuration_that_could_not_run_jobs_is_refused() {
    let check = |change: &dyn Fn(&mut JobConfig), key: &str| {
        let mut config = JobConfig::default();
        change(&mut config);
        let broken = config.validate();
        assert!(broken.len() == 1 && broken[0].starts_with(key), "{broken:?}");
    };
    assert_eq!(JobConfig::default().validate(), Vec::<String>::new());
    check(&|config| config.concurrency = 0, "jobs.concurrency");
    check(&|config| config.concurrency = 1_001, "jobs.concurrency");
    check(&|config| config.queue_share = 0.0, "jobs.queue_share");
    check(&|config| config.queue_share = 1.1, "jobs.queue_share");
    check(&|config| config.lease = millis(1_999), "jobs.lease");
    check(&|config| config.lease = hours(25), "jobs.lease");
    check(&|config| config.poll_interval = millis(0), "jobs.poll_interval");
    check(&|config| config.retention = hours(24 * 36_501), "jobs.retention");
}
