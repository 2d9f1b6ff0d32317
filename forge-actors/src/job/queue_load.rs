//! How many further jobs of a queue may begin. Pure.
//!
//! Long jobs of one queue must not keep every other queue waiting. So some workers are kept for queues that
//! run nothing: one for each of them, up to `kept_max` in all. A queue that runs nothing may take any free
//! worker, one that runs something only those beyond. A kept worker is idle also while nobody waits, since it
//! cannot be known when a job that blocks it would end.

use std::collections::HashMap;
use std::sync::Arc;

/// The workers of a node, as the queues have taken them.
#[derive(Debug, Clone)]
pub(super) struct QueueLoad {
    /// How many workers each queue has; queues without one are not in it.
    running: HashMap<Arc<str>, usize>,
    /// Workers that no queue has.
    free: usize,
    /// How many queues the node serves.
    queues: usize,
    /// Workers that are kept for queues that run nothing, at most.
    kept_max: usize,
}

impl QueueLoad {
    /// No queue has one of the `workers`.
    pub(super) fn new(workers: usize, kept_max: usize) -> Self {
        Self { running: HashMap::new(), free: workers, queues: 0, kept_max }
    }

    /// Sets how many queues the node serves.
    pub(super) fn serve(&mut self, queues: usize) {
        self.queues = queues;
    }

    /// How many workers `queue` may take.
    pub(super) fn open_to(&self, queue: &str) -> usize {
        let is_idle = !self.running.contains_key(queue);
        let idle_others = self.queues.saturating_sub(self.running.len() + usize::from(is_idle));
        let open = self.free.saturating_sub(idle_others.min(self.kept_max));
        if is_idle { open.max(self.free.min(1)) } else { open }
    }

    /// Gives a worker to `queue`, if it may take one.
    pub(super) fn take(&mut self, queue: &Arc<str>) -> bool {
        let may = self.open_to(queue) > 0;
        if may {
            self.give(queue);
        }
        may
    }

    /// Gives a worker to `queue`, which had one when the begin was sent.
    pub(super) fn give(&mut self, queue: &Arc<str>) {
        match self.running.get_mut(queue) {
            Some(running) => *running += 1,
            None => drop(self.running.insert(Arc::clone(queue), 1)),
        }
        self.free = self.free.saturating_sub(1);
    }

    /// Takes a worker back from `queue`.
    pub(super) fn release(&mut self, queue: &str) {
        let Some(running) = self.running.get_mut(queue) else { return };
        *running -= 1;
        if *running == 0 {
            self.running.remove(queue);
        }
        self.free += 1;
    }
}
