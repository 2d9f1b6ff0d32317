//! The refusal of a command about a run that there is not.

use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;

/// There is no such run.
pub(crate) fn missing(run: RunId) -> Fault {
    Fault::new(
        Code::NotFound,
        format!("there is no run {run}; those that have ended are kept for a while only"),
    )
}
