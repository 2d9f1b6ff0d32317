//! The groups that run in lanes: which of them a batch takes, and what its results are worth.
//!
//! A batch runs the waiting groups of one client together, so that the client can advance to the batch's
//! snapshot; a group that waits for a lock, or a first run without such a client, runs alone. While the
//! snapshot is recent, first runs of other clients follow on it. A client one of whose groups runs in another
//! batch is passed over: its groups would not run in one snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use crate::kernel::commit::{Snapshot, TableId};
use crate::kernel::invocation::is_system;

use super::config::ReactivityConfig;
use super::delivery::Tick;
use super::group::{GroupPhase, RunPlacement};
use super::groups::{AppliedResult, SubscriptionTable};
use super::lanes::BatchPhase;
use super::query_key::{BatchId, ClientId, GroupId, SubscriptionKey, keys_of};
use super::share_key::ShareKey;
use super::tick::{FinishedRun, QueryRun, RunEnd};

/// Waiting groups, and members of one of them, that are looked at for one batch.
const CANDIDATES_MAX: usize = 64;

impl SubscriptionTable {
    /// Starts batches in the snapshot of `tick`, as many as may start. True when there are any.
    pub(super) fn start_batches(&mut self, tick: Tick, snapshot: &Arc<Snapshot>, now: Instant) -> bool {
        let mut started = false;
        while let Some((key, groups)) = self.next_batch(now) {
            let batch = self.lanes.begin(&key, &groups, tick, snapshot, now);
            for group in groups {
                self.set_phase(group, GroupPhase::InLane(batch));
            }
            started = true;
        }
        started
    }

    /// True when a tick at `now` would start a batch.
    pub(super) fn may_start_batch(&self, now: Instant) -> bool {
        self.lanes.has_waiting() && self.next_batch(now).is_some()
    }

    fn next_batch(&self, now: Instant) -> Option<(Arc<ShareKey>, Vec<GroupId>)> {
        let mut candidates = self.lanes.candidates(now).take(CANDIDATES_MAX);
        candidates.find_map(|(key, group)| Some((Arc::clone(key), self.groups_of_batch(key, group)?)))
    }

    /// The groups that run together with the waiting group `id`.
    fn groups_of_batch(&self, share_key: &ShareKey, id: GroupId) -> Option<Vec<GroupId>> {
        let group = self.groups.get(&id)?;
        if group.placement == RunPlacement::Locked {
            return Some(vec![id]);
        }
        let is_of_key = |key: &&SubscriptionKey| {
            let subscription = self.subscriptions.get(key);
            subscription.is_some_and(|subscription| *subscription.caller.share_key == *share_key)
        };
        let mut members = group.members.iter().filter(is_of_key).take(CANDIDATES_MAX);
        match members.find(|key| !self.waits_for_batch(key.client)) {
            Some(key) => Some(self.waiting_groups_of(key.client)),
            // A first run holds up nobody, so it need not run together with others.
            None => (group.placement == RunPlacement::FirstRun).then(|| vec![id]),
        }
    }

    /// True when a query of the application is to run in the batch.
    pub(super) fn runs_application(&self, id: BatchId) -> bool {
        let queue = self.lanes.batches.get(&id).map(|batch| &batch.queue);
        let mut groups = queue.into_iter().flatten().filter_map(|group| self.groups.get(group));
        groups.any(|group| !is_system(&group.query.name))
    }

    /// True when a group that holds the client up runs in a batch.
    fn waits_for_batch(&self, client: ClientId) -> bool {
        self.holders_of(client).any(|(_, phase)| matches!(phase, GroupPhase::InLane(_)))
    }

    fn waiting_groups_of(&self, client: ClientId) -> Vec<GroupId> {
        let ids = self.subscriptions.range(keys_of(client)).map(|(_, subscription)| subscription.group);
        let waits = |id: &GroupId| {
            let group = self.groups.get(id);
            group.is_some_and(|it| it.phase == GroupPhase::Waiting && it.placement != RunPlacement::Locked)
        };
        ids.filter(waits).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What holds a client up: the subscriptions whose groups have to run before the others can advance.
    pub(super) fn holders_of(&self, client: ClientId) -> impl Iterator<Item = (SubscriptionKey, GroupPhase)> {
        self.subscriptions.range(keys_of(client)).filter_map(|(key, subscription)| {
            let group =
                self.groups.get(&subscription.group).filter(|group| group.holds_up_client(subscription))?;
            Some((*key, group.phase))
        })
    }

    /// Takes the next run of a batch. When its own groups have run, and its snapshot is not old, first runs
    /// of others follow, in turn: so a thousand clients that connect at once need no snapshot for each.
    pub(super) fn next_lane_run(
        &mut self,
        id: BatchId,
        now: Instant,
        config: &ReactivityConfig,
    ) -> Option<QueryRun> {
        let group = loop {
            let batch = self.lanes.batches.get_mut(&id)?;
            match batch.queue.pop_front() {
                // Its last subscription may have ended, or another run has split its query.
                Some(group) if self.is_in_batch(group, id) => break group,
                Some(_) => {}
                None => break self.next_first_run(id, now, config)?,
            }
        };
        let batch = self.lanes.batches.get_mut(&id)?;
        batch.phase = BatchPhase::Running(Some(group));
        self.run(group)
    }

    fn next_first_run(&mut self, id: BatchId, now: Instant, config: &ReactivityConfig) -> Option<GroupId> {
        let batch = self.lanes.batches.get(&id)?;
        if now.saturating_duration_since(batch.began) >= config.slow_after {
            return None;
        }
        let is_first =
            |group: &GroupId| self.groups.get(group).is_some_and(|it| it.placement == RunPlacement::FirstRun);
        let mut candidates = self.lanes.first_run_candidates(id).take(CANDIDATES_MAX);
        let (key, group) = candidates.find(|(_, group)| is_first(group))?;
        let key = Arc::clone(key);
        drop(candidates);
        self.lanes.transfer(id, &key);
        self.set_phase(group, GroupPhase::InLane(id));
        Some(group)
    }

    pub(super) fn is_in_batch(&self, group: GroupId, id: BatchId) -> bool {
        self.groups.get(&group).is_some_and(|group| group.phase == GroupPhase::InLane(id))
    }

    /// Stores the result of a run in a batch. It is valid unless a later snapshot has found a change of what
    /// the run read; then the group has to run again, and the result serves only those who wait for this
    /// snapshot. A query that the run splits runs for the other callers in the same batch.
    pub(super) fn apply_lane_result(
        &mut self,
        id: BatchId,
        run: FinishedRun,
        now: Instant,
        config: &ReactivityConfig,
    ) -> AppliedResult {
        let group = run.group;
        if !self.is_in_batch(group, id) {
            return AppliedResult::default();
        }
        if run.end == RunEnd::Torn {
            self.set_to_run(group);
            self.drop_broken_transitions();
            return AppliedResult::default();
        }
        let mut applied = self.apply_result(run, now, config);
        let split = std::mem::take(&mut applied.split);
        for new in &split {
            self.set_phase(*new, GroupPhase::InLane(id));
        }
        if let Some(batch) = self.lanes.batches.get_mut(&id) {
            batch.queue.extend(&split);
        }
        if let Some(own) = applied.group {
            self.resolve_transitions(own, id);
            let stored = self.groups.get(&own);
            let is_current = stored.is_some_and(|it| matches!(it.phase, GroupPhase::Current { .. }));
            if is_current && !stored.is_some_and(|it| self.lanes.is_valid(id, &it.reads.tables)) {
                self.set_to_run(own);
            }
        }
        if !split.is_empty() {
            self.drop_broken_transitions();
        }
        applied
    }

    /// Ends a batch; its groups that have not run have to run again.
    pub(super) fn end_batch(&mut self, id: BatchId) {
        for group in self.lanes.end(id) {
            if self.is_in_batch(group, id) {
                self.set_to_run(group);
            }
        }
        self.drop_broken_transitions();
    }

    /// Schedules groups in the present tick, whatever their lanes.
    pub(super) fn set_stale(&mut self, groups: &[GroupId]) {
        for id in groups {
            self.set_phase(*id, GroupPhase::Stale);
        }
        if !groups.is_empty() {
            self.drop_broken_transitions();
        }
    }

    /// Moves a group to the lanes.
    pub(super) fn move_to_lane(&mut self, id: GroupId) {
        if let Some(group) = self.groups.get_mut(&id) {
            group.placement = RunPlacement::Slow;
            self.set_phase(id, GroupPhase::Waiting);
        }
    }

    /// The runs of `groups` that read one of the `locked` tables. They get the result of the run that met the
    /// lock, instead of waiting for it again.
    pub(super) fn locked_runs(&self, locked: &BTreeSet<TableId>, groups: &[GroupId]) -> Vec<FinishedRun> {
        let reads_locked = |id: &&GroupId| {
            let group = self.groups.get(id).filter(|group| !group.phase.is_settled());
            group.is_some_and(|group| !group.reads.tables.is_disjoint(locked))
        };
        let runs = groups.iter().filter(reads_locked).filter_map(|id| self.groups.get_key_value(id));
        runs.map(|(id, group)| FinishedRun::locked(*id, &group.query.name)).collect()
    }
    /// The runs of those of `groups` whose handlers need a thread, after another run that got none.
    pub(super) fn runs_without_thread(&self, groups: &[GroupId]) -> Vec<FinishedRun> {
        let runs = groups.iter().filter_map(|id| self.groups.get_key_value(id));
        let runs = runs.filter(|(_, group)| !is_system(&group.query.name));
        runs.map(|(id, group)| FinishedRun::without_thread(*id, &group.query.name)).collect()
    }
}
