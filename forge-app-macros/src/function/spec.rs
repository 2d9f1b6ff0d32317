//! What an attributed function says, checked.

use proc_macro2::{Ident, Span, TokenStream};
use syn::{Attribute, ItemFn, LitStr, Type};

use super::backoff::Backoff;
use super::kind::Kind;
use super::limits::Limits;

/// A handler, ready to be written down as code.
pub(crate) struct FnSpec {
    pub kind: &'static Kind,
    /// The function without Forge's own attributes.
    pub function: ItemFn,
    /// The message struct.
    pub message: Ident,
    pub doc: String,
    /// What `#[deprecated]` says.
    pub deprecated: Option<String>,
    pub arguments: Vec<Argument>,
    pub output: Type,
    /// `None`: the handler has no error of its own.
    pub error: Option<Type>,
    /// The type of the context parameter, where type errors about it belong.
    pub context_span: Span,
    pub options: Options,
    /// `::forge::app::JobLimits`, when there are some.
    pub limits: Option<TokenStream>,
}

/// One argument, a field of the message.
pub(crate) struct Argument {
    pub name: Ident,
    /// Its name in JSON.
    pub wire: String,
    pub ty: Type,
    /// Its documentation comment.
    pub docs: Vec<Attribute>,
}

/// The options of all kinds; a kind's table decides which can be set.
#[derive(Default)]
pub(crate) struct Options {
    /// `None`: what is usual for the kind.
    pub access: Option<Access>,
    pub name: Option<String>,
    /// Another name for the message than the function's in PascalCase.
    pub message: Option<Ident>,
    pub timeout_ms: Option<u64>,
    pub concurrency: Option<u32>,
    pub input_bytes_max: Option<u64>,
    pub snapshot: bool,
    pub refresh_ms: Option<u64>,
    /// A variant of `::forge::app::Isolation`.
    pub isolation: Option<&'static str>,
    /// Names under which rows of jobs, crons and workflows may be stored.
    pub aliases: Vec<String>,
    pub job: JobOptions,
    pub cron: CronOptions,
    pub workflow: WorkflowOptions,
}

/// The options that only jobs have.
#[derive(Default)]
pub(crate) struct JobOptions {
    pub queue: Option<String>,
    pub priority: Option<u8>,
    pub attempts: Option<u32>,
    pub backoff: Option<Backoff>,
    pub limits: Limits,
    pub capability: Option<String>,
    pub retain_ms: Option<u64>,
    /// Words and amounts.
    pub resources: Vec<(String, u64)>,
}

/// The options that only crons have.
#[derive(Default)]
pub(crate) struct CronOptions {
    /// `None`: the handler has only the schedules that the application creates.
    pub expression: Option<LitStr>,
    pub timezone: Option<String>,
    /// A variant of `::forge::app::CronOverlap`.
    pub overlap: Option<&'static str>,
    pub catch_up: Option<u32>,
    pub jitter_ms: Option<u64>,
}

/// The options that only workflows have.
#[derive(Default)]
pub(crate) struct WorkflowOptions {
    pub version: Option<u32>,
    /// Of a run as a whole.
    pub timeout_ms: Option<u64>,
    /// No run begins with this version.
    pub deprecated: bool,
    pub retention_ms: Option<u64>,
}

/// Who may call.
pub(crate) enum Access {
    Public,
    Authenticated,
    Role(String),
    Internal,
}

impl Access {
    pub(crate) fn role(name: &LitStr) -> syn::Result<Self> {
        let role = name.value();
        if role.trim().is_empty() || role.trim() != role {
            return Err(syn::Error::new_spanned(name, "a role is a word, without blanks around it"));
        }
        Ok(Self::Role(role))
    }
}

/// One of the words that decide [`Access`]; there may be only one.
pub(crate) struct AccessOption {
    pub word: String,
    pub span: Span,
    pub access: Access,
}

/// What becomes of a run while the one before is not finished: as attributes write it, and as
/// `::forge::app::CronOverlap` names it.
pub(crate) const OVERLAPS: [(&str, &str); 3] = [("skip", "Skip"), ("queue", "Queue"), ("allow", "Allow")];

/// The named levels of `::forge::app::Priority`.
pub(crate) const PRIORITIES: [(&str, u8); 5] =
    [("background", 0), ("low", 25), ("normal", 50), ("high", 75), ("critical", 100)];

/// Isolation of a mutation's transaction: as attributes write it, and as `::forge::app::Isolation` names it.
pub(crate) const ISOLATIONS: [(&str, &str); 3] = [
    ("read_committed", "ReadCommitted"),
    ("repeatable_read", "RepeatableRead"),
    ("serializable", "Serializable"),
];
