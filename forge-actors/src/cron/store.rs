//! The statements of the scheduler. Every write of it belongs to a transaction of its leader's term.

use std::time::Duration;

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::state::{CronRules, PlannedRun, RunStart};
use crate::app::cron::CronMeta;
use crate::app::{CronOverlap, JobStatus, Meta};
use crate::db::handle::Db;
use crate::kernel::fault::Fault;
use crate::kernel::ids::{CronId, JobId};
use crate::kernel::integer::Int53;
use crate::kernel::time::Timestamp;

/// Open runs that one transaction looks at.
const OPEN_MAX: i64 = 10_000;
/// Crons whose times one transaction looks at.
const DUE_MAX: i64 = 500;
/// Rows that one statement deletes.
pub(super) const DELETE_MAX: u32 = 5_000;

/// What the scheduler sees without a transaction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Glance {
    /// Until the next time, negative when it has come; `None` without one.
    pub(super) next_due_secs: Option<f64>,
    /// A run waits, or its job is not finished.
    pub(super) has_open: bool,
}

/// A run that is not finished.
#[derive(Debug, Clone, Copy)]
pub(super) struct OpenRun {
    pub(super) key: RunKey,
    pub(super) catch_up: bool,
    /// `None` while it waits.
    pub(super) job: Option<JobId>,
}

/// One time of one cron.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RunKey {
    pub(super) cron: CronId,
    pub(super) scheduled_at: Timestamp,
}

/// A run whose job has ended.
pub(super) struct EndedCronRun {
    pub(super) key: RunKey,
    /// `None` when the job is in no table any more.
    pub(super) status: Option<JobStatus>,
    pub(super) finished_at: Option<Timestamp>,
}

/// A cron whose time has come, or whose waiting run may start.
#[derive(Debug)]
pub(super) struct DueCron {
    pub(super) id: CronId,
    pub(super) name: String,
    pub(super) handler: String,
    pub(super) args: String,
    pub(super) identity: Option<String>,
    pub(super) expression: String,
    pub(super) timezone: String,
    pub(super) rules: CronRules,
    pub(super) jitter: Duration,
    pub(super) queue: String,
    pub(super) priority: i16,
    pub(super) attempts_max: i32,
    /// `None` for one that has a problem, and a run that waits.
    pub(super) next_at: Option<Timestamp>,
    /// When the transaction began.
    pub(super) now: Timestamp,
}

/// A run that is about to be written.
pub(super) struct NewCronRun {
    pub(super) cron: CronId,
    pub(super) planned: PlannedRun,
    /// The job, when it starts now.
    pub(super) job: Option<JobId>,
}

/// A schedule of the code.
pub(super) struct CodeCron<'a> {
    pub(super) name: String,
    pub(super) expression: &'a str,
    pub(super) cron: CronMeta,
    pub(super) next_at: Timestamp,
}

/// A schedule that became absent, or is there again.
pub(super) struct MarkedCron {
    pub(super) name: String,
    pub(super) handler: String,
    pub(super) is_absent: bool,
}

/// Looks at what is to be done, with one statement.
pub(super) async fn glance(db: &Db, handlers: &[String]) -> Result<Glance, Fault> {
    let row = sqlx::query(include_str!("sql/glance.sql")).bind(handlers).fetch_one(db).await?;
    Ok(Glance { next_due_secs: row.try_get("next_due")?, has_open: row.try_get("has_open")? })
}

/// The time at which the transaction of `db` began.
pub(super) async fn read_clock(db: &Db) -> Result<Timestamp, Fault> {
    Ok(sqlx::query_scalar(include_str!("sql/read_clock.sql")).fetch_one(db).await?)
}

/// Seconds until the next time, from now.
pub(super) async fn next_due_secs(db: &Db, handlers: &[String]) -> Result<Option<f64>, Fault> {
    Ok(sqlx::query_scalar(include_str!("sql/read_next_due.sql")).bind(handlers).fetch_one(db).await?)
}

/// Lists the runs that are not finished, those of one cron together and oldest first.
pub(super) async fn list_open(db: &Db) -> Result<Vec<OpenRun>, Fault> {
    let rows = sqlx::query(include_str!("sql/list_open_runs.sql")).bind(OPEN_MAX).fetch_all(db).await?;
    let open = |row: &PgRow| {
        let key = run_key(row)?;
        Ok(OpenRun { key, catch_up: row.try_get("catch_up")?, job: row.try_get("job_id")? })
    };
    rows.iter().map(open).collect()
}

/// Writes how runs have ended.
pub(super) async fn settle(db: &Db, ended: &[EndedCronRun]) -> Result<(), Fault> {
    let (crons, times): (Vec<_>, Vec<_>) =
        ended.iter().map(|run| (run.key.cron, run.key.scheduled_at)).unzip();
    let statuses: Vec<_> = ended.iter().map(|run| run.status.map_or("unknown", JobStatus::as_str)).collect();
    let finished: Vec<_> = ended.iter().map(|run| run.finished_at).collect();
    let settle = sqlx::query(include_str!("sql/settle_runs.sql"));
    settle.bind(crons).bind(times).bind(statuses).bind(finished).execute(db).await?;
    Ok(())
}

/// Locks the crons whose time has come, and those of `waiting`.
pub(super) async fn lock_due(
    db: &Db,
    handlers: &[String],
    waiting: &[CronId],
) -> Result<Vec<DueCron>, Fault> {
    let lock = sqlx::query(include_str!("sql/lock_due_crons.sql"));
    let rows = lock.bind(handlers).bind(waiting).bind(DUE_MAX).fetch_all(db).await?;
    rows.iter().map(due_cron).collect()
}

fn due_cron(row: &PgRow) -> Result<DueCron, Fault> {
    let catch_up: i32 = row.try_get("catch_up")?;
    let jitter_ms: i64 = row.try_get("jitter_ms")?;
    Ok(DueCron {
        id: row.try_get("id")?,
        name: row.try_get("name")?,
        handler: row.try_get("handler")?,
        args: row.try_get("args")?,
        identity: row.try_get("identity")?,
        expression: row.try_get("expression")?,
        timezone: row.try_get("timezone")?,
        rules: CronRules { overlap: overlap(row)?, catch_up: usize::try_from(catch_up).unwrap_or_default() },
        jitter: Duration::from_millis(jitter_ms.unsigned_abs()),
        queue: row.try_get("queue")?,
        priority: row.try_get("priority")?,
        attempts_max: row.try_get("attempts_max")?,
        next_at: row.try_get("next_at")?,
        now: row.try_get("now")?,
    })
}

/// Reads the column `overlap`.
pub(super) fn overlap(row: &PgRow) -> sqlx::Result<CronOverlap> {
    let label: &str = row.try_get("overlap")?;
    CronOverlap::parse(label)
        .ok_or_else(|| sqlx::Error::Decode(format!("`{label}` is no overlap of a cron").into()))
}

fn run_key(row: &PgRow) -> Result<RunKey, Fault> {
    Ok(RunKey { cron: row.try_get("cron_id")?, scheduled_at: row.try_get("scheduled_at")? })
}

/// Writes runs. Returns those that had no row before: only they may start.
pub(super) async fn insert_runs(db: &Db, epoch: i64, runs: &[NewCronRun]) -> Result<Vec<RunKey>, Fault> {
    let planned = || runs.iter().map(|run| &run.planned);
    let status = |run: &PlannedRun| match run.start {
        RunStart::Now => "dispatched",
        RunStart::Waits => "waiting",
        RunStart::Skipped(_) => "skipped",
    };
    let reason = |run: &PlannedRun| match run.start {
        RunStart::Skipped(reason) => Some(reason.as_str()),
        RunStart::Now | RunStart::Waits => None,
    };
    let rows = sqlx::query(include_str!("sql/insert_runs.sql"))
        .bind(runs.iter().map(|run| run.cron).collect::<Vec<_>>())
        .bind(planned().map(|run| run.scheduled_at).collect::<Vec<_>>())
        .bind(planned().map(status).collect::<Vec<_>>())
        .bind(planned().map(reason).collect::<Vec<_>>())
        .bind(planned().map(|run| i32::try_from(run.times).unwrap_or(i32::MAX)).collect::<Vec<_>>())
        .bind(planned().map(|run| run.last_at).collect::<Vec<_>>())
        .bind(planned().map(|run| run.catch_up).collect::<Vec<_>>())
        .bind(epoch)
        .bind(runs.iter().map(|run| run.job).collect::<Vec<_>>())
        .fetch_all(db)
        .await?;
    rows.iter().map(run_key).collect()
}

/// Starts runs that have waited. Returns those that still waited: only they may start.
pub(super) async fn start_waiting(db: &Db, runs: &[(RunKey, JobId)]) -> Result<Vec<RunKey>, Fault> {
    let rows = sqlx::query(include_str!("sql/start_waiting_runs.sql"))
        .bind(runs.iter().map(|(key, _)| key.cron).collect::<Vec<_>>())
        .bind(runs.iter().map(|(key, _)| key.scheduled_at).collect::<Vec<_>>())
        .bind(runs.iter().map(|(_, job)| *job).collect::<Vec<_>>())
        .fetch_all(db)
        .await?;
    rows.iter().map(run_key).collect()
}

/// Writes the next times of crons that are locked, or why they have none.
pub(super) async fn advance(db: &Db, crons: &[(CronId, Result<Timestamp, String>)]) -> Result<(), Fault> {
    let advance = sqlx::query(include_str!("sql/advance_crons.sql"))
        .bind(crons.iter().map(|(cron, _)| *cron).collect::<Vec<_>>())
        .bind(crons.iter().map(|(_, next)| next.as_ref().ok().copied()).collect::<Vec<_>>())
        .bind(crons.iter().map(|(_, next)| next.as_ref().err().map(String::as_str)).collect::<Vec<_>>());
    advance.execute(db).await?;
    Ok(())
}

/// Gives schedules of the code the present names of their handlers: pairs of an alias and a name.
pub(super) async fn rename(db: &Db, names: &[(&str, String)]) -> Result<(), Fault> {
    let rename = sqlx::query(include_str!("sql/rename_crons.sql"))
        .bind(names.iter().map(|(alias, _)| *alias).collect::<Vec<_>>())
        .bind(names.iter().map(|(_, name)| name.as_str()).collect::<Vec<_>>());
    rename.execute(db).await?;
    Ok(())
}

/// Writes the schedules of the code. One that stayed the same keeps its next time.
pub(super) async fn upsert_code(db: &Db, crons: &[CodeCron<'_>]) -> Result<(), Fault> {
    let upsert = sqlx::query(include_str!("sql/upsert_code_crons.sql"))
        .bind(crons.iter().map(|_| CronId::new()).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| code.name.as_str()).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| code.expression).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| code.cron.timezone).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| code.cron.overlap.as_str()).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| catch_up(code.cron.catch_up)).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| jitter_ms(code.cron.jitter)).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| code.next_at).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| code.cron.job.queue).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| i16::from(code.cron.job.priority)).collect::<Vec<_>>())
        .bind(crons.iter().map(|code| attempts_max(code.cron.job.attempts)).collect::<Vec<_>>());
    upsert.execute(db).await?;
    Ok(())
}

/// Marks the schedules whose handler is not among `handlers` (by name or alias), and gives the others what
/// their handlers say of queues and attempts. Returns those whose mark, or whose queue, has changed.
pub(super) async fn mark_absent(db: &Db, handlers: &[(&str, Meta)]) -> Result<Vec<MarkedCron>, Fault> {
    let jobs = || handlers.iter().filter_map(|(name, meta)| Some((*name, meta.job_meta()?)));
    let scheduled = handlers.iter().filter(|(_, meta)| meta.cron_meta().is_some_and(has_schedule));
    let rows = sqlx::query(include_str!("sql/mark_absent_crons.sql"))
        .bind(jobs().map(|(name, _)| name).collect::<Vec<_>>())
        .bind(jobs().map(|(_, job)| job.queue).collect::<Vec<_>>())
        .bind(jobs().map(|(_, job)| i16::from(job.priority)).collect::<Vec<_>>())
        .bind(jobs().map(|(_, job)| attempts_max(job.attempts)).collect::<Vec<_>>())
        .bind(scheduled.map(|(_, meta)| meta.wire_name()).collect::<Vec<_>>())
        .fetch_all(db)
        .await?;
    let marked = |row: &PgRow| {
        Ok(MarkedCron {
            name: row.try_get("name")?,
            handler: row.try_get("handler")?,
            is_absent: row.try_get("is_absent")?,
        })
    };
    rows.iter().map(marked).collect()
}

fn has_schedule(cron: CronMeta) -> bool {
    cron.expression.is_some()
}

/// Counts the schedules by state.
pub(super) async fn count_crons(db: &Db) -> Result<[(&'static str, i64); 4], Fault> {
    let row = sqlx::query(include_str!("sql/count_crons.sql")).fetch_one(db).await?;
    let mut counts = ["active", "paused", "absent", "broken"].map(|state| (state, 0));
    for (state, count) in &mut counts {
        *count = row.try_get(*state)?;
    }
    Ok(counts)
}

/// Deletes runs that were written longer than `retention` ago, at most [`DELETE_MAX`]. Returns their number.
pub(super) async fn delete_runs(db: &Db, retention: Duration) -> Result<u64, Fault> {
    let delete = sqlx::query(include_str!("sql/delete_old_runs.sql"));
    let delete = delete.bind(retention.as_secs_f64()).bind(i64::from(DELETE_MAX));
    Ok(delete.execute(db).await?.rows_affected())
}

/// As the column holds it.
pub(super) fn catch_up(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// As the column holds it.
pub(super) fn jitter_ms(jitter: Duration) -> i64 {
    Int53::millis(jitter).get()
}

/// As the column holds it.
pub(super) fn attempts_max(attempts: u32) -> i32 {
    i32::try_from(attempts).unwrap_or(i32::MAX)
}
