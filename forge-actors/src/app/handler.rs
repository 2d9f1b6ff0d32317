//! The one abstraction: a handler is a message with a `run`, whatever triggers it.
//!
//! The attributes write all of this; by hand it is the same trait and the same registration:
//!
//! ```
//! # extern crate forge_actors as forge;
//! use forge::app::{Handler, Meta, Mutation, MutationContext, Result};
//! use forge::kernel::fault::Fault;
//!
//! /// Adds two numbers.
//! #[forge::data]
//! pub struct Add { pub left: i32, pub right: i32 }
//!
//! impl Handler for Add {
//!     type Kind = Mutation;
//!     type Output = i32;
//!     type Error = Fault;
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

use crate::app::arguments;
use crate::app::context::Ctx;
use crate::app::cron::CronMeta;
use crate::app::decoded::HandlerKind;
use crate::app::error::AppError;
use crate::app::job::JobMeta;
use crate::app::kind::KindName;
use crate::app::wire_type::WireType;
use crate::app::workflow_run::WorkflowMeta;
use crate::db::transaction::Isolation;
use crate::kernel::fault::Fault;
use crate::kernel::limits;

/// A message that the node can run.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not the message of a handler",
    label = "no handler runs this",
    note = "the function `create` of an attribute like `#[forge::mutation]` has the message `Create`; where \
            another item of that name hides it, give it a name of its own: `message = \"CreateTask\"`"
)]
pub trait Handler: WireType {
    /// Decides capabilities, options and durability.
    type Kind: HandlerKind;
    /// What the handler returns.
    type Output: WireType;
    /// The handler's own error enum, or [`Fault`] when it has none.
    type Error: AppError;
    /// Name, access, limits.
    const META: Meta;

    /// Runs the handler.
    fn run(self, ctx: &Ctx<Self::Kind>) -> impl Future<Output = Result<Self::Output, Self::Error>> + Send;

    /// Reads the arguments object. The attributes override this, so that every refused argument is reported
    /// at once.
    ///
    /// # Errors
    /// `VALIDATION` names the arguments that do not fit; `BAD_REQUEST` says that the text is not an object.
    fn decode(args: &[u8]) -> Result<Self, Fault> {
        arguments::read_whole(args)
    }
}

/// Who may call a handler from outside. The node checks this before the arguments are read. `ctx.call` does
/// not check it: a handler that calls another one answers for the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Anyone.
    Public,
    /// Anyone with a valid token: the default.
    Authenticated,
    /// A valid token whose `roles` contain this one.
    Role(&'static str),
    /// Only other handlers. From outside the handler does not exist.
    Internal,
}

/// Everything that is known of a handler without running it.
#[derive(Debug, Clone, Copy)]
pub struct Meta {
    /// `module_path!()` of the handler.
    pub module: &'static str,
    /// Name of the function or message.
    pub function: &'static str,
    /// Wire name, when it is not `module.function`.
    pub name: Option<&'static str>,
    /// First paragraph of the documentation.
    pub doc: &'static str,
    /// The note of `#[deprecated]`; an empty text when it gives no reason.
    pub deprecated: Option<&'static str>,
    /// Who may call the handler.
    pub access: Access,
    /// Time limit of one call, or of one attempt at a job; at the limit its statements are cancelled in
    /// Postgres too.
    pub timeout: Duration,
    /// Calls at the same time on one node; more are refused with `OVERLOADED`.
    pub concurrency: Option<u32>,
    /// Bytes of arguments; more are refused with `PAYLOAD_TOO_LARGE`.
    pub input_bytes_max: usize,
    /// The kind, with the options that only this kind has.
    pub options: KindOptions,
    /// Source file.
    pub file: &'static str,
    /// Line in the source file.
    pub line: u32,
}

/// A kind, with the options that only this kind has.
#[derive(Debug, Clone, Copy)]
pub enum KindOptions {
    /// Of a query.
    Query(QueryOptions),
    /// Of a mutation.
    Mutation(MutationOptions),
    /// An action has no options of its own.
    Action,
    /// Of a job.
    Job(JobMeta),
    /// Of a cron.
    Cron(CronMeta),
    /// Of a workflow.
    Workflow(WorkflowMeta),
}

/// The options that only queries have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryOptions {
    /// All statements see one snapshot, at the price of two more round trips.
    pub snapshot: bool,
    /// How often a live query runs again whether or not a change was seen; for queries that read what is in
    /// no table.
    pub refresh: Option<Duration>,
}

/// The options that only mutations have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MutationOptions {
    /// Isolation of the transaction.
    pub isolation: Isolation,
}

impl QueryOptions {
    /// The options of an attribute that names none.
    pub const DEFAULT: Self = Self { snapshot: false, refresh: None };
}

impl MutationOptions {
    /// The options of an attribute that names none.
    pub const DEFAULT: Self = Self { isolation: Isolation::ReadCommitted };
}

impl KindOptions {
    /// The kind.
    pub const fn kind(&self) -> KindName {
        match self {
            Self::Query(_) => KindName::Query,
            Self::Mutation(_) => KindName::Mutation,
            Self::Action => KindName::Action,
            Self::Job(_) => KindName::Job,
            Self::Cron(_) => KindName::Cron,
            Self::Workflow(_) => KindName::Workflow,
        }
    }
}

impl Meta {
    const fn new(
        options: KindOptions,
        module: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self {
            module,
            function,
            name: None,
            doc: "",
            deprecated: None,
            access: Access::Authenticated,
            timeout: limits::HANDLER_TIMEOUT,
            concurrency: None,
            input_bytes_max: limits::HANDLER_INPUT_BYTES_MAX,
            options,
            file,
            line,
        }
    }

    /// Of a query.
    pub const fn query(module: &'static str, function: &'static str, file: &'static str, line: u32) -> Self {
        Self::new(KindOptions::Query(QueryOptions::DEFAULT), module, function, file, line)
    }

    /// Of a mutation.
    pub const fn mutation(
        module: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Self::new(KindOptions::Mutation(MutationOptions::DEFAULT), module, function, file, line)
    }

    /// Of an action.
    pub const fn action(module: &'static str, function: &'static str, file: &'static str, line: u32) -> Self {
        Self::new(KindOptions::Action, module, function, file, line)
    }

    /// Of a job, which nobody can call: it is dispatched.
    pub const fn job(module: &'static str, function: &'static str, file: &'static str, line: u32) -> Self {
        let meta = Self::new(KindOptions::Job(JobMeta::DEFAULT), module, function, file, line);
        Self { access: Access::Internal, ..meta }
    }

    /// Of a cron, which nobody can call: it runs on its schedule.
    pub const fn cron(module: &'static str, function: &'static str, file: &'static str, line: u32) -> Self {
        let meta = Self::new(KindOptions::Cron(CronMeta::DEFAULT), module, function, file, line);
        Self { access: Access::Internal, ..meta }
    }

    /// Of a workflow, which nobody can call: it is started.
    pub const fn workflow(
        module: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        let meta = Self::new(KindOptions::Workflow(WorkflowMeta::DEFAULT), module, function, file, line);
        Self { access: Access::Internal, ..meta }
    }

    /// Callable without a token.
    pub const fn public(mut self) -> Self {
        self.access = Access::Public;
        self
    }

    /// The kind.
    pub const fn kind(&self) -> KindName {
        self.options.kind()
    }

    /// How a job is queued and repeated, also one that a schedule dispatches; `None` for the kinds that are
    /// called.
    pub const fn job_meta(&self) -> Option<JobMeta> {
        match self.options {
            KindOptions::Job(job) => Some(job),
            KindOptions::Cron(cron) => Some(cron.job),
            KindOptions::Query(_)
            | KindOptions::Mutation(_)
            | KindOptions::Action
            | KindOptions::Workflow(_) => None,
        }
    }

    /// Version, time limit and retention of a workflow; `None` for the other kinds.
    pub const fn workflow_meta(&self) -> Option<WorkflowMeta> {
        match self.options {
            KindOptions::Workflow(workflow) => Some(workflow),
            KindOptions::Query(_)
            | KindOptions::Mutation(_)
            | KindOptions::Action
            | KindOptions::Job(_)
            | KindOptions::Cron(_) => None,
        }
    }

    /// The schedule of a cron, and how its runs follow each other; `None` for the other kinds.
    pub const fn cron_meta(&self) -> Option<CronMeta> {
        match self.options {
            KindOptions::Cron(cron) => Some(cron),
            KindOptions::Query(_)
            | KindOptions::Mutation(_)
            | KindOptions::Action
            | KindOptions::Job(_)
            | KindOptions::Workflow(_) => None,
        }
    }

    /// Whether `name` is the name on the wire, or an alias.
    pub fn is_named(&self, name: &str) -> bool {
        self.wire_name() == name || self.aliases().contains(&name)
    }

    /// Other names under which rows of the handler may be stored.
    pub const fn aliases(&self) -> &'static [&'static str] {
        match self.options {
            KindOptions::Job(job) => job.aliases,
            KindOptions::Cron(cron) => cron.job.aliases,
            KindOptions::Workflow(workflow) => workflow.aliases,
            KindOptions::Query(_) | KindOptions::Mutation(_) | KindOptions::Action => &[],
        }
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
