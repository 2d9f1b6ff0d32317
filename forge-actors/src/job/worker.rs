//! One worker: runs one job at a time, decides what becomes of the job, and reports that it is free again.
//!
//! The jobs run in a task on the threads of handlers, one after the other as long as they are short; the
//! actor waits for that task, shows what it runs, and cuts it when it stops. Jobs that wait behind a long one
//! go back to their queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinError;
use tokio_util::task::AbortOnDropHandle;

use super::completion::JobCompletion;
use super::leases::{ClaimedJob, HeldLease};
use super::messages::{ClaimerMessage, ReleasedJob, WorkerMessage};
use super::paths::JOBS;
use super::shared::{JobShared, WorkerHandle};
use super::signals;
use super::state::Transition;
use super::store::JobRecord;
use crate::app::job::{JobMeta, JobStatus};
use crate::function::AttemptResult;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Identity, Invocation};
use crate::kernel::time::{millis, secs};
use crate::kernel::trace::TraceContext;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Mailbox, Shutdown, Work, WorkGuard};
use crate::test_signals::{Step, pause_point};

/// After the drain: time to drop a handler that was interrupted.
const INTERRUPT_GRACE: Duration = secs(5);
/// How often a worker looks at what its task runs.
const LOOK_EVERY: Duration = millis(100);
/// A job that has waited for so long behind another one of its worker goes back to its queue.
const WAITS_BEHIND_MAX: Duration = millis(400);

pub(super) struct Worker {
    shared: Arc<JobShared>,
    index: usize,
}

impl Worker {
    pub(super) fn spec(shared: Arc<JobShared>, index: usize, mailbox: Mailbox<WorkerMessage>) -> ChildSpec {
        let drain = shared.config.drain_timeout + INTERRUPT_GRACE;
        let make = move || Self { shared: Arc::clone(&shared), index };
        let mut spec = ChildSpec::with_mailbox(format!("worker-{}", index + 1), mailbox, make);
        spec.shutdown = Shutdown::Deadline(drain);
        spec
    }

    fn handle(&self) -> &WorkerHandle {
        &self.shared.workers[self.index]
    }

    /// Runs the assigned jobs.
    async fn run_assigned(&self, cx: &Context<WorkerMessage>) {
        if !self.handle().has_assigned() {
            return;
        }
        let (shared, index) = (Arc::clone(&self.shared), self.index);
        let jobs = async move {
            let mut waits = signals::WaitRecorder::default();
            while let Some(job) = shared.next_assigned(index) {
                let record = Arc::clone(&job.record);
                run(&shared, index, job, &mut waits).await;
                if !record.resources.is_empty() {
                    shared.resources_freed([Arc::clone(&record.queue)].into());
                }
            }
        };
        let mut jobs = AbortOnDropHandle::new(self.shared.functions.spawn_attempts(jobs));
        let began = Instant::now();
        let mut shown: Option<(Arc<JobRecord>, WorkGuard<'_>)> = None;
        loop {
            tokio::select! {
                biased;
                ended = &mut jobs => {
                    // A task that neither ended nor panicked was dropped with the threads of a node that
                    // stops.
                    if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
                        std::panic::resume_unwind(panic);
                    }
                    // The task starts no further job once the drain has begun.
                    return self.return_assigned();
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let running = self.handle().running.get();
            let is_shown =
                |record: &Arc<JobRecord>| shown.as_ref().is_some_and(|(shown, _)| Arc::ptr_eq(shown, record));
            if !running.as_ref().is_some_and(is_shown) {
                // Before the next one is shown: dropping it shows that there is none.
                drop(shown.take());
                shown = running.map(|record| {
                    let guard = cx.working_on(self.work(&record));
                    (record, guard)
                });
            }
            self.return_waiting(began.elapsed());
        }
    }

    /// Returns the assigned jobs that have waited for too long: those behind another one, and the first one
    /// when it got no thread within its time limit. It is not returned sooner, since it would be claimed
    /// again at once.
    fn return_waiting(&self, waited: Duration) {
        if waited <= WAITS_BEHIND_MAX {
            return;
        }
        let has_begun = self.handle().running.get().is_some();
        let late = self.handle().assigned.take_part(|jobs| {
            let is_late = |first: &ClaimedJob| has_begun || waited > self.time_limit(&first.record);
            let kept = usize::from(!jobs.front().is_some_and(is_late));
            Some(jobs.split_off(kept.min(jobs.len())))
        });
        late.into_iter().flatten().for_each(|job| self.shared.return_job(job));
    }

    fn time_limit(&self, record: &JobRecord) -> Duration {
        let registration = self.shared.functions.catalog().get(&record.name);
        record.timeout.unwrap_or_else(|| registration.map_or(Duration::MAX, |known| known.meta.timeout))
    }

    /// The job as it is shown while it runs.
    fn work(&self, record: &JobRecord) -> Work {
        Work {
            handler: record.name.as_str().into(),
            id: record.id.to_string(),
            limit: self.time_limit(record),
        }
    }

    /// Returns the assigned jobs that were not started.
    fn return_assigned(&self) {
        let assigned = self.handle().assigned.try_take();
        assigned.into_iter().flatten().for_each(|job| self.shared.return_job(job));
    }
}

impl Actor for Worker {
    type Message = WorkerMessage;
    type State = ();
    const KIND: &'static str = "worker";
    /// Messages only wake, and a few of them wake as well as many.
    const MAILBOX_MAX: usize = 16;

    async fn start(&self, cx: &Context<WorkerMessage>) -> Result<(), ActorError> {
        // A job may have been assigned while the worker was not running; either way the claimer then learns
        // that the worker is free.
        cx.address().cast(WorkerMessage::Run)?;
        Ok(())
    }

    async fn handle(
        &self,
        cx: &Context<WorkerMessage>,
        message: WorkerMessage,
        (): &mut (),
    ) -> Result<(), ActorError> {
        match message {
            WorkerMessage::Run => self.run_assigned(cx).await,
            WorkerMessage::Report => {}
        }
        // A claimer that is not running asks all workers when it starts.
        self.shared.claimer.notify(ClaimerMessage::WorkerFree { worker: self.index });
        Ok(())
    }

    /// Returns the assigned jobs that were not started.
    async fn stop(&self, _cx: &Context<WorkerMessage>, (): &mut ()) {
        self.return_assigned();
    }
}

/// Runs one job, and leaves what becomes of it for the acknowledger to write.
async fn run(shared: &Arc<JobShared>, index: usize, mut job: ClaimedJob, waits: &mut signals::WaitRecorder) {
    if !job.is_fresh() {
        // The lease may have run out while the job waited here. If no other node has taken the job over, its
        // attempt does not count.
        tracing::info!(
            job = %job.record.id,
            handler = %job.record.name,
            "job not started: its lease was not renewed in time"
        );
        return shared.return_job(job);
    }
    if !job.record.begun {
        job.begin_unwritten();
    }
    let record = Arc::clone(&job.record);
    if record.followed {
        shared.wake_reporter(shared.reports.begun(&record));
    }
    let _shown = shared.workers[index].show(&record);
    waits.record(&record.queue, record.waited);
    let completion = Arc::new(JobCompletion::new(Arc::clone(shared), Arc::clone(&record)));
    let interrupted = async {
        tokio::select! {
            () = job.lost() => {}
            () = shared.drain_timed_out() => {}
        }
    };
    let result = attempt(shared, &record, Arc::clone(&completion), job.lease(), interrupted).await;
    if completion.is_committed() {
        if !matches!(result, AttemptResult::Succeeded(_)) {
            tracing::warn!(
                job = %record.id,
                handler = %record.name,
                result = result.as_str(),
                error = result.error().as_deref(),
                "job is finished by `commit`; the later result of its handler changes nothing"
            );
        }
        shared.free_slots(&record);
        return signals::attempts_ended(&record.name, JobStatus::Completed, 1);
    }
    if completion.is_suspended() {
        if !matches!(result, AttemptResult::Suspended) {
            tracing::warn!(
                job = %record.id,
                handler = %record.name,
                result = result.as_str(),
                "job is suspended by `wait_for_jobs`; the later result of its handler changes nothing"
            );
        }
        return signals::attempts_ended(&record.name, JobStatus::Pending, 1);
    }
    if matches!(result, AttemptResult::Interrupted) && job.is_lost() {
        return tracing::warn!(
            job = %record.id,
            handler = %record.name,
            claim = record.claim,
            "lease lost: the job was cancelled, or another node took it over"
        );
    }
    pause_point(Step::JobAttemptEnded, &record.name).await;
    match result {
        AttemptResult::InvalidArguments(fault) if shared.may_be_read_elsewhere(&record).await => {
            refuse(shared, job, &fault);
        }
        result => end(shared, job, &result, completion.has_reported()),
    }
}

/// Makes the job wait for a node of another build.
fn refuse(shared: &JobShared, job: ClaimedJob, fault: &Fault) {
    let build = shared.build.clone();
    tracing::info!(
        job = %job.record.id,
        handler = %job.record.name,
        build = &*build.0,
        error = error_chain(fault),
        "job returned: a node of another build may read its arguments"
    );
    let transition = Transition::refused(fault, build, fastrand::f64());
    shared.acknowledge(ReleasedJob { job, transition, has_reported: false });
}

/// Decides what becomes of the job, and has it written.
fn end(shared: &JobShared, job: ClaimedJob, result: &AttemptResult, has_reported: bool) {
    let record = &job.record;
    let transition = transition_after(shared, record, result);
    if let Some(error) = &transition.error {
        tracing::warn!(
            trace_id = record.trace().map(|trace| trace.trace_id_hex()),
            job = %record.id,
            handler = %record.name,
            attempt = record.attempts_begun,
            of = record.attempts_max,
            status = transition.status.as_str(),
            %error,
            "attempt failed"
        );
    }
    shared.acknowledge(ReleasedJob { job, transition, has_reported });
}

/// Runs the handler of a claimed job once, until it ends or is `interrupted`.
pub(super) async fn attempt(
    shared: &JobShared,
    record: &JobRecord,
    completion: Arc<JobCompletion>,
    lease: Arc<HeldLease>,
    interrupted: impl Future<Output = ()>,
) -> AttemptResult {
    let identity: Option<Identity> = match record.identity.as_deref().map(serde_json::from_str).transpose() {
        Ok(identity) => identity,
        // Another version of Forge wrote the identity, and a node of that version may yet run the job.
        Err(error) => {
            let message = format!("the identity of the dispatcher cannot be read: {error}");
            return AttemptResult::HandlerError(Fault::new(Code::Internal, message));
        }
    };
    let invocation = Invocation {
        id: RequestId::from_uuid(*record.id.as_uuid()),
        name: record.name.as_str().into(),
        args: record.args.clone(),
        caller: Caller { identity: identity.map(Arc::new), ..Caller::default() },
        trace: record.trace().map_or_else(TraceContext::new_root, TraceContext::child),
        deadline: None,
        idempotency_key: None,
    };
    shared.functions.attempt(&JOBS, invocation, completion, lease, interrupted).await
}

/// Decides what becomes of a job after an attempt with this result.
pub(super) fn transition_after(shared: &JobShared, record: &JobRecord, result: &AttemptResult) -> Transition {
    let registration = shared.functions.catalog().get(&record.name);
    let meta = registration.and_then(|known| known.meta.job_meta()).unwrap_or(JobMeta::DEFAULT);
    Transition::after(result, record.attempts_begun, record.attempts_max, meta.backoff, fastrand::f64())
}
