//! Why a job has ended without success, as its dispatcher may read it: code, sentence and details of a
//! fault, without its cause, which is for operators (`last_error`).

use crate::app::job::JobStatus;
use crate::app::output::OutputError;
use crate::app::wire_type::WireType;
use crate::kernel::fault::{Code, Fault};

/// Bytes of a failure, as JSON; details that make it larger are left out.
const FAILURE_BYTES_MAX: usize = 16 * 1024;

/// The code of a job that was cancelled, as clients have it for calls of theirs.
const CANCELLED: &str = "CANCELLED";

/// Why a job has ended without success.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq)]
pub struct JobFailure {
    /// A code of the handler's own errors, or of the system.
    pub code: String,
    /// A sentence.
    pub message: String,
    /// What programs read.
    pub details: Option<serde_json::Value>,
    /// The code is one of the handler's own errors.
    pub is_own: bool,
}

impl JobFailure {
    /// The part of a fault that clients read, as JSON.
    pub(crate) fn json_of(fault: &Fault) -> Result<String, OutputError> {
        let mut failure = Self {
            code: fault.code().name().to_owned(),
            message: fault.message().to_owned(),
            details: fault.details().cloned(),
            is_own: matches!(fault.code(), Code::App(_)),
        };
        let json = match failure.to_json_within(FAILURE_BYTES_MAX) {
            Ok(json) => json,
            Err(_) => {
                failure.details = None;
                failure.to_json()?
            }
        };
        Ok(String::from_utf8_lossy(&json).into_owned())
    }

    /// Why a job ended with this status, when nothing else is known: a person has cancelled it, its worker
    /// was lost in the last attempt, or the database refused its end. `None` for a status that is no failure.
    pub(crate) fn of_status(status: JobStatus) -> Option<Self> {
        let (code, message) = match status {
            JobStatus::Cancelled => (CANCELLED, "the job was cancelled"),
            JobStatus::Failed | JobStatus::DeadLetter => {
                (Code::Internal.name(), "the job failed inside the server; its log says why")
            }
            JobStatus::Pending
            | JobStatus::Claimed
            | JobStatus::Running
            | JobStatus::Completed
            | JobStatus::Retry => return None,
        };
        Some(Self { code: code.to_owned(), message: message.to_owned(), details: None, is_own: false })
    }
}
