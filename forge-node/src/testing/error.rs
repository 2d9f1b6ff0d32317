//! Why a test failed, and where.

use std::error::Error;
use std::fmt;
use std::panic::Location;
use std::path::Path;

use forge_actors::kernel::diagnose::Diagnose;
use forge_actors::kernel::error_chain::error_chain;
use forge_actors::kernel::fault::Fault;

/// What a test returns: `?` works on every error.
pub type TestResult<T = ()> = Result<T, TestError>;

/// A failed test: the error with its causes, and the place of the `?` that passed it on.
#[derive(Clone)]
pub struct TestError {
    message: String,
    location: Option<&'static Location<'static>>,
}

impl TestError {
    /// A sentence that says what failed, and what helps.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), location: None }
    }

    /// The error with its causes, and with what helps where that is known.
    pub(super) fn diagnosed(doing: &str, error: &(dyn Diagnose + 'static)) -> Self {
        let help = error.help().map(|help| format!("; {help}")).unwrap_or_default();
        Self::new(format!("{doing}: {}{help}", chain(error)))
    }
}

fn chain(error: &(dyn Diagnose + 'static)) -> String {
    let causes = error.source().map(error_chain);
    let message = error.to_string();
    match causes {
        Some(causes) if !message.ends_with(&causes) => format!("{message}: {causes}"),
        _ => message,
    }
}

impl<E: Into<Box<dyn Error>>> From<E> for TestError {
    #[track_caller]
    fn from(error: E) -> Self {
        let error: Box<dyn Error> = error.into();
        let location = Location::caller();
        Self { message: error_chain(&*error), location: (!is_own(location)).then_some(location) }
    }
}

/// True for a place in this folder, which says nothing to the author of a test.
fn is_own(location: &Location<'_>) -> bool {
    Path::new(file!()).parent().is_some_and(|folder| Path::new(location.file()).starts_with(folder))
}

/// For tests that return [`forge::Result`](crate::Result).
impl From<TestError> for Fault {
    fn from(error: TestError) -> Self {
        Self::internal(error.to_string())
    }
}

impl fmt::Display for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.location {
            Some(location) => write!(f, "{}:{}: {}", location.file(), location.line(), self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// As [`Display`](fmt::Display), since test runners print the `Debug` form.
impl fmt::Debug for TestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
