//! What application code sees: kinds, handlers, contexts, the catalog, models, errors.
//!
//! A handler is a message (a serialisable struct) with a [`Handler`] implementation; its [`Kind`] decides
//! what its context [`Ctx`] can do, at compile time. The attributes of `forge-app-macros` write messages,
//! implementations and registrations; everything they write can be written by hand. The [`catalog`] finds the
//! registrations at link time.
//!
//! This room runs nothing: the function room does, through [`context::Invoke`].

pub mod application;
pub mod arguments;
pub mod auth;
pub mod catalog;
pub mod context;
pub mod dispatch;
pub mod enumeration;
pub mod error;
pub mod handler;
pub mod job;
pub mod kind;
pub mod log;
pub mod model;
pub mod node;
pub mod password;
pub mod schema;
pub mod token;
pub mod validated;
pub mod wire_type;

pub use crate::db::transaction::Isolation;
pub use application::App;
pub use catalog::{Catalog, Registration};
pub use context::{ActionContext, Ctx, JobContext, MutationContext, QueryContext};
pub use error::{AppError, CallError, Failure, NoError, Result};
pub use handler::{Access, Handler, Meta};
pub use job::{Attempt, JobMeta, JobStatus, RetryBackoff};
pub use kind::{Action, Job, Kind, KindName, Mutation, Query};
pub use model::Model;

#[cfg(test)]
mod tests;
