//! The messages that the actors of the job subsystem receive from each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::leases::ClaimedJob;
use super::report::{EndedJob, ReportsWaiting};
use super::state::{Transition, is_finished};
use super::store::OpeningKey;
use crate::app::JobStatus;
use crate::kernel::fault::Fault;

/// Messages of the claimer.
#[derive(forge_app_macros::Message)]
pub(super) enum ClaimerMessage {
    /// A hint: these queues got work. The claimer ignores queues that its node does not serve.
    QueuesWoken { queues: BTreeSet<Arc<str>> },
    /// The poll interval is over: every queue may have work of which no hint came.
    Poll,
    /// The pause after a failure is over.
    PauseEnded,
    /// A promotion that hints or results ask for may be sent.
    PromotionWanted,
    /// The next scheduled job is due.
    PromotionDue,
    /// A worker is free.
    WorkerFree { worker: usize },
    /// Results of attempts were written, so the node may claim more. `scheduled`: some of those jobs run
    /// again at a later time.
    ResultsWritten { scheduled: bool },
    /// The counter found jobs with a handler in these queues.
    QueuesFound { queues: BTreeSet<Arc<str>> },
    /// A claim or a promotion has ended; its result waits in the claimer's channel.
    ClaimEnded,
    /// The workers that became free in the same turn of the scheduler have reported: time to begin jobs.
    Begin,
    /// A begin has ended; its result waits in the claimer's channel.
    BeginEnded,
    /// A claimed job has waited for a worker for too long.
    GiveBack,
    /// The jobs of the next claim have gathered.
    Gathered,
}

/// Messages of a worker.
#[derive(forge_app_macros::Message)]
pub(super) enum WorkerMessage {
    /// Jobs are assigned to the worker.
    Run,
    /// A claimer has started, and asks whether the worker is free.
    Report,
}

/// Messages of the acknowledger.
#[derive(forge_app_macros::Message)]
pub(super) enum AcknowledgerMessage {
    /// A result is to be written; it waits in the shared state.
    ResultWaiting,
    /// Time to renew the leases.
    Renew,
    /// The statement that was under way has ended.
    StatementEnded(Result<(), Fault>),
    /// The pause after a failure is over.
    Resume,
    /// The results that wait have gathered for long enough.
    Gathered,
}

/// Messages of the unblocker.
#[derive(forge_app_macros::Message)]
pub(super) enum UnblockerMessage {
    /// Keys of which jobs may be unblocked wait in the shared state.
    Freed,
    /// A rate limit has blocked a job.
    Blocked(OpeningKey),
    /// The time of a rate limit has passed.
    Opened { key: String, handler: String },
    /// Time to look for what is left blocked.
    Sweep,
}

/// Messages of the reporter.
#[derive(forge_app_macros::Message)]
pub(super) enum ReporterMessage {
    /// Reports wait in the shared state.
    Waiting(ReportsWaiting),
    /// The write that was under way has ended.
    Written(Result<(), Fault>),
    /// The next write may begin.
    PauseEnded,
}

/// A job that this node is done with, whether its attempt has ended or never begun, and what is to be written
/// about the job.
pub(super) struct ReleasedJob {
    pub(super) job: ClaimedJob,
    pub(super) transition: Transition,
    /// The attempt has reported progress or logged a line.
    pub(super) has_reported: bool,
}

impl ReleasedJob {
    /// The job, when its state is passed on to followers or to jobs that wait for it.
    /// `status` is what was written.
    pub(super) fn ended(&self, status: JobStatus) -> Option<EndedJob<'_>> {
        EndedJob::of(&self.job.record, self.has_reported, is_finished(status))
    }
}
