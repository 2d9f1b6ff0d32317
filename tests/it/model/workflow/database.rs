//! What the database holds of workflows, and what its statements do. Each function is one statement.
//!
//! A write about a run locks the lease of its owner, and so is executed with the newest version of that row.
//! A write of the journal reads the row of its run without a lock, from its snapshot, which may be older: it
//! is executed when that snapshot shows the run with this owner and claim. A write of the run's own row locks
//! that row, and looks at its newest version.

/// Runs of the model, at most.
pub(super) const RUNS: usize = 2;
/// Steps of a run, at most.
pub(super) const POSITIONS: usize = 3;
/// Events of the model, at most. All of them have the name and the key that all waits name.
pub(super) const EVENTS: usize = 2;
/// Leases of a whole run of the model, at most.
pub(super) const LEASES: usize = 4;

/// A row of `forge_workflow_owners`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum OwnerLease {
    /// No node has taken it yet.
    Unused,
    Alive,
    /// `lost_at` is set and committed. The runs may still name it.
    Lost,
    /// Its runs were released, once: no statement looks for them again.
    Released,
}

/// What a write names to prove that its sender owns the run.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunFence {
    pub(super) owner: usize,
    pub(super) claim: u8,
}

impl std::fmt::Debug for RunFence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "owner {}, claim {}", self.owner, self.claim)
    }
}

/// A row of `forge_workflow_runs`. A run without an owner is ready, or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunRow {
    pub(super) owner: Option<usize>,
    pub(super) claim: u8,
    /// `due_at` has passed, for another reason than the timeout of a wait.
    pub(super) due: bool,
    pub(super) wakes: u8,
    /// `request` is `cancel`.
    pub(super) cancel_requested: bool,
    /// `ending` is `cancelled`.
    pub(super) is_cancelling: bool,
}

/// A row of `forge_workflow_steps`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum JournalRow {
    /// A step has returned what it returned under this claim.
    Recorded {
        claim: u8,
    },
    Waiting,
    /// A wait has consumed the event.
    Event(usize),
    /// A wait has timed out.
    Timeout,
}

/// How a run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum RunEnd {
    Completed,
    Cancelled,
    Terminated,
}

/// A row of `forge_workflow_history`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EndedRun {
    pub(super) end: RunEnd,
    pub(super) claim: u8,
}

/// A committed row of `forge_workflow_events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EventRow {
    pub(super) routed: bool,
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// The journal has another row there, the wait is over, or a person has asked to cancel the run.
    Conflict,
    /// The sender is not the owner of the run.
    Refused,
}

/// What a write that completes waits checks.
#[derive(Debug, Clone, Copy)]
pub(super) struct WaitGuards {
    /// The waits are not over.
    pub(super) is_open: bool,
    /// No other wait of the run has consumed the event.
    pub(super) is_unconsumed: bool,
}

/// What the snapshot of the router shows: bit `e` for an event that is not routed, bit `r` for a run whose
/// journal waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RouterSnapshot {
    pub(super) events: u8,
    pub(super) runs: u8,
}

/// The tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct WorkflowTables {
    pub(super) leases: [OwnerLease; LEASES],
    pub(super) runs: [Option<RunRow>; RUNS],
    pub(super) journal: [[Option<JournalRow>; POSITIONS]; RUNS],
    pub(super) history: [Option<EndedRun>; RUNS],
    pub(super) events: [Option<EventRow>; EVENTS],
    /// The timeout of the waits of a run has passed, by the clock of the database.
    pub(super) timeout_passed: [bool; RUNS],
}

impl WorkflowTables {
    pub(super) fn new(runs: usize) -> Self {
        let row = RunRow {
            owner: None,
            claim: 0,
            due: true,
            wakes: 0,
            cancel_requested: false,
            is_cancelling: false,
        };
        Self {
            leases: [OwnerLease::Unused; LEASES],
            runs: std::array::from_fn(|run| (run < runs).then_some(row)),
            journal: [[None; POSITIONS]; RUNS],
            history: [None; RUNS],
            events: [None; EVENTS],
            timeout_passed: [false; RUNS],
        }
    }

    /// Inserts the lease of a process.
    pub(super) fn begin_lease(&mut self) -> Option<usize> {
        let owner = self.leases.iter().position(|lease| *lease == OwnerLease::Unused)?;
        self.leases[owner] = OwnerLease::Alive;
        Some(owner)
    }

    pub(super) fn is_alive(&self, owner: usize) -> bool {
        self.leases[owner] == OwnerLease::Alive
    }

    /// Whether the run has this owner and claim.
    pub(super) fn is_owned(&self, run: usize, fence: RunFence) -> bool {
        self.runs[run].is_some_and(|row| row.owner == Some(fence.owner) && row.claim == fence.claim)
    }

    /// Whether a run without an owner is to be claimed.
    pub(super) fn is_due(&self, run: usize) -> bool {
        self.runs[run].is_some_and(|row| row.owner.is_none() && (row.due || self.timeout_passed[run]))
    }

    pub(super) fn waits(&self, run: usize) -> bool {
        self.journal[run].contains(&Some(JournalRow::Waiting))
    }

    /// Events that are committed: bit `e` for event `e`.
    pub(super) fn committed_events(&self) -> u8 {
        (0..EVENTS).filter(|event| self.events[*event].is_some()).map(|event| 1 << event).sum()
    }

    /// Whether a wait of the run has consumed the event.
    pub(super) fn has_consumed(&self, run: usize, event: usize) -> bool {
        self.journal[run].contains(&Some(JournalRow::Event(event)))
    }

    /// Claims a due run.
    pub(super) fn claim(&mut self, run: usize, owner: usize) -> Option<RunRow> {
        let is_due = self.is_due(run);
        let row = self.runs[run].as_mut().filter(|_| is_due)?;
        (row.owner, row.claim, row.due) = (Some(owner), row.claim + 1, false);
        Some(*row)
    }

    /// Inserts a row of the journal. One that is there stays.
    pub(super) fn record(&mut self, run: usize, position: usize, row: JournalRow) -> Outcome {
        match &mut self.journal[run][position] {
            Some(_) => Outcome::Conflict,
            place @ None => {
                *place = Some(row);
                Outcome::Done
            }
        }
    }

    /// Completes waits that are not over. The unique index on run and event refuses the whole statement when
    /// another wait of the run has consumed one of the events.
    pub(super) fn complete_waits(
        &mut self,
        run: usize,
        rows: [Option<JournalRow>; POSITIONS],
        guards: WaitGuards,
    ) -> Outcome {
        let mut journal = self.journal[run];
        for (position, row) in rows.into_iter().enumerate().filter(|(_, row)| row.is_some()) {
            if journal[position] == Some(JournalRow::Waiting) || !guards.is_open {
                journal[position] = row;
            }
        }
        let mut events = journal.iter().filter(|row| matches!(row, Some(JournalRow::Event(_))));
        if guards.is_unconsumed && events.any(|row| journal.iter().filter(|other| *other == row).count() > 1)
        {
            return Outcome::Conflict;
        }
        self.journal[run] = journal;
        let is_written = rows.iter().zip(&journal).all(|(row, now)| row.is_none() || row == now);
        if is_written { Outcome::Done } else { Outcome::Conflict }
    }

    /// The owner leaves a run that waits. What came since it has looked last makes the run due.
    pub(super) fn leave(&mut self, run: usize, fence: RunFence, wakes_seen: Option<u8>) -> Outcome {
        let Some(row) = self.owned_mut(run, fence) else { return Outcome::Refused };
        row.owner = None;
        row.due = wakes_seen.is_some_and(|seen| seen != row.wakes);
        Outcome::Done
    }

    /// The owner gives a run back that it does not execute.
    pub(super) fn give_back(&mut self, run: usize, owner: usize) {
        if let Some(row) = self.runs[run].as_mut().filter(|row| row.owner == Some(owner)) {
            (row.owner, row.due) = (None, true);
        }
    }

    /// The owner begins what a person has asked for.
    pub(super) fn begin_cancel(&mut self, run: usize, fence: RunFence) -> Outcome {
        let Some(row) = self.owned_mut(run, fence) else { return Outcome::Refused };
        (row.cancel_requested, row.is_cancelling) = (false, true);
        Outcome::Done
    }

    /// Moves a run into the history.
    pub(super) fn end(&mut self, run: usize, end: RunEnd) {
        if let Some(RunRow { claim, .. }) = self.runs[run].take() {
            self.history[run] = Some(EndedRun { end, claim });
        }
    }

    /// A person asks to cancel a run. False when it has ended.
    pub(super) fn request_cancel(&mut self, run: usize, wakes: bool) -> bool {
        let Some(row) = &mut self.runs[run] else { return false };
        row.cancel_requested = !row.is_cancelling;
        row.wakes += u8::from(wakes);
        row.due |= row.owner.is_none();
        true
    }

    pub(super) fn read_for_router(&self) -> RouterSnapshot {
        let is_unrouted = |event: &usize| self.events[*event].is_some_and(|event| !event.routed);
        RouterSnapshot {
            events: (0..EVENTS).filter(is_unrouted).map(|event| 1 << event).sum(),
            runs: (0..RUNS).filter(|run| self.waits(*run)).map(|run| 1 << run).sum(),
        }
    }

    /// Wakes the runs that the router's snapshot shows to wait, in the statement that marks the events as
    /// routed.
    pub(super) fn route(&mut self, seen: RouterSnapshot) {
        for event in (0..EVENTS).filter(|event| seen.events & 1 << event != 0) {
            self.events[event] = Some(EventRow { routed: true });
        }
        for run in (0..RUNS).filter(|run| seen.runs & 1 << run != 0) {
            if let Some(row) = &mut self.runs[run] {
                row.wakes += 1;
                row.due |= row.owner.is_none();
            }
        }
    }

    /// Sets `lost_at`, and commits. Writes of the owner that had locked the row are committed before.
    pub(super) fn take_over(&mut self, owner: usize) {
        self.leases[owner] = OwnerLease::Lost;
    }

    /// Makes the runs of a lost owner ready.
    pub(super) fn release(&mut self, owner: usize) {
        self.leases[owner] = OwnerLease::Released;
        for run in 0..RUNS {
            self.give_back(run, owner);
        }
    }

    /// The row of a run that has this owner and claim.
    pub(super) fn owned(&self, run: usize, fence: RunFence) -> Option<RunRow> {
        self.runs[run].filter(|_| self.is_owned(run, fence))
    }

    fn owned_mut(&mut self, run: usize, fence: RunFence) -> Option<&mut RunRow> {
        if self.is_owned(run, fence) { self.runs[run].as_mut() } else { None }
    }
}
