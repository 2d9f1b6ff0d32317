//! What must hold in every state, what some state must show, and which states are equal.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use stateright::Property;

use super::database::{Fence, HistoryRow, JOBS, JobRow, LEASES, QueueRow, Return};
use super::queue::{NODES, NodeMemory, Queue, QueueState, Rescue, Write};

pub(super) const ONE_PLACE: &str = "a job is in one place";
const ONE_FINISH: &str = "a finish is accepted, and its effect committed, at most once";
const NOTHING_LOST: &str = "every job can still be finished";
const ATTEMPTS: &str = "no attempt is beyond the maximum";
const ONE_START: &str = "a job with one attempt starts at most once";
pub(super) const CANCEL: &str = "a cancel finds every job that has not ended";

/// What holds in every state of the protocol.
pub(super) const PROMISES: &[&str] = &[ONE_PLACE, ONE_FINISH, NOTHING_LOST, ATTEMPTS, ONE_START, CANCEL];

pub(super) const SUCCESS: &str = "all jobs succeed";
pub(super) const DEAD_LETTER: &str = "a job has spent its attempts";
pub(super) const LATE_FINISH: &str = "a finish comes when another may hold the job";
pub(super) const RESCUE_OF_FINISHED: &str = "a rescuer finds a finished job in a lease";

/// The promises, and examples that prove that something happens.
pub(super) fn all() -> Vec<Property<Queue>> {
    vec![
        Property::always(ONE_PLACE, |_, state: &QueueState| {
            (0..state.dispatched).all(|job| state.database.places(job) == 1)
        }),
        Property::always(ONE_FINISH, |_, state: &QueueState| {
            state.lives.iter().all(|life| life.finishes <= 1)
        }),
        Property::always(NOTHING_LOST, |_, state: &QueueState| state.database.recovers(state.dispatched)),
        Property::always(ATTEMPTS, |_, state: &QueueState| (0..JOBS).all(|job| attempts_fit(state, job))),
        Property::always(ONE_START, |_, state: &QueueState| state.lives.iter().all(|life| life.starts <= 1)),
        Property::always(CANCEL, |_, state: &QueueState| !state.cancel_missed),
        Property::sometimes(SUCCESS, |_, state: &QueueState| {
            state.database.history == [Some(HistoryRow::Completed); JOBS]
        }),
        Property::sometimes(DEAD_LETTER, |_, state: &QueueState| {
            let max = state.database.attempts_max;
            let is_spent =
                |(row, max)| matches!(row, Some(HistoryRow::Unsuccessful(row)) if row.attempt == max);
            state.database.history.into_iter().zip(max).any(is_spent)
        }),
        Property::sometimes(LATE_FINISH, |_, state: &QueueState| {
            state
                .statements
                .iter()
                .any(|sent| sent.write == Write::Finish && !state.is_present(sent.job, sent.fence))
        }),
        Property::sometimes(RESCUE_OF_FINISHED, |_, state: &QueueState| {
            let Some(Rescue::Locked(slot)) = state.rescue else { return false };
            let lease = &state.database.leases[slot];
            lease.is_some_and(|lease| {
                (0..JOBS).any(|job| lease.carried(job).is_some() && state.database.is_in_history(job))
            })
        }),
    ]
}

fn attempts_fit(state: &QueueState, job: usize) -> bool {
    let max = state.database.attempts_max[job];
    let in_queue = match state.database.queue[job] {
        Some(QueueRow::Waiting(row)) => row.attempt < max,
        Some(QueueRow::Claimed { row, begun, .. }) => row.attempt + u8::from(!begun) <= max,
        None => true,
    };
    in_queue
        && state.database.leases.iter().flatten().all(|lease| {
            // The handler of a job in a lease has started without a write. Its attempt is not the last one.
            lease.carried(job).is_none_or(|row| row.attempt + 1 < max)
        })
}

/// States that differ in nothing but the names of nodes and of equal jobs, and in the numbers of claims that
/// no row has any more, have one hash: the checker explores one of them.
impl Hash for QueueState {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let [first, second] = &self.nodes;
        let encoded = match first.summary().cmp(&second.summary()) {
            Ordering::Less => self.encoded([0, 1]),
            Ordering::Greater => self.encoded([1, 0]),
            Ordering::Equal => self.encoded([0, 1]).min(self.encoded([1, 0])),
        };
        encoded.hash(hasher);
    }
}

impl NodeMemory {
    /// Orders most nodes without a look at which jobs they hold.
    fn summary(&self) -> (Option<Option<usize>>, usize) {
        (self.lease, self.holds.iter().flatten().count())
    }
}

type Encoded = ([Code; JOBS], Code);

/// A number made of small ones.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Code(u128);

impl Code {
    fn push(&mut self, value: usize, values: usize) {
        debug_assert!(value < values, "{value} of {values}");
        self.0 = self.0 * values as u128 + value as u128;
    }
}

impl QueueState {
    /// The state with the nodes in this order and the jobs in the order of their codes.
    fn encoded(&self, order: [usize; NODES]) -> Encoded {
        let mut jobs: [Code; JOBS] = std::array::from_fn(|job| self.encoded_job(job, order));
        jobs.sort_unstable();
        let mut rest = Code(0);
        for lease in &self.database.leases {
            rest.push(lease.map_or(0, |lease| 1 + usize::from(lease.expired)), 3);
        }
        for node in order {
            let NodeMemory { lease, believes_fresh, .. } = &self.nodes[node];
            rest.push(lease.map_or(0, |slot| 1 + slot.map_or(0, |slot| 1 + slot)), 2 + LEASES);
            rest.push(usize::from(*believes_fresh), 2);
        }
        let rescue = match self.rescue {
            None => 0,
            Some(Rescue::Locked(slot)) => 1 + slot,
            Some(Rescue::Snapshot { slot, .. }) => 1 + LEASES + slot,
        };
        rest.push(rescue, 1 + 2 * LEASES);
        rest.push(usize::from(self.cancel_missed), 2);
        let budget = &self.budget;
        for left in [
            budget.crashes,
            budget.disconnects,
            budget.forgotten,
            budget.expiries,
            budget.returns,
            budget.cancels,
            budget.retries,
            budget.deletions,
        ] {
            rest.push(usize::from(left), 8);
        }
        (jobs, rest)
    }

    /// All that concerns one job.
    fn encoded_job(&self, job: usize, order: [usize; NODES]) -> Code {
        let mut code = Code(0);
        code.push(usize::from(self.database.attempts_max[job]), 4);
        code.push(usize::from(job < self.dispatched), 2);
        let (place, row) = match self.database.queue[job] {
            None => (0, None),
            Some(QueueRow::Waiting(row)) => (1, Some(row)),
            Some(QueueRow::Claimed { row, begun, expired }) => {
                (2 + usize::from(begun) + 2 * usize::from(expired), Some(row))
            }
        };
        code.push(place, 6);
        push_row(&mut code, row);
        let (history, row) = match self.database.history[job] {
            None => (0, None),
            Some(HistoryRow::Completed) => (1, None),
            Some(HistoryRow::Deleted) => (2, None),
            Some(HistoryRow::Unsuccessful(row)) => (3, Some(row)),
        };
        code.push(history, 4);
        push_row(&mut code, row);
        for lease in &self.database.leases {
            let gone = lease.is_some_and(|lease| lease.gone[job]);
            code.push(usize::from(gone), 2);
            push_row(&mut code, lease.and_then(|lease| lease.carried(job)));
        }
        let is_seen =
            matches!(self.rescue, Some(Rescue::Snapshot { history, .. }) if history & 1 << job != 0);
        code.push(usize::from(is_seen), 2);
        let life = self.lives[job];
        code.push(usize::from(life.finishes), 3);
        code.push(usize::from(life.starts), 3);
        let cancel = self.cancel.filter(|cancel| cancel.job == job);
        let seen =
            cancel.map_or(0, |cancel| 1 + cancel.lease.map_or(0, |slot| 1 + slot.map_or(0, |slot| 1 + slot)));
        code.push(seen, 3 + LEASES);
        for node in order {
            let hold = self.nodes[node].holds[job];
            let phase = hold.map_or(0, |hold| 1 + usize::from(hold.runs) + 2 * usize::from(hold.waits));
            code.push(phase, 5);
            code.push(usize::from(self.nodes[node].unanswered[job]), 2);
            code.push(hold.map_or(0, |hold| self.fence_number(job, hold.fence)), 3 + LEASES);
        }
        let mut statements: Vec<usize> = self
            .statements
            .iter()
            .filter(|sent| sent.job == job)
            .map(|sent| {
                let node = sent.waiting.and_then(|node| order.iter().position(|other| *other == node));
                let fence = self.fence_number(job, sent.fence);
                let sender = node.map_or(0, |node| 1 + node);
                let snapshot = sent
                    .snapshot
                    .map_or(0, |seen| 1 + usize::from(seen.is_held) + 2 * usize::from(seen.is_in_history));
                1 + number(sent.write) + 4 * (fence + (3 + LEASES) * (sender + 3 * snapshot))
            })
            .collect();
        statements.sort_unstable();
        for index in 0..2 {
            code.push(statements.get(index).copied().unwrap_or(0), 4 * (3 + LEASES) * 15 + 1);
        }
        code
    }

    /// A claim is the present one or an old one, and none comes back.
    fn fence_number(&self, job: usize, fence: Fence) -> usize {
        match fence {
            Fence::Lease(slot) => slot.map_or(0, |slot| 1 + slot),
            Fence::Claim(_) => 1 + LEASES + usize::from(self.is_present(job, fence)),
        }
    }

    /// Whether the lease still exists, or the claim is the newest one and still holds the row.
    fn is_present(&self, job: usize, fence: Fence) -> bool {
        match (fence, self.database.queue[job]) {
            (Fence::Lease(slot), _) => slot.is_some(),
            (Fence::Claim(claim), Some(QueueRow::Claimed { row, .. })) => row.claim == claim,
            (Fence::Claim(_), Some(QueueRow::Waiting(_)) | None) => false,
        }
    }
}

fn number(write: Write) -> usize {
    match write {
        Write::Begin => 0,
        Write::Finish => 1,
        Write::Return(Return::Failed) => 2,
        Write::Return(Return::Given) => 3,
    }
}

fn push_row(code: &mut Code, row: Option<JobRow>) {
    code.push(row.map_or(0, |row| 1 + usize::from(row.attempt) * 2 + usize::from(row.was_lost)), 9);
}
