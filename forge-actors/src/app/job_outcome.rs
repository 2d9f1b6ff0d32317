//! The end of a job, in the types of its handler.

use crate::app::error::{AppError, CallError};
use crate::app::handler::Handler;
use crate::app::job_end::JobEnd;
use crate::app::wire_type::WireType;
use crate::kernel::fault::Fault;

/// What the handler of a job has returned, or why the job has ended without success.
pub type JobOutcome<H> = Result<<H as Handler>::Output, CallError<<H as Handler>::Error>>;

/// The end of a job of `H`, as its handler has returned it.
pub(super) fn outcome_of<H: Handler>(end: JobEnd) -> JobOutcome<H> {
    match end {
        JobEnd::Completed(json) => {
            let json = json.as_deref().unwrap_or(b"null");
            H::Output::from_json(json).map_err(|error| CallError::Fault(Fault::internal(error)))
        }
        JobEnd::Failed(failure) => match H::Error::from_wire(&failure.code, failure.details.as_ref()) {
            Some(own) if failure.is_own => Err(CallError::App(own)),
            _ => Err(CallError::Fault(failure.into())),
        },
    }
}
