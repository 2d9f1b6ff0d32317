//! Messages whose own type is erased, and whose kind is not: the kind says what they need to run.

use bytes::Bytes;
use futures::future::BoxFuture;

use crate::app::context::CallScope;
use crate::app::error::Result;
use crate::app::kind::{Action, Cron, Job, Kind, Mutation, Query, Workflow};

/// A message of kind `K` whose arguments were accepted.
pub trait Runnable<K: Kind>: Send {
    /// Runs the handler; the output is JSON.
    fn run(self: Box<Self>, scope: CallScope, resources: K::Resources) -> BoxFuture<'static, Result<Bytes>>;
}

/// A message whose arguments were accepted: its kind says what it needs to run.
pub enum Decoded {
    /// Needs a reader.
    Query(Box<dyn Runnable<Query>>),
    /// Needs a transaction.
    Mutation(Box<dyn Runnable<Mutation>>),
    /// Needs nothing.
    Action(Box<dyn Runnable<Action>>),
    /// Needs an attempt.
    Job(Box<dyn Runnable<Job>>),
    /// Needs an attempt, and the time that it runs for.
    Cron(Box<dyn Runnable<Cron>>),
    /// Needs a run and its journal.
    Workflow(Box<dyn Runnable<Workflow>>),
}

/// The kinds of handler, as the catalog sees them.
pub trait HandlerKind: Kind {
    /// A message of this kind, with its own type erased.
    #[doc(hidden)]
    fn decoded(message: Box<dyn Runnable<Self>>) -> Decoded;
}

macro_rules! kinds {
    ($($kind:ident)+) => {$(
        impl HandlerKind for $kind {
            fn decoded(message: Box<dyn Runnable<Self>>) -> Decoded {
                Decoded::$kind(message)
            }
        }
    )+};
}

kinds! { Query Mutation Action Job Cron Workflow }
