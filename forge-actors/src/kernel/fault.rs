//! The error that clients receive: a stable code, a sentence, details. The cause is kept for the log.
//!
//! [`Code`] is the whole list of codes with their wire names and HTTP statuses, which no other file repeats.
//! A client never sees SQL, panic text or paths, because the source of a [`Fault`] is not written to the
//! wire.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};

use super::remedy;
use super::sqlstate::{ReadOnlyServer, SqlStateClass};

/// Code and HTTP status of one variant of an application's own error enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct AppCode {
    /// Wire name, for example `LIMIT_REACHED`.
    pub name: &'static str,
    /// HTTP status, 400 to 599.
    pub status: u16,
}

/// What clients learn of a bug.
const BUG_MESSAGE: &str = "the call failed inside the server; the trace id finds the cause in its log";
/// Names of other nodes' application errors that a node remembers. Further names are refused, since a peer
/// that sends so many makes them up.
const INTERNED_MAX: usize = 1_024;

impl AppCode {
    /// The code of an application error that another node sent; `None` when the status is not an error
    /// status, or too many names are remembered. The name stays in memory until the process ends, like the
    /// names of this node's own enums.
    pub fn interned(name: &str, status: u16) -> Option<Self> {
        static NAMES: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
        if !(400..600).contains(&status) {
            return None;
        }
        let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(name) = names.get(name) {
            return Some(Self { name, status });
        }
        if names.len() >= INTERNED_MAX {
            return None;
        }
        let name: &'static str = Box::leak(Box::from(name));
        names.insert(name);
        Some(Self { name, status })
    }
}

macro_rules! codes {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal, $status:literal;)+) => {
        /// Why a call failed. Clients match on these codes, so the list is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])+ $variant,)+
            /// A variant of the application's own error enum, with its own name and status.
            App(AppCode),
        }

        impl Code {
            /// Forge's own codes, for the documentation and generated clients.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The code's name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ Code::App(app) => app.name }
            }

            /// True where the code says nothing about what was called: the database is away, the node is full
            /// or stops, or an answer got lost.
            pub(crate) const fn is_outage(self) -> bool {
                matches!(self, Code::Unavailable | Code::Overloaded | Code::OutcomeUnknown)
            }

            /// The HTTP status of an answer with this code.
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)+ Code::App(app) => app.status }
            }
        }
    };
}

codes! {
    /// The request cannot be read: broken JSON, a body of the wrong shape, a bad header.
    BadRequest = "BAD_REQUEST", 400;
    /// There is no token, or the token is expired, forged or not yet valid.
    Unauthenticated = "UNAUTHENTICATED", 401;
    /// The caller is known and lacks the permission.
    PermissionDenied = "PERMISSION_DENIED", 403;
    /// There is no function or path of that name.
    NotFound = "NOT_FOUND", 404;
    /// The function exists but cannot be called with this HTTP method (GET serves queries only).
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405;
    /// A unique row exists already, or concurrent changes kept colliding.
    Conflict = "CONFLICT", 409;
    /// The body or the arguments are larger than the limit.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413;
    /// The body is not `application/json`.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415;
    /// Arguments were read and refused; `details.fields` names each of them with its reason.
    Validation = "VALIDATION", 422;
    /// A bug in the server or the application: the node's log has the cause under the trace id.
    Internal = "INTERNAL", 500;
    /// The database is not reachable, or the node is stopping: try again later.
    Unavailable = "UNAVAILABLE", 503;
    /// A limit of concurrent calls is reached: try again later.
    Overloaded = "OVERLOADED", 503;
    /// Postgres did not confirm the commit: the change may or may not have been committed.
    OutcomeUnknown = "OUTCOME_UNKNOWN", 503;
    /// The call took longer than its timeout and was cancelled, in Postgres too.
    Timeout = "TIMEOUT", 504;
    /// The client was built for another version of the functions than this node serves, and this node does
    /// not know the function or does not accept its arguments; a node of the other version may.
    VersionMismatch = "VERSION_MISMATCH", 503;
    /// A call with this idempotency key was made before and is committed; its answer is not kept.
    AlreadyDone = "ALREADY_DONE", 409;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A refused argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// Path of the argument, for example `title` or `items[2].sku`; empty for the arguments as a whole.
    pub field: String,
    /// Stable name of the broken rule, for example `required`, `type`, `length`, `unknown`.
    pub rule: Cow<'static, str>,
    /// A sentence that says which values are accepted.
    pub message: String,
}

impl FieldError {
    /// `field` broke `rule`.
    pub fn new(
        field: impl Into<String>,
        rule: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self { field: field.into(), rule: rule.into(), message: message.into() }
    }
}

/// A failed call. One pointer in size, because every handler returns it by value. A clone has the same cause.
#[derive(Clone)]
pub struct Fault(Box<FaultParts>);

#[derive(Clone)]
struct FaultParts {
    code: Code,
    message: Cow<'static, str>,
    details: Option<serde_json::Value>,
    retry_after: Option<Duration>,
    request: Option<AttemptRequest>,
    help: Option<Cow<'static, str>>,
    source: Option<Arc<dyn Error + Send + Sync>>,
    /// The message is that of a bug, and not one that a handler has chosen.
    is_bug: bool,
}

/// What the handler of a job asks of the worker that runs its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AttemptRequest {
    /// Not a failure: another run after this delay.
    Snooze(Duration),
    /// Not a failure: the job is suspended, and waits for others.
    Suspend,
    /// A failure after which no further attempt is made.
    NoRetry,
    /// Not a failure: the run of a workflow ends, and goes on as a new one.
    Continue,
}

impl Fault {
    /// A fault with a code and a sentence for the client.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(FaultParts {
            code,
            message: message.into(),
            details: None,
            retry_after: None,
            request: None,
            help: None,
            source: None,
            is_bug: false,
        }))
    }

    /// Not a failure: a job's request to be run again after `delay`. The request travels as a fault so that a
    /// handler can return it with `?` or `return`; the runner of the attempt reads the delay with
    /// [`snooze_delay`](Self::snooze_delay).
    pub fn snooze(delay: Duration) -> Self {
        let mut fault = Self::new(Code::Unavailable, "the job was snoozed");
        fault.0.request = Some(AttemptRequest::Snooze(delay));
        fault
    }

    /// Not a failure: a job was suspended, and its handler leaves.
    pub(crate) fn suspended() -> Self {
        let mut fault = Self::new(Code::Unavailable, "the job waits for others");
        fault.0.request = Some(AttemptRequest::Suspend);
        fault
    }

    /// Not a failure: the run of a workflow goes on as a new one with these arguments, as JSON.
    pub(crate) fn continued(args: Vec<u8>) -> Self {
        let mut fault = Self::new(Code::Unavailable, "the run goes on as a new one");
        fault.0.request = Some(AttemptRequest::Continue);
        fault.0.details = Some(serde_json::Value::String(String::from_utf8_lossy(&args).into_owned()));
        fault
    }

    /// The arguments of the run that this one goes on as; `None` for a failure.
    pub(crate) fn continues_with(&self) -> Option<&str> {
        let is_request = self.0.request == Some(AttemptRequest::Continue);
        self.details().filter(|_| is_request).and_then(serde_json::Value::as_str)
    }

    /// The same failure, after which a job is not tried again, because no further attempt could succeed.
    pub(crate) fn without_retry(mut self) -> Self {
        self.0.request = Some(AttemptRequest::NoRetry);
        self
    }

    /// A bug. The client learns only that the call failed inside the server; `source` goes to the log.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::bug().because(source)
    }

    /// The same failure as a bug, which no client has caused.
    pub fn into_internal(self) -> Self {
        let state = self.sqlstate();
        let mut internal = Self::bug().helped_by_state(state.as_deref());
        internal.0.source = self.0.source;
        internal
    }

    fn bug() -> Self {
        let mut fault = Self::new(Code::Internal, BUG_MESSAGE).with_help(remedy::LOG);
        fault.0.is_bug = true;
        fault
    }

    /// True for a fault that [`internal`](Self::internal) or [`into_internal`](Self::into_internal) has made,
    /// and whose cause is known.
    pub(super) fn is_bug(&self) -> bool {
        self.0.is_bug && self.source().is_some()
    }

    /// Adds what helps against the error of a statement, where that is known.
    fn helped_by_state(self, state: Option<&str>) -> Self {
        match state.and_then(|state| remedy::of_sqlstate(state, self.code() == Code::Internal)) {
            Some(help) => self.with_help(help),
            None => self,
        }
    }

    /// Refused arguments, one entry each.
    pub fn validation(fields: Vec<FieldError>) -> Self {
        let message = match fields.as_slice() {
            [only] if only.field.is_empty() => only.message.clone(),
            [only] => format!("{}: {}", only.field, only.message),
            several => format!("{} arguments were refused", several.len()),
        };
        Self::new(Code::Validation, message)
            .with_details(serde_json::json!({ "fields": fields }))
            .with_help("`details.fields` says of each argument what is accepted")
    }

    /// Adds details for programs that read the fault.
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Adds how long a client should wait before it repeats the call (`Retry-After`, `retryAfterMs`).
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds the cause for the log, which never reaches a client.
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(Arc::from(source.into()));
        self
    }

    /// Adds what helps, for developers: only answers in development carry the text.
    pub fn with_help(mut self, help: impl Into<Cow<'static, str>>) -> Self {
        self.0.help = Some(help.into());
        self
    }

    /// What helps, where the place that made the fault has said so.
    pub fn help(&self) -> Option<&str> {
        self.0.help.as_deref()
    }

    /// The fault's code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The sentence for the client.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Details for programs that read the fault.
    pub fn details(&self) -> Option<&serde_json::Value> {
        self.0.details.as_ref()
    }

    /// How long a client should wait before it repeats the call.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The delay that [`snooze`](Self::snooze) asked for; `None` for a failure.
    pub fn snooze_delay(&self) -> Option<Duration> {
        match self.0.request {
            Some(AttemptRequest::Snooze(delay)) => Some(delay),
            Some(AttemptRequest::Suspend | AttemptRequest::NoRetry | AttemptRequest::Continue) | None => None,
        }
    }

    /// True for the way in which a suspended job leaves its handler.
    pub(crate) fn is_suspension(&self) -> bool {
        self.0.request == Some(AttemptRequest::Suspend)
    }

    /// True for a failure after which a job is not tried again.
    pub(crate) fn forbids_retry(&self) -> bool {
        self.0.request == Some(AttemptRequest::NoRetry)
    }

    /// The SQLSTATE of the database error that caused the fault, if a database error did.
    pub fn sqlstate(&self) -> Option<String> {
        let database = self.source()?.downcast_ref::<sqlx::Error>()?.as_database_error()?;
        database.code().map(Cow::into_owned)
    }

    /// The error of Postgres that caused the fault, if one did.
    pub fn postgres_error(&self) -> Option<&PgDatabaseError> {
        self.source()?.downcast_ref::<sqlx::Error>()?.as_database_error()?.try_downcast_ref()
    }

    /// Where in the statement Postgres found the cause, in characters; `None` for a cause in an inner
    /// statement, such as one of a function.
    pub fn statement_position(&self) -> Option<usize> {
        match self.postgres_error()?.position()? {
            PgErrorPosition::Original(position) => Some(position),
            PgErrorPosition::Internal { .. } => None,
        }
    }

    /// True when Postgres found the cause in the text of a statement, and not while it ran.
    pub fn has_position(&self) -> bool {
        self.postgres_error().is_some_and(|error| error.position().is_some())
    }

    /// True when a statement failed because of one of its rows, which the database or the driver refused: the
    /// other rows may be written without that one.
    pub fn blames_row(&self) -> bool {
        match self.source().and_then(|source| source.downcast_ref::<sqlx::Error>()) {
            Some(sqlx::Error::Encode(_)) => true,
            Some(sqlx::Error::Database(database)) => {
                database.code().is_some_and(|state| SqlStateClass::blames_row(&state))
            }
            _ => false,
        }
    }
}

impl fmt::Debug for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.debug_struct("Fault")
            .field("code", &inner.code.name())
            .field("message", &inner.message)
            .field("details", &inner.details)
            .field("source", &inner.source)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl Error for Fault {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn Error + 'static))
    }
}

impl From<Infallible> for Fault {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl From<sqlx::Error> for Fault {
    /// An error of Postgres means what [`SqlStateClass`] says. A broken connection is `UNAVAILABLE`, a full
    /// pool `OVERLOADED`; every other error of the driver is a bug.
    fn from(error: sqlx::Error) -> Self {
        let state = error.as_database_error().and_then(DatabaseError::code).map(Cow::into_owned);
        let fault = match &error {
            sqlx::Error::PoolTimedOut => again(Code::Overloaded, "all database connections are busy")
                .with_help(
                    "try again after `retryAfterMs`, or raise `database.read_connections_max` or \
                     `database.write_connections_max`",
                ),
            sqlx::Error::Io(io) if io.get_ref().is_some_and(|inner| inner.is::<ReadOnlyServer>()) => {
                again(Code::Unavailable, "the database takes no writes at the moment")
                    .with_help(remedy::READY)
            }
            // The driver's own protocol error: the connection broke in the middle of an answer, as it does
            // when the machine was asleep or a proxy cut it.
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => {
                again(Code::Unavailable, "the database is not reachable").with_help(remedy::READY)
            }
            _ => SqlStateClass::of_error(&error).and_then(of_class).unwrap_or_else(Self::bug),
        };
        fault.helped_by_state(state.as_deref()).because(error)
    }
}

/// The fault for an error of this class; `None` for a bug.
fn of_class(class: SqlStateClass) -> Option<Fault> {
    match class {
        SqlStateClass::RefusedValue(message) => Some(Fault::new(Code::BadRequest, message)),
        SqlStateClass::ConflictingRow(message) => Some(Fault::new(Code::Conflict, message)),
        SqlStateClass::LostRace => Some(
            again(Code::Conflict, "concurrent changes collided")
                .with_help("send it again after `retryAfterMs`; fewer rows in one transaction collide less"),
        ),
        SqlStateClass::LockNotAvailable => {
            let message = "another transaction holds a lock that was needed";
            Some(again(Code::Conflict, message).with_help("send it again after `retryAfterMs`"))
        }
        SqlStateClass::TimeLimit => Some(
            Fault::new(Code::Timeout, "the call took longer than its timeout").with_help(remedy::TIME_LIMIT),
        ),
        SqlStateClass::ServerTrouble(message) => {
            Some(again(Code::Unavailable, message).with_help(remedy::READY))
        }
        SqlStateClass::OutcomeUnknown => {
            let message = "the database does not know whether the change was made";
            Some(Fault::new(Code::OutcomeUnknown, message).with_help(remedy::SAME_KEY))
        }
        SqlStateClass::ReadOnlySession | SqlStateClass::StaleSession | SqlStateClass::Bug => None,
    }
}

/// A fault after which the client may try again in a second.
fn again(code: Code, message: &'static str) -> Fault {
    Fault::new(code, message).retry_after(Duration::from_secs(1))
}
