//! What each action does to nodes, statements, rescuer and person.

use super::database::{Fence, JOBS, LEASES, QueueRow, Return};
use super::queue::{Cancel, Flaw, Hold, NodeMemory, QueueState, Rescue, Statement, Write};

impl QueueState {
    pub(super) fn hold_mut(&mut self, node: usize, job: usize) -> Option<&mut Hold> {
        self.nodes[node].holds[job].as_mut()
    }

    pub(super) fn is_locked(&self, slot: usize) -> bool {
        self.rescue == Some(Rescue::Locked(slot))
    }

    /// Whether a statement waits for the lock of a rescuer on its lease.
    pub(super) fn waits_for_rescue(&self, fence: Fence) -> bool {
        matches!(fence, Fence::Lease(Some(slot)) if self.is_locked(slot))
    }

    pub(super) fn claim_batch(&mut self, node: usize, answered: bool) -> Option<()> {
        let slot = self.database.claim_batch()?;
        if !answered {
            self.budget.disconnects -= 1;
            return Some(());
        }
        let fence = Fence::Lease(Some(slot));
        for job in 0..JOBS {
            if self.database.leases[slot]?.jobs[job].is_some() {
                self.nodes[node].holds[job] = Some(Hold { fence, runs: true, waits: false });
                self.nodes[node].unanswered[job] = true;
            }
        }
        self.nodes[node].lease = Some(Some(slot));
        self.nodes[node].believes_fresh = true;
        Some(())
    }

    pub(super) fn send(&mut self, node: usize, job: usize, write: Write) -> Option<()> {
        let hold = self.hold_mut(node, job)?;
        let fence = hold.fence;
        hold.waits = true;
        if matches!(write, Write::Return(_)) {
            self.budget.returns -= 1;
        }
        self.statements.push(Statement { write, job, fence, waiting: Some(node), snapshot: None });
        Some(())
    }

    pub(super) fn remove(&mut self, statement: Statement) {
        if let Some(index) = self.statements.iter().position(|sent| *sent == statement) {
            self.statements.swap_remove(index);
        }
    }

    pub(super) fn execute(&mut self, statement: Statement, flaw: Option<Flaw>) {
        self.remove(statement);
        let Statement { write, job, fence, .. } = statement;
        let is_finished = match flaw {
            Some(Flaw::ReturnWithoutHistory) => false,
            _ => statement.snapshot.map_or(self.database.is_in_history(job), |seen| seen.is_in_history),
        };
        let mut is_begun = false;
        match write {
            Write::Begin => is_begun = self.database.begin(job, fence),
            Write::Finish => {
                let is_held = match flaw {
                    Some(Flaw::NoFence | Flaw::NodeClock) => true,
                    _ => statement.snapshot.map_or(self.database.is_held(job, fence), |seen| seen.is_held),
                };
                // Without a row in the history the effect is rolled back.
                let is_accepted = is_held && self.database.finish(job, fence);
                self.lives[job].finishes += u8::from(is_accepted);
            }
            Write::Return(how) => {
                let is_returned = !is_finished && self.database.give_back(job, fence, how);
                // An attempt that a node gives back counts as if it had not started.
                if is_returned && how == Return::Given {
                    self.lives[job].starts = 0;
                }
            }
        }
        let Some(node) = statement.waiting else { return };
        let hold = &mut self.nodes[node].holds[job];
        // The node may have claimed the job again since.
        if hold.is_some_and(|hold| hold.fence == fence) {
            *hold = is_begun.then_some(Hold { fence, runs: true, waits: false });
            self.nodes[node].unanswered[job] &= !matches!(fence, Fence::Lease(_));
            let has_one_attempt = self.database.attempts_max[job] == 1;
            self.lives[job].starts += u8::from(is_begun && has_one_attempt);
        }
    }

    /// The node does not wait any more. It sends what it might have sent before, the same or something else:
    /// a handler whose commit has an unknown outcome may fail.
    pub(super) fn disconnect(&mut self, statement: Statement) {
        self.budget.disconnects -= 1;
        self.remove(statement);
        self.statements.push(Statement { waiting: None, ..statement });
        if let Some(hold) = statement.waiting.and_then(|node| self.hold_mut(node, statement.job))
            && hold.fence == statement.fence
        {
            hold.waits = false;
        }
    }

    /// The node renews all of its leases, and drops the jobs that it learns to have lost.
    pub(super) fn renew(&mut self, node: usize) {
        let mut memory = self.nodes[node];
        memory.believes_fresh = true;
        if let Some(Some(slot)) = memory.lease
            && !self.is_locked(slot)
            && let Some(lease) = &mut self.database.leases[slot]
        {
            lease.expired = false;
        }
        for job in 0..JOBS {
            let Some(hold) = memory.holds[job] else { continue };
            let is_held = match hold.fence {
                Fence::Lease(_) => self.database.lease(hold.fence).is_some_and(|lease| !lease.gone[job]),
                Fence::Claim(_) => self.database.renew_row(job, hold.fence),
            };
            if !is_held && !hold.waits {
                memory.holds[job] = None;
                memory.unanswered[job] &= !matches!(hold.fence, Fence::Lease(_));
            }
        }
        if memory.lease == Some(None) && !memory.holds_by_lease() {
            memory.lease = None;
            memory.unanswered = [false; JOBS];
        }
        self.nodes[node] = memory;
    }

    pub(super) fn crash(&mut self, node: usize) {
        self.budget.crashes -= 1;
        self.nodes[node] = NodeMemory::EMPTY;
        for statement in &mut self.statements {
            statement.waiting = statement.waiting.filter(|waiting| *waiting != node);
        }
    }

    pub(super) fn expire_row(&mut self, job: usize) {
        self.budget.expiries -= 1;
        if let Some(QueueRow::Claimed { expired, .. }) = &mut self.database.queue[job] {
            *expired = true;
        }
    }

    pub(super) fn begin_rescue(&mut self, slot: usize, flaw: Option<Flaw>) {
        self.rescue = Some(match flaw {
            Some(Flaw::RescueInOneStatement) => {
                Rescue::Snapshot { slot, history: self.database.history_snapshot() }
            }
            _ => Rescue::Locked(slot),
        });
    }

    pub(super) fn end_rescue(&mut self, flaw: Option<Flaw>) -> Option<()> {
        let (slot, history) = match self.rescue.take()? {
            Rescue::Locked(slot) => (slot, self.database.history_snapshot()),
            Rescue::Snapshot { slot, history } => (slot, history),
        };
        // A lease that was renewed before the rescuer had its lock is left alone.
        if !self.database.leases[slot].is_some_and(|lease| lease.expired) {
            return Some(());
        }
        let history = if flaw == Some(Flaw::RescueWithoutHistory) { 0 } else { history };
        self.database.rescue_lease(slot, history);
        self.forget_lease(slot);
        Some(())
    }

    /// A lease was deleted: whatever still names it names nothing from now on.
    pub(super) fn forget_lease(&mut self, slot: usize) {
        let gone = |fence: &mut Fence| {
            if *fence == Fence::Lease(Some(slot)) {
                *fence = Fence::Lease(None);
            }
        };
        for memory in &mut self.nodes {
            memory.holds.iter_mut().flatten().for_each(|hold| gone(&mut hold.fence));
            memory.lease = memory.lease.map(|lease| lease.filter(|held| *held != slot));
        }
        self.statements.iter_mut().for_each(|statement| gone(&mut statement.fence));
        if let Some(Cancel { lease: Some(lease), .. }) = &mut self.cancel {
            *lease = lease.filter(|seen| *seen != slot);
        }
        if matches!(self.rescue, Some(Rescue::Snapshot { slot: seen, .. }) if seen == slot) {
            self.rescue = None;
        }
    }

    /// What the snapshot of a cancel sees; `None` when the job has ended.
    pub(super) fn look_up(&self, job: usize) -> Option<Cancel> {
        if self.database.queue[job].is_some() {
            return Some(Cancel { job, lease: None });
        }
        let is_carrying =
            |slot: &usize| self.database.leases[*slot].is_some_and(|lease| lease.carried(job).is_some());
        let slot = (0..LEASES).find(is_carrying).filter(|_| self.database.history[job].is_none())?;
        Some(Cancel { job, lease: Some(Some(slot)) })
    }

    pub(super) fn write_cancel(&mut self, flaw: Option<Flaw>) -> Option<()> {
        let Cancel { job, lease } = self.cancel.take()?;
        let is_found = match lease {
            None => self.database.cancel_row(job),
            Some(slot) => slot.is_some_and(|slot| self.database.cancel_carried(job, slot)),
        };
        if !is_found {
            match flaw {
                Some(Flaw::CancelOnce) => self.cancel_missed |= self.database.history[job].is_none(),
                // The next statement has a snapshot of its own.
                _ => self.cancel = self.look_up(job),
            }
        }
        Some(())
    }
}
