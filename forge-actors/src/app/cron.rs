//! What a cron's author sees of its schedule and its runs, and how a run travels to the worker: as a job,
//! whose arguments hold the run and, inside of it, the handler's own arguments.

use std::time::Duration;

use bytes::Bytes;
use chrono::NaiveDateTime;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::app::error::Result;
use crate::app::job::JobMeta;
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::CronId;
use crate::kernel::time::Timestamp;

/// The schedule of a cron, and how its runs follow each other. What an attribute says here holds for its own
/// schedule; for the schedules that an application creates for the handler, it is what they do not say
/// themselves.
#[derive(Debug, Clone, Copy)]
pub struct CronMeta {
    /// How its runs are queued and repeated.
    pub job: JobMeta,
    /// When it runs. `None` for a handler that has only the schedules that the application creates.
    pub expression: Option<&'static str>,
    /// Where the expression's clock hangs: the name of a zone, such as `Europe/Berlin`.
    pub timezone: &'static str,
    /// What becomes of a run while the one before is not finished.
    pub overlap: CronOverlap,
    /// How many of the times that were missed run afterwards: the newest ones.
    pub catch_up: u32,
    /// A run starts up to this much after its time, always the same for one time.
    pub jitter: Duration,
}

impl CronMeta {
    /// What an attribute that names nothing means.
    pub const DEFAULT: Self = Self {
        // A run that failed three times is rather left to the next one.
        job: JobMeta { attempts: 3, ..JobMeta::DEFAULT },
        expression: None,
        timezone: "UTC",
        overlap: CronOverlap::Skip,
        catch_up: 1,
        jitter: Duration::ZERO,
    };
}

/// What becomes of a run while the one before it is not finished.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CronOverlap {
    /// It does not run, and is recorded as skipped.
    Skip,
    /// It waits for the one before. Beyond a hundred that wait it is skipped.
    Queue,
    /// It runs beside the one before.
    Allow,
}

impl CronOverlap {
    /// Every value, in the order of the type in Postgres.
    pub const ALL: [Self; 3] = [Self::Skip, Self::Queue, Self::Allow];

    /// The label in Postgres and on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Skip => "skip",
            Self::Queue => "queue",
            Self::Allow => "allow",
        }
    }

    /// Reads a label.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|overlap| overlap.as_str() == label)
    }
}

/// The time that an attempt runs for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CronRun {
    /// The schedule.
    pub cron: CronId,
    /// Its name.
    pub name: String,
    /// The time that the schedule names, or at which a person asked for the run.
    pub scheduled_at: Timestamp,
    /// The same on the clock of the schedule's zone.
    pub local_at: NaiveDateTime,
    /// When it was to start: later than `scheduled_at` by the jitter.
    pub due_at: Timestamp,
    /// The time was missed, and the run makes up for it.
    pub catch_up: bool,
    /// A person asked for the run.
    pub requested: bool,
}

/// The arguments of a run's job.
#[derive(Deserialize)]
struct CronArguments<'a> {
    run: CronRun,
    #[serde(borrow)]
    args: &'a RawValue,
}

impl CronRun {
    /// The arguments of the run's job, as JSON, with those of the handler inside.
    pub fn join(&self, args: &str) -> String {
        format!(r#"{{"run":{},"args":{args}}}"#, serde_json::json!(self))
    }

    /// Reads the arguments of a run's job: the run, and the arguments of the handler.
    ///
    /// # Errors
    /// `BAD_REQUEST` for a job that no schedule has made.
    pub fn split(args: &[u8]) -> Result<(Self, Bytes)> {
        let read = serde_json::from_slice::<CronArguments<'_>>(args);
        let CronArguments { run, args } = read.map_err(|error| {
            let message = "these are not the arguments of a run: a cron's jobs come from its schedules";
            Fault::new(Code::BadRequest, message).because(error)
        })?;
        Ok((run, Bytes::copy_from_slice(args.get().as_bytes())))
    }
}

/// Notes in the table of runs that an attempt begins. The cron subsystem implements it, so that what runs
/// handlers need not import that subsystem.
pub trait BeginCronRun: Send + Sync + 'static {
    /// Notes that an attempt at `run` begins; only the first one is kept. Returns when, by the database's
    /// clock.
    fn begin<'a>(&'a self, db: &'a Db, run: &'a CronRun) -> BoxFuture<'a, Result<Timestamp>>;
}
