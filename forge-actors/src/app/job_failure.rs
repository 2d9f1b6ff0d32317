//! Why a job has ended without success, as its dispatcher may read it: code, sentence and details of a
//! fault, without its cause, which is for operators (`last_error`).

use crate::app::output::OutputError;
use crate::app::wire_type::WireType;
use crate::kernel::fault::{AppCode, Code, Fault};
use crate::kernel::storable::{value_without_nul, without_nul};

/// Bytes of a failure, as JSON; details that make it larger are left out.
const FAILURE_BYTES_MAX: usize = 16 * 1024;

/// The status of an own error that its enum does not know any more.
const OWN_STATUS: u16 = 409;
/// The code of a job that was cancelled, as clients have it for calls of theirs.
pub(crate) const CANCELLED: &str = "CANCELLED";

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
            message: without_nul(fault.message()),
            details: fault.details().cloned().map(value_without_nul),
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
}

impl From<JobFailure> for Fault {
    fn from(failure: JobFailure) -> Self {
        let known = Code::ALL.iter().find(|code| code.name() == failure.code);
        let code = match (known, failure.code.as_str()) {
            (Some(code), _) => *code,
            (None, CANCELLED) => Code::Conflict,
            // An own error, whose status only its handler's enum knows.
            (None, name) => AppCode::interned(name, OWN_STATUS).map_or(Code::Internal, Code::App),
        };
        let fault = Self::new(code, failure.message);
        match failure.details {
            Some(details) => fault.with_details(details),
            None => fault,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_holds_nothing_that_a_database_refuses() {
        let details = serde_json::json!({ "a\0": ["b\0", 1] });
        let fault = Fault::new(Code::Conflict, "c\0").with_details(details);
        let json = JobFailure::json_of(&fault).expect("it is small");
        assert!(!json.contains("\\u0000"), "{json}");
        assert!(
            json.contains("a\u{fffd}") && json.contains("b\u{fffd}") && json.contains("c\u{fffd}"),
            "{json}"
        );
    }
}
