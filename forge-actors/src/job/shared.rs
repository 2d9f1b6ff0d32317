//! State that the actors of the job subsystem share.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::WORKER_ROLE;
use super::config::JobConfig;
use super::leases::{ClaimedJob, LeaseTable};
use super::limits::{LimitKind, LimitTable, LimitedJob, OpenKey};
use super::messages::{
    AcknowledgerMessage, ClaimerMessage, ReleasedJob, ReporterMessage, UnblockerMessage, WorkerMessage,
};
use super::report::{PendingReports, ReportsWaiting};
use super::resources::NodeResources;
use super::signals;
use super::state::{Transition, is_another_build};
use super::store::{JobRecord, JobStore, OpeningKey};
use crate::app::JobMeta;
use crate::app::node::{Build, Peers};
use crate::change::{Hint, HintHub};
use crate::db::database::Database;
use crate::function::{AttemptResult, Functions};
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::ids::NodeId;
use crate::kernel::invocation::is_system;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::resource::ResourceAmounts;
use crate::supervise::Address;

/// Results that are written without waiting for further ones.
pub(super) const BATCH_FULL: usize = 250;

/// State of one node's job subsystem. The fields without a comment are set once and only read.
pub(super) struct JobShared {
    pub(super) node: NodeId,
    pub(super) store: JobStore,
    pub(super) database: Database,
    pub(super) functions: Functions,
    pub(super) peers: Option<Arc<dyn Peers>>,
    pub(super) build: Build,
    pub(super) hints: HintHub,
    pub(super) config: JobConfig,
    /// Wire names of all jobs and crons that this node can run, aliases included: this binary has a handler
    /// for them, and the node their capability.
    pub(super) names: Vec<String>,
    /// Whether every node with the role `worker` rescues batch leases, so that this one may claim in them;
    /// empty before the first claim. Written by that claim and then by the counter; nobody is woken.
    pub(super) claims_in_batches: MergeSlot<bool>,
    /// The jobs of this node. Entries are made by the claimer, and go when their [`ClaimedJob`] is dropped;
    /// the claimer and the acknowledger prolong them. Readers are not woken: a lost lease cancels its job's
    /// token.
    pub(super) leases: LeaseTable,
    /// The workers of this node, by index.
    pub(super) workers: Vec<WorkerHandle>,
    /// Jobs that this node is done with, whose results are not written yet. Put by workers and by every actor
    /// that returns a job; taken by the acknowledger, which is woken with a message. Kept over a restart of
    /// the acknowledger.
    pub(super) released: MergeSlot<Vec<ReleasedJob>>,
    /// The limits of the handlers of this binary.
    pub(super) limits: LimitTable,
    /// What jobs may take of this node, and the handlers that take some of it.
    pub(super) resources: NodeResources,
    /// A promotion has seen a lease that has run out. Set by the claimer, taken by the rescuer, which looks
    /// at it once a second; nobody is woken.
    pub(super) has_expired: AtomicBool,
    /// This node has seen leases of a node that was lost. Set by the rescuer, taken by the settler, which
    /// looks at it every two seconds while this node leads `job_ends`; nobody is woken.
    pub(super) has_lost_node: AtomicBool,
    /// The queues that have a limit, as they were read last. Written by claims, read by them and by whatever
    /// ends a job; nobody is woken.
    pub(super) limited_queues: MergeSlot<LimitedQueues>,
    /// Keys of concurrency limits of which jobs of this node have ended, or wait again, or were blocked by a
    /// claim. Put by the acknowledger, by workers whose job is finished, and by claims; taken by the
    /// unblocker, which is woken with a message.
    pub(super) freed_keys: MergeSlot<BTreeMap<String, OpenKey>>,
    /// What attempts say about their jobs. Put by attempts, and by the acknowledger and the completion of
    /// jobs when these have ended; taken by the reporter, which is woken with a message.
    pub(super) reports: PendingReports,
    pub(super) reporter: Address<ReporterMessage>,
    pub(super) acknowledger: Address<AcknowledgerMessage>,
    pub(super) claimer: Address<ClaimerMessage>,
    pub(super) unblocker: Address<UnblockerMessage>,
    /// When jobs that still run are returned to their queues: set by the claimer when it stops, and `None`
    /// while it runs; wakes every worker. When the node stops, the claimer stops before the workers. A
    /// command that stops only the claimer starts the drain as well; a claimer that starts again ends it.
    pub(super) drain: watch::Sender<Option<Instant>>,
}

/// The queues that have a limit, and when their list was read.
#[derive(Debug, Clone)]
pub(super) struct LimitedQueues {
    pub(super) names: Arc<BTreeSet<Arc<str>>>,
    pub(super) read_at: Instant,
}

/// One worker, as the claimer sees it.
pub(super) struct WorkerHandle {
    /// The jobs that the worker is to run. Put by the claimer, taken by the worker, which is woken with a
    /// message. Not part of that message, because a mailbox is lost when its actor stops.
    pub(super) assigned: MergeSlot<VecDeque<ClaimedJob>>,
    /// The job that runs. Put and taken by the task that runs it; the worker reads it.
    pub(super) running: MergeSlot<Arc<JobRecord>>,
    pub(super) address: Address<WorkerMessage>,
}

/// A job is shown as running until this is dropped.
pub(super) struct ShownJob<'a>(&'a WorkerHandle);

impl WorkerHandle {
    /// Whether jobs are assigned to the worker that were not started.
    pub(super) fn has_assigned(&self) -> bool {
        self.assigned.take_part(|jobs| jobs.front().map(|_| ())).is_some()
    }

    /// Shows that the worker runs this job.
    pub(super) fn show(&self, record: &Arc<JobRecord>) -> ShownJob<'_> {
        self.running.put(|running| *running = Some(Arc::clone(record)));
        ShownJob(self)
    }
}

impl Drop for ShownJob<'_> {
    fn drop(&mut self) {
        drop(self.0.running.try_take());
    }
}

impl JobShared {
    /// The next job that a worker is to run; none once the drain has begun.
    pub(super) fn next_assigned(&self, worker: usize) -> Option<ClaimedJob> {
        if self.drain.borrow().is_some() {
            return None;
        }
        self.workers[worker].assigned.take_part(VecDeque::pop_front)
    }

    /// Those of the candidates of a claim that this node may claim now: whose resources are left, and for
    /// whose claim, when a rate limit counts it, a worker is free. The others stay as they are.
    pub(super) fn admissible(
        &self,
        mut candidates: Vec<LimitedJob>,
        left: ResourceAmounts,
    ) -> Vec<LimitedJob> {
        candidates.retain(|job| job.begins || job.rate_key.is_none());
        self.resources.fitting_jobs(candidates, left)
    }

    /// Enters a job whose lease was given by a statement that was sent at `sent`.
    pub(super) fn hold(&self, record: JobRecord, sent: Instant, lease: Duration) -> ClaimedJob {
        let resources = self.resources.needs(&record.name);
        self.leases.insert(JobRecord { resources, ..record }, sent, lease)
    }

    /// The queues that the application's handlers name. Rows of a handler that was moved to another queue
    /// wait in the old one, which polls find, as they do the queues of Forge's own jobs: no worker is kept
    /// for these while they are empty.
    pub(super) fn queues(&self) -> BTreeSet<Arc<str>> {
        let jobs = self.functions.catalog().queued().filter(|(name, _)| !is_system(name));
        jobs.filter_map(|(_, known)| known.meta.job_meta()).map(|job| Arc::from(job.queue)).collect()
    }

    /// Leaves what becomes of a job for the acknowledger to write.
    pub(super) fn acknowledge(&self, released: ReleasedJob) {
        let mut wakes = false;
        self.released.put(|waiting| {
            let results = waiting.get_or_insert_default();
            results.push(released);
            wakes = results.len() == 1 || results.len() == BATCH_FULL;
        });
        // The message is only a wake-up, which the first of the results that wait has sent. An acknowledger
        // that is not running takes the waiting results when it starts, and one that stops writes them last.
        if wakes {
            self.acknowledger.notify(AcknowledgerMessage::ResultWaiting);
        }
    }

    /// Wakes the reporter, if something has come that it does not know of. A reporter that is not running
    /// takes the reports that wait when it starts.
    pub(super) fn wake_reporter(&self, waiting: Option<ReportsWaiting>) {
        if let Some(waiting) = waiting {
            self.reporter.notify(ReporterMessage::Waiting(waiting));
        }
    }

    /// Returns a job whose handler was not started to its queue; a begun attempt does not count.
    pub(super) fn return_job(&self, job: ClaimedJob) {
        let JobRecord { attempts_begun, attempts_max, .. } = *job.record;
        let transition = Transition::after(
            &AttemptResult::Interrupted,
            attempts_begun,
            attempts_max,
            JobMeta::DEFAULT.backoff,
            0.0,
        );
        self.acknowledge(ReleasedJob { job, transition, has_reported: false });
    }

    /// Ends a job whose begin the database refused: it has failed, with the refusal as its reason.
    pub(super) fn set_aside(&self, job: ClaimedJob, refusal: &Fault) {
        signals::set_aside();
        tracing::error!(
            job = %job.record.id,
            handler = %job.record.name,
            error = error_chain(refusal),
            "begin refused by the database; the job is completed as failed"
        );
        let transition = Transition::begin_refused(refusal);
        self.acknowledge(ReleasedJob { job, transition, has_reported: false });
    }

    /// Notes that a job which was held has no slot any more: neither of its queue's limit nor of its own
    /// concurrency limit.
    pub(super) fn free_slots(&self, record: &JobRecord) {
        if self.has_limit(&record.queue) {
            self.hints.publish(Hint::of([Arc::clone(&record.queue)]));
        }
        let Some(key) = &record.concurrency_key else { return };
        // Postgres stores no text with a NUL, so no tenant of a row has one.
        let tenant = record.tenant().filter(|tenant| !tenant.contains('\0'));
        let freed = OpenKey { kind: LimitKind::Concurrency, handler: record.name.clone(), tenant };
        self.unblock_soon([(key.clone(), freed)]);
    }

    /// Unblocks as many jobs of these keys as their limits let pass.
    fn unblock_soon(&self, open: impl IntoIterator<Item = (String, OpenKey)>) {
        let mut wakes = false;
        self.freed_keys.put(|waiting| {
            let keys = waiting.get_or_insert_default();
            wakes = keys.is_empty();
            for (key, open) in open {
                // Whose turn is next follows from the tenant of the job that ended.
                match open.tenant {
                    Some(_) => drop(keys.insert(key, open)),
                    None => drop(keys.entry(key).or_insert(open)),
                }
            }
        });
        if wakes {
            self.unblocker.notify(UnblockerMessage::Freed);
        }
    }

    /// Wakes the claimer for queues of jobs that have taken resources and are not held any more.
    pub(super) fn resources_freed(&self, queues: BTreeSet<Arc<str>>) {
        if !queues.is_empty() {
            self.claimer.notify(ClaimerMessage::QueuesWoken { queues });
        }
    }

    /// Unblocks what a claim has blocked: jobs of a rate limit when its window has capacity; jobs of a
    /// concurrency limit at once, because a job of their key may have ended before the claim was committed.
    pub(super) fn unblock_later(&self, opening: Vec<OpeningKey>, full: BTreeMap<String, OpenKey>) {
        opening.into_iter().for_each(|key| self.unblocker.notify(UnblockerMessage::Blocked(key)));
        if !full.is_empty() {
            self.unblock_soon(full);
        }
    }

    /// Whether this node claims in batches, as it was found out last.
    pub(super) async fn claims_in_batches(&self) -> Result<bool, Fault> {
        match self.claims_in_batches.get() {
            Some(known) => Ok(known),
            None => self.choose_claims().await,
        }
    }

    /// Finds out whether every worker node would rescue the batch leases of this one, if it should be lost:
    /// only then it claims in batches.
    pub(super) async fn choose_claims(&self) -> Result<bool, Fault> {
        let in_batches = match &self.peers {
            Some(peers) => peers.rescue_batches(&self.database.reader(), WORKER_ROLE).await?,
            None => true,
        };
        if !in_batches && self.claims_in_batches.get() != Some(false) {
            tracing::info!(
                "jobs are claimed one by one: a worker node of an older version does not rescue batch leases"
            );
        }
        self.claims_in_batches.put(|known| *known = Some(in_batches));
        Ok(in_batches)
    }

    /// True when a node of another build may read the arguments of a job, which this build cannot read. An
    /// answer that does not come counts as true: a job that waits is tried again by itself, a failed one
    /// needs an operator.
    pub(super) async fn may_be_read_elsewhere(&self, job: &JobRecord) -> bool {
        let Some(peers) = &self.peers else { return false };
        match peers.builds(&self.database.control(), WORKER_ROLE).await {
            Ok(builds) => is_another_build(&builds, &self.build.0, &job.refused_by),
            Err(error) => {
                let (job, error) = (job.id, error_chain(&error));
                tracing::debug!(%job, error, "reading the builds of other nodes failed; the job waits");
                true
            }
        }
    }

    /// Waits until `jobs.drain_timeout` is over since the claimer stopped; a job may still be running.
    pub(super) async fn drain_timed_out(&self) {
        let mut drain = self.drain.subscribe();
        loop {
            let deadline = *drain.borrow_and_update();
            let changed = drain.changed();
            // The sender lives in `self`, so waiting for a change cannot fail.
            match deadline {
                None => drop(changed.await),
                Some(deadline) => tokio::select! {
                    () = tokio::time::sleep_until(deadline.into()) => return,
                    _ = changed => {}
                },
            }
        }
    }
}
