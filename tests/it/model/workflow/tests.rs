//! The protocol of workflows keeps its promises, and each fault that is put into it is found.

use super::properties::{
    BY_BOTH, BY_EVENT, BY_TIMEOUT, BY_TWO, CANCEL_COUNTS, CANCELLED, COMPLETED, CONSUMED_ONCE, EFFECT,
    EVENT_AT_LEAVE, FENCED, LATE_WRITE, ONE_OUTCOME, ONE_RESULT, PROMISES, ROUTED_FIRST, STEP_ONCE,
    TAKEN_OVER, TERMINATED, WAKES, WOKEN,
};
use super::{Emission, StepKind, WorkflowBudget, WorkflowFlaw, Workflows};
use crate::model::{explore, search};

const STEPS: &[StepKind] = &[StepKind::Step, StepKind::Step];
const TRANSACTIONS: &[StepKind] = &[StepKind::Transaction, StepKind::Transaction];
const ONE_WAIT: &[StepKind] = &[StepKind::Step, StepKind::Wait, StepKind::Step];
const TWO_WAITS: &[StepKind] = &[StepKind::Wait, StepKind::Wait];

const UNDISTURBED: WorkflowBudget =
    WorkflowBudget { crashes: 0, disconnects: 0, forgotten: 0, takeovers: 0, cancels: 0, terminations: 0 };
const TAKEOVER: WorkflowBudget = WorkflowBudget { takeovers: 1, ..UNDISTURBED };
const DISCONNECT: WorkflowBudget = WorkflowBudget { disconnects: 1, ..UNDISTURBED };
const CANCEL: WorkflowBudget = WorkflowBudget { cancels: 1, ..UNDISTURBED };

/// One run without events, timeouts and faults.
fn run_of(program: &'static [StepKind], budget: WorkflowBudget) -> Workflows {
    Workflows {
        runs: 1,
        program,
        emission: Emission::None,
        timeout: false,
        budget,
        flaw: None,
        properties: Vec::new(),
    }
}

/// Visits all states. `examples` are among them, and none breaks a promise.
fn explore_workflows(workflows: Workflows, examples: &[&'static str]) {
    explore(Workflows { properties: [PROMISES, examples].concat(), ..workflows });
}

/// The steps in which workflows with this fault break `promise`.
fn steps_with(flaw: WorkflowFlaw, workflows: Workflows, promise: &'static str) -> Vec<String> {
    search(Workflows { flaw: Some(flaw), properties: vec![promise], ..workflows }, promise)
}

#[track_caller]
fn assert_end(steps: &[String], last: &[&str]) {
    assert!(steps.len() >= last.len() && steps[steps.len() - last.len()..] == *last, "{steps:#?}");
}

#[test]
fn a_wait_is_over_by_an_event_or_its_timeout() {
    let workflows = Workflows { emission: Emission::Two, timeout: true, ..run_of(ONE_WAIT, UNDISTURBED) };
    let examples = [COMPLETED, BY_EVENT, BY_TIMEOUT, ROUTED_FIRST, WOKEN, EVENT_AT_LEAVE];
    explore_workflows(workflows, &examples);
}

#[test]
fn an_event_that_came_before_the_wait_is_consumed() {
    let workflows = Workflows { emission: Emission::Before, ..run_of(ONE_WAIT, UNDISTURBED) };
    explore_workflows(workflows, &[COMPLETED, BY_EVENT, ROUTED_FIRST]);
}

#[test]
fn runs_survive_crashes_and_takeovers() {
    let budget = WorkflowBudget { crashes: 1, takeovers: 1, ..UNDISTURBED };
    let workflows = Workflows { emission: Emission::One, timeout: true, ..run_of(ONE_WAIT, budget) };
    explore_workflows(workflows, &[COMPLETED, BY_EVENT, BY_TIMEOUT, TAKEN_OVER, LATE_WRITE, EVENT_AT_LEAVE]);
}

#[test]
fn steps_survive_two_takeovers_and_lost_answers() {
    let budget = WorkflowBudget { takeovers: 2, disconnects: 1, ..UNDISTURBED };
    explore_workflows(run_of(STEPS, budget), &[COMPLETED, TAKEN_OVER, LATE_WRITE]);
}

#[test]
fn transactions_survive_takeovers_lost_answers_and_terminations() {
    let budget = WorkflowBudget { takeovers: 1, disconnects: 1, terminations: 1, ..UNDISTURBED };
    explore_workflows(run_of(TRANSACTIONS, budget), &[COMPLETED, TAKEN_OVER, LATE_WRITE, TERMINATED]);
}

#[test]
fn waits_survive_lost_answers_and_actors_that_crash() {
    let budget = WorkflowBudget { disconnects: 1, forgotten: 1, ..UNDISTURBED };
    let workflows = Workflows { emission: Emission::One, ..run_of(ONE_WAIT, budget) };
    explore_workflows(workflows, &[COMPLETED, BY_EVENT, WOKEN, EVENT_AT_LEAVE]);
}

#[test]
fn a_wait_survives_a_takeover_and_a_lost_answer() {
    let budget = WorkflowBudget { disconnects: 1, ..TAKEOVER };
    let workflows = Workflows { emission: Emission::One, ..run_of(&ONE_WAIT[..2], budget) };
    explore_workflows(workflows, &[COMPLETED, BY_EVENT, TAKEN_OVER, LATE_WRITE, WOKEN, EVENT_AT_LEAVE]);
}

#[test]
fn waits_at_the_same_time_share_no_event() {
    let workflows = Workflows { emission: Emission::Two, timeout: true, ..run_of(TWO_WAITS, DISCONNECT) };
    explore_workflows(workflows, &[COMPLETED, BY_BOTH, BY_TWO, WOKEN, EVENT_AT_LEAVE]);
}

#[test]
fn a_cancel_counts_beside_lost_answers_and_takeovers() {
    let budget = WorkflowBudget { disconnects: 1, takeovers: 1, ..CANCEL };
    explore_workflows(run_of(STEPS, budget), &[COMPLETED, CANCELLED, TAKEN_OVER]);
}

#[test]
fn a_run_that_waits_is_cancelled_or_terminated() {
    let budget = WorkflowBudget { terminations: 1, ..CANCEL };
    let workflows = Workflows { emission: Emission::One, ..run_of(ONE_WAIT, budget) };
    explore_workflows(workflows, &[COMPLETED, BY_EVENT, CANCELLED, TERMINATED, WOKEN]);
}

#[test]
fn an_event_reaches_two_runs() {
    let workflows = Workflows { runs: 2, emission: Emission::One, ..run_of(ONE_WAIT, UNDISTURBED) };
    explore_workflows(workflows, &[COMPLETED, BY_EVENT, WOKEN, EVENT_AT_LEAVE]);
}

#[test]
fn two_runs_survive_the_takeover_of_their_owner() {
    let workflows = Workflows { runs: 2, ..run_of(STEPS, TAKEOVER) };
    explore_workflows(workflows, &[COMPLETED, TAKEN_OVER, LATE_WRITE]);
}

const SENT: &[&str] = &[
    "Claim { node: 0, run: 0, answered: true }",
    "LoadJournal { node: 0, run: 0 }",
    "Send { node: 0, run: 0, write: Record(0) }",
];

#[test]
fn a_checkpoint_without_a_fence_is_found() {
    let steps = steps_with(WorkflowFlaw::NoOwnerCheck, run_of(STEPS, TAKEOVER), FENCED);
    let last = ["TakeOver { owner: 0 }", "Execute(Record(0) of run 0, owner 0, claim 1, node 0 waits, New)"];
    assert_eq!(steps, [SENT, &last].concat());
}

#[test]
fn a_lease_that_is_read_from_a_snapshot_is_found() {
    let steps = steps_with(WorkflowFlaw::OwnerFromSnapshot, run_of(STEPS, TAKEOVER), FENCED);
    let last = ["TakeOver { owner: 0 }", "Execute(Record(0) of run 0, owner 0, claim 1, node 0 waits, Old)"];
    assert_eq!(steps, [SENT, &last].concat());
}

/// The write had locked the lease when the statement of the takeover set `lost_at` beside it.
#[test]
fn a_takeover_that_does_not_wait_for_writes_is_found() {
    let steps = steps_with(WorkflowFlaw::TakeoverWithoutLock, run_of(STEPS, TAKEOVER), FENCED);
    let last = [
        "LockLease(Record(0) of run 0, owner 0, claim 1, node 0 waits)",
        "TakeOver { owner: 0 }",
        "Execute(Record(0) of run 0, owner 0, claim 1, node 0 waits, Old)",
    ];
    assert_eq!(steps, [SENT, &last].concat());
}

/// The runs of the lease were released before, and are not looked for again.
#[test]
fn a_claim_without_a_fence_is_found() {
    let steps = steps_with(WorkflowFlaw::ClaimWithoutFence, run_of(STEPS, TAKEOVER), WAKES);
    let expected =
        ["TakeOver { owner: 0 }", "Release { owner: 0 }", "Claim { node: 0, run: 0, answered: true }"];
    assert_eq!(steps, expected);
}

/// The claim has waited for the lock of the run with a snapshot from before the step was recorded.
#[test]
fn a_journal_that_is_read_by_the_claim_is_found() {
    let steps = steps_with(WorkflowFlaw::JournalReadByClaim, run_of(STEPS, TAKEOVER), STEP_ONCE);
    let last = [
        "ReadEarly { node: 1, run: 0 }",
        "Execute(Record(0) of run 0, owner 0, claim 1, node 0 waits, New)",
        "TakeOver { owner: 0 }",
        "Release { owner: 0 }",
        "Claim { node: 1, run: 0, answered: true }",
        "Send { node: 1, run: 0, write: Record(0) }",
    ];
    assert_end(&steps, &last);
}

/// The record of the execution before, in whose snapshot the run still has the old claim, is committed after
/// the journal was loaded.
#[test]
fn a_result_that_the_journal_does_not_have_is_found() {
    let budget = WorkflowBudget { forgotten: 1, ..UNDISTURBED };
    let steps = steps_with(WorkflowFlaw::OwnResultOnConflict, run_of(STEPS, budget), ONE_RESULT);
    let last = [
        "Execute(Record(0) of run 0, owner 0, claim 1, nobody waits, Old)",
        "Execute(Record(0) of run 0, owner 0, claim 2, node 0 waits, New)",
    ];
    assert_end(&steps, &last);
}

#[test]
fn an_event_that_is_consumed_at_delivery_is_found() {
    let workflows = Workflows { emission: Emission::One, ..run_of(TWO_WAITS, UNDISTURBED) };
    let steps = steps_with(WorkflowFlaw::ConsumedAtDelivery, workflows, CONSUMED_ONCE);
    let last = [
        "Execute(Complete([Some(Event(0)), None, None]) of run 0, owner 0, claim 1, node 0 waits, New)",
        "RouterReads",
        "RouterWrites",
    ];
    assert_end(&steps, &last);
}

#[test]
fn a_look_for_events_before_the_registration_is_found() {
    let workflows = Workflows { emission: Emission::One, ..run_of(ONE_WAIT, UNDISTURBED) };
    let steps = steps_with(WorkflowFlaw::EventsReadFirst, workflows, WAKES);
    let last = [
        "FindEvents { node: 0, run: 0 }",
        "Send { node: 0, run: 0, write: Register(1) }",
        "Emit { event: 0 }",
        "RouterReads",
        "Execute(Register(1) of run 0, owner 0, claim 1, node 0 waits, New)",
        "Send { node: 0, run: 0, write: Leave }",
        "Execute(Leave of run 0, owner 0, claim 1, node 0 waits, New)",
        "RouterWrites",
    ];
    assert_end(&steps, &last);
}

/// An id is given when an event is inserted: a higher one may be committed, and consumed, first.
#[test]
fn a_look_for_events_above_the_last_id_is_found() {
    let workflows = Workflows { emission: Emission::Two, ..run_of(TWO_WAITS, UNDISTURBED) };
    let steps = steps_with(WorkflowFlaw::EventsByCursor, workflows, WAKES);
    let is_emitted =
        |event: usize| steps.iter().position(|step| *step == format!("Emit {{ event: {event} }}"));
    assert!(is_emitted(1) < is_emitted(0), "{steps:#?}");
    assert_end(&steps, &["Execute(Leave of run 0, owner 0, claim 1, node 0 waits, New)"]);
}

#[test]
fn a_run_that_leaves_without_a_look_at_its_wakes_is_found() {
    let workflows = Workflows { emission: Emission::One, ..run_of(ONE_WAIT, UNDISTURBED) };
    let steps = steps_with(WorkflowFlaw::LeaveIgnoresWakes, workflows, WAKES);
    let last = [
        "FindEvents { node: 0, run: 0 }",
        "Send { node: 0, run: 0, write: Leave }",
        "Emit { event: 0 }",
        "RouterReads",
        "RouterWrites",
        "Execute(Leave of run 0, owner 0, claim 1, node 0 waits, New)",
    ];
    assert_end(&steps, &last);
}

/// The write of the claim before has given the newer event to the first wait. The next owner, which has not
/// seen that, gives it to the second one.
#[test]
fn an_event_that_a_late_write_has_consumed_is_found() {
    let workflows = Workflows { emission: Emission::Two, ..run_of(TWO_WAITS, DISCONNECT) };
    let steps = steps_with(WorkflowFlaw::NoUniqueConsumption, workflows, CONSUMED_ONCE);
    let first =
        "Execute(Complete([Some(Event(1)), None, None]) of run 0, owner 0, claim 1, node 0 waits, Old)";
    assert!(steps.iter().any(|step| step == first), "{steps:#?}");
    let second = "Complete([Some(Event(0)), Some(Event(1)), None]) of run 0, owner 1, claim 2, node 1 waits";
    assert_end(&steps, &[&format!("Execute({second}, New)")]);
}

#[test]
fn a_wait_that_is_completed_twice_is_found() {
    let workflows = Workflows { emission: Emission::One, timeout: true, ..run_of(ONE_WAIT, DISCONNECT) };
    let steps = steps_with(WorkflowFlaw::WaitCompletedTwice, workflows, ONE_OUTCOME);
    let last = [
        "Execute(Complete([None, Some(Timeout), None]) of run 0, owner 0, claim 1, node 0 waits, Old)",
        "Execute(Complete([None, Some(Event(0)), None]) of run 0, owner 1, claim 2, node 1 waits, New)",
    ];
    assert_end(&steps, &last);
}

/// A person is answered that the run was terminated, and then its effect is committed.
#[test]
fn a_transaction_that_does_not_lock_its_run_is_found() {
    let budget = WorkflowBudget { terminations: 1, ..UNDISTURBED };
    let flaw = WorkflowFlaw::TransactionWithoutRunLock;
    let steps = steps_with(flaw, run_of(TRANSACTIONS, budget), EFFECT);
    let last = ["Terminate { run: 0 }", "Execute(Commit(0) of run 0, owner 0, claim 1, node 0 waits, Old)"];
    assert_end(&steps, &last);
}

#[test]
fn an_end_beside_a_cancel_is_found() {
    let steps = steps_with(WorkflowFlaw::EndIgnoresRequest, run_of(STEPS, CANCEL), CANCEL_COUNTS);
    let last = [
        "Send { node: 0, run: 0, write: End(Completed) }",
        "RequestCancel { run: 0 }",
        "Execute(End(Completed) of run 0, owner 0, claim 1, node 0 waits, New)",
    ];
    assert_end(&steps, &last);
}

/// The owner has lost the answer of the end, has learned of the request when it repeated the end, and has
/// taken the request away when the first end is executed.
#[test]
fn a_late_end_beside_a_cancel_that_has_begun_is_found() {
    let budget = WorkflowBudget { disconnects: 1, ..CANCEL };
    let steps = steps_with(WorkflowFlaw::EndIgnoresEnding, run_of(STEPS, budget), CANCEL_COUNTS);
    let last = [
        "RequestCancel { run: 0 }",
        "Execute(End(Completed) of run 0, owner 0, claim 1, node 0 waits, New)",
        "Send { node: 0, run: 0, write: BeginCancel }",
        "Execute(BeginCancel of run 0, owner 0, claim 1, node 0 waits, New)",
        "Execute(End(Completed) of run 0, owner 0, claim 1, nobody waits, New)",
    ];
    assert_end(&steps, &last);
}

#[test]
fn a_request_that_a_run_does_not_see_when_it_leaves_is_found() {
    let workflows = run_of(ONE_WAIT, CANCEL);
    let steps = steps_with(WorkflowFlaw::RequestDoesNotWake, workflows, WAKES);
    let last = [
        "FindEvents { node: 0, run: 0 }",
        "Send { node: 0, run: 0, write: Leave }",
        "RequestCancel { run: 0 }",
        "Execute(Leave of run 0, owner 0, claim 1, node 0 waits, New)",
    ];
    assert_end(&steps, &last);
}

/// The run leaves, late, while its node has consumed the event that would have woken it.
#[test]
fn a_node_that_goes_on_without_an_answer_is_found() {
    let workflows = Workflows { emission: Emission::One, ..run_of(ONE_WAIT, DISCONNECT) };
    let steps = steps_with(WorkflowFlaw::GoesOnWithoutAnswer, workflows, WAKES);
    let last = [
        "Execute(Leave of run 0, owner 0, claim 1, nobody waits, New)",
        "Execute(Complete([None, Some(Event(0)), None]) of run 0, owner 0, claim 1, node 0 waits, Old)",
    ];
    assert_end(&steps, &last);
}

#[test]
fn a_claim_whose_answer_is_lost_for_good_is_found() {
    let steps = steps_with(WorkflowFlaw::NothingGivenBack, run_of(STEPS, DISCONNECT), WAKES);
    assert_eq!(steps, ["Claim { node: 0, run: 0, answered: false }"]);
}
