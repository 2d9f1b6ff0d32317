//! The model of the queue: two nodes, their statements under way, a rescuer, a person.

use std::fmt;

use stateright::{Model, Property};

use super::database::{Database, Fence, HistoryRow, HistorySnapshot, JOBS, LEASES, QueueRow, Return};

pub(super) const NODES: usize = 2;
/// Statements that are sent and not executed, at most.
const STATEMENTS_MAX: usize = 2;

/// A fault that is put into the protocol, so that the checker can show that it finds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A finish does not look at the lease.
    NoFence,
    /// A finish is sent while the node's own clock says that the lease lasts, and does not look at the lease.
    NodeClock,
    /// A rescue returns the jobs that are finished, too.
    RescueWithoutHistory,
    /// A rescue locks the lease and reads the history in one statement, and so in one snapshot.
    RescueInOneStatement,
    /// A job that is given back, or failed, is not looked for in the history.
    ReturnWithoutHistory,
    /// It is looked for in the statement that locks the lease, and so in a snapshot from before the lock.
    ReturnInOneStatement,
    /// Old history is deleted under a lease that carries the job.
    HistoryDeletedUnderLease,
    /// A finish reads the lease without a lock, or what takes a job out of the lease has no lock that a
    /// finish waits for.
    FinishWithoutLock,
    /// A node deletes its lease when it holds none of its jobs any more, though it has lost one.
    LeaseDeletedWithoutAnswers,
    /// A cancel that did not find the job where its snapshot saw it takes the job for finished.
    CancelOnce,
}

/// How often what disturbs may happen in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Budget {
    /// A node loses its memory; its statements may still be executed.
    pub(super) crashes: u8,
    /// A node loses the answer of a statement, which may be executed later, or never.
    pub(super) disconnects: u8,
    /// An actor that holds a job crashes, and its node forgets the job.
    pub(super) forgotten: u8,
    /// A lease runs out.
    pub(super) expiries: u8,
    /// An attempt fails, or a node gives a job back.
    pub(super) returns: u8,
    /// A person cancels a job.
    pub(super) cancels: u8,
    /// A person has a job without success run again.
    pub(super) retries: u8,
    /// Old history of a job is deleted.
    pub(super) deletions: u8,
}

/// What is explored.
#[derive(Debug, Clone)]
pub(super) struct Queue {
    /// Attempts of each job; a job with one is never claimed in a batch.
    pub(super) attempts_max: [u8; JOBS],
    pub(super) budget: Budget,
    pub(super) flaw: Option<Flaw>,
    /// The names of the properties to check.
    pub(super) properties: Vec<&'static str>,
}

/// A job that a node holds, or believes to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hold {
    pub(super) fence: Fence,
    /// Its handler runs, or waits for a worker: that of a batch needs no write to start.
    pub(super) runs: bool,
    /// A write about the job is under way, and the node waits for the answer.
    pub(super) waits: bool,
}

/// What a node remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeMemory {
    pub(super) holds: [Option<Hold>; JOBS],
    /// Its batch lease, and in which slot that is while it exists.
    pub(super) lease: Option<Option<usize>>,
    /// Jobs of its batch lease of which no answer says that they have left it.
    pub(super) unanswered: [bool; JOBS],
    /// By its own clock, its leases last.
    pub(super) believes_fresh: bool,
}

/// What a statement writes about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Write {
    /// The attempt of a claimed row begins.
    Begin,
    /// The handler has succeeded. With `ctx.commit`, its effect is a part of the transaction.
    Finish,
    Return(Return),
}

/// A statement that was sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Statement {
    pub(super) write: Write,
    pub(super) job: usize,
    pub(super) fence: Fence,
    /// The node that waits for the answer, if it still does.
    pub(super) waiting: Option<usize>,
    /// What it sees, when its snapshot is older than its locks.
    pub(super) snapshot: Option<JobSnapshot>,
}

/// What a snapshot shows of one job.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct JobSnapshot {
    pub(super) is_held: bool,
    pub(super) is_in_history: bool,
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { write, job, fence, waiting, .. } = self;
        write!(f, "{write:?} of job {job}, fence {fence:?}, ")?;
        match waiting {
            Some(node) => write!(f, "node {node} waits"),
            None => f.write_str("nobody waits"),
        }
    }
}

/// The transaction of a rescuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rescue {
    /// Its first statement has locked the expired lease in this slot.
    Locked(usize),
    /// Its only statement has its snapshot, and waits for its turn.
    Snapshot { slot: usize, history: HistorySnapshot },
}

/// A cancel whose snapshot is taken, and where that saw the job: in a lease, or in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cancel {
    pub(super) job: usize,
    pub(super) lease: Option<Option<usize>>,
}

/// What happened to a job in its present life, which began with its dispatch or a person's retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct JobLife {
    /// Finishes that were accepted, each with its effect.
    pub(super) finishes: u8,
    /// Counted for jobs with one attempt alone.
    pub(super) starts: u8,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct QueueState {
    pub(super) database: Database,
    pub(super) dispatched: usize,
    pub(super) nodes: [NodeMemory; NODES],
    pub(super) statements: Vec<Statement>,
    pub(super) rescue: Option<Rescue>,
    pub(super) cancel: Option<Cancel>,
    pub(super) lives: [JobLife; JOBS],
    pub(super) budget: Budget,
    /// A cancel answered that the job had ended, and it had not.
    pub(super) cancel_missed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum QueueAction {
    Dispatch,
    /// A node claims all plain jobs; without an answer it does not know about them.
    ClaimBatch {
        node: usize,
        answered: bool,
    },
    ClaimRow {
        node: usize,
        job: usize,
    },
    Send {
        node: usize,
        job: usize,
        write: Write,
    },
    /// A statement takes its snapshot, and then waits for a lock.
    TakeSnapshot(Statement),
    Execute(Statement),
    /// A node loses the answer of a statement.
    Disconnect(Statement),
    /// A statement whose node does not wait any more is never executed.
    Vanish(Statement),
    Renew {
        node: usize,
    },
    /// By the node's clock, its leases have run out.
    DeadlinePasses {
        node: usize,
    },
    /// An actor crashes, and its node forgets the job that the actor held.
    Forget {
        node: usize,
        job: usize,
    },
    /// A node deletes its lease, of which no job is left.
    DeleteLease {
        node: usize,
    },
    Crash {
        node: usize,
    },
    ExpireLease {
        slot: usize,
    },
    ExpireRow {
        job: usize,
    },
    RescueBegins {
        slot: usize,
    },
    RescueEnds,
    RescueRow {
        job: usize,
    },
    CancelReads {
        job: usize,
    },
    CancelWrites,
    Retry {
        job: usize,
    },
    DeleteHistory {
        job: usize,
    },
}

impl NodeMemory {
    pub(super) const EMPTY: Self =
        Self { holds: [None; JOBS], lease: None, unanswered: [false; JOBS], believes_fresh: true };

    pub(super) fn holds_by_lease(&self) -> bool {
        self.holds.iter().flatten().any(|hold| matches!(hold.fence, Fence::Lease(_)))
    }
}

impl Model for Queue {
    type State = QueueState;
    type Action = QueueAction;

    fn init_states(&self) -> Vec<QueueState> {
        vec![QueueState {
            database: Database::new(self.attempts_max),
            dispatched: 0,
            nodes: [NodeMemory::EMPTY; NODES],
            statements: Vec::new(),
            rescue: None,
            cancel: None,
            lives: [JobLife::default(); JOBS],
            budget: self.budget,
            cancel_missed: false,
        }]
    }

    fn actions(&self, state: &QueueState, actions: &mut Vec<QueueAction>) {
        if state.dispatched < JOBS {
            actions.push(QueueAction::Dispatch);
        }
        for node in 0..NODES {
            self.node_actions(state, node, actions);
        }
        self.statement_actions(state, actions);
        self.database_actions(state, actions);
        person_actions(state, actions);
    }

    fn next_state(&self, last: &QueueState, action: QueueAction) -> Option<QueueState> {
        let mut state = last.clone();
        match action {
            QueueAction::Dispatch => {
                state.database.dispatch(state.dispatched);
                state.dispatched += 1;
            }
            QueueAction::ClaimBatch { node, answered } => state.claim_batch(node, answered)?,
            QueueAction::ClaimRow { node, job } => {
                let fence = Fence::Claim(state.database.claim_row(job)?);
                state.nodes[node].holds[job] = Some(Hold { fence, runs: false, waits: false });
            }
            QueueAction::Send { node, job, write } => state.send(node, job, write)?,
            QueueAction::TakeSnapshot(statement) => {
                let Statement { job, fence, .. } = statement;
                let is_held = state.database.is_held(job, fence);
                let is_in_history = state.database.is_in_history(job);
                let snapshot = Some(JobSnapshot { is_held, is_in_history });
                state.remove(statement);
                state.statements.push(Statement { snapshot, ..statement });
            }
            QueueAction::Execute(statement) => state.execute(statement, self.flaw),
            QueueAction::Disconnect(statement) => state.disconnect(statement),
            QueueAction::Vanish(statement) => state.remove(statement),
            QueueAction::Renew { node } => state.renew(node),
            QueueAction::Forget { node, job } => {
                state.budget.forgotten -= 1;
                state.nodes[node].holds[job] = None;
            }
            QueueAction::DeadlinePasses { node } => state.nodes[node].believes_fresh = false,
            QueueAction::DeleteLease { node } => {
                if let Some(slot) = state.nodes[node].lease.take().flatten() {
                    state.database.leases[slot] = None;
                    state.forget_lease(slot);
                }
            }
            QueueAction::Crash { node } => state.crash(node),
            QueueAction::ExpireLease { slot } => {
                state.budget.expiries -= 1;
                state.database.leases[slot].as_mut()?.expired = true;
            }
            QueueAction::ExpireRow { job } => state.expire_row(job),
            QueueAction::RescueBegins { slot } => state.begin_rescue(slot, self.flaw),
            QueueAction::RescueEnds => state.end_rescue(self.flaw)?,
            QueueAction::RescueRow { job } => state.database.rescue_row(job),
            QueueAction::CancelReads { job } => {
                state.budget.cancels -= 1;
                state.cancel = state.look_up(job);
            }
            QueueAction::CancelWrites => state.write_cancel(self.flaw)?,
            QueueAction::Retry { job } => {
                state.budget.retries -= 1;
                state.database.retry(job);
                state.lives[job] = JobLife::default();
            }
            QueueAction::DeleteHistory { job } => {
                state.budget.deletions -= 1;
                state.database.history[job] = Some(HistoryRow::Deleted);
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = super::properties::all();
        properties.retain(|property| self.properties.contains(&property.name));
        properties
    }
}

impl Queue {
    fn node_actions(&self, state: &QueueState, node: usize, actions: &mut Vec<QueueAction>) {
        let memory = &state.nodes[node];
        let database = &state.database;
        if memory.lease.is_none() && (0..JOBS).any(|job| database.plain(job).is_some()) {
            actions.push(QueueAction::ClaimBatch { node, answered: true });
            if state.budget.disconnects > 0 {
                actions.push(QueueAction::ClaimBatch { node, answered: false });
            }
        }
        for job in 0..JOBS {
            let waits = matches!(database.queue[job], Some(QueueRow::Waiting(_)));
            match memory.holds[job] {
                None if waits && database.plain(job).is_none() => {
                    actions.push(QueueAction::ClaimRow { node, job });
                }
                Some(hold) => self.hold_actions(state, node, job, hold, actions),
                None => {}
            }
        }
        if memory.lease.is_some() || memory.holds.iter().flatten().next().is_some() {
            actions.push(QueueAction::Renew { node });
            if state.budget.crashes > 0 {
                actions.push(QueueAction::Crash { node });
            }
            // Only the protocol that trusts the clock behaves differently when the deadline has passed.
            if self.flaw == Some(Flaw::NodeClock) && memory.believes_fresh {
                actions.push(QueueAction::DeadlinePasses { node });
            }
        }
        let lease = memory.lease.flatten().filter(|slot| !state.is_locked(*slot));
        let knows_all = !memory.unanswered.contains(&true);
        let may_delete = match self.flaw {
            Some(Flaw::LeaseDeletedWithoutAnswers) => !memory.holds_by_lease(),
            _ => knows_all,
        };
        if lease.is_some() && may_delete {
            actions.push(QueueAction::DeleteLease { node });
        }
    }

    fn hold_actions(
        &self,
        state: &QueueState,
        node: usize,
        job: usize,
        hold: Hold,
        actions: &mut Vec<QueueAction>,
    ) {
        let may_send = !hold.waits && state.statements.len() < STATEMENTS_MAX;
        let may_return = may_send && state.budget.returns > 0;
        let may_finish = may_send && (self.flaw != Some(Flaw::NodeClock) || state.nodes[node].believes_fresh);
        let mut send = |may: bool, write: Write| {
            if may {
                actions.push(QueueAction::Send { node, job, write });
            }
        };
        if hold.runs {
            send(may_finish, Write::Finish);
            send(may_return, Write::Return(Return::Failed));
        } else {
            send(may_send, Write::Begin);
        }
        send(may_return, Write::Return(Return::Given));
        if !hold.waits && state.budget.forgotten > 0 {
            actions.push(QueueAction::Forget { node, job });
        }
    }

    fn statement_actions(&self, state: &QueueState, actions: &mut Vec<QueueAction>) {
        for &statement in &state.statements {
            let snapshot_first = match statement.write {
                Write::Begin => false,
                Write::Finish => self.flaw == Some(Flaw::FinishWithoutLock),
                Write::Return(_) => self.flaw == Some(Flaw::ReturnInOneStatement),
            };
            if snapshot_first && statement.snapshot.is_none() {
                actions.push(QueueAction::TakeSnapshot(statement));
            } else if !state.waits_for_rescue(statement.fence) {
                actions.push(QueueAction::Execute(statement));
            }
            if statement.waiting.is_none() {
                actions.push(QueueAction::Vanish(statement));
            } else if state.budget.disconnects > 0 {
                actions.push(QueueAction::Disconnect(statement));
            }
        }
    }

    fn database_actions(&self, state: &QueueState, actions: &mut Vec<QueueAction>) {
        for slot in 0..LEASES {
            let Some(lease) = &state.database.leases[slot] else { continue };
            if !lease.expired && state.budget.expiries > 0 {
                actions.push(QueueAction::ExpireLease { slot });
            }
            if lease.expired && state.rescue.is_none() {
                actions.push(QueueAction::RescueBegins { slot });
            }
        }
        if state.rescue.is_some() {
            actions.push(QueueAction::RescueEnds);
        }
        for job in 0..JOBS {
            match state.database.queue[job] {
                Some(QueueRow::Claimed { expired: true, .. }) => {
                    actions.push(QueueAction::RescueRow { job });
                }
                Some(QueueRow::Claimed { expired: false, .. }) if state.budget.expiries > 0 => {
                    actions.push(QueueAction::ExpireRow { job });
                }
                _ => {}
            }
            let completed = state.database.history[job] == Some(HistoryRow::Completed);
            let is_carried = state.database.leases.iter().flatten().any(|lease| lease.carried(job).is_some());
            let is_deletable = !is_carried || self.flaw == Some(Flaw::HistoryDeletedUnderLease);
            if completed && is_deletable && state.budget.deletions > 0 {
                actions.push(QueueAction::DeleteHistory { job });
            }
        }
    }
}

fn person_actions(state: &QueueState, actions: &mut Vec<QueueAction>) {
    match state.cancel {
        Some(Cancel { lease: Some(slot), .. }) if slot.is_some_and(|slot| state.is_locked(slot)) => {}
        Some(_) => actions.push(QueueAction::CancelWrites),
        None if state.budget.cancels > 0 => {
            let here = (0..state.dispatched).filter(|job| state.look_up(*job).is_some());
            actions.extend(here.map(|job| QueueAction::CancelReads { job }));
        }
        None => {}
    }
    if state.budget.retries > 0 {
        let ended = |job: &usize| matches!(state.database.history[*job], Some(HistoryRow::Unsuccessful(_)));
        actions.extend((0..JOBS).filter(ended).map(|job| QueueAction::Retry { job }));
    }
}
