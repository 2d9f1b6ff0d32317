//! The one abstraction: a handler is a message with a `run`, whatever triggers it.
//!
//! The attributes write all of this; by hand it is the same trait and the same registration:
//!
//! ```
//! # extern crate forge_actors as forge;
//! use forge::app::{Handler, Meta, Mutation, MutationContext, NoError, Result};
//!
//! /// Adds two numbers.
//! #[forge::data]
//! pub struct Add { pub left: i32, pub right: i32 }
//!
//! impl Handler for Add {
//!     type Kind = Mutation;
//!     type Output = i32;
//!     type Error = NoError;
//!     const META: Meta = Meta::mutation(module_path!(), "add", file!(), line!()).public();
//!
//!     async fn run(self, _ctx: &MutationContext) -> Result<i32> {
//!         Ok(self.left + self.right)
//!     }
//! }
//! forge::register!(Add);
//! ```

use std::future::Future;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::app::arguments;
use crate::app::context::Ctx;
use crate::app::error::AppError;
use crate::app::job::JobMeta;
use crate::app::kind::{Kind, KindName};
use crate::app::wire_type::WireType;
use crate::db::transaction::Isolation;
use crate::kernel::fault::Fault;
use crate::kernel::limits;

/// A message that the node can run.
pub trait Handler: Serialize + DeserializeOwned + WireType + Send + Sized + 'static {
    /// Decides capabilities, options and durability.
    type Kind: Kind;
    /// What it answers.
    type Output: Serialize + DeserializeOwned + WireType + Send + 'static;
    /// Its own error enum, or [`NoError`](crate::app::NoError).
    type Error: AppError;
    /// Name, access, limits.
    const META: Meta;

    /// Runs it.
    fn run(
        self,
        ctx: &Ctx<Self::Kind>,
    ) -> impl Future<Output = crate::app::Result<Self::Output, Self::Error>> + Send;

    /// Reads the arguments object. The attributes override it so that every refused argument is reported at
    /// once.
    fn decode(args: &[u8]) -> Result<Self, Fault> {
        arguments::decode_whole(args)
    }
}

/// Who may call a handler from outside. Checked at the border, before the arguments are read; a handler that
/// calls another one has decided for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// Anyone with a valid token: the default.
    Authenticated,
    /// A valid token whose `roles` contain this one.
    Role(&'static str),
    /// Nobody: only other handlers. From outside it does not exist.
    Internal,
}

/// Everything that is known of a handler without running it.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// The kind.
    pub kind: KindName,
    /// `module_path!()` of the handler.
    pub module: &'static str,
    /// Name of the function or message.
    pub function: &'static str,
    /// Wire name, when it is not `module.function`.
    pub name: Option<&'static str>,
    /// First paragraph of the documentation.
    pub doc: &'static str,
    /// What `#[deprecated]` says about it; an empty text when it gives no reason.
    pub deprecated: Option<&'static str>,
    /// Who may call it.
    pub access: Access,
    /// Time limit, cancelled in Postgres too.
    pub timeout: Duration,
    /// Calls at the same time on one node; more are refused with `OVERLOADED`.
    pub concurrency: Option<u32>,
    /// Bytes of arguments; more are refused with `PAYLOAD_TOO_LARGE`.
    pub input_bytes_max: usize,
    /// All statements of a query see one snapshot, at the price of two more round trips.
    pub snapshot: bool,
    /// How often a live query runs again whatever was changed; for queries that read what is in no table.
    pub refresh: Option<Duration>,
    /// Isolation of a mutation's transaction.
    pub isolation: Isolation,
    /// How a job is queued and repeated; `Some` for jobs and for nothing else.
    pub job: Option<JobMeta>,
    /// Source file.
    pub file: &'static str,
    /// Line in it.
    pub line: u32,
}

impl Meta {
    const fn new(
        kind: KindName,
        module: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self {
            kind,
            module,
            function,
            name: None,
            doc: "",
            deprecated: None,
            access: Access::Authenticated,
            timeout: limits::HANDLER_TIMEOUT,
            concurrency: None,
            input_bytes_max: limits::HANDLER_INPUT_BYTES_MAX,
            snapshot: false,
            refresh: None,
            isolation: Isolation::ReadCommitted,
            job: None,
            file,
            line,
        }
    }

    /// Of a query.
    pub const fn query(module: &'static str, function: &'static str, file: &'static str, line: u32) -> Self {
        Self::new(KindName::Query, module, function, file, line)
    }

    /// Of a mutation.
    pub const fn mutation(
        module: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self::new(KindName::Mutation, module, function, file, line)
    }

    /// Of an action.
    pub const fn action(module: &'static str, function: &'static str, file: &'static str, line: u32) -> Self {
        Self::new(KindName::Action, module, function, file, line)
    }

    /// Of a job: nobody can call it, and its defaults are those of [`JobMeta::DEFAULT`].
    pub const fn job(module: &'static str, function: &'static str, file: &'static str, line: u32) -> Self {
        let meta = Self::new(KindName::Job, module, function, file, line);
        Self { access: Access::Internal, job: Some(JobMeta::DEFAULT), ..meta }
    }

    /// Callable without a token.
    pub const fn public(mut self) -> Self {
        self.access = Access::Public;
        self
    }

    /// The name on the wire: `module.function`, the module being the innermost one.
    pub fn wire_name(&self) -> String {
        self.name.map_or_else(
            || {
                let module = self.module.rsplit("::").next().unwrap_or(self.module);
                format!("{module}.{}", self.function)
            },
            str::to_owned,
        )
    }
}
