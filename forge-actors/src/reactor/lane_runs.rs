//! What the reactor decides about batches, the runs in lanes.
//!
//! ```text
//!   Chosen ──exported──▶ Importing ──imported──▶ Running ──no more runs──▶ Closing ──▶ the lane is free
//!                            └──────────lost────────┴──▶ the lane is free after a pause
//! ```

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use super::groups::AppliedResult;
use super::lanes::BatchPhase;
use super::query_key::{BatchId, ClientId, GroupId};
use super::state::ReactorState;
use super::step::ReactorEffect;
use super::tick::{RunEnd, RunsReport};
use super::updates::TickUpdates;

impl ReactorState {
    pub(super) fn batch_opened(&mut self, now: Instant, batch: BatchId, effects: &mut Vec<ReactorEffect>) {
        self.run_next(now, batch, effects);
        self.close_once_imported(effects);
    }

    pub(super) fn lane_run_finished(
        &mut self,
        now: Instant,
        id: BatchId,
        report: RunsReport,
        effects: &mut Vec<ReactorEffect>,
    ) {
        let mut finished = report.finished;
        if let Some(batch) = self.table.lanes.batches.get(&id) {
            let groups: Vec<GroupId> = batch.queue.iter().copied().collect();
            finished.extend(self.table.locked_runs(&report.locked, &groups));
            // They would wait for the same threads, and queries of others for the lane.
            if finished.iter().any(|run| run.end == RunEnd::NoThread) {
                finished.extend(self.table.runs_without_thread(&groups));
            }
        }
        for run in finished {
            self.warn_untracked(&run, effects);
            self.note_slow(&run, now, effects);
            let AppliedResult { group, changed, .. } =
                self.table.apply_lane_result(id, run, now, &self.config);
            self.log_error(group.filter(|_| changed), effects);
            self.deliver_members(group, effects);
        }
        self.run_next(now, id, effects);
    }

    fn run_next(&mut self, now: Instant, id: BatchId, effects: &mut Vec<ReactorEffect>) {
        match self.table.next_lane_run(id, now, &self.config) {
            Some(run) => effects.push(ReactorEffect::RunInLane { batch: id, run }),
            None => {
                if let Some(batch) = self.table.lanes.batches.get_mut(&id) {
                    batch.phase = BatchPhase::Closing;
                    effects.push(ReactorEffect::CloseBatch(id));
                }
            }
        }
    }

    pub(super) fn batch_closed(&mut self, batch: BatchId) {
        self.table.end_batch(batch);
        self.table.lanes.succeeded();
    }

    pub(super) fn batch_lost(
        &mut self,
        now: Instant,
        batch: BatchId,
        during: Option<GroupId>,
        jitter: f64,
        effects: &mut Vec<ReactorEffect>,
    ) {
        self.table.lanes.failed(now, jitter);
        self.table.end_batch(batch);
        self.session_broke(now, during, effects);
        self.deliver_members(during, effects);
        self.close_once_imported(effects);
    }

    /// Delivers to the members of a group, which has just run, what they can have now: the transitions that
    /// waited for the group, and what is valid in the published snapshot. While a tick runs, its end delivers
    /// the latter.
    fn deliver_members(&mut self, group: Option<GroupId>, effects: &mut Vec<ReactorEffect>) {
        let Some(group) = group.and_then(|id| self.table.groups.get(&id)) else { return };
        let clients: BTreeSet<ClientId> = group.members.iter().map(|key| key.client).collect();
        let mut updates = TickUpdates::default();
        for client in &clients {
            if let Some(transition) = self.table.take_resolved(*client) {
                let (tick, snapshot) = (transition.tick, Arc::clone(&transition.snapshot));
                let applied = self.take_applied(*client, &snapshot);
                self.table.deliver_transition(*client, transition, &mut updates);
                updates.add_applied(*client, tick, applied);
            }
        }
        self.deliver(updates, effects);
        if let Some((tick, _)) = self.published.as_ref().filter(|_| !self.is_publishing_later()) {
            let mut updates = self.table.take_updates_of(&clients, *tick);
            self.add_applied_of(&clients, &mut updates);
            self.deliver(updates, effects);
        }
        effects.extend(self.table.reads.take_changed_tables().map(ReactorEffect::DeclareInterest));
        // A later snapshot may contain more of their mutations.
        if clients.iter().any(|client| self.awaited.contains_key(client)) {
            self.pace.request();
        }
    }

    fn deliver(&mut self, mut updates: TickUpdates, effects: &mut Vec<ReactorEffect>) {
        let ended = std::mem::take(&mut updates.ended);
        for key in &ended {
            self.table.unsubscribe(*key);
        }
        if !ended.is_empty() {
            effects.push(ReactorEffect::Release(ended));
        }
        if !updates.clients.is_empty() {
            effects.push(ReactorEffect::Deliver(updates));
        }
    }
}
