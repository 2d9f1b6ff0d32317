//! Sums of the jobs that a node has claimed and that have not begun, which would otherwise be counted at each
//! message. Pure.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use super::queue_load::QueueLoad;

#[derive(Default)]
pub(super) struct ClaimedSums {
    /// Bytes of their arguments.
    pub(super) bytes: usize,
    /// Jobs whose begin is to be written.
    pub(super) to_begin: usize,
    pub(super) by_queue: HashMap<Arc<str>, usize>,
}

impl ClaimedSums {
    /// Adds a job, or takes it out.
    pub(super) fn count(&mut self, queue: &Arc<str>, bytes: usize, needs_begin: bool, is_added: bool) {
        let count = |sum: &mut usize, by: usize| *sum = if is_added { *sum + by } else { *sum - by };
        count(&mut self.bytes, bytes);
        count(&mut self.to_begin, usize::from(needs_begin));
        match self.by_queue.get_mut(queue) {
            Some(sum) => count(sum, 1),
            None => drop(self.by_queue.insert(Arc::clone(queue), 1)),
        }
    }

    /// Jobs of a queue.
    pub(super) fn of(&self, queue: &str) -> usize {
        self.by_queue.get(queue).copied().unwrap_or_default()
    }

    /// The weights of the queues that may have jobs waiting, together: those that are `pending`, and those of
    /// which jobs are claimed.
    pub(super) fn waiting_weight(&self, pending: &VecDeque<Arc<str>>, load: &QueueLoad) -> u64 {
        let claimed = self.by_queue.iter().filter(|(_, count)| **count > 0).map(|(queue, _)| queue);
        let claimed = claimed.filter(|queue| !pending.contains(queue));
        pending.iter().chain(claimed).map(|queue| u64::from(load.weight(queue))).sum()
    }
}
