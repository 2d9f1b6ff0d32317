//! The kinds of handler: what each may do is a type, so that what it may not do does not compile.
//!
//! | kind | database | transaction | may call |
//! |---|---|---|---|
//! | query | reads (Postgres refuses writes) | none, or one snapshot | queries |
//! | mutation | reads and writes | exactly one | queries, mutations |
//! | action | none of its own | none | queries, mutations, actions; the outside world |
//! | job, cron | each statement alone | in `ctx.commit` | queries, mutations, actions; the outside world |
//! | workflow | none of its own | in `ctx.tx_step` | steps: queries, mutations, actions; closures |
//!
//! Mutations, actions, jobs and crons dispatch jobs; nothing calls one. A cron is a job that its schedule
//! dispatches.
//!
//! What a running handler of a kind has been given is [`Kind::Resources`]: a query a reader, a mutation its
//! transaction, a job its attempt, a cron also the time it runs for. The traits below say who may use them
//! how.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::app::child_list::ChildList;
use crate::app::cron::CronRun;
use crate::app::error::Result;
use crate::app::job::{ResultOfEffect, RunningAttempt};
use crate::app::log::KeepLines;
use crate::app::workflow_run::ActiveRun;
use crate::db::handle::Db;
use crate::kernel::time::Timestamp;

/// The kinds, as a value: metadata, metrics, the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KindName {
    /// Reads.
    Query,
    /// Writes in one transaction.
    Mutation,
    /// Calls out; not transactional.
    Action,
    /// Runs later, and again until it succeeds.
    Job,
    /// Runs at the times of its schedule, as a job.
    Cron,
    /// Goes on from its journal until it ends, whatever crashes.
    Workflow,
}

impl KindName {
    /// The name as attributes and the wire write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Mutation => "mutation",
            Self::Action => "action",
            Self::Job => "job",
            Self::Cron => "cron",
            Self::Workflow => "workflow",
        }
    }
}

/// A kind of handler, as a type. Sealed: kinds are Forge's, handlers are the application's.
pub trait Kind: sealed::Sealed + Send + Sync + Sized + 'static {
    /// The kind as a value.
    const NAME: KindName;
    /// What a running handler has been given.
    type Resources: Send + Sync;

    /// Whether a handler that has succeeded may end.
    #[doc(hidden)]
    fn check_end(_: &Self::Resources) -> Result<()> {
        Ok(())
    }

    /// What `ctx.now()` is, for the kinds whose time is not that of the call.
    #[doc(hidden)]
    fn now(_: &Self::Resources) -> Option<Timestamp> {
        None
    }

    /// Keeps the lines that a running handler logs, for the kinds that have a place for them.
    #[doc(hidden)]
    fn line_keeper(_: &Self::Resources) -> Option<Arc<dyn KeepLines>> {
        None
    }
}

/// Marks query handlers.
#[derive(Debug, Clone, Copy)]
pub enum Query {}
/// Marks mutation handlers.
#[derive(Debug, Clone, Copy)]
pub enum Mutation {}
/// Marks action handlers.
#[derive(Debug, Clone, Copy)]
pub enum Action {}
/// Marks job handlers.
#[derive(Debug, Clone, Copy)]
pub enum Job {}
/// Marks cron handlers.
#[derive(Debug, Clone, Copy)]
pub enum Cron {}
/// Marks workflow handlers.
#[derive(Debug, Clone, Copy)]
pub enum Workflow {}

/// What a query has been given.
pub struct QueryResources {
    /// Reads from the pool, or in one snapshot.
    pub db: Db,
}

/// What a mutation has been given.
pub struct MutationResources {
    /// Its transaction.
    pub db: Db,
}

/// What a job has been given.
pub struct JobResources {
    /// Each statement is a transaction of its own.
    pub db: Db,
    /// The attempt that runs.
    pub attempt: Arc<dyn RunningAttempt>,
    /// The children that this run has dispatched.
    pub children: ChildList,
    /// Makes the job's result of what the effect of `ctx.commit` returns.
    pub result_of_effect: ResultOfEffect,
}

/// What a workflow has been given.
pub struct WorkflowResources {
    /// The run, its journal, and where the run is in its code.
    pub(crate) run: Arc<ActiveRun>,
}

/// What a cron has been given.
pub struct CronResources {
    /// As a job has it: the run is a job.
    pub job: JobResources,
    /// The time that it runs for.
    pub run: CronRun,
    /// When this attempt began, by the database's clock.
    pub began_at: Timestamp,
}

/// The kinds whose handlers a workflow runs as a step, by their messages.
#[diagnostic::on_unimplemented(
    message = "a handler of kind `{Self}` is no step of a workflow",
    label = "not run by `ctx.step(..)`",
    note = "steps are queries, mutations and actions; a job is run with `ctx.run_job(..)`, a workflow with \
            `ctx.run_child(..)`"
)]
pub trait RunsAsStep: Kind {}
impl RunsAsStep for Query {}
impl RunsAsStep for Mutation {}
impl RunsAsStep for Action {}

macro_rules! kinds {
    ($($kind:ident = $resources:ty $(, runs as a job by $job:expr)?;)+) => {$(
        impl Kind for $kind {
            const NAME: KindName = KindName::$kind;
            type Resources = $resources;

            $(fn check_end(resources: &Self::Resources) -> Result<()> {
                let job: fn(&Self::Resources) -> &JobResources = $job;
                job(resources).children.check_end()
            }

            fn line_keeper(resources: &Self::Resources) -> Option<Arc<dyn KeepLines>> {
                let job: fn(&Self::Resources) -> &JobResources = $job;
                Some(Arc::clone(&job(resources).attempt) as Arc<dyn KeepLines>)
            })?
        }

        impl sealed::Sealed for $kind {}
    )+};
}

kinds! {
    Query = QueryResources;
    Mutation = MutationResources;
    Action = ();
    Job = JobResources, runs as a job by |resources| resources;
    Cron = CronResources, runs as a job by |resources| &resources.job;
}

impl Kind for Workflow {
    const NAME: KindName = KindName::Workflow;
    type Resources = WorkflowResources;

    fn now(resources: &WorkflowResources) -> Option<Timestamp> {
        Some(resources.run.now_in_branch())
    }
}

impl sealed::Sealed for Workflow {}

/// The kinds whose context has a database.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` has no database",
    label = "no `db()` here",
    note = "an action is not transactional, and a workflow has to find in its journal what it has read: put \
            the statement into a query or a mutation, which an action runs with `ctx.call(..)` and a \
            workflow as a step, `ctx.step(..)`; a workflow may also write in `ctx.tx_step(..)`"
)]
pub trait HasDatabase: Kind {
    /// The database of a running handler.
    #[doc(hidden)]
    fn db(resources: &Self::Resources) -> &Db;
}

/// The kinds whose handlers run in the snapshot or transaction of a handler that calls them.
pub trait RunsInside: HasDatabase {
    /// What a called handler is given: a part of its caller's transaction.
    #[doc(hidden)]
    fn inside(db: Db) -> Self::Resources;
}

impl HasDatabase for Query {
    fn db(resources: &QueryResources) -> &Db {
        &resources.db
    }
}

impl HasDatabase for Mutation {
    fn db(resources: &MutationResources) -> &Db {
        &resources.db
    }
}

impl HasDatabase for Job {
    fn db(resources: &JobResources) -> &Db {
        &resources.db
    }
}

impl HasDatabase for Cron {
    fn db(resources: &CronResources) -> &Db {
        &resources.job.db
    }
}

/// The kinds whose handlers run as jobs.
#[diagnostic::on_unimplemented(
    message = "a handler of kind `{Self}` is not run as a job",
    label = "no attempts here",
    note = "only jobs and crons have attempts, can be snoozed, and end in a transaction of their own"
)]
pub trait RunsAsJob: Kind {
    /// The job of a running handler.
    #[doc(hidden)]
    fn job(resources: &Self::Resources) -> &JobResources;
}

impl RunsAsJob for Job {
    fn job(resources: &JobResources) -> &JobResources {
        resources
    }
}

impl RunsAsJob for Cron {
    fn job(resources: &CronResources) -> &JobResources {
        &resources.job
    }
}

impl RunsInside for Query {
    fn inside(db: Db) -> QueryResources {
        QueryResources { db }
    }
}

impl RunsInside for Mutation {
    fn inside(db: Db) -> MutationResources {
        MutationResources { db }
    }
}

/// The kinds that may talk to the outside world.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` cannot call out",
    label = "no `http()` here",
    note = "a call to another service holds a transaction open and cannot be rolled back: do it in an \
            action, which a workflow runs as a step, `ctx.step(..)`"
)]
pub trait CallsOut: Kind {}
impl CallsOut for Action {}
impl CallsOut for Job {}
impl CallsOut for Cron {}

/// The kinds that may wait for a core.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Self}>` runs no blocking work",
    label = "no waiting for a core here",
    note = "a query and a mutation hold a session of the database while they wait: do it in an action, and \
            call the query or mutation with its result; a workflow runs the action as a step, `ctx.step(..)`"
)]
pub trait WaitsForCores: Kind {}
impl WaitsForCores for Action {}
impl WaitsForCores for Job {}
impl WaitsForCores for Cron {}

mod sealed {
    pub trait Sealed {}
}
