//! The report of a failed command: a code, a sentence, what was tried, the cause, and the command that helps.
//!
//! Errors of the library become reports through [`Diagnose`].

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::process::ExitCode;

use forge_actors::db::embedded::error::EmbeddedError;
use forge_actors::db::error::DatabaseError;
use forge_actors::db::migrate::error::MigrateError;
use forge_actors::kernel::diagnose::{Diagnose, FailureKind};
use forge_actors::kernel::error_chain::{error_causes, error_chain};
use forge_actors::supervise::StartError;
use serde::Serialize;

use crate::terminal::text::{Text, indented};

/// The exit codes; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It failed, and no other code describes the failure better.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// The configuration is wrong.
    Config = 3,
    /// The database is not reachable, or its migrations are pending.
    Database = 4,
    /// Two things that must agree do not.
    Drift = 5,
    /// What was asked for does not exist.
    NotFound = 6,
    /// The caller may not do this.
    Permission = 7,
    /// It took too long.
    Timeout = 8,
    /// The run that was waited for has ended, and not completed.
    NotCompleted = 9,
    /// A bug of Forge, or a node whose supervision tree gave up.
    Bug = 70,
    /// Ended by a signal: the second one of a node, the first one of a start or a build.
    Interrupted = 130,
}

impl From<FailureKind> for Exit {
    fn from(kind: FailureKind) -> Self {
        match kind {
            FailureKind::Failed => Self::Failed,
            FailureKind::Config => Self::Config,
            FailureKind::Database => Self::Database,
            FailureKind::Drift => Self::Drift,
            FailureKind::NotFound => Self::NotFound,
            FailureKind::Timeout => Self::Timeout,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failed command. Its texts are boxed slices, because every function returns it by value.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// A stable word for the failure; scripts match on it.
    pub code: Cow<'static, str>,
    /// One sentence.
    pub message: Box<str>,
    /// What was tried, and where the value came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Box<str>>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<str>>,
    /// The command that helps, or the change that does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<Box<str>>,
    /// The exit code.
    #[serde(serialize_with = "as_number")]
    pub exit: Exit,
}

fn as_number<S: serde::Serializer>(exit: &Exit, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u8(*exit as u8)
}

impl Report {
    /// A report with its sentence.
    pub fn new(exit: Exit, code: impl Into<Cow<'static, str>>, message: impl Into<Box<str>>) -> Self {
        Self { code: code.into(), message: message.into(), tried: None, cause: None, help: None, exit }
    }

    /// Adds what was tried.
    pub fn tried(mut self, tried: impl Into<Box<str>>) -> Self {
        self.tried = Some(tried.into());
        self
    }

    /// Adds why it failed.
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// Adds the command that helps, or the change that does.
    pub fn help(mut self, help: impl Into<Box<str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The report of an error that has a code and a help of its own.
    pub fn diagnosed(error: &(dyn Diagnose + 'static)) -> Self {
        let message = error.to_string();
        let causes = error_causes(error).filter(|causes| !message.contains(causes.as_str()));
        Self {
            code: error.code().into(),
            message: message.into(),
            tried: None,
            cause: causes.map(Into::into),
            help: error.help().map(|help| help.as_ref().into()),
            exit: error.kind().into(),
        }
    }

    /// The report of an actor that did not start. Where the actor's own error has a code, the report is about
    /// that error; otherwise it names the actor's path.
    pub fn of_start(error: &StartError) -> Self {
        let source = error.source.as_ref();
        if let Some(known) = as_diagnosed(source) {
            return Self::diagnosed(known);
        }
        Self::new(Exit::Failed, "start", error.to_string())
            .cause(error_chain(source))
            .help("the log above may say more; -v writes a longer one")
    }

    /// The report for a person, or with `json` as one line of JSON with the same fields.
    pub fn text(&self, json: bool) -> Text {
        if json { Text::json(&serde_json::json!({ "error": self })) } else { self.to_string().into() }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, indented(&self.message, 2))?;
        for (label, text) in [("tried", &self.tried), ("cause", &self.cause), ("help", &self.help)] {
            if let Some(text) = text {
                write!(f, "\n  {label:<8} {}", indented(text, 11))?;
            }
        }
        Ok(())
    }
}

impl Error for Report {}

impl<E: Diagnose + 'static> From<E> for Report {
    fn from(error: E) -> Self {
        Self::diagnosed(&error)
    }
}

/// `error` as one of the errors that an actor of a starting node fails with.
fn as_diagnosed<'e>(error: &'e (dyn Error + Send + Sync + 'static)) -> Option<&'e (dyn Diagnose + 'static)> {
    if let Some(error) = error.downcast_ref::<DatabaseError>() {
        return Some(error);
    }
    if let Some(error) = error.downcast_ref::<EmbeddedError>() {
        return Some(error);
    }
    error.downcast_ref::<MigrateError>().map(|error| error as _)
}
