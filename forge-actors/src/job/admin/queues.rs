//! The queues, with what waits in each of them.
//!
//! A queue is known when a handler of the answering node names it, when it has settings, when a node holds a
//! job of it, or when a job waits in it: one that is due, or one of the first that are scheduled or blocked.

use std::collections::BTreeMap;
use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::serve::LiveHandlers;
use super::totals::BoundedCount;
use crate::app::job::JobHandler;
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::integer::Int53;
use crate::kernel::node::WorkerInfo;
use crate::kernel::time::{Timestamp, days, hours, minutes, secs};

/// Due jobs that are counted of all queues together.
const DUE_MAX: u32 = 50_000;
/// Due jobs that are counted of one queue: at least and at most.
const DUE_OF_QUEUE: (u32, u32) = (500, 5_000);
/// Scheduled jobs that are counted over all queues, and blocked ones.
const OTHERS_MAX: u32 = 5_000;
/// Jobs that are counted of a bucket of waits.
const BUCKET_MAX: u32 = 10_000;
/// For how long the jobs of a bucket have waited at most; those of the last one have waited for longer.
const BUCKETS: [Duration; 6] = [secs(1), secs(10), minutes(1), minutes(10), hours(1), days(1)];

/// One queue.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct QueueRow {
    /// Its name.
    pub queue: String,
    /// Jobs that wait for a worker.
    pub due: BoundedCount,
    /// Jobs that wait for their time, those that are tried again among them.
    pub scheduled: BoundedCount,
    /// Jobs that wait for a concurrency or rate limit, or for other jobs.
    pub blocked: BoundedCount,
    /// Jobs that a node has claimed, whether their attempt has begun or not.
    pub held: u32,
    /// When the job was due that has waited for a worker for the longest.
    pub oldest_due_at: Option<Timestamp>,
    /// When it was paused; `None` while it is not.
    pub paused_at: Option<Timestamp>,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Of its jobs only so many are held at a time by all nodes together; `None`: as many as there are
    /// workers.
    pub concurrency_max: Option<u32>,
    /// Handlers of the node that answers, whose jobs wait in this queue.
    pub handlers: Vec<String>,
    /// Handlers of due jobs, of the first ones, that no live node can run.
    pub unserved: Vec<String>,
}

impl QueueRow {
    /// A queue in which nothing waits.
    pub fn named(queue: &str) -> Self {
        Self {
            queue: queue.to_owned(),
            due: BoundedCount::default(),
            scheduled: BoundedCount::default(),
            blocked: BoundedCount::default(),
            held: 0,
            oldest_due_at: None,
            paused_at: None,
            paused_by: None,
            concurrency_max: None,
            handlers: Vec::new(),
            unserved: Vec::new(),
        }
    }
}

/// The queues of the whole database.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct QueuesPage {
    /// When, by the clock of the node that answers.
    pub at: Timestamp,
    /// By name.
    pub queues: Vec<QueueRow>,
    /// Live nodes that run jobs.
    pub workers: u32,
    /// The handlers of jobs of the node that answers, by name, with their aliases.
    pub handlers: Vec<JobHandler>,
}

/// Due jobs that have waited about as long as each other.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitBucket {
    /// They have waited for so many milliseconds at most, and longer than those of the bucket before; `None`
    /// for the last bucket.
    pub up_to_ms: Option<Int53>,
    /// How many.
    pub jobs: BoundedCount,
}

/// How long due jobs have waited for a worker.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct JobWaits {
    /// When, by the clock of the node that answers.
    pub at: Timestamp,
    /// From short to long waits.
    pub buckets: Vec<WaitBucket>,
}

/// Reads the queues. `workers` are the live nodes that run jobs, `handlers` what this binary knows.
pub async fn queues(
    db: &Db,
    workers: &[WorkerInfo],
    handlers: &[JobHandler],
) -> Result<Vec<QueueRow>, Fault> {
    let mut rows = KnownQueues::default();
    for handler in handlers {
        rows.get(&handler.queue).handlers.push(handler.name.to_owned());
    }
    add_settings(db, &mut rows).await?;
    add_due(db, workers, handlers, &mut rows).await?;
    add_others(db, &mut rows).await?;
    Ok(rows.0.into_values().collect())
}

/// Counts due jobs by how long they have waited for a worker: of one queue, or of all.
pub async fn waits(db: &Db, queue: Option<&str>) -> Result<JobWaits, Fault> {
    let mut levels = due_levels(db).await?;
    levels.retain(|level| queue.is_none_or(|queue| level.queue == queue));
    let bounds = BUCKETS.map(Int53::millis);
    let from: Vec<i64> = [0].into_iter().chain(bounds.map(Int53::get)).collect();
    let until: Vec<Option<i64>> = bounds.map(|bound| Some(bound.get())).into_iter().chain([None]).collect();
    let rows = sqlx::query(include_str!("../sql/count_waits.sql"))
        .bind(from)
        .bind(until)
        .bind(levels.iter().map(|level| &*level.queue).collect::<Vec<_>>())
        .bind(levels.iter().map(|level| level.priority).collect::<Vec<_>>())
        .bind(i64::from(BUCKET_MAX) + 1)
        .fetch_all(db)
        .await?;
    let bucket = |row: &PgRow| {
        let up_to_ms = row.try_get("up_to_ms")?;
        let jobs = BoundedCount::of(row.try_get("jobs")?, BUCKET_MAX);
        Ok(WaitBucket { up_to_ms, jobs })
    };
    let mut buckets = rows.iter().map(bucket).collect::<sqlx::Result<Vec<_>>>()?;
    buckets.sort_by_key(|bucket| bucket.up_to_ms.map_or(Int53::MAX, Int53::get));
    Ok(JobWaits { at: chrono::Utc::now(), buckets })
}

/// The rows, as they are put together.
#[derive(Default)]
struct KnownQueues(BTreeMap<String, QueueRow>);

impl KnownQueues {
    fn get(&mut self, queue: &str) -> &mut QueueRow {
        self.0.entry(queue.to_owned()).or_insert_with(|| QueueRow::named(queue))
    }
}

async fn add_settings(db: &Db, rows: &mut KnownQueues) -> Result<(), Fault> {
    let settings = sqlx::query(include_str!("../sql/list_queue_settings.sql")).fetch_all(db).await?;
    for found in settings {
        let row = rows.get(found.try_get("queue")?);
        row.paused_at = found.try_get("paused_at")?;
        row.paused_by = found.try_get("paused_by")?;
        let concurrency_max: Option<i32> = found.try_get("concurrency_max")?;
        row.concurrency_max = concurrency_max.map(i32::unsigned_abs);
    }
    Ok(())
}

async fn add_due(
    db: &Db,
    workers: &[WorkerInfo],
    handlers: &[JobHandler],
    rows: &mut KnownQueues,
) -> Result<(), Fault> {
    for level in due_levels(db).await? {
        let row = rows.get(&level.queue);
        row.oldest_due_at = row.oldest_due_at.into_iter().chain([level.oldest]).min();
        row.due.count = 1;
    }
    let due: Vec<&str> = rows.0.values().filter(|row| row.due.count > 0).map(|row| &*row.queue).collect();
    let (least, most) = DUE_OF_QUEUE;
    let of_each = (DUE_MAX / u32::try_from(due.len()).unwrap_or(u32::MAX).max(1)).clamp(least, most);
    let counted = sqlx::query(include_str!("../sql/count_due_jobs.sql"))
        .bind(due)
        .bind(i64::from(of_each) + 1)
        .fetch_all(db)
        .await?;
    let live = LiveHandlers::of(workers, handlers);
    for found in counted {
        let row = rows.get(found.try_get("queue")?);
        row.due = BoundedCount::of(found.try_get("jobs")?, of_each);
        let names: Option<Vec<String>> = found.try_get("names")?;
        row.unserved = names.into_iter().flatten().filter(|name| live.obstacle(name).is_some()).collect();
    }
    Ok(())
}

async fn add_others(db: &Db, rows: &mut KnownQueues) -> Result<(), Fault> {
    let counted = sqlx::query(include_str!("../sql/count_other_jobs.sql"))
        .bind(i64::from(OTHERS_MAX) + 1)
        .fetch_all(db)
        .await?;
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    for found in &counted {
        *sums.entry(found.try_get("part")?).or_default() += found.try_get::<i64, _>("jobs")?;
    }
    // What was not read to its end may have more jobs of every queue.
    let is_more = |part: &str| sums.get(part).is_some_and(|sum| *sum > i64::from(OTHERS_MAX));
    let (more_scheduled, more_blocked) = (is_more("scheduled"), is_more("blocked"));
    for found in &counted {
        let row = rows.get(found.try_get("queue")?);
        let jobs = BoundedCount::of(found.try_get("jobs")?, u32::MAX);
        match found.try_get("part")? {
            "scheduled" => row.scheduled = jobs,
            "blocked" => row.blocked = jobs,
            _ => row.held = jobs.count,
        }
    }
    for row in rows.0.values_mut() {
        row.scheduled.is_more = more_scheduled;
        row.blocked.is_more = more_blocked;
    }
    Ok(())
}

/// A priority of a queue that has due jobs.
struct DueLevel {
    queue: String,
    priority: i16,
    /// When its oldest job was due.
    oldest: Timestamp,
}

async fn due_levels(db: &Db) -> Result<Vec<DueLevel>, Fault> {
    let rows = sqlx::query(include_str!("../sql/list_due_levels.sql")).fetch_all(db).await?;
    let level = |row: &PgRow| {
        Ok(DueLevel {
            queue: row.try_get("queue")?,
            priority: row.try_get("priority")?,
            oldest: row.try_get("oldest_due_at")?,
        })
    };
    Ok(rows.iter().map(level).collect::<sqlx::Result<_>>()?)
}
