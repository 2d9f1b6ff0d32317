//! What takes back a completed step.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::app::workflow_run::store::StepConnection;

/// A call of another handler, as a step makes it.
#[derive(Clone)]
pub struct StepCall {
    /// Wire name of the handler.
    pub(crate) name: Arc<str>,
    /// Its arguments, as JSON.
    pub(crate) args: Bytes,
    /// What the call holds. The transaction of a mutation records the step.
    pub(crate) connection: StepConnection,
}

/// A message that takes back what a step has done.
pub struct CompensationCall {
    pub(crate) call: StepCall,
    /// The form of arguments and result.
    pub(crate) shape: u64,
    /// Time limit of an attempt.
    pub(crate) timeout: Duration,
}

/// A registered compensation.
pub struct Compensation {
    /// Where the journal has its row.
    pub position: String,
    /// The name of the step that it takes back.
    pub name: String,
    /// Compensations run from the largest to the smallest: the number of the step, and the order of
    /// registration.
    pub order: (u32, usize),
    pub(crate) call: CompensationCall,
}

impl Compensation {
    /// Of the step at `position`.
    pub(crate) fn of(position: &str, name: &str, order: (u32, usize), call: CompensationCall) -> Self {
        Self { position: format!("-{position}"), name: name.to_owned(), order, call }
    }
}
