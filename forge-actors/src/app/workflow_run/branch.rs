//! Where a workflow is in its code: positions of steps, counted per branch.
//!
//! The function itself is the root branch; `parallel`, `race` and `join_all` poll each of their futures in a
//! branch of its own. A step belongs to the branch in which it is made, so its position follows from the
//! program alone, and not from the order in which things end.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering::Relaxed};
use std::task::{Context, Poll};

use futures::future::BoxFuture;

use crate::app::error::Result;
use crate::kernel::fault::Fault;
use crate::kernel::time::Timestamp;

thread_local! {
    static CURRENT: RefCell<Option<Arc<Branch>>> = const { RefCell::new(None) };
}

/// A sequence of steps.
#[doc(hidden)]
pub struct Branch {
    /// The position of the group and the number of the branch in it, with a dot behind; empty for the root.
    prefix: String,
    /// Positions that were given.
    given: AtomicU32,
    /// When its last step ended, in microseconds since 1970.
    time: AtomicI64,
    /// Steps that were made in this branch and are polled in it now.
    running: AtomicUsize,
    /// The branch is one of a race, or inside of one: the code may end without its steps.
    pub(in crate::app) is_optional: bool,
}

/// The position of a step, and the branch that it was made in.
#[derive(Clone)]
#[doc(hidden)]
pub struct StepPosition {
    pub(in crate::app) position: String,
    pub(in crate::app) branch: Arc<Branch>,
}

impl Branch {
    /// The function itself, which begins at this time.
    pub(crate) fn root(began: Timestamp) -> Arc<Self> {
        Arc::new(Self::new(String::new(), began.timestamp_micros(), false))
    }

    fn new(prefix: String, time: i64, is_optional: bool) -> Self {
        let (given, running) = (AtomicU32::new(0), AtomicUsize::new(0));
        Self { prefix, given, time: AtomicI64::new(time), running, is_optional }
    }

    /// Branch `index` of the group at `place`.
    pub(in crate::app) fn of_group(place: &StepPosition, index: usize, is_race: bool) -> Arc<Self> {
        let StepPosition { position, branch } = place;
        let is_optional = is_race || branch.is_optional;
        Arc::new(Self::new(format!("{position}.{index}."), branch.time.load(Relaxed), is_optional))
    }

    /// The branch that is polled now.
    ///
    /// # Errors
    /// `INTERNAL` outside of the task of a workflow.
    pub(in crate::app) fn current() -> Result<Arc<Self>> {
        let branch = CURRENT.with_borrow(Clone::clone);
        branch.ok_or_else(|| {
            Fault::internal(
                "a workflow makes its steps in its own task: steps in a task that it has spawned have no \
                 place in its journal; `ctx.parallel`, `ctx.race` and `ctx.join_all` run steps side by side",
            )
        })
    }

    /// The position of the next step.
    pub(in crate::app) fn place(self: Arc<Self>) -> StepPosition {
        let number = self.given.fetch_add(1, Relaxed) + 1;
        StepPosition { position: format!("{}{number}", self.prefix), branch: self }
    }

    /// When the last step of this branch ended, or the branch began.
    pub(in crate::app) fn now(&self) -> Timestamp {
        Timestamp::from_timestamp_micros(self.time.load(Relaxed)).unwrap_or_default()
    }

    /// A step of this branch has ended.
    pub(in crate::app) fn ended(&self, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.time.fetch_max(at.timestamp_micros(), Relaxed);
        }
    }

    /// The group that these branches belong to has ended.
    pub(in crate::app) fn joined<'b>(&self, branches: impl Iterator<Item = &'b Arc<Self>>) {
        for branch in branches {
            self.time.fetch_max(branch.time.load(Relaxed), Relaxed);
        }
    }

    /// Notes that a step runs in this branch, until the result is dropped. False when another one does.
    pub(in crate::app) fn enter(self: &Arc<Self>) -> (bool, RunningInBranch) {
        let others = self.running.fetch_add(1, Relaxed);
        (others == 0, RunningInBranch(Arc::clone(self)))
    }
}

/// A step runs in its branch.
pub(in crate::app) struct RunningInBranch(Arc<Branch>);

impl Drop for RunningInBranch {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}

/// Polls a future in a branch.
#[doc(hidden)]
pub struct InBranch<'a, T> {
    branch: Arc<Branch>,
    future: BoxFuture<'a, T>,
}

impl<'a, T> InBranch<'a, T> {
    pub(crate) fn new(branch: Arc<Branch>, future: BoxFuture<'a, T>) -> Self {
        Self { branch, future }
    }
}

impl<T> Future for InBranch<'_, T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        /// Puts the branch around this one back, also when the poll panics.
        struct Outer(Option<Arc<Branch>>);
        impl Drop for Outer {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _outer = Outer(CURRENT.replace(Some(Arc::clone(&self.branch))));
        self.future.as_mut().poll(cx)
    }
}
