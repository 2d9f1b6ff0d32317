//! What each action does to the tables, the nodes and the writes under way.

use super::database::{EVENTS, JournalRow, Outcome, OwnerLease, POSITIONS, RUNS, RunEnd, WaitGuards};
use super::{
    Activation, KnownRow, NODES, OwnerMemory, RunWrite, SentWrite, WorkflowFlaw, WorkflowState,
    WriteSnapshot, WriteStatement,
};

impl OwnerMemory {
    pub(super) fn new(owner: usize) -> Self {
        Self { owner, runs: [None; RUNS], early_journal: [None; RUNS] }
    }
}

impl RunWrite {
    /// Whether it reads the row of its run from its snapshot, without a lock.
    pub(super) fn reads_run(self, flaw: Option<WorkflowFlaw>) -> bool {
        match self {
            Self::Record(_) | Self::Register(_) | Self::Complete(_) => true,
            Self::Commit(_) => flaw == Some(WorkflowFlaw::TransactionWithoutRunLock),
            Self::Leave | Self::BeginCancel | Self::End(_) => false,
        }
    }
}

impl WorkflowState {
    /// The journal of a run, as a snapshot of this moment shows it.
    pub(super) fn known_journal(&self, run: usize) -> [KnownRow; POSITIONS] {
        self.tables.journal[run].map(|row| match row {
            None => KnownRow::Nothing,
            Some(JournalRow::Waiting) => KnownRow::Waiting,
            Some(JournalRow::Event(event)) => KnownRow::Consumed(event),
            Some(JournalRow::Recorded { .. } | JournalRow::Timeout) => KnownRow::Ended,
        })
    }

    pub(super) fn route(&mut self, flaw: Option<WorkflowFlaw>) -> Option<()> {
        let seen = self.router.take()?;
        self.tables.route(seen);
        if flaw == Some(WorkflowFlaw::ConsumedAtDelivery) {
            let event = seen.events.trailing_zeros() as usize;
            for run in (0..RUNS).filter(|run| seen.runs & 1 << run != 0) {
                let journal = &mut self.tables.journal[run];
                if let Some(row) = journal.iter_mut().find(|row| **row == Some(JournalRow::Waiting)) {
                    *row = Some(JournalRow::Event(event));
                }
            }
        }
        Some(())
    }

    pub(super) fn take_over(&mut self, owner: usize, flaw: Option<WorkflowFlaw>) {
        self.budget.takeovers -= 1;
        self.tables.take_over(owner);
        if flaw == Some(WorkflowFlaw::TakeoverWithoutLock) {
            self.tables.release(owner);
        }
    }

    /// A node forgets everything and begins a new lease. Nothing waits for what it has sent.
    pub(super) fn begin_lease(&mut self, node: usize) -> Option<()> {
        for run in 0..RUNS {
            self.forget(node, run);
        }
        self.nodes[node] = OwnerMemory::new(self.tables.begin_lease()?);
        Some(())
    }

    pub(super) fn forget(&mut self, node: usize, run: usize) {
        self.nodes[node].runs[run] = None;
        for sent in self.writes.iter_mut().flatten().filter(|sent| sent.run == run) {
            sent.waiting = sent.waiting.filter(|waiting| *waiting != node);
        }
    }

    pub(super) fn claim(&mut self, node: usize, run: usize, answered: bool) -> Option<()> {
        let owner = self.nodes[node].owner;
        let row = self.tables.claim(run, owner)?;
        self.faults.late_write |= !self.tables.is_alive(owner);
        let journal = self.nodes[node].early_journal[run].take();
        if !answered {
            self.budget.disconnects -= 1;
            return Some(());
        }
        let is_recorded = |position: &usize| {
            matches!(self.tables.journal[run][*position], Some(JournalRow::Recorded { .. }))
        };
        self.nodes[node].runs[run] = Some(Activation {
            fence: super::RunFence { owner, claim: row.claim },
            wakes_seen: row.wakes,
            recorded_before: (0..POSITIONS).filter(is_recorded).map(|position| 1 << position).sum(),
            journal,
            events: None,
            cancel_requested: row.cancel_requested,
            is_cancelling: row.is_cancelling,
            sent: SentWrite::None,
        });
        Some(())
    }

    /// A run looks for events, and reads its own row in the same statement.
    pub(super) fn find_events(&mut self, node: usize, run: usize, flaw: Option<WorkflowFlaw>) -> Option<()> {
        let mut events = self.tables.committed_events();
        let activation = self.nodes[node].runs[run].as_mut()?;
        if flaw == Some(WorkflowFlaw::EventsByCursor) {
            let is_consumed = |event: &usize| {
                activation.journal.is_some_and(|journal| journal.contains(&KnownRow::Consumed(*event)))
            };
            let cursor = (0..EVENTS).filter(is_consumed).max();
            events &= cursor.map_or(u8::MAX, |event| u8::MAX << (event + 1));
        }
        activation.events = Some(events);
        if let Some(row) = self.tables.owned(run, activation.fence) {
            activation.wakes_seen = row.wakes;
            activation.cancel_requested = row.cancel_requested;
        }
        Some(())
    }

    pub(super) fn send(&mut self, node: usize, run: usize, write: RunWrite) -> Option<()> {
        let activation = self.nodes[node].runs[run].as_mut()?;
        if let RunWrite::Record(position) | RunWrite::Commit(position) = write
            && activation.sent == SentWrite::None
        {
            self.faults.step_repeated |= activation.recorded_before & 1 << position != 0;
        }
        activation.sent = SentWrite::Waits(write);
        let Activation { fence, wakes_seen, .. } = *activation;
        let place = self.writes.iter_mut().find(|sent| sent.is_none())?;
        *place = Some(WriteStatement {
            write,
            run,
            fence,
            wakes_seen,
            waiting: Some(node),
            was_owned: self.tables.is_owned(run, fence),
            was_alive: self.tables.is_alive(fence.owner),
            has_lock: false,
        });
        Some(())
    }

    pub(super) fn remove(&mut self, statement: WriteStatement) {
        if let Some(place) = self.writes.iter_mut().find(|sent| **sent == Some(statement)) {
            *place = None;
        }
    }

    pub(super) fn lock_lease(&mut self, statement: WriteStatement) {
        for sent in self.writes.iter_mut().flatten().filter(|sent| **sent == statement) {
            sent.has_lock = true;
        }
    }

    pub(super) fn execute(
        &mut self,
        statement: WriteStatement,
        snapshot: WriteSnapshot,
        flaw: Option<WorkflowFlaw>,
    ) {
        self.remove(statement);
        let owner = statement.fence.owner;
        let is_alive = match flaw {
            Some(WorkflowFlaw::NoOwnerCheck) if statement.write.reads_run(flaw) => true,
            Some(WorkflowFlaw::OwnerFromSnapshot) if snapshot == WriteSnapshot::Old => statement.was_alive,
            _ => statement.has_lock || self.tables.is_alive(owner),
        };
        let is_owned = match snapshot {
            WriteSnapshot::Old if statement.write.reads_run(flaw) => statement.was_owned,
            WriteSnapshot::Old | WriteSnapshot::New => self.tables.is_owned(statement.run, statement.fence),
        };
        let outcome = if is_alive && is_owned { self.write(statement, flaw) } else { Outcome::Refused };
        self.faults.late_write |= outcome == Outcome::Done && self.tables.leases[owner] != OwnerLease::Alive;
        self.answer(statement, outcome, flaw);
    }

    fn write(&mut self, statement: WriteStatement, flaw: Option<WorkflowFlaw>) -> Outcome {
        let WriteStatement { write, run, fence, wakes_seen, .. } = statement;
        match write {
            RunWrite::Record(position) | RunWrite::Commit(position) => {
                let is_owned = self.tables.is_owned(run, fence);
                self.faults.late_effect |= matches!(write, RunWrite::Commit(_)) && !is_owned;
                self.tables.record(run, position, JournalRow::Recorded { claim: fence.claim })
            }
            RunWrite::Register(position) => self.tables.record(run, position, JournalRow::Waiting),
            RunWrite::Complete(rows) => {
                let before = self.tables.journal[run];
                let guards = WaitGuards {
                    is_open: flaw != Some(WorkflowFlaw::WaitCompletedTwice),
                    is_unconsumed: flaw != Some(WorkflowFlaw::NoUniqueConsumption),
                };
                let outcome = self.tables.complete_waits(run, rows, guards);
                let is_changed = |(old, new): (&Option<JournalRow>, &Option<JournalRow>)| {
                    *old != Some(JournalRow::Waiting) && old != new
                };
                self.faults.wait_completed_twice |=
                    before.iter().zip(&self.tables.journal[run]).any(is_changed);
                outcome
            }
            RunWrite::Leave => {
                let compares = flaw != Some(WorkflowFlaw::LeaveIgnoresWakes);
                self.tables.leave(run, fence, compares.then_some(wakes_seen))
            }
            RunWrite::BeginCancel => self.tables.begin_cancel(run, fence),
            RunWrite::End(end) => {
                let Some(row) = self.tables.owned(run, fence) else { return Outcome::Refused };
                let is_requested = row.cancel_requested && flaw != Some(WorkflowFlaw::EndIgnoresRequest);
                let is_cancelling = row.is_cancelling && flaw != Some(WorkflowFlaw::EndIgnoresEnding);
                if end == RunEnd::Completed && (is_requested || is_cancelling) {
                    return Outcome::Conflict;
                }
                self.end(run, end);
                Outcome::Done
            }
        }
    }

    pub(super) fn end(&mut self, run: usize, end: RunEnd) {
        self.faults.ended_twice |= self.tables.history[run].is_some();
        self.tables.end(run, end);
    }

    /// The answer reaches the node that waits for it.
    fn answer(&mut self, statement: WriteStatement, outcome: Outcome, flaw: Option<WorkflowFlaw>) {
        let WriteStatement { write, run, fence, waiting: Some(node), .. } = statement else { return };
        let recorded = |position: usize| self.tables.journal[run][position];
        let Some(activation) = &mut self.nodes[node].runs[run] else { return };
        activation.sent = SentWrite::None;
        let mut know = |position: usize, row: KnownRow| {
            activation.events = None;
            if let Some(journal) = &mut activation.journal {
                journal[position] = row;
            }
        };
        match (outcome, write) {
            (Outcome::Refused, _) | (Outcome::Done, RunWrite::Leave | RunWrite::End(_)) => {
                self.nodes[node].runs[run] = None;
            }
            (Outcome::Done, RunWrite::Record(position) | RunWrite::Commit(position)) => {
                know(position, KnownRow::Ended)
            }
            (Outcome::Conflict, RunWrite::Record(position))
                if flaw == Some(WorkflowFlaw::OwnResultOnConflict) =>
            {
                know(position, KnownRow::Ended);
                let own = JournalRow::Recorded { claim: fence.claim };
                self.faults.result_differs |= recorded(position) != Some(own);
            }
            (Outcome::Done, RunWrite::Register(position)) => {
                let events = activation.events;
                let journal = activation.journal.as_mut();
                journal.into_iter().for_each(|journal| journal[position] = KnownRow::Waiting);
                let looks_first = flaw == Some(WorkflowFlaw::EventsReadFirst);
                activation.events = events.filter(|_| looks_first);
            }
            (Outcome::Done, RunWrite::Complete(rows)) => {
                for (position, row) in rows.into_iter().enumerate() {
                    match row {
                        Some(JournalRow::Event(event)) => know(position, KnownRow::Consumed(event)),
                        Some(_) => know(position, KnownRow::Ended),
                        None => {}
                    }
                }
            }
            (Outcome::Done, RunWrite::BeginCancel) => activation.is_cancelling = true,
            // The journal has what this node does not know: it is loaded again.
            (
                Outcome::Conflict,
                RunWrite::Record(_) | RunWrite::Commit(_) | RunWrite::Register(_) | RunWrite::Complete(_),
            ) => {
                (activation.journal, activation.events) = (None, None);
            }
            (Outcome::Conflict, RunWrite::End(_) | RunWrite::Leave | RunWrite::BeginCancel) => {
                activation.cancel_requested = true;
            }
        }
    }

    /// The node does not wait any more.
    pub(super) fn disconnect(&mut self, statement: WriteStatement, flaw: Option<WorkflowFlaw>) {
        self.budget.disconnects -= 1;
        let Some(node) = statement.waiting else { return };
        for sent in self.writes.iter_mut().flatten().filter(|sent| **sent == statement) {
            sent.waiting = None;
        }
        if let Some(activation) = &mut self.nodes[node].runs[statement.run] {
            activation.sent = SentWrite::Unanswered(statement.write);
            if flaw == Some(WorkflowFlaw::GoesOnWithoutAnswer) {
                (activation.sent, activation.events) = (SentWrite::None, None);
            }
        }
    }

    /// Whether the run ends without a person and without the loss of another lease.
    pub(super) fn can_go_on(&self, run: usize, flaw: Option<WorkflowFlaw>) -> bool {
        let Some(row) = self.tables.runs[run] else { return true };
        let Some(owner) = row.owner else {
            let is_new = |event: &usize| {
                self.tables.events[*event].is_some_and(|event| event.routed)
                    && !self.tables.has_consumed(run, *event)
            };
            let is_missed = (0..EVENTS).any(|event| is_new(&event));
            let is_asked = row.cancel_requested || row.is_cancelling;
            return self.tables.is_due(run) || self.tables.waits(run) && !is_missed && !is_asked;
        };
        match self.tables.leases[owner] {
            OwnerLease::Lost => true,
            OwnerLease::Unused | OwnerLease::Released => false,
            OwnerLease::Alive => {
                let Some(node) = (0..NODES).find(|node| self.nodes[*node].owner == owner) else {
                    return true;
                };
                let is_under_way = self.writes.iter().flatten().any(|sent| sent.run == run);
                let gives_back = flaw != Some(WorkflowFlaw::NothingGivenBack);
                self.nodes[node].runs[run].is_some() || is_under_way || gives_back
            }
        }
    }
}
