//! Errors that are reported to a person who runs a command.
//!
//! An error's own text ([`Display`](std::fmt::Display)) is one sentence that says what failed. The reasons
//! are its [`source`](Error::source) chain ([`error_chain`](super::error_chain)) and are not repeated in the
//! sentence; the command that helps is [`Diagnose::help`]. The code that reports the error decides where each
//! of them is printed.

use std::borrow::Cow;
use std::error::Error;

/// What a failure is about. The command line derives its exit code from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// No other kind describes the failure better.
    Failed,
    /// The configuration is wrong.
    Config,
    /// The database cannot be used.
    Database,
    /// Two things that must agree do not, such as migration files and the rows of applied migrations.
    Drift,
    /// The thing that was named does not exist.
    NotFound,
    /// The operation took too long.
    Timeout,
}

/// An error with a stable code, and with the command that helps.
pub trait Diagnose: Error {
    /// A stable word for the failure, such as `database-unreachable`. Scripts match on it.
    fn code(&self) -> &'static str;

    /// What the failure is about.
    fn kind(&self) -> FailureKind;

    /// The command that helps, or the change that does.
    fn help(&self) -> Option<Cow<'_, str>> {
        None
    }
}
