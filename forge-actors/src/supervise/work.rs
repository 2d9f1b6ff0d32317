//! What an actor works on while it handles one message, where that is more telling than the message: a worker
//! runs a job, whose own time limit says what is too long.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::meter::Meter;
use crate::kernel::integer::Int53;

/// A piece of work with a time limit of its own.
#[derive(Debug, Clone)]
pub struct Work {
    /// The handler that runs.
    pub handler: Arc<str>,
    /// What it runs for, for example the id of a job.
    pub id: String,
    /// After this time the work is cancelled.
    pub limit: Duration,
}

/// Shows a piece of work as the actor's own until it is dropped.
#[must_use = "the work is shown for as long as this value lives"]
pub struct WorkGuard<'a> {
    meter: &'a Meter,
}

/// What an actor works on, with the time limit of this work.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentWork {
    /// The handler that runs.
    pub handler: String,
    /// What it runs for: the id of a job.
    pub id: String,
    /// Milliseconds since it began.
    pub for_ms: Int53,
    /// Milliseconds after which it is cancelled. Work that goes on for longer does not yield.
    pub limit_ms: Int53,
}

/// A piece of work, and when it began.
#[derive(Debug)]
pub(super) struct BegunWork {
    work: Work,
    began: Instant,
}

impl<'a> WorkGuard<'a> {
    pub(super) fn new(meter: &'a Meter, work: Work) -> Self {
        meter.set_work(Some(BegunWork { work, began: Instant::now() }));
        Self { meter }
    }
}

impl Drop for WorkGuard<'_> {
    fn drop(&mut self) {
        self.meter.set_work(None);
    }
}

impl BegunWork {
    pub(super) fn info(&self) -> CurrentWork {
        CurrentWork {
            handler: self.work.handler.to_string(),
            id: self.work.id.clone(),
            for_ms: Int53::millis(self.began.elapsed()),
            limit_ms: Int53::millis(self.work.limit),
        }
    }
}
