//! The one error that crosses Forge's borders: a stable code, a sentence, details; the cause stays behind for
//! the log.
//!
//! [`Code`] is the whole table: its wire name and its HTTP status stand side by side, here and nowhere else.
//! What a client sees never contains SQL, panic text or paths, because [`Fault`]'s source is not part of what
//! is written to the wire.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

/// Code and HTTP status of one variant of an application's own error enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct AppCode {
    /// Wire name, for example `LIMIT_REACHED`.
    pub name: &'static str,
    /// HTTP status, 400 to 599.
    pub status: u16,
}

/// Codes of other nodes' application errors that a node remembers; one more means a peer that makes names up,
/// and is refused.
const INTERNED_MAX: usize = 1_024;

impl AppCode {
    /// The code that another node named. Names live as long as the process, as those of this node's own enums
    /// do.
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
        /// Why a call failed: the stable list that clients match on.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Code {
            $($(#[$doc])+ $variant,)+
            /// The application's own error enum, with its own name and status.
            App(AppCode),
        }

        impl Code {
            /// Forge's own codes, for documentation and generated clients.
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)+ Code::App(app) => app.name }
            }

            /// The HTTP status that answers it.
            pub const fn status(self) -> u16 {
                match self { $(Code::$variant => $status,)+ Code::App(app) => app.status }
            }
        }
    };
}

codes! {
    /// The request itself is not readable: broken JSON, a wrong shape of body, a bad header.
    BadRequest = "BAD_REQUEST", 400;
    /// No token, or one that is expired, forged or not yet valid.
    Unauthenticated = "UNAUTHENTICATED", 401;
    /// The caller is known, and may not do this.
    PermissionDenied = "PERMISSION_DENIED", 403;
    /// No function of that name, or no such path.
    NotFound = "NOT_FOUND", 404;
    /// The function exists and is not called this way (GET serves queries only).
    MethodNotAllowed = "METHOD_NOT_ALLOWED", 405;
    /// A row that must be unique exists already, or concurrent changes kept colliding.
    Conflict = "CONFLICT", 409;
    /// Body or arguments are larger than the limit.
    PayloadTooLarge = "PAYLOAD_TOO_LARGE", 413;
    /// The body is not `application/json`.
    UnsupportedMediaType = "UNSUPPORTED_MEDIA_TYPE", 415;
    /// Arguments were read and refused; `details.fields` says which and why.
    Validation = "VALIDATION", 422;
    /// A bug: the cause is in the node's log under the trace id.
    Internal = "INTERNAL", 500;
    /// The database is away, or the node is stopping: try again later.
    Unavailable = "UNAVAILABLE", 503;
    /// A limit of concurrent calls is reached: try again later.
    Overloaded = "OVERLOADED", 503;
    /// The connection broke while the commit was in flight: it may or may not have happened.
    OutcomeUnknown = "OUTCOME_UNKNOWN", 503;
    /// The call took longer than its timeout, and was cancelled in Postgres too.
    Timeout = "TIMEOUT", 504;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One refused argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FieldError {
    /// Path of the argument, for example `title` or `items[2].sku`; empty for the arguments as a whole.
    pub field: String,
    /// Stable word for the rule that it broke, for example `required`, `type`, `length`, `unknown`.
    pub rule: Cow<'static, str>,
    /// A sentence that says what is expected.
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

/// A failed call. Small to move (one pointer), because every handler returns it by value.
pub struct Fault(Box<Inner>);

struct Inner {
    code: Code,
    message: Cow<'static, str>,
    details: Option<serde_json::Value>,
    retry_after: Option<Duration>,
    snooze: Option<Duration>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Fault {
    /// A fault that says `message` to the client.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            message: message.into(),
            details: None,
            retry_after: None,
            snooze: None,
            source: None,
        }))
    }

    /// No failure, but a job's request to be run again after `delay`. It travels as a fault so that a handler
    /// can return it with `?` or `return`; the runner of the attempt reads it with
    /// [`snooze_delay`](Self::snooze_delay).
    pub fn snooze(delay: Duration) -> Self {
        let mut fault = Self::new(Code::Unavailable, "the job was snoozed");
        fault.0.snooze = Some(delay);
        fault
    }

    /// A bug: the client learns only that; `source` goes to the log.
    pub fn internal(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(
            Code::Internal,
            "the call failed inside the server; the trace id finds the cause in its log",
        )
        .because(source)
    }

    /// Refused arguments, one entry each.
    pub fn validation(fields: Vec<FieldError>) -> Self {
        let message = match fields.as_slice() {
            [only] if only.field.is_empty() => only.message.clone(),
            [only] => format!("{}: {}", only.field, only.message),
            several => format!("{} arguments were refused", several.len()),
        };
        Self::new(Code::Validation, message).with_details(serde_json::json!({ "fields": fields }))
    }

    /// Adds what a program may read.
    pub fn with_details(mut self, details: serde_json::Value) -> Self {
        self.0.details = Some(details);
        self
    }

    /// Says when a repeat makes sense (`Retry-After`, `retryAfterMs`).
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Keeps the cause for the log; it never reaches a client.
    pub fn because(mut self, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// The sentence for the client.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What a program may read.
    pub fn details(&self) -> Option<&serde_json::Value> {
        self.0.details.as_ref()
    }

    /// When a repeat makes sense.
    pub fn retry_delay(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The delay that [`snooze`](Self::snooze) asked for; `None` for a failure.
    pub fn snooze_delay(&self) -> Option<Duration> {
        self.0.snooze
    }

    /// The SQLSTATE of the database error that caused it, if one did.
    pub fn sqlstate(&self) -> Option<String> {
        let database = self.source()?.downcast_ref::<sqlx::Error>()?.as_database_error()?;
        database.code().map(Cow::into_owned)
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
    /// Connection trouble is `UNAVAILABLE`, a statement cut by its time limit `TIMEOUT`, a violated unique
    /// key or a lost race `CONFLICT`; everything else is a bug.
    fn from(error: sqlx::Error) -> Self {
        let (code, message, retry) = match &error {
            sqlx::Error::PoolTimedOut => (Code::Overloaded, "all database connections are busy", true),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => (Code::Unavailable, "the database is not reachable", true),
            sqlx::Error::Database(database) => match database.code().as_deref() {
                // query_canceled: only Forge's own limits cancel statements.
                Some("57014") => (Code::Timeout, "the call took longer than its timeout", false),
                Some("40001" | "40P01") => (Code::Conflict, "concurrent changes collided", true),
                Some("55P03") => (Code::Conflict, "another transaction holds a lock that was needed", true),
                Some("23505") => (Code::Conflict, "a row with this key exists already", false),
                // character_not_in_repertoire, untranslatable_character: a text that Postgres cannot hold
                // came in.
                Some("22021" | "22P05") => {
                    (Code::BadRequest, "a text holds a character that cannot be stored", false)
                }
                // operator_intervention and connection_exception: the server is going away.
                Some(state) if state.starts_with("57P") || state.starts_with("08") => {
                    (Code::Unavailable, "the database is not reachable", true)
                }
                Some("53300") => (Code::Unavailable, "the database has no free connection", true),
                _ => return Self::internal(error),
            },
            _ => return Self::internal(error),
        };
        let fault = Self::new(code, message).because(error);
        if retry { fault.retry_after(Duration::from_secs(1)) } else { fault }
    }
}
