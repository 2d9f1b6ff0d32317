//! The model of workflows (`forge-actors/src/workflow`): two nodes, their writes under way, a router, the
//! senders of events, the takeover of leases, a person.
//!
//! What the protocol of the model says beyond the rules of that module, since without it a promise is broken
//! (each has its [`WorkflowFlaw`]):
//! - A node repeats a write of which it has lost the answer, and sends nothing else about that run before.
//! - A node gives back the runs that its lease owns and that it does not execute. Each activation has a claim
//!   of its own.
//! - A run is completed only while nobody asks to cancel it and its owner has not begun to: `request` and
//!   `ending` are both looked at.
//! - A request to cancel adds to `wakes`. A statement that reads `wakes` for an owner also reads `request`.
//! - An event that a wait of the run has consumed is refused for another one by an index, and refused
//!   together with all that the statement completes. The node loads the journal then.
//! - A transaction step locks the row of its run, and so commits no effect of a run that has another claim.
//! - A claim looks at the lease as other writes do, and the journal is loaded by a later statement.
//! - A look for events has no lower bound: an event with a lower id may be committed after one that the run
//!   has consumed.
//!
//! What is abstracted
//! - A write and its commit are one step, since a takeover waits for writes that have locked the lease.
//! - The snapshot of a write is from when it was sent or from when it is executed: a claim that is gone does
//!   not come back, so all snapshots between show one or the other.
//! - A person's request, a claim, and what a node reads are statements whose answers come at once. A node
//!   acts on an answer at any later time.
//! - A run has one write under way at a time, and a repeated one. A run with branches that write beside each
//!   other leaves or ends when all of these writes are answered.
//! - Events are committed in any order. All of them have the name and the key that all waits name. A second
//!   event with the same idempotency key is refused by an index, and is not in the model.
//! - The compensation of a cancelled run has no steps.

mod actions;
mod database;
mod properties;
mod steps;
mod tests;

use std::fmt;

use stateright::{Model, Property};

use database::{
    EventRow, JournalRow, LEASES, OwnerLease, POSITIONS, RUNS, RouterSnapshot, RunEnd, RunFence,
    WorkflowTables,
};

const NODES: usize = 2;
/// Writes that are sent and not executed, at most.
const WRITES_MAX: usize = 2;

/// A fault that is put into the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WorkflowFlaw {
    /// A write of the journal does not look at the lease of its owner.
    NoOwnerCheck,
    /// A write looks at the lease as its snapshot shows it, and does not lock it.
    OwnerFromSnapshot,
    /// One statement sets `lost_at` and releases the runs. It does not wait for writes that have locked the
    /// lease for key share, and are not committed.
    TakeoverWithoutLock,
    /// A claim does not look at the lease of its owner.
    ClaimWithoutFence,
    /// A run is claimed by a statement that also reads its journal, in a snapshot from before its lock.
    JournalReadByClaim,
    /// A node goes on with the result of its own execution where the journal has another one.
    OwnResultOnConflict,
    /// The router completes the waits that it finds.
    ConsumedAtDelivery,
    /// A run looks for events before its registration is committed, and not after.
    EventsReadFirst,
    /// A run looks only for events whose ids are above those that it has consumed.
    EventsByCursor,
    /// A run that leaves does not compare `wakes` with what it has seen.
    LeaveIgnoresWakes,
    /// Nothing refuses an event that another wait of the run has consumed.
    NoUniqueConsumption,
    /// A transaction step reads the row of its run from its snapshot, as other writes of the journal do.
    TransactionWithoutRunLock,
    /// A wait is completed whether or not it is over.
    WaitCompletedTwice,
    /// A run is completed though a person has asked to cancel it.
    EndIgnoresRequest,
    /// A run is completed though its owner has begun to cancel it.
    EndIgnoresEnding,
    /// A request to cancel does not add to `wakes`.
    RequestDoesNotWake,
    /// A node that has lost the answer of a write may go on with another write.
    GoesOnWithoutAnswer,
    /// A node does not look for runs that it owns and does not execute.
    NothingGivenBack,
}

/// How often what disturbs may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct WorkflowBudget {
    /// A node loses its memory, and begins a new lease. Its writes may still be executed.
    crashes: u8,
    /// A node loses the answer of a write, which may be executed later, or never, or of a claim.
    disconnects: u8,
    /// The actor of a run crashes, and its node forgets the run.
    forgotten: u8,
    /// A lease is taken over, whether or not its node is alive.
    takeovers: u8,
    /// A person asks to cancel a run.
    cancels: u8,
    /// A person terminates a run.
    terminations: u8,
}

/// What a run does at a position. Waits that follow each other wait at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StepKind {
    Step,
    /// A step whose effect and record are one transaction.
    Transaction,
    Wait,
}

/// Which events are emitted, at any time and in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Emission {
    None,
    /// One, which is routed before anything else happens.
    Before,
    One,
    Two,
}

/// What is explored.
#[derive(Debug, Clone)]
struct Workflows {
    runs: usize,
    program: &'static [StepKind],
    emission: Emission,
    /// The waits have a timeout.
    timeout: bool,
    budget: WorkflowBudget,
    flaw: Option<WorkflowFlaw>,
    properties: Vec<&'static str>,
}

/// Rows of the journal by position.
type WaitRows = [Option<JournalRow>; POSITIONS];

/// What a node writes about a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum RunWrite {
    /// The step at this position was executed.
    Record(usize),
    /// The transaction of the step at this position.
    Commit(usize),
    Register(usize),
    /// The waits at these positions are over, by these rows.
    Complete(WaitRows),
    Leave,
    BeginCancel,
    End(RunEnd),
}

/// A write that was sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct WriteStatement {
    write: RunWrite,
    run: usize,
    fence: RunFence,
    /// What its sender has seen of `wakes`.
    wakes_seen: u8,
    /// The node that waits for the answer, if it still does.
    waiting: Option<usize>,
    /// The run had this owner and claim when the write was sent, and so has it in a snapshot from then.
    was_owned: bool,
    /// The lease was alive then.
    was_alive: bool,
    /// It has locked the lease, which was alive.
    has_lock: bool,
}

impl fmt::Debug for WriteStatement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of run {}, {:?}, ", self.write, self.run, self.fence)?;
        match self.waiting {
            Some(node) => write!(f, "node {node} waits"),
            None => f.write_str("nobody waits"),
        }
    }
}

/// Which snapshot a write has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteSnapshot {
    /// From when the write was sent.
    Old,
    /// From when the write is executed.
    New,
}

/// What a node knows of a position of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum KnownRow {
    Nothing,
    Waiting,
    Ended,
    Consumed(usize),
}

/// The write that an activation has sent last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum SentWrite {
    None,
    /// The node waits for the answer.
    Waits(RunWrite),
    /// The answer is lost: the node sends the same write again.
    Unanswered(RunWrite),
}

/// A run that a node executes, or believes to own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Activation {
    fence: RunFence,
    wakes_seen: u8,
    /// Positions that the journal had recorded when the run was claimed: bit `p` for position `p`.
    recorded_before: u8,
    /// The journal, when it is loaded.
    journal: Option<[KnownRow; POSITIONS]>,
    /// Events that the run has found, after it has registered its waits.
    events: Option<u8>,
    cancel_requested: bool,
    is_cancelling: bool,
    sent: SentWrite,
}

/// What a node of workflows remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct OwnerMemory {
    owner: usize,
    runs: [Option<Activation>; RUNS],
    /// What the statement saw that claims a run and reads its journal.
    early_journal: [Option<[KnownRow; POSITIONS]>; RUNS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct WorkflowState {
    tables: WorkflowTables,
    nodes: [OwnerMemory; NODES],
    writes: [Option<WriteStatement>; WRITES_MAX],
    router: Option<RouterSnapshot>,
    budget: WorkflowBudget,
    /// A person was answered that the run will be cancelled.
    cancel_acknowledged: [bool; RUNS],
    faults: ProtocolFaults,
}

/// What must never happen, and has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
struct ProtocolFaults {
    step_repeated: bool,
    result_differs: bool,
    late_write: bool,
    late_effect: bool,
    wait_completed_twice: bool,
    ended_twice: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WorkflowAction {
    Emit {
        event: usize,
    },
    RouterReads,
    RouterWrites,
    TimeoutPasses {
        run: usize,
    },
    /// The lease of this owner is taken over.
    TakeOver {
        owner: usize,
    },
    Release {
        owner: usize,
    },
    /// A node that has lost its lease forgets its runs, and begins a new one.
    NewLease {
        node: usize,
    },
    ReadEarly {
        node: usize,
        run: usize,
    },
    /// A node claims a run; without an answer it does not know about it.
    Claim {
        node: usize,
        run: usize,
        answered: bool,
    },
    LoadJournal {
        node: usize,
        run: usize,
    },
    FindEvents {
        node: usize,
        run: usize,
    },
    LearnOfRequest {
        node: usize,
        run: usize,
    },
    /// A node has executed a step, or decided on something else, and sends the write.
    Send {
        node: usize,
        run: usize,
        write: RunWrite,
    },
    LockLease(WriteStatement),
    Execute(WriteStatement, WriteSnapshot),
    /// A node loses the answer of a write.
    Disconnect(WriteStatement),
    /// A write whose node does not wait any more is never executed.
    Vanish(WriteStatement),
    Forget {
        node: usize,
        run: usize,
    },
    /// A node gives back a run that it owns and does not execute.
    GiveBack {
        node: usize,
        run: usize,
    },
    Crash {
        node: usize,
    },
    RequestCancel {
        run: usize,
    },
    Terminate {
        run: usize,
    },
}

impl Model for Workflows {
    type State = WorkflowState;
    type Action = WorkflowAction;

    fn init_states(&self) -> Vec<WorkflowState> {
        let mut tables = WorkflowTables::new(self.runs);
        if self.emission == Emission::Before {
            tables.events[0] = Some(EventRow { routed: true });
        }
        let nodes = std::array::from_fn(|_| OwnerMemory::new(tables.begin_lease().unwrap_or(LEASES)));
        vec![WorkflowState {
            tables,
            nodes,
            writes: [None; WRITES_MAX],
            router: None,
            budget: self.budget,
            cancel_acknowledged: [false; RUNS],
            faults: ProtocolFaults::default(),
        }]
    }

    fn actions(&self, state: &WorkflowState, actions: &mut Vec<WorkflowAction>) {
        for node in 0..NODES {
            for run in 0..self.runs {
                match &state.nodes[node].runs[run] {
                    None => self.unclaimed_actions(state, node, run, actions),
                    Some(activation) => self.activation_actions(state, node, run, activation, actions),
                }
            }
            let owner = state.nodes[node].owner;
            let can_begin = state.tables.leases.contains(&OwnerLease::Unused);
            if !state.tables.is_alive(owner) && can_begin {
                actions.push(WorkflowAction::NewLease { node });
            }
            if state.budget.crashes > 0 && can_begin && state.nodes[node].runs != [None; RUNS] {
                actions.push(WorkflowAction::Crash { node });
            }
        }
        state.writes.iter().flatten().for_each(|sent| self.write_actions(state, *sent, actions));
        self.event_actions(state, actions);
        self.outside_actions(state, actions);
    }

    fn next_state(&self, last: &WorkflowState, action: WorkflowAction) -> Option<WorkflowState> {
        let mut state = *last;
        match action {
            WorkflowAction::Emit { event } => state.tables.events[event] = Some(EventRow { routed: false }),
            WorkflowAction::RouterReads => state.router = Some(state.tables.read_for_router()),
            WorkflowAction::RouterWrites => state.route(self.flaw)?,
            WorkflowAction::TimeoutPasses { run } => state.tables.timeout_passed[run] = true,
            WorkflowAction::TakeOver { owner } => state.take_over(owner, self.flaw),
            WorkflowAction::Release { owner } => state.tables.release(owner),
            WorkflowAction::NewLease { node } => state.begin_lease(node)?,
            WorkflowAction::ReadEarly { node, run } => {
                state.nodes[node].early_journal[run] = Some(state.known_journal(run));
            }
            WorkflowAction::Claim { node, run, answered } => state.claim(node, run, answered)?,
            WorkflowAction::LoadJournal { node, run } => {
                let known = state.known_journal(run);
                let activation = state.nodes[node].runs[run].as_mut()?;
                (activation.journal, activation.events) = (Some(known), None);
            }
            WorkflowAction::FindEvents { node, run } => state.find_events(node, run, self.flaw)?,
            WorkflowAction::LearnOfRequest { node, run } => {
                state.nodes[node].runs[run].as_mut()?.cancel_requested = true;
            }
            WorkflowAction::Send { node, run, write } => state.send(node, run, write)?,
            WorkflowAction::LockLease(sent) => state.lock_lease(sent),
            WorkflowAction::Execute(sent, snapshot) => state.execute(sent, snapshot, self.flaw),
            WorkflowAction::Disconnect(sent) => state.disconnect(sent, self.flaw),
            WorkflowAction::Vanish(sent) => state.remove(sent),
            WorkflowAction::Forget { node, run } => {
                state.budget.forgotten -= 1;
                state.forget(node, run);
            }
            WorkflowAction::GiveBack { node, run } => {
                let is_late = state.nodes[node].runs[run].is_some();
                state.budget.disconnects -= u8::from(is_late);
                state.tables.give_back(run, state.nodes[node].owner);
            }
            WorkflowAction::Crash { node } => {
                state.budget.crashes -= 1;
                state.begin_lease(node)?;
            }
            WorkflowAction::RequestCancel { run } => {
                state.budget.cancels -= 1;
                let wakes = self.flaw != Some(WorkflowFlaw::RequestDoesNotWake);
                state.cancel_acknowledged[run] = state.tables.request_cancel(run, wakes);
            }
            WorkflowAction::Terminate { run } => {
                state.budget.terminations -= 1;
                state.end(run, RunEnd::Terminated);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = properties::all();
        properties.retain(|property| self.properties.contains(&property.name));
        properties
    }
}
