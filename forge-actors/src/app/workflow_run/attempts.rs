//! The attempts at steps of one activation that execute now: people are shown them, the journal has none.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::app::workflow_run::journal::StepKind;
use crate::app::workflow_run::store::StepRow;
use crate::kernel::merge_slot::MergeSlot;

/// The attempts of one activation that execute now.
#[derive(Default)]
pub(crate) struct RunAttempts {
    /// By the positions of their steps. Written by the attempts, read by the lease keeper.
    executing: MergeSlot<HashMap<String, StepAttempt>>,
}

/// An attempt that executes now.
struct StepAttempt {
    kind: StepKind,
    name: String,
    attempt: u32,
    began: Instant,
}

/// A step of which an attempt executes now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepUnderWay {
    /// Its position.
    pub(crate) position: String,
    /// What it does.
    pub(crate) kind: StepKind,
    /// Its name.
    pub(crate) name: String,
    /// The number of the attempt, from 1.
    pub(crate) attempt: u32,
    /// For how long the attempt has been executing.
    pub(crate) elapsed: Duration,
}

/// An attempt executes until this is dropped.
pub(in crate::app) struct Attempting<'a> {
    attempts: &'a RunAttempts,
    position: &'a str,
}

impl RunAttempts {
    /// Notes that an attempt at a step executes, until the result is dropped.
    pub(in crate::app) fn begin<'a>(&'a self, row: &'a StepRow) -> Attempting<'a> {
        let StepRow { position, kind, name, attempts, .. } = row;
        let attempt =
            StepAttempt { kind: *kind, name: name.clone(), attempt: *attempts, began: Instant::now() };
        self.executing.put(|executing| {
            executing.get_or_insert_default().insert(position.clone(), attempt);
        });
        Attempting { attempts: self, position }
    }

    /// The steps of which an attempt has been executing for `longer_than`.
    pub(crate) fn under_way(&self, longer_than: Duration) -> Vec<StepUnderWay> {
        let mut steps = Vec::new();
        self.executing.put(|executing| {
            for (position, StepAttempt { kind, name, attempt, began }) in executing.iter().flatten() {
                let elapsed = began.elapsed();
                if elapsed >= longer_than {
                    let (position, name) = (position.clone(), name.clone());
                    steps.push(StepUnderWay { position, kind: *kind, name, attempt: *attempt, elapsed });
                }
            }
        });
        steps
    }
}

impl Drop for Attempting<'_> {
    fn drop(&mut self) {
        self.attempts.executing.put(|executing| {
            if let Some(executing) = executing {
                executing.remove(self.position);
            }
        });
    }
}
