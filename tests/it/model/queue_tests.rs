//! The queue's protocol keeps its promises, and each fault that is put into it is found.

use super::properties::{CANCEL, DEAD_LETTER, LATE_FINISH, ONE_PLACE, PROMISES, RESCUE_OF_FINISHED, SUCCESS};
use super::queue::{Budget, Flaw, Queue};
use super::{explore, search};

/// Visits all states of a queue. `examples` are among them, and none breaks a promise.
fn explore_queue(attempts_max: [u8; 3], budget: Budget, examples: &[&'static str]) {
    let properties = [PROMISES, examples].concat();
    explore(Queue { attempts_max, budget, flaw: None, properties });
}

/// The steps in which a queue of jobs with two attempts breaks `promise`.
fn steps_with(flaw: Flaw, budget: Budget, promise: &'static str) -> Vec<String> {
    search(Queue { attempts_max: [2; 3], budget, flaw: Some(flaw), properties: vec![promise] }, promise)
}

#[test]
fn batches_survive_crashes_and_lost_answers() {
    let budget = Budget { crashes: 1, disconnects: 1, expiries: 1, ..Budget::default() };
    explore_queue([2; 3], budget, &[SUCCESS, LATE_FINISH, RESCUE_OF_FINISHED]);
}

#[test]
fn batches_survive_crashes_and_forgotten_jobs() {
    let budget = Budget { crashes: 1, forgotten: 1, expiries: 1, ..Budget::default() };
    explore_queue([2; 3], budget, &[SUCCESS, LATE_FINISH, RESCUE_OF_FINISHED]);
}

#[test]
fn a_batch_and_a_job_with_one_attempt_survive_crashes_and_lost_answers() {
    let budget = Budget { crashes: 1, disconnects: 1, expiries: 1, ..Budget::default() };
    explore_queue([2, 2, 1], budget, &[SUCCESS, DEAD_LETTER, LATE_FINISH, RESCUE_OF_FINISHED]);
}

#[test]
fn batches_survive_crashes_beside_failed_attempts() {
    let budget = Budget { crashes: 1, expiries: 1, returns: 1, ..Budget::default() };
    explore_queue([2; 3], budget, &[SUCCESS, LATE_FINISH, RESCUE_OF_FINISHED]);
}

#[test]
fn batches_survive_lost_answers_beside_failed_attempts() {
    let budget = Budget { disconnects: 1, returns: 2, ..Budget::default() };
    explore_queue([2; 3], budget, &[SUCCESS, DEAD_LETTER, LATE_FINISH]);
}

#[test]
fn batches_survive_cancels_retries_and_the_end_of_the_retention() {
    let budget = Budget { expiries: 1, cancels: 1, retries: 1, deletions: 1, ..Budget::default() };
    explore_queue([2; 3], budget, &[SUCCESS, LATE_FINISH, RESCUE_OF_FINISHED]);
}

#[test]
fn claims_of_rows_survive_crashes_lost_answers_and_failed_attempts() {
    let budget = Budget { crashes: 1, disconnects: 1, expiries: 1, returns: 1, ..Budget::default() };
    explore_queue([1; 3], budget, &[SUCCESS, DEAD_LETTER, LATE_FINISH]);
}

#[test]
fn a_finish_without_a_fence_is_found() {
    let steps = steps_with(Flaw::NoFence, Budget { expiries: 1, ..Budget::default() }, ONE_PLACE);
    assert_eq!(steps, LATE_WRITE);
}

/// The node looks at its clock when it sends the finish, and is late all the same.
#[test]
fn a_lease_by_the_nodes_clock_is_found() {
    let steps = steps_with(Flaw::NodeClock, Budget { expiries: 1, ..Budget::default() }, ONE_PLACE);
    assert_eq!(steps, LATE_WRITE);
}

const LATE_WRITE: &[&str] = &[
    "Dispatch",
    "ClaimBatch { node: 0, answered: true }",
    "Send { node: 0, job: 0, write: Finish }",
    "ExpireLease { slot: 0 }",
    "RescueBegins { slot: 0 }",
    "RescueEnds",
    "Execute(Finish of job 0, fence Lease(None), node 0 waits)",
];

#[test]
fn a_rescue_without_the_history_is_found() {
    let steps =
        steps_with(Flaw::RescueWithoutHistory, Budget { expiries: 1, ..Budget::default() }, ONE_PLACE);
    assert_eq!(
        steps,
        [
            "Dispatch",
            "ClaimBatch { node: 0, answered: true }",
            "Send { node: 0, job: 0, write: Finish }",
            "Execute(Finish of job 0, fence Lease(Some(0)), node 0 waits)",
            "ExpireLease { slot: 0 }",
            "RescueBegins { slot: 0 }",
            "RescueEnds",
        ]
    );
}

/// The finish is committed between the snapshot of the rescue and its lock.
#[test]
fn a_rescue_in_one_statement_is_found() {
    let steps =
        steps_with(Flaw::RescueInOneStatement, Budget { expiries: 1, ..Budget::default() }, ONE_PLACE);
    assert_eq!(
        steps,
        [
            "Dispatch",
            "ClaimBatch { node: 0, answered: true }",
            "Send { node: 0, job: 0, write: Finish }",
            "ExpireLease { slot: 0 }",
            "RescueBegins { slot: 0 }",
            "Execute(Finish of job 0, fence Lease(Some(0)), node 0 waits)",
            "RescueEnds",
        ]
    );
}

/// The handler's commit has succeeded, its answer got lost, and the attempt is written down as failed.
#[test]
fn a_failure_after_a_commit_with_a_lost_answer_is_found() {
    let budget = Budget { disconnects: 1, returns: 1, ..Budget::default() };
    let steps = steps_with(Flaw::ReturnWithoutHistory, budget, ONE_PLACE);
    assert_eq!(
        steps,
        [
            "Dispatch",
            "ClaimBatch { node: 0, answered: true }",
            "Send { node: 0, job: 0, write: Finish }",
            "Disconnect(Finish of job 0, fence Lease(Some(0)), node 0 waits)",
            "Send { node: 0, job: 0, write: Return(Failed) }",
            "Execute(Finish of job 0, fence Lease(Some(0)), nobody waits)",
            "Execute(Return(Failed) of job 0, fence Lease(Some(0)), node 0 waits)",
        ]
    );
}

#[test]
fn a_failure_that_reads_the_history_before_its_lock_is_found() {
    let budget = Budget { disconnects: 1, returns: 1, ..Budget::default() };
    let steps = steps_with(Flaw::ReturnInOneStatement, budget, ONE_PLACE);
    let last = [
        "TakeSnapshot(Return(Failed) of job 0, fence Lease(Some(0)), node 0 waits)",
        "Execute(Finish of job 0, fence Lease(Some(0)), nobody waits)",
        "Execute(Return(Failed) of job 0, fence Lease(Some(0)), node 0 waits)",
    ];
    assert!(steps.ends_with(&last.map(String::from)), "{steps:#?}");
}

#[test]
fn a_retention_that_ends_before_the_lease_is_found() {
    let budget = Budget { expiries: 1, deletions: 1, ..Budget::default() };
    let steps = steps_with(Flaw::HistoryDeletedUnderLease, budget, ONE_PLACE);
    assert!(steps.contains(&"DeleteHistory { job: 0 }".to_owned()), "{steps:#?}");
    assert_eq!(steps.last().map(String::as_str), Some("RescueEnds"));
}

/// The rescue comes between the finish's look at the lease and its write.
#[test]
fn a_finish_without_a_lock_is_found() {
    let steps = steps_with(Flaw::FinishWithoutLock, Budget { expiries: 1, ..Budget::default() }, ONE_PLACE);
    assert_eq!(
        steps,
        [
            "Dispatch",
            "ClaimBatch { node: 0, answered: true }",
            "Send { node: 0, job: 0, write: Finish }",
            "TakeSnapshot(Finish of job 0, fence Lease(Some(0)), node 0 waits)",
            "ExpireLease { slot: 0 }",
            "RescueBegins { slot: 0 }",
            "RescueEnds",
            "Execute(Finish of job 0, fence Lease(None), node 0 waits)",
        ]
    );
}

#[test]
fn a_lease_that_is_deleted_with_a_forgotten_job_is_found() {
    let budget = Budget { forgotten: 1, ..Budget::default() };
    let steps = steps_with(Flaw::LeaseDeletedWithoutAnswers, budget, ONE_PLACE);
    let expected = [
        "Dispatch",
        "ClaimBatch { node: 0, answered: true }",
        "Forget { node: 0, job: 0 }",
        "DeleteLease { node: 0 }",
    ];
    assert_eq!(steps, expected);
}

#[test]
fn a_cancel_in_one_statement_is_found() {
    let steps = steps_with(Flaw::CancelOnce, Budget { cancels: 1, ..Budget::default() }, CANCEL);
    let expected =
        ["Dispatch", "CancelReads { job: 0 }", "ClaimBatch { node: 0, answered: true }", "CancelWrites"];
    assert_eq!(steps, expected);
}
