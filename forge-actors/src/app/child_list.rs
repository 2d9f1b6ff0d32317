//! The children that a run of a job has dispatched.

use std::sync::{Arc, OnceLock};

use crate::app::error::Result;
use crate::app::job::WaitedJob;
use crate::app::new_job::NewJob;
use crate::kernel::fault::Fault;
use crate::kernel::merge_slot::MergeSlot;

/// The children of one run, in the order in which its handler asks for them.
#[derive(Default)]
pub struct ChildList {
    /// Those of former runs; read from the database when the handler asks for the first one.
    known: OnceLock<Arc<[WaitedJob]>>,
    run: MergeSlot<ChildrenOfRun>,
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
        self.known.get().map(Arc::clone)
    }

    /// Keeps the children of former runs.
    pub(super) fn found(&self, children: Arc<[WaitedJob]>) -> Arc<[WaitedJob]> {
        Arc::clone(self.known.get_or_init(|| children))
    }

    /// The place of the child that the handler asks for now, from 0.
    pub(super) fn next_place(&self) -> usize {
        let mut place = 0;
        self.run.put(|run| {
            let run = run.get_or_insert_default();
            place = run.asked;
            run.asked += 1;
        });
        place
    }

    /// Adds a child that no former run has dispatched.
    pub(super) fn add(&self, child: NewJob) {
        self.run.put(|run| run.get_or_insert_default().new.push(child));
    }

    /// Takes the children that are not written.
    pub(super) fn take_new(&self) -> Vec<NewJob> {
        self.run.take_part(|run| Some(std::mem::take(&mut run.new))).unwrap_or_default()
    }

    /// Whether a handler may end: it has waited for all of its children.
    ///
    /// # Errors
    /// When there are children that were never written.
    pub(super) fn check_end(&self) -> Result<()> {
        match self.take_new().len() {
            0 => Ok(()),
            children => Err(Fault::internal(format!(
                "the handler has ended with {children} children that it has not waited for, so they do not \
                 exist: call `ctx.wait_for_jobs()` after `ctx.dispatch_child(..)`, or dispatch them with \
                 `ctx.dispatch(..)`"
            ))),
        }
    }
}
