//! What can happen in a state.

use super::database::{EVENTS, JournalRow, LEASES, OwnerLease, POSITIONS, RunEnd};
use super::{
    Activation, Emission, KnownRow, OwnerMemory, RunWrite, SentWrite, StepKind, WorkflowAction, WorkflowFlaw,
    WorkflowState, Workflows, WriteSnapshot, WriteStatement,
};

impl Workflows {
    pub(super) fn unclaimed_actions(
        &self,
        state: &WorkflowState,
        node: usize,
        run: usize,
        actions: &mut Vec<WorkflowAction>,
    ) {
        let OwnerMemory { owner, early_journal, .. } = state.nodes[node];
        let is_alive = state.tables.is_alive(owner);
        let reads_early = self.flaw == Some(WorkflowFlaw::JournalReadByClaim);
        if reads_early && early_journal[run].is_none() && state.tables.runs[run].is_some() {
            actions.push(WorkflowAction::ReadEarly { node, run });
        }
        let may_claim = is_alive || self.flaw == Some(WorkflowFlaw::ClaimWithoutFence);
        if may_claim && state.tables.is_due(run) && early_journal[run].is_some() == reads_early {
            actions.push(WorkflowAction::Claim { node, run, answered: true });
            if state.budget.disconnects > 0 {
                actions.push(WorkflowAction::Claim { node, run, answered: false });
            }
        }
        let is_owner = state.tables.runs[run].is_some_and(|row| row.owner == Some(owner));
        if is_owner && is_alive && self.flaw != Some(WorkflowFlaw::NothingGivenBack) {
            actions.push(WorkflowAction::GiveBack { node, run });
        }
    }

    pub(super) fn activation_actions(
        &self,
        state: &WorkflowState,
        node: usize,
        run: usize,
        activation: &Activation,
        actions: &mut Vec<WorkflowAction>,
    ) {
        if state.budget.forgotten > 0 {
            actions.push(WorkflowAction::Forget { node, run });
        }
        if state.budget.disconnects > 0 && state.tables.is_owned(run, activation.fence) {
            actions.push(WorkflowAction::GiveBack { node, run });
        }
        let can_send = state.writes.contains(&None);
        match activation.sent {
            SentWrite::Waits(_) => return,
            SentWrite::Unanswered(write) => {
                if can_send {
                    actions.push(WorkflowAction::Send { node, run, write });
                }
                return;
            }
            SentWrite::None => {}
        }
        let Some(journal) = &activation.journal else {
            return actions.push(WorkflowAction::LoadJournal { node, run });
        };
        let row = state.tables.owned(run, activation.fence);
        if row.is_some_and(|row| row.cancel_requested) && !activation.cancel_requested {
            actions.push(WorkflowAction::LearnOfRequest { node, run });
        }
        match self.next_write(state, run, activation, journal) {
            None => actions.push(WorkflowAction::FindEvents { node, run }),
            Some(write) if can_send => actions.push(WorkflowAction::Send { node, run, write }),
            Some(_) => {}
        }
    }

    /// What the program of a run writes next. `None` when it looks for events first.
    fn next_write(
        &self,
        state: &WorkflowState,
        run: usize,
        activation: &Activation,
        journal: &[KnownRow; POSITIONS],
    ) -> Option<RunWrite> {
        if activation.is_cancelling {
            return Some(RunWrite::End(RunEnd::Cancelled));
        }
        if activation.cancel_requested {
            return Some(RunWrite::BeginCancel);
        }
        let is_open = |position: &usize| matches!(journal[*position], KnownRow::Nothing | KnownRow::Waiting);
        let Some(first) = (0..self.program.len()).find(is_open) else {
            return Some(RunWrite::End(RunEnd::Completed));
        };
        match self.program[first] {
            StepKind::Step => return Some(RunWrite::Record(first)),
            StepKind::Transaction => return Some(RunWrite::Commit(first)),
            StepKind::Wait => {}
        }
        let waits =
            || (first..self.program.len()).take_while(|position| self.program[*position] == StepKind::Wait);
        let looks_first = self.flaw == Some(WorkflowFlaw::EventsReadFirst);
        if looks_first && activation.events.is_none() {
            return None;
        }
        if let Some(position) = waits().find(|position| journal[*position] == KnownRow::Nothing) {
            return Some(RunWrite::Register(position));
        }
        let found = activation.events?;
        let is_new =
            |event: &usize| found & 1 << event != 0 && !journal.contains(&KnownRow::Consumed(*event));
        let mut new_events = (0..EVENTS).filter(is_new);
        let timeout = state.tables.timeout_passed[run].then_some(JournalRow::Timeout);
        let mut rows = [None; POSITIONS];
        for position in waits().filter(|position| journal[*position] == KnownRow::Waiting) {
            rows[position] = new_events.next().map(JournalRow::Event).or(timeout);
        }
        if rows != [None; POSITIONS] {
            return Some(RunWrite::Complete(rows));
        }
        Some(RunWrite::Leave)
    }

    pub(super) fn write_actions(
        &self,
        state: &WorkflowState,
        sent: WriteStatement,
        actions: &mut Vec<WorkflowAction>,
    ) {
        let locks_first = self.flaw == Some(WorkflowFlaw::TakeoverWithoutLock);
        if locks_first && !sent.has_lock && state.tables.is_alive(sent.fence.owner) {
            actions.push(WorkflowAction::LockLease(sent));
        } else {
            actions.push(WorkflowAction::Execute(sent, WriteSnapshot::New));
            let is_owned = state.tables.is_owned(sent.run, sent.fence);
            let is_alive = state.tables.is_alive(sent.fence.owner);
            let shows_owner = sent.write.reads_run(self.flaw) && sent.was_owned && !is_owned;
            let reads_lease = self.flaw == Some(WorkflowFlaw::OwnerFromSnapshot);
            if shows_owner || reads_lease && sent.was_alive && !is_alive {
                actions.push(WorkflowAction::Execute(sent, WriteSnapshot::Old));
            }
        }
        if sent.waiting.is_none() {
            actions.push(WorkflowAction::Vanish(sent));
        } else if state.budget.disconnects > 0 {
            actions.push(WorkflowAction::Disconnect(sent));
        }
    }

    pub(super) fn event_actions(&self, state: &WorkflowState, actions: &mut Vec<WorkflowAction>) {
        let events = match self.emission {
            Emission::None | Emission::Before => 0,
            Emission::One => 1,
            Emission::Two => 2,
        };
        let is_unsent = |event: &usize| state.tables.events[*event].is_none();
        actions.extend((0..events).filter(is_unsent).map(|event| WorkflowAction::Emit { event }));
        match state.router {
            Some(_) => actions.push(WorkflowAction::RouterWrites),
            None if state.tables.read_for_router().events != 0 => actions.push(WorkflowAction::RouterReads),
            None => {}
        }
        let waits =
            |run: &usize| self.timeout && !state.tables.timeout_passed[*run] && state.tables.waits(*run);
        actions.extend((0..self.runs).filter(waits).map(|run| WorkflowAction::TimeoutPasses { run }));
    }

    pub(super) fn outside_actions(&self, state: &WorkflowState, actions: &mut Vec<WorkflowAction>) {
        for owner in 0..LEASES {
            match state.tables.leases[owner] {
                OwnerLease::Alive if state.budget.takeovers > 0 => {
                    actions.push(WorkflowAction::TakeOver { owner });
                }
                OwnerLease::Lost => actions.push(WorkflowAction::Release { owner }),
                OwnerLease::Unused | OwnerLease::Alive | OwnerLease::Released => {}
            }
        }
        for run in (0..self.runs).filter(|run| state.tables.runs[*run].is_some()) {
            if state.budget.cancels > 0 {
                actions.push(WorkflowAction::RequestCancel { run });
            }
            if state.budget.terminations > 0 {
                actions.push(WorkflowAction::Terminate { run });
            }
        }
    }
}
