//! Errors that are reported to a person who runs a command.
//!
//! An error's own text ([`Display`](std::fmt::Display)) is one sentence that says what failed. The reasons
//! are its [`source`](Error::source) chain and are not repeated in the sentence; the command that helps is
//! [`Diagnose::help`]. Whoever reports the error decides where each of them is printed.

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
    /// It took too long.
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

/// The text of `error`, and of its sources behind it, separated by colons. A source whose text already ends
/// the text so far is not repeated.
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        let source_text = source.to_string();
        if !text.ends_with(&source_text) {
            text = format!("{text}: {source_text}");
        }
        next = source.source();
    }
    text
}

/// The texts of the sources of `error`, separated by colons; `None` when it has no source.
pub fn error_causes(error: &(dyn Error + 'static)) -> Option<String> {
    error.source().map(error_chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Link {
        text: &'static str,
        source: Option<Box<Link>>,
    }

    fn link(text: &'static str, source: Option<Link>) -> Link {
        Link { text, source: source.map(Box::new) }
    }

    #[test]
    fn a_chain_names_each_source_once() {
        let error = link("connecting failed", Some(link("no route: refused", Some(link("refused", None)))));
        assert_eq!(error_chain(&error), "connecting failed: no route: refused");
        assert_eq!(error_causes(&error).as_deref(), Some("no route: refused"));
        assert_eq!(error_causes(&link("alone", None)), None);
    }
}
