//! What an administrator sees of crons and does with them. Every function runs its statements on the `db` of
//! its caller, so that it belongs to the caller's snapshot or transaction.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{FromRow, Row};

use super::run_job::RunJob;
use super::state::{CronSkipReason, MISSED_AFTER};
use super::store;
use super::timetable::Timetable;
use crate::app::cron::CronRun;
use crate::app::{CronOverlap, JobStatus};
use crate::db::handle::Db;
use crate::job::admin::{JobSummary, outcomes};
use crate::job::insert::insert_all;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::{CronId, JobId};
use crate::kernel::integer::Int53;
use crate::kernel::time::Timestamp;

/// Times that are shown of what comes next, unless more are asked for.
const UPCOMING: usize = 5;

/// Where a schedule comes from.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronSource {
    /// The attribute of its handler.
    Code,
    /// A mutation of the application has created it.
    Application,
}

/// Whether a schedule brings runs.
#[forge_app_macros::data]
#[serde(rename_all = "snake_case")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronState {
    /// It has a next time.
    Active,
    /// A person or the application has stopped it.
    Paused,
    /// The leader's binary has no handler for it.
    NoHandler,
    /// It has no next time, for a reason that its row states.
    Broken,
}

impl CronState {
    /// The label on the wire, and in the statement of the list.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::NoHandler => "no_handler",
            Self::Broken => "broken",
        }
    }
}

/// What became of a time.
#[forge_app_macros::data]
#[serde(rename_all = "snake_case")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronRunStatus {
    /// It waits for the run before.
    Waiting,
    /// Its job is dispatched, and not finished.
    Dispatched,
    /// Its job succeeded.
    Completed,
    /// Its job's arguments were refused.
    Failed,
    /// Every attempt at its job failed.
    DeadLetter,
    /// A person ended its job.
    Cancelled,
    /// Its job is finished, and gone from the history before anybody looked.
    Unknown,
    /// It has no job; the reason says why.
    Skipped,
}

impl CronRunStatus {
    /// Every status, in the order of the type in Postgres.
    pub const ALL: [Self; 8] = [
        Self::Waiting,
        Self::Dispatched,
        Self::Completed,
        Self::Failed,
        Self::DeadLetter,
        Self::Cancelled,
        Self::Unknown,
        Self::Skipped,
    ];

    /// The label in Postgres and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Dispatched => "dispatched",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::DeadLetter => "dead_letter",
            Self::Cancelled => "cancelled",
            Self::Unknown => "unknown",
            Self::Skipped => "skipped",
        }
    }

    /// Of a run whose job has this status.
    const fn of_job(job: JobStatus) -> Self {
        match job {
            JobStatus::Pending | JobStatus::Claimed | JobStatus::Running | JobStatus::Retry => {
                Self::Dispatched
            }
            JobStatus::Completed => Self::Completed,
            JobStatus::Failed => Self::Failed,
            JobStatus::DeadLetter => Self::DeadLetter,
            JobStatus::Cancelled => Self::Cancelled,
        }
    }
}

/// One schedule.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct CronRow {
    /// Id of the schedule.
    pub id: CronId,
    /// Its name: the handler's, or the one that the application gave it.
    pub name: String,
    /// The tenant that it belongs to.
    pub tenant: Option<String>,
    /// Where it comes from.
    pub source: CronSource,
    /// Wire name of the handler.
    pub handler: String,
    /// When it runs, as it was written.
    pub expression: String,
    /// Where the expression's clock hangs.
    pub timezone: String,
    /// What becomes of a run while the one before is not finished.
    pub overlap: CronOverlap,
    /// How many missed times run afterwards.
    pub catch_up: u32,
    /// A run starts up to this many milliseconds after its time.
    pub jitter_ms: Int53,
    /// The queue of its jobs.
    pub queue: String,
    /// Whether it brings runs.
    pub state: CronState,
    /// When it was paused; `None` while it is not.
    pub paused_at: Option<Timestamp>,
    /// Who paused it.
    pub paused_by: Option<String>,
    /// Why it has no next time.
    pub problem: Option<String>,
    /// When it was created.
    pub created_at: Timestamp,
    /// The next times; none unless it is active.
    pub upcoming: Vec<CronTime>,
    /// The run of its newest time.
    pub last_run: Option<CronRunRow>,
}

/// A time, by two clocks.
#[forge_app_macros::data]
#[derive(Debug, Clone)]
pub struct CronTime {
    /// In UTC.
    pub at: Timestamp,
    /// On the clock of the schedule's zone: `2026-03-30 09:00:00 CEST`.
    pub local: String,
}

/// A time that came, or several in a row that were missed.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct CronRunRow {
    /// The time, or the first one.
    pub scheduled_at: Timestamp,
    /// The last one.
    pub last_at: Timestamp,
    /// How many times.
    pub times: u32,
    /// What became of it.
    pub status: CronRunStatus,
    /// Why it was skipped.
    pub reason: Option<CronSkipReason>,
    /// The time was missed, and the run makes up for it.
    pub is_catch_up: bool,
    /// Its first attempt began more than 10 s after it was due, or waits for longer than that.
    pub is_late: bool,
    /// Who asked for the run; `None` for one that the schedule brought.
    pub requested_by: Option<String>,
    /// Its job.
    pub job: Option<JobId>,
    /// Why the last attempt failed, while the job is known.
    pub last_error: Option<String>,
    /// When the first attempt began.
    pub started_at: Option<Timestamp>,
    /// When the job was finished.
    pub finished_at: Option<Timestamp>,
}

/// One schedule with its arguments and its last runs.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct CronDetail {
    /// The row of the list.
    pub cron: CronRow,
    /// The arguments of its handler, as JSON.
    pub args: String,
    /// Subject of the token of the call that created it; its runs have that identity.
    pub subject: Option<String>,
    /// The last runs, newest first.
    pub runs: Vec<CronRunRow>,
}

/// Which schedules to list; `None` means any.
#[derive(Debug, Clone, Default)]
pub struct CronFilter {
    /// Those of the handler with this wire name.
    pub handler: Option<String>,
    /// Those of this tenant.
    pub tenant: Option<String>,
    /// Those in this state.
    pub state: Option<CronState>,
    /// Only those whose newest run failed or was cancelled.
    pub is_failing: bool,
    /// Those whose name, handler, tenant, queue or expression has this text in it, in either case.
    pub search: Option<String>,
    /// Only those that the application created for exactly this tenant, or for none.
    pub is_own: bool,
}

/// A schedule, as the functions about one need it.
pub struct FoundCron {
    row: CronRow,
    args: String,
    identity: Option<String>,
    priority: i16,
    attempts_max: i32,
    now: Timestamp,
}

impl FoundCron {
    /// Its row.
    pub fn row(&self) -> &CronRow {
        &self.row
    }

    fn table(&self) -> Result<Timetable, Fault> {
        Ok(Timetable::parse(&self.row.expression, &self.row.timezone)?)
    }
}

/// Lists at most `limit` schedules that match `filter`, by name.
pub async fn list(db: &Db, filter: CronFilter, limit: u16) -> Result<Vec<CronRow>, Fault> {
    let list = sqlx::query(include_str!("sql/list_crons.sql"));
    let rows = list
        .bind(filter.handler)
        .bind(filter.tenant)
        .bind(i64::from(limit))
        .bind(filter.is_own)
        .bind(filter.state.map(CronState::as_str))
        .bind(filter.is_failing)
        .bind(filter.search)
        .bind(MISSED_AFTER.as_secs_f64())
        .fetch_all(db)
        .await?;
    let mut crons = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut cron = CronRow::from_row(row)?.with_upcoming(row.try_get("now")?, UPCOMING);
        let has_run = row.try_get::<Option<CronId>, _>("cron_id")?.is_some();
        cron.last_run = has_run.then(|| CronRunRow::from_row(row)).transpose()?;
        crons.push(cron);
    }
    overlay(db, crons.iter_mut().filter_map(|cron| cron.last_run.as_mut()).collect()).await?;
    Ok(crons)
}

/// Finds a schedule by its id, or by its name where no two tenants have one of that name.
///
/// # Errors
/// `NOT_FOUND`, or `CONFLICT` for a name that several schedules have.
pub async fn find(db: &Db, cron: &str) -> Result<FoundCron, Fault> {
    let rows = sqlx::query(include_str!("sql/find_crons.sql")).bind(cron).fetch_all(db).await?;
    let row = match rows.as_slice() {
        [] => return Err(Fault::new(Code::NotFound, format!("there is no cron `{cron}`"))),
        [_, second] if second.try_get::<String, _>("name")? == cron => {
            let message = format!("several crons are named `{cron}`: name one by its id");
            return Err(Fault::new(Code::Conflict, message));
        }
        [first, ..] => first,
    };
    let now = row.try_get("now")?;
    Ok(FoundCron {
        row: CronRow::from_row(row)?.with_upcoming(now, UPCOMING),
        args: row.try_get("args")?,
        identity: row.try_get("identity")?,
        priority: row.try_get("priority")?,
        attempts_max: row.try_get("attempts_max")?,
        now,
    })
}

/// The schedule with its last `limit` runs and its next `upcoming` times.
pub async fn detail(db: &Db, found: FoundCron, limit: u16, upcoming: u16) -> Result<CronDetail, Fault> {
    let mut runs: Vec<CronRunRow> = sqlx::query_as(include_str!("sql/list_runs.sql"))
        .bind(found.row.id)
        .bind(i64::from(limit))
        .bind(MISSED_AFTER.as_secs_f64())
        .fetch_all(db)
        .await?;
    overlay(db, runs.iter_mut().collect()).await?;
    let FoundCron { row, args, identity, now, .. } = found;
    let mut cron = row.with_upcoming(now, upcoming.into());
    cron.last_run = runs.first().map(CronRunRow::to_owned);
    let identity: Option<serde_json::Value> =
        identity.as_deref().map(serde_json::from_str).transpose().map_err(Fault::internal)?;
    let subject = identity.and_then(|identity| Some(identity.get("subject")?.as_str()?.to_owned()));
    Ok(CronDetail { cron, args, subject, runs })
}

/// Dispatches a run of a schedule now, in the name of `who`, also of one that is paused or whose last run is
/// not finished. Returns the queue, whose workers are to be woken after the commit.
pub async fn run_now(db: &Db, found: &FoundCron, who: &str) -> Result<String, Fault> {
    let (cron, job) = (&found.row, JobId::new());
    sqlx::query(include_str!("sql/insert_requested_run.sql"))
        .bind(cron.id)
        .bind(job)
        .bind(who)
        .execute(db)
        .await?;
    let run = CronRun {
        cron: cron.id,
        name: cron.name.to_owned(),
        scheduled_at: found.now,
        local_at: found.table()?.local(found.now),
        due_at: found.now,
        catch_up: false,
        requested: true,
    };
    let of_run = RunJob {
        handler: &cron.handler,
        args: &found.args,
        identity: found.identity.as_deref(),
        queue: &cron.queue,
        priority: found.priority,
        attempts_max: found.attempts_max,
    };
    insert_all(db, &[of_run.dispatched(job, &run)]).await?;
    Ok(cron.queue.to_owned())
}

/// Stops a schedule until it is resumed. False when it is paused already.
pub async fn pause(db: &Db, cron: CronId, who: &str) -> Result<bool, Fault> {
    let pause = sqlx::query(include_str!("sql/pause_cron.sql")).bind(cron).bind(who);
    Ok(pause.fetch_optional(db).await?.is_some())
}

/// Lets a schedule run again, from now on: the times of the pause are not made up for. False when it is not
/// paused.
pub async fn resume(db: &Db, cron: CronId, table: &Timetable, now: Timestamp) -> Result<bool, Fault> {
    let next_at = table.next_after(now)?;
    let resume = sqlx::query(include_str!("sql/resume_cron.sql")).bind(cron).bind(next_at);
    Ok(resume.fetch_optional(db).await?.is_some())
}

/// [`resume`] of a schedule that was found.
pub async fn resume_found(db: &Db, found: &FoundCron) -> Result<bool, Fault> {
    resume(db, found.row.id, &found.table()?, found.now).await
}

/// Shows runs as their jobs are: the leader writes it down a moment later, and a job may be tried again after
/// that.
async fn overlay(db: &Db, runs: Vec<&mut CronRunRow>) -> Result<(), Fault> {
    let jobs: Vec<JobId> = runs.iter().filter_map(|run| run.job).collect();
    let known = outcomes(db, &jobs).await?;
    let known: BTreeMap<JobId, JobSummary> =
        known.into_iter().map(|outcome| (outcome.job, outcome)).collect();
    for run in runs {
        if let Some(outcome) = run.job.and_then(|job| known.get(&job)) {
            run.status = CronRunStatus::of_job(outcome.status);
            run.finished_at = outcome.finished_at;
            run.last_error = outcome.last_error.to_owned();
        }
    }
    Ok(())
}

impl CronRow {
    fn with_upcoming(mut self, now: Timestamp, count: usize) -> Self {
        self.upcoming = match Timetable::parse(&self.expression, &self.timezone) {
            Ok(table) if self.state == CronState::Active => table
                .upcoming(now, count)
                .into_iter()
                .map(|at| CronTime { at, local: table.local_text(at) })
                .collect(),
            Ok(_) | Err(_) => Vec::new(),
        };
        self
    }
}

impl FromRow<'_, PgRow> for CronRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let source = match row.try_get("source")? {
            "code" => CronSource::Code,
            "application" => CronSource::Application,
            other => return Err(unknown(other, "source of a cron")),
        };
        let jitter_ms: i64 = row.try_get("jitter_ms")?;
        let catch_up: i32 = row.try_get("catch_up")?;
        let paused_at: Option<Timestamp> = row.try_get("paused_at")?;
        let problem: Option<String> = row.try_get("problem")?;
        let state = match (row.try_get("is_absent")?, paused_at, &problem) {
            (true, ..) => CronState::NoHandler,
            (false, Some(_), _) => CronState::Paused,
            (false, None, Some(_)) => CronState::Broken,
            (false, None, None) => CronState::Active,
        };
        Ok(Self {
            id: row.try_get("id")?,
            name: row.try_get("name")?,
            tenant: row.try_get("tenant")?,
            source,
            handler: row.try_get("handler")?,
            expression: row.try_get("expression")?,
            timezone: row.try_get("timezone")?,
            overlap: store::overlap(row)?,
            catch_up: catch_up.unsigned_abs(),
            jitter_ms: Int53::count(jitter_ms.unsigned_abs()),
            queue: row.try_get("queue")?,
            state,
            paused_at,
            paused_by: row.try_get("paused_by")?,
            problem,
            created_at: row.try_get("created_at")?,
            upcoming: Vec::new(),
            last_run: None,
        })
    }
}

impl FromRow<'_, PgRow> for CronRunRow {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        let label: &str = row.try_get("status")?;
        let status = CronRunStatus::ALL.into_iter().find(|status| status.as_str() == label);
        let reason = |label: &str| {
            let known = CronSkipReason::ALL.into_iter().find(|reason| reason.as_str() == label);
            known.ok_or_else(|| unknown(label, "reason to skip a run"))
        };
        let times: i32 = row.try_get("times")?;
        Ok(Self {
            scheduled_at: row.try_get("scheduled_at")?,
            last_at: row.try_get("last_at")?,
            times: times.unsigned_abs(),
            status: status.ok_or_else(|| unknown(label, "status of a run"))?,
            reason: row.try_get::<Option<&str>, _>("reason")?.map(reason).transpose()?,
            is_catch_up: row.try_get("is_catch_up")?,
            is_late: row.try_get("is_late")?,
            requested_by: row.try_get("requested_by")?,
            job: row.try_get("job_id")?,
            last_error: None,
            started_at: row.try_get("started_at")?,
            finished_at: row.try_get("finished_at")?,
        })
    }
}

fn unknown(label: &str, what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("`{label}` is no {what}").into())
}
