//! What handlers return when they fail, and how `?` lifts it.
//!
//! `forge::Result<T>` fails with a [`Fault`]; `forge::Result<T, TaskError>` with a [`Failure<TaskError>`],
//! which is either the handler's own error or a fault. The alias goes through [`AppError::Fault`] so that the
//! two are different types and `?` lifts one into the other without overlapping `From` implementations.

use std::convert::Infallible;
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::model::same;
use crate::app::wire_type::WireType;
use crate::kernel::fault::{AppCode, Code, Fault};

/// What a handler returns.
pub type Result<T, E = NoError> = std::result::Result<T, <E as AppError>::Fault>;

/// An application's error enum, declared with `#[forge::error]`: each variant has a code and a status, its
/// fields are the details.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an application error",
    note = "declare it with `#[forge::error]` on the enum and `#[code(\"NAME\", status = 409)]` on each variant"
)]
pub trait AppError: fmt::Debug + WireType + Send + 'static {
    /// What a handler with this error returns in `Err`.
    type Fault: Into<Fault> + From<Fault> + fmt::Debug + Send + 'static;

    /// Every code of the enum, in the order of its variants.
    const CODES: &'static [AppCode];

    /// The code of this value.
    fn code(&self) -> AppCode;

    /// The sentence for the client: the variant's documentation.
    fn message(&self) -> &'static str;

    /// The variant's fields as a JSON object, or `null`.
    fn details(&self) -> serde_json::Value;

    /// Reads back what [`code`](Self::code) and [`details`](Self::details) wrote; `None` for another enum's
    /// code.
    fn from_wire(code: &str, details: Option<&serde_json::Value>) -> Option<Self>
    where
        Self: Sized;
}

/// The error of a handler that has none of its own.
#[derive(Debug)]
pub struct NoError(Infallible);

impl AppError for NoError {
    type Fault = Fault;
    const CODES: &'static [AppCode] = &[];

    fn code(&self) -> AppCode {
        match self.0 {}
    }

    fn message(&self) -> &'static str {
        match self.0 {}
    }

    fn details(&self) -> serde_json::Value {
        match self.0 {}
    }

    fn from_wire(_: &str, _: Option<&serde_json::Value>) -> Option<Self> {
        None
    }
}

/// The failure of a handler that has an error enum: its own error, or a fault of the system below it.
#[derive(Debug)]
pub enum Failure<E> {
    /// The application said no.
    App(E),
    /// Something below the application failed.
    Fault(Fault),
}

impl<E: AppError> From<E> for Failure<E> {
    fn from(error: E) -> Self {
        Self::App(error)
    }
}

impl<E> From<Fault> for Failure<E> {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl<E> From<sqlx::Error> for Failure<E> {
    fn from(error: sqlx::Error) -> Self {
        Self::Fault(error.into())
    }
}

impl<E: AppError> From<Failure<E>> for Fault {
    fn from(failure: Failure<E>) -> Self {
        match failure {
            Failure::App(error) => {
                let details = error.details();
                let fault = Fault::new(Code::App(error.code()), error.message());
                if details.is_null() { fault } else { fault.with_details(details) }
            }
            Failure::Fault(fault) => fault,
        }
    }
}

/// What `ctx.call` fails with: match on the callee's own error, or let `?` pass it on with the callee's code.
#[derive(Debug)]
pub enum CallError<E> {
    /// The called handler's own error.
    App(E),
    /// Anything else that failed.
    Fault(Fault),
}

impl<E: AppError> CallError<E> {
    /// Sorts a fault that came over an erased border back into the callee's own error.
    pub(crate) fn from_fault(fault: Fault) -> Self {
        match E::from_wire(fault.code().name(), fault.details()) {
            Some(error) if matches!(fault.code(), Code::App(_)) => Self::App(error),
            _ => Self::Fault(fault),
        }
    }
}

impl<E: AppError> From<CallError<E>> for Fault {
    fn from(error: CallError<E>) -> Self {
        match error {
            CallError::App(error) => Failure::App(error).into(),
            CallError::Fault(fault) => fault,
        }
    }
}

impl<E: AppError, F> From<CallError<E>> for Failure<F> {
    fn from(error: CallError<E>) -> Self {
        Self::Fault(error.into())
    }
}

/// Writes an error's fields for [`AppError::details`].
#[doc(hidden)]
pub fn details_of<T: Serialize>(fields: &T) -> serde_json::Value {
    serde_json::to_value(fields).unwrap_or(serde_json::Value::Null)
}

/// Reads an error's fields for [`AppError::from_wire`].
#[doc(hidden)]
pub fn details_into<T: DeserializeOwned>(details: Option<&serde_json::Value>) -> Option<T> {
    T::deserialize(details.unwrap_or(&serde_json::Value::Null)).ok()
}

/// Whether a code is in Forge's own table; `#[forge::error]` refuses those at compile time.
#[doc(hidden)]
pub const fn is_forges_own(code: &str) -> bool {
    let mut index = 0;
    while index < Code::ALL.len() {
        if same(Code::ALL[index].name(), code) {
            return true;
        }
        index += 1;
    }
    false
}
