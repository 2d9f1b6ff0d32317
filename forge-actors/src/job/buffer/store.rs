//! The statements that dispatch buffered jobs.

use std::sync::Arc;
use std::time::Duration;

use crate::app::job_buffer::BufferedJob;
use crate::change::Hint;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::db::transaction::TransactionOptions;
use crate::job::follow;
use crate::job::insert::insert_in;
use crate::kernel::fault::Fault;
use crate::kernel::time::{Timestamp, secs};

/// Statement timeout of the transactions that dispatch buffered jobs.
const STATEMENT_TIMEOUT: Duration = secs(10);

/// Lines of a file, from one offset to another.
#[derive(Debug, Clone, Copy)]
pub(super) struct LineRange<'a> {
    /// The name of the file.
    pub(super) file: &'a str,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What became of lines.
pub(super) enum LinesOutcome {
    /// Their jobs are dispatched; the hint wakes workers.
    Dispatched(Hint),
    /// Nothing was dispatched: the file is dispatched up to this offset, not up to the first of the lines.
    OffsetMismatch(u64),
}

/// Dispatches the jobs of lines in one transaction, which notes the end of the lines. It does so only when
/// all lines before them are dispatched, and these are not.
pub(super) async fn dispatch(
    database: &Database,
    lines: LineRange<'_>,
    jobs: &[&BufferedJob],
    now: Timestamp,
) -> Result<LinesOutcome, Fault> {
    let tx = database.begin(TransactionOptions::new("forge.jobs", STATEMENT_TIMEOUT)).await?;
    match insert_from(&tx.db(), lines, jobs, now).await {
        Ok(None) => {}
        Ok(Some(offset)) => {
            tx.rollback().await;
            return Ok(LinesOutcome::OffsetMismatch(offset));
        }
        Err(fault) => {
            tx.rollback().await;
            return Err(fault);
        }
    }
    let receipt = tx.commit().await?;
    let queues = jobs.iter().map(|buffered| Arc::<str>::from(buffered.job.queue.as_str()));
    Ok(LinesOutcome::Dispatched(Hint::of_commit(receipt, queues)))
}

/// Inserts the jobs of lines if these begin where the dispatched ones end; returns that offset if they do
/// not.
async fn insert_from(
    db: &Db,
    lines: LineRange<'_>,
    jobs: &[&BufferedJob],
    now: Timestamp,
) -> Result<Option<u64>, Fault> {
    let lock = sqlx::query_scalar(include_str!("../sql/lock_buffer.sql")).bind(lines.file);
    let offset: i64 = lock.fetch_one(db).await?;
    let offset = u64::try_from(offset).map_err(Fault::internal)?;
    if offset != lines.start {
        return Ok(Some(offset));
    }
    for buffered in jobs {
        let BufferedJob { identity, trace, follower, .. } = buffered;
        let job = buffered.due_at(now);
        let inserted = insert_in(db, &job, identity.to_owned(), trace.to_owned()).await?;
        if let Some(follower) = follower {
            follow::follow(db, inserted.job(), follower).await?;
        }
    }
    let end = i64::try_from(lines.end).map_err(Fault::internal)?;
    sqlx::query(include_str!("../sql/advance_buffer.sql")).bind(lines.file).bind(end).execute(db).await?;
    Ok(None)
}

/// Notes that the file `name` is deleted, so that its row can go.
pub(super) async fn note_removal(database: &Database, name: &str) -> Result<(), Fault> {
    let note = sqlx::query(include_str!("../sql/note_removed_buffer.sql")).bind(name);
    database.write_alone(note).await?;
    Ok(())
}
