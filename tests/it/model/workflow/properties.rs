//! What must hold in every state, what some state must show, and which states are equal.

use std::hash::{Hash, Hasher};

use stateright::Property;

use super::database::{JournalRow, LEASES, OwnerLease, RUNS, RunEnd, RunFence};
use super::{NODES, WorkflowState, Workflows, WriteStatement};

pub(super) const STEP_ONCE: &str = "a step that was recorded before a claim is not executed under it";
pub(super) const ONE_RESULT: &str = "a run goes on with the result that its journal has";
pub(super) const FENCED: &str = "no owner writes after its lease was taken over";
pub(super) const CONSUMED_ONCE: &str = "an event is consumed at most once by a run";
pub(super) const EFFECT: &str = "a transaction step commits while its run has the owner and the claim";
pub(super) const ONE_OUTCOME: &str = "a wait is over once, by an event or by its timeout";
pub(super) const WAKES: &str = "a run that can go on is due, or will be";
pub(super) const ONE_END: &str = "a run ends once";
pub(super) const CANCEL_COUNTS: &str = "a run that a person was answered will be cancelled is not completed";

/// What holds in every state of the protocol.
pub(super) const PROMISES: &[&str] =
    &[STEP_ONCE, ONE_RESULT, FENCED, EFFECT, CONSUMED_ONCE, ONE_OUTCOME, WAKES, ONE_END, CANCEL_COUNTS];

pub(super) const COMPLETED: &str = "all runs are completed";
pub(super) const BY_EVENT: &str = "a run is completed that has consumed an event";
pub(super) const BY_TIMEOUT: &str = "a run is completed that has timed out";
pub(super) const BY_BOTH: &str = "a run is completed whose waits have got an event and a timeout";
pub(super) const BY_TWO: &str = "a run is completed that has consumed two events";
pub(super) const CANCELLED: &str = "a run is cancelled";
pub(super) const TERMINATED: &str = "a run is terminated";
pub(super) const TAKEN_OVER: &str =
    "a run is completed after a takeover, with a step that an earlier claim has recorded";
pub(super) const LATE_WRITE: &str = "a write comes of which the lease was taken over";
pub(super) const ROUTED_FIRST: &str = "an event is routed before any run waits for it";
pub(super) const WOKEN: &str = "an event makes a run due that has left its owner";
pub(super) const EVENT_AT_LEAVE: &str = "an event is routed while the run that waits for it leaves";

/// The promises, and examples that prove that something happens.
pub(super) fn all() -> Vec<Property<Workflows>> {
    let mut properties = promises();
    properties.extend(examples());
    properties
}

fn promises() -> Vec<Property<Workflows>> {
    vec![
        Property::always(STEP_ONCE, |_, state: &WorkflowState| !state.faults.step_repeated),
        Property::always(ONE_RESULT, |_, state: &WorkflowState| !state.faults.result_differs),
        Property::always(FENCED, |_, state: &WorkflowState| !state.faults.late_write),
        Property::always(EFFECT, |_, state: &WorkflowState| !state.faults.late_effect),
        Property::always(CONSUMED_ONCE, |_, state: &WorkflowState| {
            state.tables.journal.iter().all(|journal| {
                let events = || journal.iter().flatten().filter(|row| is_event(row));
                events().all(|event| events().filter(|other| *other == event).count() == 1)
            })
        }),
        Property::always(ONE_OUTCOME, |_, state: &WorkflowState| !state.faults.wait_completed_twice),
        Property::always(WAKES, |model: &Workflows, state: &WorkflowState| {
            (0..model.runs).all(|run| state.can_go_on(run, model.flaw))
        }),
        Property::always(ONE_END, |_, state: &WorkflowState| !state.faults.ended_twice),
        Property::always(CANCEL_COUNTS, |_, state: &WorkflowState| {
            (0..RUNS).all(|run| !state.cancel_acknowledged[run] || !state.has_ended(run, RunEnd::Completed))
        }),
    ]
}

fn examples() -> Vec<Property<Workflows>> {
    vec![
        Property::sometimes(COMPLETED, |model: &Workflows, state: &WorkflowState| {
            (0..model.runs).all(|run| state.has_ended(run, RunEnd::Completed))
        }),
        Property::sometimes(BY_EVENT, |_, state: &WorkflowState| state.completed_with(is_event) == 1),
        Property::sometimes(BY_TIMEOUT, |_, state: &WorkflowState| state.completed_with(is_timeout) == 1),
        Property::sometimes(BY_BOTH, |_, state: &WorkflowState| {
            state.completed_with(is_event) == 1 && state.completed_with(is_timeout) == 1
        }),
        Property::sometimes(BY_TWO, |_, state: &WorkflowState| state.completed_with(is_event) == 2),
        Property::sometimes(CANCELLED, |_, state: &WorkflowState| state.has_ended(0, RunEnd::Cancelled)),
        Property::sometimes(TERMINATED, |_, state: &WorkflowState| state.has_ended(0, RunEnd::Terminated)),
        Property::sometimes(TAKEN_OVER, |_, state: &WorkflowState| {
            let ended = state.tables.history[0].filter(|ended| ended.end == RunEnd::Completed);
            ended.is_some_and(|ended| {
                let is_earlier =
                    |row: &JournalRow| matches!(row, JournalRow::Recorded { claim } if *claim < ended.claim);
                let is_lost = state.tables.leases.contains(&OwnerLease::Released);
                is_lost && state.tables.journal[0].iter().flatten().any(is_earlier)
            })
        }),
        Property::sometimes(LATE_WRITE, |_, state: &WorkflowState| {
            let mut writes = state.writes.iter().flatten();
            writes.any(|sent| sent.was_owned && !state.tables.is_alive(sent.fence.owner))
        }),
        Property::sometimes(ROUTED_FIRST, |_, state: &WorkflowState| {
            let is_routed = state.tables.events[0].is_some_and(|event| event.routed);
            is_routed && state.tables.journal == [[None; super::POSITIONS]; RUNS]
        }),
        Property::sometimes(WOKEN, |_, state: &WorkflowState| {
            let is_idle = state.writes == [None; super::WRITES_MAX];
            is_idle && state.tables.events[0].is_some() && state.tables.waits(0) && state.tables.is_due(0)
        }),
        Property::sometimes(EVENT_AT_LEAVE, |_, state: &WorkflowState| {
            state.writes.iter().flatten().any(|sent| {
                let row = state.tables.owned(sent.run, sent.fence);
                sent.write == super::RunWrite::Leave && row.is_some_and(|row| row.wakes != sent.wakes_seen)
            })
        }),
    ]
}

fn is_event(row: &JournalRow) -> bool {
    matches!(row, JournalRow::Event(_))
}

fn is_timeout(row: &JournalRow) -> bool {
    *row == JournalRow::Timeout
}

impl WorkflowState {
    fn has_ended(&self, run: usize, end: RunEnd) -> bool {
        self.tables.history[run].is_some_and(|ended| ended.end == end)
    }

    /// How many such rows the journal of a completed run has, of the one with most of them.
    fn completed_with(&self, is_such: impl Fn(&JournalRow) -> bool) -> usize {
        let completed = (0..RUNS).filter(|run| self.has_ended(*run, RunEnd::Completed));
        let rows =
            completed.map(|run| self.tables.journal[run].iter().flatten().filter(|row| is_such(row)).count());
        rows.max().unwrap_or(0)
    }
}

/// States that differ in nothing but the names of nodes and leases, and in numbers of which only the order
/// counts, have one hash: the checker explores one of them.
impl Hash for WorkflowState {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let plain = self.normalized([0, 1]);
        plain.min(self.normalized([1, 0])).encode(hasher);
    }
}

/// Leases that have names of their own.
const NAMED: usize = NODES;

impl WorkflowState {
    fn encode<H: Hasher>(&self, hasher: &mut H) {
        self.tables.hash(hasher);
        self.nodes.hash(hasher);
        self.writes.hash(hasher);
        self.router.hash(hasher);
        self.budget.hash(hasher);
        self.cancel_acknowledged.hash(hasher);
        self.faults.hash(hasher);
    }

    /// The state with the nodes in this order.
    fn normalized(&self, order: [usize; NODES]) -> Self {
        let mut state = *self;
        state.nodes = order.map(|node| self.nodes[node]);
        for sent in state.writes.iter_mut().flatten() {
            sent.waiting = sent.waiting.and_then(|node| order.iter().position(|other| *other == node));
        }
        state.rename_leases();
        (0..RUNS).for_each(|run| state.renumber(run));
        state.writes.sort_unstable();
        state
    }

    /// The leases of the nodes come first, then those that are alive and have no node, and all others, which
    /// are lost, are one.
    fn rename_leases(&mut self) {
        let leases = self.tables.leases;
        let owners: [usize; NODES] = std::array::from_fn(|node| self.nodes[node].owner);
        let rename = |owner: usize| match owners.iter().position(|other| *other == owner) {
            Some(node) => node,
            None if leases[owner] == OwnerLease::Alive => NAMED,
            None if leases[owner] == OwnerLease::Lost => NAMED + 1,
            None => NAMED + 2,
        };
        self.for_each_fence(|fence| fence.owner = rename(fence.owner));
        for row in self.tables.runs.iter_mut().flatten() {
            row.owner = row.owner.map(rename);
        }
        for (node, memory) in self.nodes.iter_mut().enumerate() {
            memory.owner = node;
        }
        let mut others: Vec<_> = (0..LEASES).filter(|owner| !owners.contains(owner)).collect();
        others.sort_unstable_by_key(|owner| leases[*owner]);
        let all = owners.into_iter().chain(others);
        for (place, owner) in self.tables.leases.iter_mut().zip(all) {
            *place = leases[owner];
        }
    }

    fn for_each_fence(&mut self, mut change: impl FnMut(&mut RunFence)) {
        for memory in &mut self.nodes {
            memory.runs.iter_mut().flatten().for_each(|activation| change(&mut activation.fence));
        }
        self.writes.iter_mut().flatten().for_each(|sent| change(&mut sent.fence));
    }

    /// Of claims, the order counts, and of `wakes`, whether they are those that were seen.
    fn renumber(&mut self, run: usize) {
        let mut used = 0_u64;
        self.for_each_claim(run, |claim| used |= 1 << *claim);
        self.for_each_claim(run, |claim| *claim = (used & ((1 << *claim) - 1)).count_ones() as u8);
        let wakes = self.tables.runs[run].map_or(0, |row| row.wakes);
        for memory in &mut self.nodes {
            if let Some(activation) = &mut memory.runs[run] {
                activation.wakes_seen = u8::from(activation.wakes_seen == wakes);
            }
        }
        for WriteStatement { wakes_seen, .. } in
            self.writes.iter_mut().flatten().filter(|sent| sent.run == run)
        {
            *wakes_seen = u8::from(*wakes_seen == wakes);
        }
        if let Some(row) = &mut self.tables.runs[run] {
            row.wakes = 0;
        }
    }

    fn for_each_claim(&mut self, run: usize, mut change: impl FnMut(&mut u8)) {
        for row in &mut self.tables.journal[run] {
            if let Some(JournalRow::Recorded { claim }) = row {
                change(claim);
            }
        }
        if let Some(row) = &mut self.tables.runs[run] {
            change(&mut row.claim);
        }
        if let Some(ended) = &mut self.tables.history[run] {
            change(&mut ended.claim);
        }
        for memory in &mut self.nodes {
            memory.runs[run].iter_mut().for_each(|activation| change(&mut activation.fence.claim));
        }
        for sent in self.writes.iter_mut().flatten().filter(|sent| sent.run == run) {
            change(&mut sent.fence.claim);
        }
    }
}
