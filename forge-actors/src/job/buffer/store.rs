//! The statements that dispatch buffered jobs.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::app::job_buffer::BufferedJob;
use crate::change::{Hint, TopicSet};
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::db::transaction::TransactionOptions;
use crate::job::follow;
use crate::job::insert::insert_in;
use crate::kernel::fault::Fault;
use crate::kernel::ids::JobId;
use crate::kernel::time::{Timestamp, secs};

/// Statement timeout of the transactions that dispatch buffered jobs.
const STATEMENT_TIMEOUT: Duration = secs(10);

/// Dispatches jobs of the file `name` that do not exist yet, in one transaction. Returns what wakes workers.
pub(super) async fn dispatch(
    database: &Database,
    name: &str,
    jobs: &[BufferedJob],
    now: Timestamp,
) -> Result<Hint, Fault> {
    let tx = database.begin(TransactionOptions::new("forge.jobs", STATEMENT_TIMEOUT)).await?;
    if let Err(fault) = insert_missing(&tx.db(), name, jobs, now).await {
        tx.rollback().await;
        return Err(fault);
    }
    let receipt = tx.commit().await?;
    let mut topics = TopicSet::from_iter(receipt.tables);
    topics.extend(jobs.iter().map(|buffered| Arc::<str>::from(buffered.job.queue.as_str())));
    Ok(Hint { xid: receipt.xid, topics })
}

async fn insert_missing(db: &Db, name: &str, jobs: &[BufferedJob], now: Timestamp) -> Result<(), Fault> {
    sqlx::query(include_str!("../sql/lock_buffer.sql")).bind(name).execute(db).await?;
    let ids: Vec<JobId> = jobs.iter().map(|buffered| buffered.job.id).collect();
    let known = sqlx::query_scalar(include_str!("../sql/list_known_jobs.sql")).bind(&ids).fetch_all(db);
    let known: HashSet<JobId> = known.await?.into_iter().collect();
    for buffered in jobs.iter().filter(|buffered| !known.contains(&buffered.job.id)) {
        let BufferedJob { identity, trace, follower, .. } = buffered;
        let job = buffered.due_at(now);
        let dispatched = insert_in(db, &job, identity.to_owned(), trace.to_owned()).await?;
        if let Some(follower) = follower {
            follow::follow(db, dispatched.job(), follower).await?;
        }
    }
    Ok(())
}
