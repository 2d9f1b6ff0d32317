//! The planner's decisions.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use crate::job::config::JobConfig;
use crate::job::planner::{ClaimPlanner, ClaimStep, PlannerLimits};
use crate::job::store::ClaimSize;
use crate::kernel::time::{millis, secs};

/// The bytes that a planner of these tests may claim.
const BYTES_MAX: usize = 1_000;

fn queue(name: &str) -> Arc<str> {
    name.into()
}

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
        is_keyed: |_| false,
        needs_begin: |_| true,
    })
}

#[test]
fn a_claim_asks_for_no_more_than_the_free_capacity() {
    let mut planner = planner(4, 100);
    assert_eq!(planner.next(0), None, "no queue has work");
    planner.wake(&[queue("mail")]);
    planner.promotion_wanted();
    assert_eq!(planner.next(1), claim("mail", 3));
    assert_eq!(planner.next(1), None, "one statement at a time");
    planner.claimed(queue("mail"), size(3, 0), vec![1, 2], 0, Instant::now());
    assert_eq!(planner.next(3), Some(ClaimStep::Promote), "there is nothing to claim");
    planner.promoted(&[]);
    assert_eq!(planner.next(3), None);
    planner.wake(&[queue("mail")]);
    planner.promotion_wanted();
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
    assert_eq!(planner.next(4), None, "four are being begun for the four that are free");
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

#[test]
fn claims_that_only_fill_the_window_do_not_widen_it() {
    let mut planner = planner(16, 500);
    let mut now = Instant::now();
    let mut claim_all = |planner: &mut ClaimPlanner<u32>| {
        planner.wake(&[queue("a")]);
        let Some(ClaimStep::Claim { size, .. }) = planner.next(0) else { return 0 };
        now += millis(5);
        planner.claimed(queue("a"), size, vec![0; size.limit], 0, now);
        size.limit
    };
    for _ in 0..3 {
        assert!(claim_all(&mut planner) > 0);
        planner.take_unassigned().for_each(drop);
    }
    let window = planner.window();
    assert!(window > 0, "short jobs are claimed ahead");
    let filled: usize = (0..10).map(|_| claim_all(&mut planner)).sum();
    assert!(filled > 0);
    assert!(planner.window() <= 2 * window, "{} after {window}: nothing was taken since", planner.window());
}

/// A job of a node that serves three queues: the queue, and a number.
type QueuedJob = (Arc<str>, u32);

fn limits_of_three_queues(workers: usize, kept_max: usize) -> PlannerLimits<QueuedJob> {
    PlannerLimits {
        workers,
        kept_max,
        prefetch_max: 0,
        prefetch_bytes_max: BYTES_MAX,
        queue_of: |job: &QueuedJob| &job.0,
        bytes_of: |_| 0,
        is_keyed: |_| false,
        needs_begin: |_| true,
    }
}

fn planner_of_three_queues(workers: usize, kept_max: usize) -> ClaimPlanner<QueuedJob> {
    let mut planner = ClaimPlanner::new(limits_of_three_queues(workers, kept_max));
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
    assert_eq!(planner.next(14), None, "nothing more of the long ones is claimed");
    assert_eq!(fill(&mut planner, &mail, 14).len(), 1, "the other one is kept for the reports");
    let report_workers = fill(&mut planner, &report, 15);
    assert_eq!(report_workers.len(), 1);
    assert_eq!(planner.next(16), None, "all are busy");
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
    assert_eq!(planner.next(4), None, "the node holds as many as it has workers");
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
    assert_eq!(planner.next(0), None, "no bytes are left for jobs ahead");
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

#[test]
fn a_worker_gets_jobs_behind_its_first_one_when_more_wait_than_there_are_workers() {
    // The begin of the sixth job is to be written.
    let mut planner = ClaimPlanner::new(PlannerLimits {
        needs_begin: |job: &QueuedJob| job.1 == 5,
        ..limits_of_three_queues(2, 0)
    });
    let mail = queue("mail");
    planner.serve(1);
    planner.wake([&mail]);
    assert_eq!(planner.next(0), claim("mail", 2));
    planner.claimed(Arc::clone(&mail), size(2, 0), jobs_of(&mail, 8), 0, Instant::now());
    planner.worker_free(0);
    let behind = |planner: &mut ClaimPlanner<QueuedJob>, queue: &str| -> Vec<u32> {
        planner.assign_behind(queue).into_iter().map(|job| job.1).collect()
    };
    assert!(planner.assign().is_some_and(|(worker, job)| (worker, job.1) == (0, 0)));
    assert!(behind(&mut planner, "other").is_empty(), "its worker counts for the queue of its first job");
    assert_eq!(behind(&mut planner, "mail"), [1, 2, 3], "a half of the seven that are left");
    assert_eq!(behind(&mut planner, "mail"), [4], "not past the one whose begin is to be written");
    assert!(behind(&mut planner, "mail").is_empty());
    assert_eq!(planner.give_back(Instant::now()).len(), 3, "the rest waits for the other worker");
}

#[test]
fn jobs_of_batch_leases_are_assigned_without_a_begin_and_in_their_turn() {
    // An odd job is one of a batch lease.
    let [long, mail] = ["long", "mail"].map(queue);
    let limits = PlannerLimits {
        needs_begin: |job: &QueuedJob| job.1.is_multiple_of(2),
        ..limits_of_three_queues(4, 1)
    };
    let mut planner = ClaimPlanner::new(limits);
    planner.serve(2);
    (0..4).for_each(|worker| planner.worker_free(worker));
    planner.wake([&long]);
    assert_eq!(planner.next(0), claim_and_begin("long", 3, 3), "one worker is kept for the other queue");
    planner.claimed(Arc::clone(&long), size(3, 3), jobs_of(&long, 5), 0, Instant::now());
    let number = |assigned: Option<(usize, QueuedJob)>| assigned.map(|(_, job)| job.1);
    assert_eq!((number(planner.assign()), number(planner.assign())), (Some(1), Some(3)));
    assert_eq!(planner.assign(), None, "the others begin first");
    assert_eq!(planner.begin_batch(), [(Arc::clone(&long), 0)], "the third worker that the queue may take");
    planner.begun([(Arc::clone(&long), 0)]);
    assert_eq!(number(planner.assign()), Some(0));
    planner.wake([&mail]);
    assert_eq!(planner.next(3), claim_and_begin("mail", 1, 1));
    planner.claimed(Arc::clone(&mail), size(1, 1), vec![(Arc::clone(&mail), 1)], 0, Instant::now());
    assert_eq!(planner.assign(), Some((3, (mail, 1))), "the kept worker");
}

#[test]
fn two_claims_are_under_way_while_full_batches_follow_each_other() {
    let mut planner = ClaimPlanner::new(PlannerLimits {
        prefetch_max: 4_000,
        needs_begin: |_: &QueuedJob| false,
        ..limits_of_three_queues(2, 0)
    });
    let (mail, mut now) = (queue("mail"), Instant::now());
    planner.serve(1);
    planner.wake([&mail]);
    let claimed = |planner: &mut ClaimPlanner<QueuedJob>| match planner.next(0) {
        Some(ClaimStep::Claim { size, .. }) => size,
        other => panic!("no claim but {other:?}"),
    };
    for _ in 0..16 {
        let size = claimed(&mut planner);
        assert_eq!(planner.next(0), None, "one at a time until the window is wide");
        now += millis(10);
        planner.claimed(Arc::clone(&mail), size, jobs_of(&mail, size.limit), 0, now);
        while planner.oldest_claim().is_some() {
            planner.worker_free(0);
            planner.assign();
            planner.assign_behind("mail");
        }
        if planner.window() > 2_000 {
            break;
        }
    }
    let (first, second) = (claimed(&mut planner), claimed(&mut planner));
    assert_eq!((first.limit, second.limit, second.begin), (1_000, 1_000, 0));
    assert_eq!(planner.next(0), None, "two are enough");
    planner.failed(ClaimStep::Claim { queue: Arc::clone(&mail), size: first });
    assert_eq!(claimed(&mut planner).limit, 1_000, "in place of the one that failed");
    planner.promotion_due();
    assert_eq!(planner.next(0), None, "a promotion waits for the claims");
    planner.claimed(Arc::clone(&mail), second, Vec::new(), 0, now);
    planner.claimed(Arc::clone(&mail), first, Vec::new(), 0, now);
    assert_eq!(planner.next(0), Some(ClaimStep::Promote));
    planner.promoted(&[mail]);
    claimed(&mut planner);
    assert_eq!(planner.next(0), None, "the queue is empty, so one claim is enough");
}
