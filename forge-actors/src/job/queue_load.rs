//! How many further jobs of a queue may begin. Pure.
//!
//! Long jobs of one queue must not keep every other queue waiting. So some workers are kept for queues that
//! run nothing: one for each of them, up to `kept_max` in all. A queue that runs nothing may take any free
//! worker, one that runs something only those beyond. A kept worker is idle also while nobody waits, since it
//! cannot be known when a job that blocks it would end.

use std::collections::HashMap;
use std::sync::Arc;

/// The workers of a node, as the queues have taken them.
pub(super) struct QueueLoad {
    /// How many workers each queue has; queues without one are not in it.
    pub(super) running: HashMap<Arc<str>, usize>,
    /// Workers that no queue has.
    pub(super) free: usize,
    /// How many queues the node serves.
    pub(super) queues: usize,
    /// Workers that are kept for queues that run nothing, at most.
    pub(super) kept_max: usize,
}

impl QueueLoad {
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
            *self.running.entry(Arc::clone(queue)).or_default() += 1;
            self.free -= 1;
        }
        may
    }
}
