//! What contexts dispatch jobs with.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::{Dispatcher, DispatcherShared, waking_queues};
use crate::app::Result;
use crate::app::new_job::{DispatchOutcome, InsertJob, NewDependency, NewJob};
use crate::change::{Hint, HintHub};
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::db::transaction::{TransactionOptions, outcome_unknown};
use crate::job::insert::{DispatchedJob, insert_in, insert_many, insert_row};
use crate::job::{dependencies, follow};
use crate::kernel::ids::JobId;
use crate::kernel::time::secs;
use crate::supervise::ChildSpec;

/// Transactions that insert many jobs for calls without one, at the same time: a locked table must not take
/// all connections. A call that has waited for its turn for as long as for a connection takes a mutation.
const INSERT_MANY_MAX: usize = 2;
/// Longest time of their statement.
const INSERT_MANY_LIMIT: Duration = secs(10);

/// Inserts dispatched jobs. Every node has one, with the role `worker` or without. Cheap to clone; all
/// clones are the same.
#[derive(Clone)]
pub struct JobInserter {
    shared: Arc<DispatcherShared>,
    /// Has a permit while no call inserts its job by itself.
    lone: Arc<Semaphore>,
    /// The turns of [`INSERT_MANY_MAX`].
    many: Arc<Semaphore>,
}

impl JobInserter {
    /// The inserter of one node, and the child that writes what gathers.
    pub fn new(database: Database, hints: HintHub) -> (Self, ChildSpec) {
        let (shared, child) = Dispatcher::spec(database, hints);
        let (lone, many) = (Semaphore::new(1), Semaphore::new(INSERT_MANY_MAX));
        (Self { shared, lone: Arc::new(lone), many: Arc::new(many) }, child)
    }

    async fn insert_or_gather(&self, job: &NewJob, identity: Option<String>, trace: String) -> Result<()> {
        let mut lone = self.lone.try_acquire().ok();
        if lone.is_none() {
            let job = DispatchedJob { job: job.clone(), identity: identity.clone(), trace: trace.clone() };
            if let Some(answer) = self.shared.gather(job) {
                return answer.await.unwrap_or_else(|_| Err(outcome_unknown()));
            }
            lone = self.lone.acquire().await.ok();
        }
        let insert = insert_row(job, job.after_secs, job.run_at, identity, trace);
        self.shared.database.write_alone(insert).await?;
        drop(lone);
        self.shared.publish([job]);
        Ok(())
    }
}

impl InsertJob for JobInserter {
    fn insert<'a>(
        &'a self,
        db: &'a Db,
        job: &'a NewJob,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<DispatchOutcome>> {
        Box::pin(insert_in(db, job, identity, trace))
    }

    fn insert_alone<'a>(
        &'a self,
        job: &'a NewJob,
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<Option<DispatchOutcome>>> {
        Box::pin(async move {
            if !self.shared.database.state().borrow().is_up() {
                return Ok(None);
            }
            self.insert_or_gather(job, identity, trace).await?;
            Ok(Some(DispatchOutcome::New(job.id)))
        })
    }

    fn depend<'a>(&'a self, db: &'a Db, dependencies: &'a [NewDependency]) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { dependencies::insert(db, dependencies).await })
    }

    fn follow<'a>(&'a self, db: &'a Db, job: JobId, follower: String) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move { follow::follow(db, job, &follower).await })
    }

    fn insert_many<'a>(
        &'a self,
        db: &'a Db,
        jobs: &'a [NewJob],
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            insert_many(jobs, identity.as_deref(), &trace).execute(db).await?;
            Ok(())
        })
    }

    fn insert_many_alone<'a>(
        &'a self,
        jobs: &'a [NewJob],
        identity: Option<String>,
        trace: String,
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let DispatcherShared { database, hints, .. } = &*self.shared;
            if !database.state().borrow().is_up() {
                return Ok(false);
            }
            let turn = timeout(database.config().acquire_timeout, self.many.acquire()).await;
            if turn.is_err() {
                return Ok(false);
            }
            let tx = database.begin(TransactionOptions::new("forge.dispatchAll", INSERT_MANY_LIMIT)).await?;
            let insert = insert_many(jobs, identity.as_deref(), &trace);
            if let Err(error) = insert.execute(&tx.db()).await {
                tracing::debug!(%error, "jobs not inserted by one statement; a mutation tries again");
                tx.rollback().await;
                return Ok(false);
            }
            let receipt = tx.commit().await?;
            hints.publish(Hint::of_commit(receipt, waking_queues(jobs)));
            Ok(true)
        })
    }
}
