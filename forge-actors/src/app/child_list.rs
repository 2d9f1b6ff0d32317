//! The children that a run of a job has dispatched.

use std::sync::{Arc, OnceLock};

use crate::app::error::Result;
use crate::app::job::{DependencyKind, WaitedJob};
use crate::app::new_job::NewJob;
use crate::kernel::fault::Fault;
use crate::kernel::merge_slot::MergeSlot;

/// The children of one run, in the order in which its handler asks for them.
#[derive(Default)]
pub struct ChildList {
    /// Those of former runs; read from the database when the handler asks for the first one.
    known: OnceLock<KnownJobs>,
    run: MergeSlot<ChildrenOfRun>,
}

struct KnownJobs {
    children: Arc<[WaitedJob]>,
    /// Jobs of all kinds that the job has waited for.
    count: usize,
}

#[derive(Default)]
struct ChildrenOfRun {
    /// How many the handler has asked for.
    asked: usize,
    /// Those that are not written yet.
    new: Vec<NewJob>,
}

impl ChildList {
    /// The children of former runs, once they are known.
    pub(super) fn known(&self) -> Option<Arc<[WaitedJob]>> {
        self.known.get().map(|known| Arc::clone(&known.children))
    }

    /// Keeps those of the jobs that the job has waited for which are its children.
    pub(super) fn found(&self, mut waited: Vec<WaitedJob>) -> Arc<[WaitedJob]> {
        let count = waited.len();
        waited.retain(|job| job.kind == DependencyKind::Child);
        Arc::clone(&self.known.get_or_init(|| KnownJobs { children: waited.into(), count }).children)
    }

    /// How many numbers the dependencies of the job have: also a batch or a chain has given it some.
    pub(super) fn numbers_used(&self) -> usize {
        self.known.get().map_or(0, |known| known.count)
    }

    /// The index of the child that the handler asks for now.
    pub(super) fn next_index(&self) -> usize {
        let mut index = 0;
        self.run.put(|run| {
            let run = run.get_or_insert_default();
            index = run.asked;
            run.asked += 1;
        });
        index
    }

    /// Adds a child that no former run has dispatched.
    pub(super) fn add(&self, child: NewJob) {
        self.run.put(|run| run.get_or_insert_default().new.push(child));
    }

    /// The children that are not written.
    pub(super) fn new_jobs(&self) -> Vec<NewJob> {
        self.run.take_part(|run| Some(run.new.clone())).unwrap_or_default()
    }

    /// They are written.
    pub(super) fn written(&self) {
        self.run.put(|run| run.get_or_insert_default().new.clear());
    }

    /// Whether a handler may end: it has waited for all of its children.
    ///
    /// # Errors
    /// When there are children that were never written.
    pub(super) fn check_end(&self) -> Result<()> {
        match self.run.take_part(|run| Some(run.new.len())).unwrap_or_default() {
            0 => Ok(()),
            children => Err(Fault::internal(format!(
                "the handler has ended with {children} children that it has not waited for, so they do not \
                 exist: call `ctx.wait_for_jobs()` after `ctx.dispatch_child(..)`, or dispatch them with \
                 `ctx.dispatch(..)`"
            ))
            .without_retry()),
        }
    }
}
