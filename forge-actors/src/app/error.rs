//! How handlers fail, and what `?` lifts into their errors.
//!
//! `#[forge::error] enum TaskError` is two types in one. `TaskError`, which is `TaskError<Fault>`, is what
//! handlers return: a hidden variant holds a failure of the system below the handler, so
//! `Err(TaskError::NotFound)`, `.ok_or(TaskError::NotFound)?` and `?` on an sqlx error, a [`Fault`] or a
//! [`CallError`] all fit std's own `Result<T, TaskError>`. `TaskError<Infallible>` ([`AppError::Own`]) has no
//! such variant: a caller who matches on [`CallError::App`] names the variants that the author wrote, and the
//! match is exhaustive.
//!
//! A variant without the type parameter would serve handlers as well, but every exhaustive match would need
//! an arm for it. A method (`.or_err(E)`) would leave `Err(E.into())` in every handler.

use std::convert::Infallible;
use std::fmt;

use serde_json::Value;

use crate::app::model::same;
use crate::app::output::{self, OutputError};
use crate::app::wire_type::{self, Definition};
use crate::kernel::fault::{AppCode, Code, Fault};

/// What a handler returns: std's own `Result`. Without an error enum a handler fails with a [`Fault`].
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// An application's error enum, declared with `#[forge::error]`: each variant has a code and a status, its
/// fields are the details. [`Fault`] is the error of handlers that have no enum of their own.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the error of a handler",
    label = "not declared with `#[forge::error]`",
    note = "declare it with `#[forge::error]` on the enum and `#[code(\"NAME\", status = 409)]` on each \
            variant"
)]
pub trait AppError: fmt::Debug + Send + 'static {
    /// The same enum without faults of the system: what [`CallError::App`] holds.
    type Own: fmt::Debug + Into<Fault> + Send + 'static;

    /// Every code of the enum, in the order of its variants.
    const CODES: &'static [AppCode];

    /// What clients know of it.
    const DEFINITION: Definition;

    /// The error as a client gets it.
    fn into_fault(self) -> Fault;

    /// Reads back the code and the details of a [`Fault`] that was made of a variant; `None` for another
    /// enum's code.
    fn from_wire(code: &str, details: Option<&Value>) -> Option<Self::Own>;
}

impl AppError for Fault {
    type Own = Infallible;
    const CODES: &'static [AppCode] = &[];
    const DEFINITION: Definition = wire_type::no_errors;

    fn into_fault(self) -> Fault {
        self
    }

    fn from_wire(_: &str, _: Option<&Value>) -> Option<Infallible> {
        None
    }
}

/// The failure of `ctx.call`: match on the callee's own error, or let `?` pass it on with the callee's code.
///
/// ```
/// # extern crate forge_actors as forge;
/// # use forge::prelude::*;
/// # #[forge::error]
/// # pub enum TaskError {
/// #     /// There is no such task.
/// #     #[code("NO_SUCH_TASK", status = 404)] NoSuchTask,
/// # }
/// # #[forge::query]
/// # pub async fn title(_ctx: &QueryContext) -> Result<String, TaskError> { Err(TaskError::NoSuchTask) }
/// #[forge::action]
/// pub async fn title_or_dash(ctx: &ActionContext) -> Result<String> {
///     match ctx.call(Title {}).await {
///         Err(CallError::App(TaskError::NoSuchTask)) => Ok("-".to_owned()),
///         other => Ok(other?),
///     }
/// }
/// # fn main() {}
/// ```
#[derive(Debug)]
pub enum CallError<E: AppError> {
    /// The called handler's own error.
    App(E::Own),
    /// Any other failure: of the database, of the node, of the arguments.
    Fault(Fault),
}

impl<E: AppError> CallError<E> {
    /// Sorts the fault of a call whose types were erased back into the callee's own error.
    #[doc(hidden)]
    pub fn from_fault(fault: Fault) -> Self {
        match E::from_wire(fault.code().name(), fault.details()) {
            Some(error) if matches!(fault.code(), Code::App(_)) => Self::App(error),
            _ => Self::Fault(fault),
        }
    }
}

impl<E: AppError> fmt::Display for CallError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::App(error) => write!(f, "{error:?}"),
            Self::Fault(fault) => write!(f, "{fault}"),
        }
    }
}

impl<E: AppError> std::error::Error for CallError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::App(_) => None,
            Self::Fault(fault) => fault.source(),
        }
    }
}

impl<E: AppError> From<CallError<E>> for Fault {
    fn from(error: CallError<E>) -> Self {
        match error {
            CallError::App(error) => error.into(),
            CallError::Fault(fault) => fault,
        }
    }
}

/// The fault that stands for a variant of an application's error.
#[doc(hidden)]
pub fn fault_of<const FIELDS: usize>(
    code: AppCode,
    message: &'static str,
    details: [(&'static str, Result<Value, OutputError>); FIELDS],
) -> Fault {
    let fault = Fault::new(Code::App(code), message);
    if FIELDS == 0 {
        return fault;
    }
    match output::object(details) {
        Ok(details) => fault.with_details(details),
        Err(error) => error.into(),
    }
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
