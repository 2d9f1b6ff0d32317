//! What application code sees: kinds, handlers, contexts, the catalog, models, errors.
//!
//! A handler is a message (a serialisable struct) with a [`Handler`] implementation; its [`Kind`] decides
//! what its context [`Ctx`] can do, at compile time. The attributes of `forge-app-macros` write messages,
//! implementations and registrations; everything they write can be written by hand. The [`catalog`] finds the
//! registrations at link time.
//!
//! Admission, transactions and time limits are the function subsystem's. A nested call from a query or
//! mutation runs here (`call_inside`); calls from actions and jobs go back to that subsystem through
//! [`context::Invoke`].

pub mod application;
pub mod argument_form;
pub mod arguments;
pub mod auth;
pub mod blocking;
pub mod call;
pub mod catalog;
pub mod catalog_error;
pub mod child_list;
pub mod context;
mod core_queue;
pub mod cron;
pub mod cron_context;
pub mod decoded;
pub mod dispatch;
mod dispatch_buffered;
pub mod enqueue;
pub mod enumeration;
pub mod error;
pub mod follower;
pub mod handler;
#[doc(hidden)]
pub mod input;
pub mod job;
pub mod job_buffer;
pub mod job_children;
pub mod job_context;
pub mod job_end;
pub mod job_failure;
pub mod job_handle;
pub mod job_key;
pub mod job_outcome;
pub mod job_plan;
pub(crate) mod job_result;
pub mod kind;
pub mod log;
#[doc(hidden)]
pub mod message;
pub mod model;
pub mod new_job;
pub mod node;
#[doc(hidden)]
pub mod output;
pub mod password;
#[doc(hidden)]
pub mod row;
pub mod run_job;
pub mod schema;
pub mod secret;
pub mod sign_in_link;
pub mod startable;
pub mod token;
pub mod validated;
pub(crate) mod wire_shape;
pub mod wire_type;
pub mod workflow;
pub mod workflow_run;

pub use crate::db::transaction::Isolation;
pub use application::App;
pub use catalog::{Catalog, Registration};
pub use context::{
    ActionContext, CronContext, Ctx, JobContext, MutationContext, QueryContext, WorkflowContext,
};
pub use cron::{CronMeta, CronOverlap};
pub use error::{AppError, CallError, Result};
pub use handler::{Access, Handler, KindOptions, Meta, MutationOptions, QueryOptions};
pub use job::{Attempt, JobMeta, JobStatus, Priority, RetryBackoff};
pub use job_handle::JobHandle;
pub use job_key::{JobConcurrency, JobLimits, JobRate, JobUnique, KeyPart, UniqueRule, UniqueStates};
pub use kind::{
    Action, Cron, CronResources, Job, JobResources, Kind, KindName, Mutation, MutationResources, Query,
    QueryResources, Workflow, WorkflowResources,
};
pub use model::Model;
pub use new_job::DispatchOutcome;
pub use secret::Secret;
pub use wire_type::WireType;
pub use workflow::{Event, WorkflowHandle, WorkflowMeta};

#[cfg(test)]
mod tests;
