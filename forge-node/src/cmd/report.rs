//! What a command says when it fails, in one shape: a code, a sentence, what was tried, the cause, one
//! command that helps.

use std::borrow::Cow;
use std::fmt;
use std::process::ExitCode;

use serde::Serialize;

/// The exit codes; scripts rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It failed, and no other code says it better.
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
    /// A bug, or a node that gave itself up.
    Bug = 70,
    /// Ended by a second signal.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// A failed command. Its texts are boxed slices, because every function returns it by value.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Stable word for the failure.
    pub code: Cow<'static, str>,
    /// One sentence.
    pub message: Box<str>,
    /// What was tried, and where the value came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<Box<str>>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<Box<str>>,
    /// What helps.
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
    /// A failure with its sentence.
    pub fn new(exit: Exit, code: impl Into<Cow<'static, str>>, message: impl Into<Box<str>>) -> Self {
        Self { code: code.into(), message: message.into(), tried: None, cause: None, help: None, exit }
    }

    /// Says what was tried.
    pub fn tried(mut self, tried: impl Into<Box<str>>) -> Self {
        self.tried = Some(tried.into());
        self
    }

    /// Says why it failed.
    pub fn cause(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string().into());
        self
    }

    /// Says what helps.
    pub fn help(mut self, help: impl Into<Box<str>>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A sentence that the rooms wrote with their help under it (`..\n  help: ..`), taken apart.
    pub fn of_room(exit: Exit, code: &'static str, error: &dyn std::error::Error) -> Self {
        let text = error.to_string();
        let (message, help) = text
            .split_once("\n  help: ")
            .map_or((text.as_str(), None), |(message, help)| (message, Some(help)));
        let cause = error.source().map(ToString::to_string);
        // A sentence that ends with its cause says it once, in the line for causes.
        let told = cause.as_ref().and_then(|cause| message.strip_suffix(cause.as_str())?.strip_suffix(": "));
        let report = Self::new(exit, code, told.unwrap_or(message));
        let report = match cause.filter(|cause| told.is_some() || !message.contains(cause.as_str())) {
            Some(cause) => report.cause(cause),
            None => report,
        };
        match help {
            Some(help) => report.help(help),
            None => report,
        }
    }

    /// One line of JSON, with the same fields.
    pub fn to_json(&self) -> String {
        serde_json::json!({ "error": self }).to_string()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.message)?;
        for (label, text) in [("tried", &self.tried), ("cause", &self.cause), ("help", &self.help)] {
            if let Some(text) = text {
                write!(f, "\n  {label:<8} {}", text.trim_end().replace('\n', "\n           "))?;
            }
        }
        Ok(())
    }
}

impl std::error::Error for Report {}
