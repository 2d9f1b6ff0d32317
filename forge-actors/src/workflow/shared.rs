//! State that the actors of the workflow subsystem share.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dashmap::DashMap;
use tokio::sync::watch;

use super::admission::WorkflowAdmission;
use super::batches::{Batches, WriteRows};
use super::config::WorkflowConfig;
use super::messages::{LeaseMessage, RouterMessage, RunClaimerMessage};
use super::rows::{ClaimedRun, End, Ended, GivenBack, HeldStep, Leave, RunRequest};
use super::signals;
use super::store::WorkflowStore;
use crate::app::new_job::InsertJob;
use crate::app::workflow::{EVENTS_TOPIC, WORKFLOWS_TOPIC};
use crate::app::workflow_run::ActiveRun;
use crate::app::workflow_run::store::Recorded;
use crate::change::{Hint, HintHub};
use crate::db::database::Database;
use crate::function::Functions;
use crate::kernel::commit::Receipt;
use crate::kernel::fault::Fault;
use crate::kernel::ids::{NodeId, RunId};
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::Timestamp;
use crate::supervise::Address;

/// The lease of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OwnLease {
    /// The fencing number of the runs that are held.
    pub(super) id: i64,
    /// The local deadline of the lease; the lease expires later than this in the database.
    pub(super) until: Instant,
}

/// The id of the lease; `None` when the node holds none, or its lease may have run out.
fn living(lease: &watch::Ref<'_, Option<OwnLease>>) -> Option<i64> {
    lease.filter(|lease| lease.until > Instant::now()).map(|lease| lease.id)
}

/// A run that is active on this node.
pub(super) struct ActiveEntry {
    pub(super) claim: i32,
    pub(super) run: Arc<ActiveRun>,
    pub(super) stop: watch::Sender<Option<StopReason>>,
    /// `forge_workflow_runs.wakes`, as the lease keeper has read it last.
    pub(super) wakes: i32,
}

/// Why a run goes on no further on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StopReason {
    /// A person has asked for it.
    Requested(RunRequest),
    /// Its time limit has passed.
    TimedOut,
    /// The node stops.
    Drain,
    /// The journal has a row that the activation does not know: the run is claimed again.
    Outdated,
    /// The node has lost its lease, or does not hold the run any more: what it writes would be refused.
    Lost,
}

/// State of one node's workflow subsystem. The fields without a comment are set once and only read.
pub(super) struct WorkflowShared {
    pub(super) node: NodeId,
    pub(super) node_name: String,
    pub(super) store: WorkflowStore,
    pub(super) database: Database,
    pub(super) functions: Functions,
    pub(super) jobs: Arc<dyn InsertJob>,
    pub(super) hints: HintHub,
    pub(super) config: WorkflowConfig,
    /// The lease of this node; `None` while it holds none. The lease keeper writes it, all others read it.
    pub(super) lease: watch::Sender<Option<OwnLease>>,
    /// The runs that are active. Entries are made and removed by the activations; the lease keeper and the
    /// router read them.
    pub(super) active: DashMap<RunId, ActiveEntry>,
    /// The claim of each run that this node has claimed and that has not left. Written by the claimer and the
    /// activations; the lease keeper compares it with the table.
    pub(super) held: DashMap<RunId, i32>,
    /// How many runs are active, and how many attempts at their steps execute. Counted by the claimer, the
    /// activations and the attempts; attempts wait there.
    pub(super) admission: WorkflowAdmission,
    /// Runs whose activation has ended, by a crash or an error, before the run has left. Put by activations;
    /// the lease keeper, which is woken with a message, writes that they are to be claimed again.
    pub(super) given_back: MergeSlot<Vec<GivenBack>>,
    /// When the next run is due that this node has seen leave. Put by activations; taken by the claimer,
    /// which is woken with a message.
    pub(super) next_due: MergeSlot<Instant>,
    /// A poll of the claimer has seen a lease of another node that may be lost. The claimer sets this; the
    /// rescuer takes it at its next look.
    pub(super) has_suspect: AtomicBool,
    /// Microseconds that a test has let pass: the rows of runs are moved back by as much, and the clock that
    /// runs see is moved forward. Only `testing` writes it.
    pub(super) micros_passed: AtomicU64,
    /// Runs are due for which the last claim had no place. The claimer sets this; the starter reads it.
    pub(super) has_backlog: AtomicBool,
    /// The node stops: no run is claimed. Set by the claimer.
    pub(super) is_draining: AtomicBool,
    /// Runs that were begun with their start. Put by the starter; taken by the claimer, which is woken with a
    /// message and starts their actors.
    pub(super) begun: MergeSlot<Vec<ClaimedRun>>,
    pub(super) recorder: Arc<Batches<Recorder>>,
    pub(super) leaver: Arc<Batches<Leaver>>,
    pub(super) ender: Arc<Batches<Ender>>,
    pub(super) claimer: Address<RunClaimerMessage>,
    pub(super) lease_keeper: Address<LeaseMessage>,
    pub(super) router: Address<RouterMessage>,
}

impl WorkflowShared {
    /// The id of this node's lease; `None` when it holds none, or its lease may have run out.
    pub(super) fn living_lease(&self) -> Option<i64> {
        living(&self.lease.borrow())
    }

    /// The time that a test has let pass.
    pub(super) fn time_passed(&self) -> Duration {
        Duration::from_micros(self.micros_passed.load(Ordering::Acquire))
    }

    /// A moment of the database's clock, as a run sees it.
    pub(super) fn on_run_clock(&self, moment: Option<Timestamp>) -> Option<Timestamp> {
        moment.map(|moment| moment + self.time_passed())
    }

    /// A run is due: the claimers of all nodes are woken.
    pub(super) fn run_ready(&self) {
        self.hints.publish(Hint::of([Arc::<str>::from(WORKFLOWS_TOPIC)]));
    }

    /// An event has come: the routers of all nodes are woken.
    pub(super) fn events_ready(&self) {
        self.hints.publish(Hint::of([Arc::<str>::from(EVENTS_TOPIC)]));
    }

    /// Announces the commit of a step to live queries, and to the workers of these queues.
    pub(super) fn announce(&self, receipt: Receipt, queues: BTreeSet<Arc<str>>) {
        self.hints.publish(Hint::of_commit(receipt, queues));
    }

    /// A run that has left is due at this moment of the database's clock, which was `claimed_at` at its
    /// claim: the claimer looks then, without a poll.
    pub(super) fn due_soon(&self, due_at: Timestamp, claimed_at: Timestamp) {
        // This is late by the duration of the activation; a claim that comes too early would find nothing.
        let wait = (due_at - claimed_at).to_std().unwrap_or_default();
        if wait > self.config.poll_interval {
            return;
        }
        let due = Instant::now() + wait;
        let mut is_first = false;
        self.next_due.put(|next| {
            is_first = next.is_none_or(|next| due < next);
            if is_first {
                *next = Some(due);
            }
        });
        if is_first {
            self.claimer.notify(RunClaimerMessage::DueSoon);
        }
    }

    /// Lets a run be claimed again whose activation has ended, by a crash or an error, before it has left.
    pub(super) fn give_back(&self, run: ClaimedRun, is_crash: bool) {
        self.given_back.put(|runs| runs.get_or_insert_default().push(GivenBack { run, is_crash }));
        self.lease_keeper.notify(LeaseMessage::Wanted);
    }

    /// Something may have come for this run.
    pub(super) fn wake(&self, run: RunId) {
        if let Some(entry) = self.active.get(&run) {
            entry.run.wake();
        }
    }

    /// Stops all runs that are active.
    pub(super) fn stop_all(&self, reason: StopReason) {
        for entry in &self.active {
            entry.stop_for(reason);
        }
    }

    /// Removes a run from those that are held, and frees its place.
    pub(super) fn leave_place(&self, run: RunId, claim: i32, workflow: &str) {
        self.held.remove_if(&run, |_, known| *known == claim);
        self.free_place(workflow);
    }

    /// Frees the place of a run, and wakes the claimer if runs may wait for one.
    pub(super) fn free_place(&self, workflow: &str) {
        let is_awaited = self.admission.leave(workflow);
        signals::active(self.admission.active());
        if is_awaited {
            self.claimer.notify(RunClaimerMessage::PlaceFree);
        }
    }

    /// Takes a place for a run that is begun with its start. False when it is to be claimed.
    pub(super) fn enter_unclaimed(&self, workflow: &str) -> bool {
        if self.has_backlog.load(Ordering::Acquire) || self.is_draining.load(Ordering::Acquire) {
            return false;
        }
        self.admission.enter(workflow);
        let enters = self.admission.fits_beside_claim(workflow);
        if !enters {
            self.free_place(workflow);
        }
        enters
    }
}

impl ActiveEntry {
    /// Stops the run. A later reason replaces an earlier one, but for a lost lease, which stays.
    pub(super) fn stop_for(&self, reason: StopReason) {
        self.stop.send_if_modified(|stop| {
            let is_new = *stop != Some(reason) && *stop != Some(StopReason::Lost);
            if is_new {
                *stop = Some(reason);
            }
            is_new
        });
        self.run.stop();
    }
}

/// What a writer needs of the node.
#[derive(Clone)]
pub(super) struct WriterDeps {
    pub(super) store: WorkflowStore,
    pub(super) lease: watch::Receiver<Option<OwnLease>>,
    pub(super) retention: Duration,
}

impl WriterDeps {
    fn living(&self) -> Option<i64> {
        living(&self.lease.borrow())
    }
}

/// Writes steps.
pub(super) struct Recorder(pub(super) WriterDeps);

/// Writes how runs leave.
pub(super) struct Leaver(pub(super) WriterDeps);

/// Writes how runs end.
pub(super) struct Ender(pub(super) WriterDeps);

impl WriteRows for Recorder {
    const KIND: &'static str = "recorder";
    type Row = HeldStep;
    type Written = Recorded;

    async fn write(&self, rows: &[&HeldStep]) -> Result<Vec<Option<Recorded>>, Fault> {
        match self.0.living() {
            Some(lease) => self.0.store.record(lease, rows).await,
            None => Ok(vec![None; rows.len()]),
        }
    }

    fn bytes(step: &HeldStep) -> usize {
        let parts = [&step.row.input, &step.row.output, &step.row.error];
        parts.into_iter().flatten().map(String::len).sum()
    }

    fn gives_up(&self) -> bool {
        self.0.living().is_none()
    }
}

impl WriteRows for Leaver {
    const KIND: &'static str = "leaver";
    type Row = Leave;
    type Written = ();

    async fn write(&self, rows: &[&Leave]) -> Result<Vec<Option<()>>, Fault> {
        match self.0.living() {
            Some(lease) => self.0.store.leave(lease, rows).await,
            None => Ok(vec![None; rows.len()]),
        }
    }

    fn bytes(leave: &Leave) -> usize {
        leave.error.as_ref().map_or(0, String::len)
    }

    fn gives_up(&self) -> bool {
        self.0.living().is_none()
    }
}

impl WriteRows for Ender {
    const KIND: &'static str = "ender";
    type Row = End;
    type Written = Ended;

    async fn write(&self, rows: &[&End]) -> Result<Vec<Option<Ended>>, Fault> {
        match self.0.living() {
            Some(lease) => self.0.store.end(lease, self.0.retention, rows).await,
            None => Ok(vec![None; rows.len()]),
        }
    }

    fn bytes(end: &End) -> usize {
        [&end.output, &end.error].into_iter().flatten().map(String::len).sum()
    }

    fn gives_up(&self) -> bool {
        self.0.living().is_none()
    }
}
