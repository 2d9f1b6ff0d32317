//! The scheduler: dispatches the runs whose time has come, while this node leads [`CRON_SCHEDULE`].
//!
//! A run of the duty is one transaction of the term, in which all times of all crons that are due are looked
//! at together: their runs and the jobs of these are written, and the crons get their next times. So a time
//! has a run and a job, or none of both and is seen again. `state.rs` decides, this file asks and writes.
//!
//! Time is the database's. Between two runs the duty sleeps until the next time, as the database measured it,
//! or for `crons.poll_interval`; then one statement tells whether there is anything to do.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::app::cron::CronRun;
use crate::app::{Catalog, Meta};
use crate::change::{Hint, HintHub};
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::job::admin;
use crate::job::insert::{DispatchedJob, insert_all};
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::ids::{CronId, JobId};
use crate::kernel::time::{Timestamp, millis, minutes, secs};
use crate::leader::{Leadership, Term};
use crate::supervise::{Duty, RunReport, Schedule};

use super::config::CronConfig;
use super::run_job::RunJob;
use super::signals;
use super::state::{CronPlan, CronSkipReason, OpenRuns, PlannedRun, RunStart, TIMES_MAX, jitter_of};
use super::store::{self, CodeCron, DueCron, EndedCronRun, NewCronRun, OpenRun, RunKey};
use super::timetable::Timetable;

/// Its leader dispatches the runs. Nodes with the role `worker` stand for it.
pub const CRON_SCHEDULE: Leadership = Leadership::new("crons");

/// Longest time of one statement: an election waits for it.
const STATEMENT_TIMEOUT: Duration = secs(5);
/// A run has a handful of statements.
const RUN_MAX: Duration = secs(20);
/// Between attempts after a failure. Short, since times come meanwhile.
const RETRY: Backoff = Backoff::exponential(millis(200), secs(5));
/// While a run waits for the one before, its end is looked for this often.
const WAITING_POLL: Duration = secs(1);
/// Between two comparisons of the schedules with the handlers of this binary.
const COMPARE_EVERY: Duration = minutes(5);
/// Times of all crons that one transaction looks at, about.
const ALL_TIMES_MAX: usize = 4 * TIMES_MAX;
/// While another transaction holds a cron whose time has come.
const LOCKED_PAUSE: Duration = millis(50);
/// A timer may fire a little early; the database then sees nothing due.
const TIMER_SLACK: Duration = millis(1);

/// How often the duty runs.
pub(super) fn schedule(config: &CronConfig) -> Schedule {
    Schedule { time_limit: RUN_MAX, backoff: RETRY, ..Schedule::every(config.poll_interval) }
}

/// The duty. What it remembers saves statements only.
pub(super) struct Scheduler {
    database: Database,
    catalog: Arc<Catalog>,
    hints: HintHub,
    config: CronConfig,
    /// Names of the crons of this binary, with their aliases.
    handlers: Vec<String>,
    /// The term whose schedules of the code are written, and when they were compared last.
    compared: Option<(i64, Instant)>,
    /// The next time was known and has come by now.
    is_due: bool,
}

/// What one transaction did.
#[derive(Default)]
struct Dispatched {
    /// Times that were looked at.
    times: u64,
    /// Queues that got jobs. A claimer must also learn when one is due that waits for its jitter.
    queues: BTreeSet<Arc<str>>,
    /// Runs that wait for the one before.
    has_waiting: bool,
    /// There were more times than one transaction looks at.
    has_more: bool,
    next_due_secs: Option<f64>,
}

/// What one transaction is about to write.
#[derive(Default)]
struct CronBatch {
    runs: Vec<NewCronRun>,
    /// Runs that have waited.
    started: Vec<(RunKey, JobId)>,
    /// Jobs of runs, by their run.
    jobs: Vec<(RunKey, DispatchedJob)>,
    next: Vec<(CronId, Result<Timestamp, String>)>,
    has_more: bool,
}

impl Scheduler {
    pub(super) fn new(database: Database, catalog: Arc<Catalog>, hints: HintHub, config: CronConfig) -> Self {
        let handlers = handlers(&catalog).into_iter().map(|(name, _)| name.to_owned()).collect();
        Self { database, catalog, hints, config, handlers, compared: None, is_due: false }
    }

    /// Writes the schedules of the code when a term begins, and marks those without a handler.
    async fn compare(&mut self, term: &Term) -> Result<(), Fault> {
        let is_new = self.compared.is_none_or(|(epoch, _)| epoch != term.epoch);
        if !is_new && self.compared.is_some_and(|(_, at)| at.elapsed() < COMPARE_EVERY) {
            return Ok(());
        }
        let transaction = term.begin(&self.database, "cron_scheduler", STATEMENT_TIMEOUT).await?;
        let db = transaction.db();
        if is_new {
            self.write_code(&db).await?;
        }
        let marked = store::mark_absent(&db, &handlers(&self.catalog)).await?;
        let counts = store::count_crons(&db).await?;
        transaction.commit().await?;
        for cron in marked.iter().filter(|cron| cron.is_absent) {
            tracing::warn!(
                cron = %cron.name,
                handler = %cron.handler,
                "cron without a schedule or a handler in this binary: it is kept, and not run; deploy its \
                 handler, give one the attribute `alias`, or delete the schedule"
            );
        }
        counts.into_iter().for_each(|(state, count)| signals::schedules(state, count));
        self.compared = Some((term.epoch, Instant::now()));
        self.is_due = true;
        Ok(())
    }

    async fn write_code(&self, db: &Db) -> Result<(), Fault> {
        let crons =
            || self.catalog.iter().filter_map(|(_, known)| Some((&known.meta, known.meta.cron_meta()?)));
        let renamed: Vec<_> = crons()
            .flat_map(|(meta, cron)| cron.job.aliases.iter().map(|alias| (*alias, meta.wire_name())))
            .collect();
        if !renamed.is_empty() {
            store::rename(db, &renamed).await?;
        }
        let now = store::read_clock(db).await?;
        let mut code = Vec::new();
        for (meta, cron) in crons() {
            let Some(expression) = cron.expression else { continue };
            // The attribute was checked while it compiled; a `Meta` may be written by hand.
            let next = Timetable::parse(expression, cron.timezone).and_then(|table| table.next_after(now));
            match next {
                Ok(next_at) => code.push(CodeCron { name: meta.wire_name(), expression, cron, next_at }),
                Err(error) => {
                    let (cron, error) = (meta.wire_name(), error_chain(&error));
                    tracing::error!(cron, error, "cron without a schedule: its expression cannot be used");
                }
            }
        }
        if code.is_empty() { Ok(()) } else { store::upsert_code(db, &code).await }
    }

    /// One transaction: everything that is due.
    async fn dispatch(&self, term: &Term) -> Result<Dispatched, Fault> {
        let transaction = term.begin(&self.database, "cron_scheduler", STATEMENT_TIMEOUT).await?;
        let db = transaction.db();
        let open = self.settle(&db, store::list_open(&db).await?).await?;
        let startable = startable(&open);
        let waiting: Vec<CronId> = startable.iter().map(|run| run.key.cron).collect();
        let due = store::lock_due(&db, &self.handlers, &waiting).await?;
        let batch = plan(&due, &open, &startable);
        let written = write(&db, term.epoch, batch).await?;
        let next_due_secs = store::next_due_secs(&db, &self.handlers).await?;
        let receipt = transaction.commit().await?;
        let has_waiting = written.has_waiting || open.iter().any(|run| run.job.is_none());
        let dispatched = Dispatched { next_due_secs, has_waiting, ..written };
        if !dispatched.queues.is_empty() {
            let queues = dispatched.queues.iter().map(Arc::clone);
            self.hints.publish(Hint::of_commit(receipt, queues));
        }
        Ok(dispatched)
    }

    /// Writes how runs have ended. Returns those that are not finished.
    async fn settle(&self, db: &Db, open: Vec<OpenRun>) -> Result<Vec<OpenRun>, Fault> {
        let jobs: Vec<JobId> = open.iter().filter_map(|run| run.job).collect();
        let outcomes = admin::outcomes(db, &jobs).await?;
        let outcomes: BTreeMap<JobId, _> =
            outcomes.into_iter().map(|outcome| (outcome.job, outcome)).collect();
        let mut ended = Vec::new();
        let mut unfinished = Vec::new();
        for run in open {
            let outcome = run.job.map(|job| outcomes.get(&job));
            match outcome {
                None => unfinished.push(run),
                Some(Some(outcome)) if outcome.finished_at.is_none() => unfinished.push(run),
                Some(outcome) => ended.push(EndedCronRun {
                    key: run.key,
                    status: outcome.map(|outcome| outcome.status),
                    finished_at: outcome.and_then(|outcome| outcome.finished_at),
                }),
            }
        }
        if !ended.is_empty() {
            store::settle(db, &ended).await?;
        }
        Ok(unfinished)
    }

    /// The pause until the next time, or until schedules and open runs are looked at again.
    fn report(&mut self, times: u64, next_due_secs: Option<f64>, has_waiting: bool) -> RunReport {
        let poll = if has_waiting { WAITING_POLL } else { self.config.poll_interval };
        let next = match next_due_secs {
            // Nothing was looked at although a time has come: another transaction holds the row of its cron.
            Some(secs) if secs <= 0.0 && times == 0 => Some(LOCKED_PAUSE),
            Some(secs) => Duration::try_from_secs_f64(secs.max(0.0)).ok().map(|next| next + TIMER_SLACK),
            None => None,
        };
        let next = next.filter(|next| *next <= poll);
        self.is_due = next.is_some();
        RunReport::more(times, next.unwrap_or(poll))
    }
}

impl Duty for Scheduler {
    type Term = Term;
    const KIND: &'static str = "cron_scheduler";

    async fn run(&mut self, term: Term) -> Result<RunReport, Fault> {
        self.compare(&term).await?;
        if !std::mem::take(&mut self.is_due) {
            let glance = store::glance(&self.database.control(), &self.handlers).await?;
            let is_due = glance.next_due_secs.is_some_and(|secs| secs <= 0.0);
            if !is_due && !glance.has_open {
                return Ok(self.report(0, glance.next_due_secs, false));
            }
        }
        let done = self.dispatch(&term).await?;
        if done.has_more {
            self.is_due = true;
            return Ok(RunReport::more(done.times, Duration::ZERO));
        }
        Ok(self.report(done.times, done.next_due_secs, done.has_waiting))
    }
}

/// The names of the crons of a binary, with their aliases.
fn handlers(catalog: &Catalog) -> Vec<(&str, Meta)> {
    let crons = catalog.queued().filter(|(_, known)| known.meta.cron_meta().is_some());
    crons.map(|(name, known)| (name, known.meta)).collect()
}

/// The oldest waiting run of each cron whose other runs are finished.
fn startable(open: &[OpenRun]) -> Vec<OpenRun> {
    let busy: HashSet<CronId> = open.iter().filter(|run| run.job.is_some()).map(|run| run.key.cron).collect();
    let mut oldest: BTreeMap<CronId, OpenRun> = BTreeMap::new();
    for run in open.iter().filter(|run| run.job.is_none() && !busy.contains(&run.key.cron)) {
        let first = oldest.entry(run.key.cron).or_insert(*run);
        if run.key < first.key {
            *first = *run;
        }
    }
    oldest.into_values().collect()
}

/// Decides what becomes of the times that have come, and of the runs that may start.
fn plan(due: &[DueCron], open: &[OpenRun], startable: &[OpenRun]) -> CronBatch {
    let mut batch = CronBatch::default();
    let mut times = 0;
    for cron in due {
        let table = Timetable::parse(&cron.expression, &cron.timezone);
        let table = match table {
            Ok(table) => table,
            Err(error) => {
                broken(cron, &error.to_string());
                batch.next.push((cron.id, Err(error.to_string())));
                continue;
            }
        };
        let mut runs = OpenRuns::default();
        for run in open.iter().filter(|run| run.key.cron == cron.id) {
            if run.job.is_some() { runs.dispatched += 1 } else { runs.waiting += 1 }
        }
        if let Some(run) = startable.iter().find(|run| run.key.cron == cron.id) {
            let job = job(cron, &table, run.key.scheduled_at, run.catch_up);
            batch.started.push((run.key, job.job.id));
            batch.jobs.push((run.key, job));
            runs = OpenRuns { dispatched: 1, waiting: runs.waiting - 1 };
        }
        let Some(next_at) = cron.next_at.filter(|next| *next <= cron.now) else { continue };
        if times >= ALL_TIMES_MAX {
            batch.has_more = true;
            continue;
        }
        let CronPlan { runs, next_at } =
            CronPlan::until(&table, cron.rules, next_at, cron.now, runs, TIMES_MAX);
        times += runs.iter().map(|run| run.times).sum::<usize>();
        batch.has_more |= next_at.as_ref().is_ok_and(|next| *next <= cron.now);
        if let Err(error) = &next_at {
            broken(cron, &error.to_string());
        }
        batch.next.push((cron.id, next_at.map_err(|error| error.to_string())));
        runs.into_iter().for_each(|planned| batch.add(cron, &table, planned));
    }
    batch
}

fn broken(cron: &DueCron, problem: &str) {
    tracing::error!(cron = %cron.name, handler = %cron.handler, problem, "cron without a next time");
}

impl CronBatch {
    fn add(&mut self, cron: &DueCron, table: &Timetable, planned: PlannedRun) {
        let key = RunKey { cron: cron.id, scheduled_at: planned.scheduled_at };
        let delay = (cron.now - planned.scheduled_at).to_std().unwrap_or_default();
        let (outcome, starts) = match planned.start {
            RunStart::Now if planned.catch_up => ("caught_up", true),
            RunStart::Now => {
                signals::dispatched(delay);
                ("dispatched", true)
            }
            RunStart::Waits => ("waiting", false),
            RunStart::Skipped(reason) => {
                let (cron, at, times) = (&cron.name, planned.scheduled_at, planned.times);
                match reason {
                    CronSkipReason::Missed => {
                        tracing::warn!(%cron, %at, times, "times of a cron were missed: no leader saw them");
                    }
                    CronSkipReason::Overlap | CronSkipReason::QueueFull => {
                        tracing::debug!(%cron, %at, reason = reason.as_str(), "run of a cron skipped");
                    }
                }
                (reason.as_str(), false)
            }
        };
        signals::times(&cron.handler, outcome, planned.times as u64);
        let job = starts.then(|| job(cron, table, planned.scheduled_at, planned.catch_up));
        self.runs.push(NewCronRun { cron: cron.id, planned, job: job.as_ref().map(|job| job.job.id) });
        self.jobs.extend(job.map(|job| (key, job)));
    }
}

/// The job of a run.
fn job(cron: &DueCron, table: &Timetable, scheduled_at: Timestamp, catch_up: bool) -> DispatchedJob {
    let due_at = scheduled_at + jitter_of(cron.id, scheduled_at, cron.jitter);
    let run = CronRun {
        cron: cron.id,
        name: cron.name.to_owned(),
        scheduled_at,
        local_at: table.local(scheduled_at),
        due_at,
        catch_up,
        requested: false,
    };
    RunJob {
        handler: &cron.handler,
        args: &cron.args,
        identity: cron.identity.as_deref(),
        queue: &cron.queue,
        priority: cron.priority,
        attempts_max: cron.attempts_max,
    }
    .dispatched(JobId::new(), &run)
}

/// Writes the runs, the jobs of those that are new, and the next times.
async fn write(db: &Db, epoch: i64, batch: CronBatch) -> Result<Dispatched, Fault> {
    let mut written: HashSet<RunKey> = HashSet::new();
    if !batch.runs.is_empty() {
        written.extend(store::insert_runs(db, epoch, &batch.runs).await?);
    }
    if !batch.started.is_empty() {
        written.extend(store::start_waiting(db, &batch.started).await?);
    }
    // A run that has a row already has its job, too.
    let jobs: Vec<DispatchedJob> =
        batch.jobs.into_iter().filter(|(key, _)| written.contains(key)).map(|(_, job)| job).collect();
    if !jobs.is_empty() {
        insert_all(db, &jobs).await?;
    }
    if !batch.next.is_empty() {
        store::advance(db, &batch.next).await?;
    }
    Ok(Dispatched {
        times: batch.runs.iter().map(|run| run.planned.times as u64).sum(),
        queues: jobs.iter().map(|dispatched| Arc::from(dispatched.job.queue.as_str())).collect(),
        has_waiting: batch.runs.iter().any(|run| run.planned.start == RunStart::Waits),
        has_more: batch.has_more,
        next_due_secs: None,
    })
}
