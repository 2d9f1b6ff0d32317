//! What bounds the claims of a node, and what its planner asks of a job.

use std::collections::BTreeMap;
use std::sync::Arc;

/// What a planner plans for.
pub(super) struct PlannerLimits<T> {
    pub(super) workers: usize,
    /// Workers that are kept for queues that run nothing.
    pub(super) kept_max: usize,
    /// By queue; one that is missing has weight 1.
    pub(super) weights: Arc<BTreeMap<String, u32>>,
    pub(super) prefetch_max: usize,
    /// Bytes of arguments of a claim, and of the jobs that are claimed ahead.
    pub(super) prefetch_bytes_max: usize,
    /// The queue of a claimed job.
    pub(super) queue_of: fn(&T) -> &Arc<str>,
    /// The size of its arguments.
    pub(super) bytes_of: fn(&T) -> usize,
    /// Whether a limit by key admits it, one after the other.
    pub(super) is_keyed: fn(&T) -> bool,
    /// Whether its begin is to be written before it is assigned.
    pub(super) needs_begin: fn(&T) -> bool,
}
