//! Why a job is where it is: reads what is known of it and of its surroundings.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::cause::{JobCause, JobExplanation, JobFacts, sentence};
use super::rows::without_values;
use super::serve::{LiveHandlers, Missing};
use super::totals::BoundedCount;
use crate::app::JobStatus;
use crate::app::job::JobHandler;
use crate::db::handle::Db;
use crate::job::state::is_finished;
use crate::job::store;
use crate::kernel::fault::Fault;
use crate::kernel::ids::{JobId, NodeId};
use crate::kernel::node::{NodeInfo, WorkerInfo};
use crate::kernel::time::Timestamp;

/// Jobs that are counted before one.
const BEFORE_MAX: u32 = 10_000;

/// The nodes of the cluster, and what the one that answers knows of handlers.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// Registered nodes, for their names.
    pub nodes: &'a [NodeInfo],
    /// Live nodes that run jobs.
    pub workers: &'a [WorkerInfo],
    /// The handlers of this binary.
    pub handlers: &'a [JobHandler],
}

/// Says why a job is where it is; `None` when there is none with this id.
pub async fn explain(db: &Db, id: JobId, around: Surroundings<'_>) -> Result<Option<JobExplanation>, Fault> {
    let find = sqlx::query(include_str!("../sql/explain_job.sql")).bind(id);
    let Some(row) = find.fetch_optional(db).await? else { return Ok(None) };
    let facts = facts(db, id, &row, around).await?;
    let causes = facts.causes();
    Ok(Some(JobExplanation { id, status: facts.status, sentence: sentence(&causes), causes }))
}

async fn facts(db: &Db, id: JobId, row: &PgRow, around: Surroundings<'_>) -> Result<JobFacts, Fault> {
    let (name, queue): (String, String) = (row.try_get("name")?, row.try_get("queue")?);
    let status = store::status(row)?;
    let node: Option<NodeId> = row.try_get("node_id")?;
    let holder = match node.filter(|_| !is_finished(status)) {
        Some(node) => {
            let known = around.nodes.iter().find(|known| known.id == node);
            Some((node, known.map(|known| known.name.to_owned()), row.try_get("claimed_at")?))
        }
        None => None,
    };
    let (is_later, run_at) = (row.try_get::<Option<bool>, _>("is_later")?, row.try_get("run_at")?);
    let blocked = blocked(db, row, &name, around.handlers).await?;
    let waits = matches!(status, JobStatus::Pending | JobStatus::Retry);
    let is_due = waits && is_later == Some(false) && blocked.is_none();
    let limit: Option<i32> = row.try_get("concurrency_max")?;
    let queue_limit = match limit.filter(|_| is_due) {
        Some(limit) => Some((limit.unsigned_abs(), count_held(db, &queue).await?)),
        None => None,
    };
    let before = match is_due {
        true => count_before(db, id, row, &queue).await?,
        false => BoundedCount::default(),
    };
    let unserved = LiveHandlers::of(around.workers, around.handlers).obstacle(&name).filter(|_| waits);
    let since: Option<_> = row.try_get("paused_at")?;
    let by: Option<String> = row.try_get("paused_by")?;
    let refused_by: Option<Vec<String>> = row.try_get("refused_by")?;
    Ok(JobFacts {
        status,
        run_at,
        is_later: is_later.unwrap_or(false),
        attempt: row.try_get("attempt")?,
        attempts_max: row.try_get("attempts_max")?,
        holder,
        finished_at: row.try_get("finished_at")?,
        last_error: row.try_get("last_error")?,
        refused_by: refused_by.unwrap_or_default(),
        blocked,
        unserved: unserved.map(|obstacle| cause_of(obstacle, name)),
        paused: since.zip(by),
        queue_limit,
        before,
        queue,
    })
}

/// The limit of its key, or the jobs, that a job waits for.
async fn blocked(
    db: &Db,
    row: &PgRow,
    name: &str,
    handlers: &[JobHandler],
) -> Result<Option<JobCause>, Fault> {
    if let Some(job) = row.try_get("step_id")? {
        let label: &str = row.try_get("step_status")?;
        let status = JobStatus::parse(label)
            .ok_or_else(|| Fault::internal(format!("`{label}` is unknown to this version")))?;
        return Ok(Some(JobCause::BrokenChain { job, handler: row.try_get("step_name")?, status }));
    }
    if let Some(jobs) = row.try_get::<Option<i64>, _>("awaited_jobs")? {
        return Ok(Some(JobCause::Jobs { open: BoundedCount::of(jobs, u32::MAX).count }));
    }
    let Some(key) = row.try_get::<Option<String>, _>("blocked_by")? else { return Ok(None) };
    let handler = handlers.iter().find(|handler| handler.name == name);
    let shown = match handler {
        Some(handler) if !handler.hides_arguments => key.to_owned(),
        _ => without_values(&key),
    };
    let by_concurrency: Option<bool> = row.try_get("by_concurrency")?;
    if by_concurrency != Some(true) {
        return Ok(Some(JobCause::RateLimit { key: shown, next_at: row.try_get("opens_at")? }));
    }
    let set: Option<i32> = row.try_get("limit_override")?;
    let max = set.map(i32::unsigned_abs).or_else(|| handler.and_then(|handler| handler.concurrency));
    let count = sqlx::query(include_str!("../sql/count_held_by_key.sql")).bind(vec![&key]);
    let held = match count.fetch_optional(db).await? {
        Some(row) => row.try_get("held")?,
        None => 0,
    };
    Ok(Some(JobCause::ConcurrencyLimit { key: shown, max, held: BoundedCount::of(held, u32::MAX).count }))
}

async fn count_held(db: &Db, queue: &str) -> Result<u32, Fault> {
    let count = sqlx::query_scalar(include_str!("../sql/count_held_in_queue.sql")).bind(queue);
    Ok(BoundedCount::of(count.fetch_one(db).await?, u32::MAX).count)
}

async fn count_before(db: &Db, id: JobId, row: &PgRow, queue: &str) -> Result<BoundedCount, Fault> {
    let counted = sqlx::query_scalar(include_str!("../sql/count_jobs_before.sql"))
        .bind(queue)
        .bind(row.try_get::<i16, _>("priority")?)
        .bind(row.try_get::<Option<Timestamp>, _>("run_at")?)
        .bind(id)
        .bind(i64::from(BEFORE_MAX) + 1)
        .fetch_one(db)
        .await?;
    Ok(BoundedCount::of(counted, BEFORE_MAX))
}

fn cause_of(obstacle: Missing, handler: String) -> JobCause {
    match obstacle {
        Missing::Worker => JobCause::NoWorker,
        Missing::Handler => JobCause::NoHandler { handler },
        Missing::Capability(capability) => JobCause::NoCapability { capability },
        Missing::Resources => JobCause::NoResources,
    }
}
