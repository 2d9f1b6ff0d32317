//! The jobs of a test: what was dispatched, and running them.

use std::future::{Future, IntoFuture};
use std::panic::Location;
use std::pin::Pin;

use forge_actors::app::cron::CronRun;
use forge_actors::app::dispatch::new_job;
use forge_actors::app::new_job::NewJob;
use forge_actors::app::{Cron, CronMeta, Handler, Job, JobStatus, Secret};
use forge_actors::cron::Timetable;
use forge_actors::job::admin::JobDetail;
use forge_actors::job::{Jobs, RanAttempt};
use forge_actors::kernel::fault::Fault;
use forge_actors::kernel::ids::{CronId, JobId};
use forge_actors::kernel::time::Timestamp;

/// Runs jobs; awaiting this does it: `cx.run_jobs().await?`.
///
/// The jobs run one after the other in the test's own task, by priority and then by the time at which they
/// are due, and so do the jobs that they dispatch. A failed attempt is repeated at once, without the backoff,
/// until the attempts of the job are spent. Jobs that wait for their time, also those that were snoozed, wait
/// on until `cx.advance(..)` lets it pass. The result is what ran.
#[must_use = "no job runs until this is awaited"]
pub struct RunJobs<'a> {
    jobs: &'a Jobs,
    scheduled: bool,
    failures: bool,
}

impl<'a> RunJobs<'a> {
    pub(super) fn new(jobs: &'a Jobs) -> Self {
        Self { jobs, scheduled: false, failures: false }
    }

    /// Also runs the jobs that wait for their time now, as if it had come.
    pub fn scheduled(self) -> Self {
        Self { scheduled: true, ..self }
    }

    /// Also succeeds when a job ends without success, for tests of such jobs.
    pub fn allow_failures(self) -> Self {
        Self { failures: true, ..self }
    }

    async fn run(self) -> Result<Vec<RanAttempt>, JobsFailed> {
        if self.scheduled {
            self.jobs.make_due().await.map_err(JobsFailed::NotRun)?;
        }
        let ran = self.jobs.run_inline().await.map_err(JobsFailed::NotRun)?;
        let lost: Vec<_> = ran.iter().filter(|ran| is_lost(ran.status)).map(sentence).collect();
        if self.failures || lost.is_empty() { Ok(ran) } else { Err(JobsFailed::Lost(lost.join("\n"))) }
    }
}

impl<'a> IntoFuture for RunJobs<'a> {
    type Output = Result<Vec<RanAttempt>, JobsFailed>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// Why [`RunJobs`] failed.
#[derive(Debug, thiserror::Error)]
pub enum JobsFailed {
    /// Jobs ended without success, one line each.
    #[error("{0}")]
    Lost(String),
    /// The jobs could not be run to their end.
    #[error("the jobs could not be run to their end")]
    NotRun(#[source] Fault),
}

impl From<JobsFailed> for Fault {
    fn from(error: JobsFailed) -> Self {
        Self::internal(error)
    }
}

fn is_lost(status: JobStatus) -> bool {
    matches!(status, JobStatus::Failed | JobStatus::DeadLetter)
}

fn sentence(ran: &RanAttempt) -> String {
    let RanAttempt { handler, attempt, status, error, .. } = ran;
    let error = error.as_deref().unwrap_or("no error is known");
    format!("the job `{handler}` ended as {} after attempt {attempt}: {error}", status.as_str())
}

/// A dispatched job.
#[derive(Debug, Clone)]
pub struct Dispatched<H> {
    /// Its id.
    pub id: JobId,
    /// Its message.
    pub message: H,
    /// Where it is in its life.
    pub status: JobStatus,
    /// Attempts that have begun.
    pub attempts: u32,
    /// When it may run; `None` for a finished job.
    pub run_at: Option<Timestamp>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

/// The job of a run of a cron that its schedule would dispatch at `scheduled_at`.
pub(super) fn cron_run<H: Handler<Kind = Cron>>(message: &H, at: Timestamp) -> Result<NewJob, Fault> {
    let CronMeta { expression, timezone, .. } = H::META.cron_meta().unwrap_or(CronMeta::DEFAULT);
    let table = Timetable::parse(expression.unwrap_or("@daily"), timezone)?;
    let run = CronRun {
        cron: CronId::new(),
        name: H::META.wire_name(),
        scheduled_at: at,
        local_at: table.local(at),
        due_at: at,
        catch_up: false,
        requested: false,
    };
    let job = new_job(message, None)?;
    Ok(NewJob { args: Secret::new(run.join(job.args.expose())), ..job })
}

/// The jobs of `H`, in the order of their dispatch.
pub(super) async fn dispatched<H: Handler<Kind = Job>>(jobs: &Jobs) -> Result<Vec<Dispatched<H>>, Fault> {
    let name = H::META.wire_name();
    let aliases = H::META.job_meta().map_or(&[][..], |meta| meta.aliases);
    let names: Vec<&str> = std::iter::once(name.as_str()).chain(aliases.iter().copied()).collect();
    rows(jobs, Some(&names)).await?.into_iter().map(read).collect()
}

/// Boxed, as calls are.
fn rows<'a>(
    jobs: &'a Jobs,
    names: Option<&'a [&'a str]>,
) -> Pin<Box<dyn Future<Output = Result<Vec<JobDetail>, Fault>> + Send + 'a>> {
    Box::pin(jobs.dispatched(names))
}

fn read<H: Handler>(detail: JobDetail) -> Result<Dispatched<H>, Fault> {
    let JobDetail { job, args, .. } = detail;
    let message = H::from_json(args.as_bytes()).map_err(Fault::internal)?;
    let attempts = job.attempt.unsigned_abs();
    let (id, status, run_at, last_error) = (job.id, job.status, job.run_at, job.last_error);
    Ok(Dispatched { id, message, status, attempts, run_at, last_error })
}

/// The first job of `H` whose message `matches`; without one it panics, and names `caller` as the place.
pub(super) async fn assert_dispatched<H: Handler<Kind = Job>>(
    jobs: &Jobs,
    matches: impl Fn(&H) -> bool,
    caller: &'static Location<'static>,
) -> Dispatched<H> {
    let found = dispatched::<H>(jobs).await.map(|all| all.into_iter().find(|job| matches(&job.message)));
    match found {
        Ok(Some(job)) => job,
        Ok(None) => {
            let all = rows(jobs, None).await.unwrap_or_default();
            let all: Vec<_> =
                all.iter().map(|known| format!("  {} {}", known.job.name, known.args)).collect();
            let listed = if all.is_empty() { "no job".to_owned() } else { format!("\n{}", all.join("\n")) };
            panic!("{caller}: no `{}` that matches was dispatched, but {listed}", H::META.wire_name())
        }
        Err(fault) => panic!("{caller}: the dispatched jobs cannot be read: {fault}"),
    }
}
