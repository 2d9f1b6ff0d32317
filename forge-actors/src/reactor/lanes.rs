//! The lanes: connections on which groups run beside the ticks. Pure: the time is passed in.
//!
//! A *batch* is the use of a lane from the start of one snapshot to its end. Each [`ShareKey`] has a queue
//! of the groups that wait for it, and a share of the lanes: at most half of them and at least one; the
//! queries that wait for locks have one lane together. The key with the fewest batches comes first, among
//! equals the one that was served longest ago. A key that comes anew stands behind those that wait already.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use crate::change::Changed;
use crate::kernel::backoff::Backoff;
use crate::kernel::commit::{Snapshot, TableId};
use crate::kernel::time::{millis, secs};

use super::delivery::Tick;
use super::query_key::{BatchId, GroupId};
use super::share_key::ShareKey;

/// Pause after a batch was lost, before another one starts.
const RETRY: Backoff = Backoff::exponential(millis(50), secs(2));

#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// How many batches may run at once.
    lanes_max: usize,
    pub(super) batches: BTreeMap<BatchId, LaneBatch>,
    batches_started: u64,
    /// The keys that have waiting groups or batches.
    turns: HashMap<Arc<ShareKey>, Turn>,
    /// The keys that have waiting groups, in the order in which they are served.
    order: BTreeSet<(usize, u64, Arc<ShareKey>)>,
    /// The waiting groups, each with the keys in whose queues it is.
    waiting: HashMap<GroupId, WaitingGroup>,
    waits_started: u64,
    turns_given: u64,
    /// No batch starts before this time.
    earliest: Option<Instant>,
    /// Batches that were lost in a row.
    failures: u32,
}

/// Runs in a lane, in one snapshot.
#[derive(Debug)]
pub(super) struct LaneBatch {
    key: Arc<ShareKey>,
    pub(super) phase: BatchPhase,
    /// The tick whose snapshot the runs read.
    pub(super) tick: Tick,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) began: Instant,
    /// The groups that are still to run.
    pub(super) queue: VecDeque<GroupId>,
    /// What later ticks have found changed.
    changed: Changed,
}

impl LaneBatch {
    /// The groups that run or are still to run.
    pub(super) fn groups(&self) -> impl Iterator<Item = GroupId> {
        let running = match self.phase {
            BatchPhase::Running(group) => group,
            BatchPhase::Chosen | BatchPhase::Importing | BatchPhase::Closing => None,
        };
        running.into_iter().chain(self.queue.iter().copied())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchPhase {
    /// The snapshot is not exported yet.
    Chosen,
    /// A session imports the snapshot. The tick's transaction must stay open.
    Importing,
    /// The snapshot is imported; this group runs.
    Running(Option<GroupId>),
    /// The session returns to its pool.
    Closing,
}

#[derive(Debug, Default)]
struct Turn {
    /// Waiting groups, in the order in which they came.
    waiting: BTreeSet<(u64, GroupId)>,
    batches: usize,
    /// When the key was served last, as a number that only grows.
    served: u64,
}

#[derive(Debug)]
struct WaitingGroup {
    number: u64,
    keys: BTreeSet<Arc<ShareKey>>,
}

impl Lanes {
    pub(super) fn new(lanes_max: usize) -> Self {
        Self { lanes_max, ..Self::default() }
    }

    /// False when the node has no lanes: all groups run in the ticks.
    pub(super) fn exist(&self) -> bool {
        self.lanes_max > 0
    }

    /// Puts a group into the queues of `keys`.
    pub(super) fn wait(&mut self, group: GroupId, keys: impl IntoIterator<Item = Arc<ShareKey>>) {
        let waits_started = &mut self.waits_started;
        let entry = self.waiting.entry(group).or_insert_with(|| {
            *waits_started += 1;
            WaitingGroup { number: *waits_started, keys: BTreeSet::new() }
        });
        let number = entry.number;
        let new: Vec<Arc<ShareKey>> =
            keys.into_iter().filter(|key| entry.keys.insert(Arc::clone(key))).collect();
        for key in new {
            self.change_turn(&key, |turn| {
                turn.waiting.insert((number, group));
            });
        }
    }

    /// Takes a group out of all queues.
    pub(super) fn leave(&mut self, group: GroupId) {
        let Some(WaitingGroup { number, keys }) = self.waiting.remove(&group) else { return };
        for key in keys {
            self.change_turn(&key, |turn| {
                turn.waiting.remove(&(number, group));
            });
        }
    }

    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The waiting groups that may have a lane at `now`, each with the key whose turn it is: key by key in
    /// the order of turns.
    pub(super) fn candidates(&self, now: Instant) -> impl Iterator<Item = (&Arc<ShareKey>, GroupId)> {
        let free =
            self.batches.len() < self.lanes_max && self.earliest.is_none_or(|earliest| earliest <= now);
        let keys = self.order.iter().filter(move |(batches, _, key)| free && *batches < self.share(key));
        keys.flat_map(move |(_, _, key)| self.queue_of(key).map(move |group| (key, group)))
    }

    /// The waiting groups that may run in a batch whose own groups have run, as
    /// [`candidates`](Self::candidates) lists them.
    pub(super) fn first_run_candidates(
        &self,
        id: BatchId,
    ) -> impl Iterator<Item = (&Arc<ShareKey>, GroupId)> {
        let own = self.batches.get(&id).map(|batch| &batch.key);
        let keys =
            self.order.iter().filter(move |(batches, _, key)| *batches < self.share(key) || own == Some(key));
        keys.flat_map(move |(_, _, key)| self.queue_of(key).map(move |group| (key, group)))
    }

    /// Counts the lane of a batch as one of `key` from now on.
    pub(super) fn transfer(&mut self, id: BatchId, key: &Arc<ShareKey>) {
        let Some(batch) = self.batches.get_mut(&id) else { return };
        let former = std::mem::replace(&mut batch.key, Arc::clone(key));
        self.turns_given += 1;
        let served = self.turns_given;
        self.change_turn(key, |turn| {
            turn.batches += 1;
            turn.served = served;
        });
        self.change_turn(&former, |turn| turn.batches -= 1);
    }

    /// How many lanes a key may have.
    fn share(&self, key: &ShareKey) -> usize {
        if *key == ShareKey::Locked { 1 } else { (self.lanes_max / 2).max(1) }
    }

    fn queue_of(&self, key: &Arc<ShareKey>) -> impl Iterator<Item = GroupId> {
        self.turns.get(key).into_iter().flat_map(|turn| &turn.waiting).map(|(_, group)| *group)
    }

    /// When a batch may start again after one was lost.
    pub(super) fn retry_at(&self, now: Instant) -> Option<Instant> {
        self.earliest.filter(|earliest| self.has_waiting() && *earliest > now)
    }

    /// Takes a lane for `groups`, on behalf of `key`.
    pub(super) fn begin(
        &mut self,
        key: &Arc<ShareKey>,
        groups: &[GroupId],
        tick: Tick,
        snapshot: &Arc<Snapshot>,
        now: Instant,
    ) -> BatchId {
        self.batches_started += 1;
        self.turns_given += 1;
        let served = self.turns_given;
        self.change_turn(key, |turn| {
            turn.batches += 1;
            turn.served = served;
        });
        let id = BatchId(self.batches_started);
        let batch = LaneBatch {
            key: Arc::clone(key),
            phase: BatchPhase::Chosen,
            tick,
            snapshot: Arc::clone(snapshot),
            began: now,
            queue: groups.iter().copied().collect(),
            changed: Changed::Tables(BTreeSet::new()),
        };
        self.batches.insert(id, batch);
        id
    }

    /// Frees the lane of a batch, and returns the groups that have not run.
    pub(super) fn end(&mut self, id: BatchId) -> Vec<GroupId> {
        let Some(batch) = self.batches.remove(&id) else { return Vec::new() };
        self.change_turn(&batch.key, |turn| turn.batches -= 1);
        batch.groups().collect()
    }

    /// Notes that a batch came to its end.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
        self.earliest = None;
    }

    /// Notes that a batch was lost: no other starts for a moment. `jitter` is uniform in `0.0..1.0`.
    pub(super) fn failed(&mut self, now: Instant, jitter: f64) {
        self.earliest = now.checked_add(RETRY.delay(self.failures, jitter));
        self.failures += 1;
    }

    /// True while a session imports the snapshot of the tick.
    pub(super) fn is_importing(&self) -> bool {
        self.batches.values().any(|batch| batch.phase == BatchPhase::Importing)
    }

    /// The batches in a phase.
    pub(super) fn in_phase(&self, phase: BatchPhase) -> Vec<BatchId> {
        self.batches.iter().filter(|(_, batch)| batch.phase == phase).map(|(id, _)| *id).collect()
    }

    /// Notes what a later snapshot found changed.
    pub(super) fn note_changes(&mut self, changed: &Changed) {
        for batch in self.batches.values_mut() {
            match (&mut batch.changed, changed) {
                (Changed::Tables(known), Changed::Tables(more)) => known.extend(more),
                (known, Changed::Everything) => *known = Changed::Everything,
                (Changed::Everything, _) => {}
            }
        }
    }

    /// True when no later snapshot has found a change of `tables`.
    pub(super) fn is_valid(&self, id: BatchId, tables: &BTreeSet<TableId>) -> bool {
        match self.batches.get(&id).map(|batch| &batch.changed) {
            Some(Changed::Tables(changed)) => changed.is_disjoint(tables),
            Some(Changed::Everything) | None => false,
        }
    }

    fn change_turn(&mut self, key: &Arc<ShareKey>, change: impl FnOnce(&mut Turn)) {
        let served = self.turns_given;
        let new = || Turn { served, ..Turn::default() };
        let turn = self.turns.entry(Arc::clone(key)).or_insert_with(new);
        self.order.remove(&(turn.batches, turn.served, Arc::clone(key)));
        change(turn);
        if !turn.waiting.is_empty() {
            self.order.insert((turn.batches, turn.served, Arc::clone(key)));
        } else if turn.batches == 0 {
            self.turns.remove(key);
        }
    }
}

#[cfg(test)]
impl Lanes {
    /// Fails unless the waiting groups are `expected`, and all queues agree.
    pub(super) fn assert_waiting(&self, expected: &BTreeSet<GroupId>) {
        assert_eq!(&self.waiting.keys().copied().collect::<BTreeSet<_>>(), expected);
        let queued = self.order.iter().flat_map(|(_, _, key)| self.queue_of(key));
        assert_eq!(&queued.collect::<BTreeSet<_>>(), expected);
        let batches: usize = self.turns.values().map(|turn| turn.batches).sum();
        assert_eq!(batches, self.batches.len());
        assert!(batches <= self.lanes_max);
    }
}
