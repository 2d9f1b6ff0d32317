//! Jobs: rows that workers run until they succeed.
//!
//! ```text
//!        dispatch                                  a person: `retry`
//!           │            ┌───────────────────────────────────────────────────────────┐
//!           ▼            ▼                                                           │
//!        pending ◀── snoozed · returned ·────┐                                       │
//!           │ ▲          suspended           │                                       │
//!         claim returned ·         retry ◀── failed · lease lost ──┐                 │
//!           │ lease lost             │       │                     │                 │
//!           ▼ │                      │       │                     │                 │
//!        claimed ◀───── claim ───────┘       │                     │                 │
//!           │                                │                     │                 │
//!         begin: written, or noted by a      │                     │                 │
//!           ▼    renewal (batch leases)      │                     │                 │
//!        running ────────────────────────────┴───────────┬─────────┘                 │
//!                                                        ├── succeeded ─────────▶ completed
//!                                                        ├── arguments refused ─▶ failed ──────┤
//!                                                        ├── attempts spent ────▶ dead_letter ─┤
//!        pending · retry · claimed · running ────────────┴── a person: `cancel` ▶ cancelled ───┘
//!        pending, its parent cancelled or the step before it failed ──────────────────▲
//!        pending · retry · failed · dead_letter ──────────── a person: `discard` ─────▲
//! ```
//!
//! A node holds a job in one of two ways.
//!
//! - **A batch lease** holds most jobs. The claim deletes their rows from `forge_jobs` and writes them into
//!   one row of `forge_job_leases`. Success is a row of `forge_job_history`, written by a statement that
//!   shares the lock of the lease. Every other way out of the lease (retry, snooze, return, failure, cancel)
//!   locks the lease alone, and notes the job as `gone`. So a job costs two row versions, and a renewal one
//!   for each batch. What a lost lease still holds is what is neither gone nor in the history: those jobs
//!   wait again and count a *loss*, which spends no attempt.
//! - **Its own row** holds a job with a limit or with resources, after a loss, in its last attempt, with
//!   large arguments, and while a worker of a version without batch leases lives. Its begin is written before
//!   the handler starts. So a job that kills its process is found: it becomes a dead letter after its
//!   attempts, and its neighbours are cleared by their first success.
//!
//! ```text
//!   jobs (one_for_one)
//!   ├ reporter         writes progress, log lines, and what followers of jobs read
//!   ├ acknowledger     writes results in batches, renews leases in batches
//!   ├ workers          worker-1 … worker-n, one job at a time each
//!   ├ claimer          claims in batches into a local queue, begins jobs, assigns them to free workers
//!   ├ rescuer          ends leases that have run out: the job runs again, or is a dead letter
//!   ├ unblocker        lets jobs that wait for a limit be claimed again (`limits.rs`)
//!   ├ ageing           raises priorities of jobs that are due for long, while this node leads `jobs`
//!   ├ counter          counts the jobs that are not finished, reports those without a handler
//!   ├ settler          passes on states and ends of jobs that were missed, while this node leads `job_ends`
//!   └ history_expiry   deletes old history, while this node leads `jobs`
//! ```
//!
//! The life of a job: `insert.rs` writes its row; the claimer claims it (`planner.rs` decides when,
//! `leases.rs` and `batch_leases.rs` hold the leases); a worker runs its handler through the function
//! subsystem; `state.rs` decides what follows; the acknowledger writes that (`result_batch.rs`), or
//! `completion.rs` does in the transaction of the job's own effect. All statements are in `store`.
//!
//! The actors stop from bottom to top: the claimer claims no more and returns its local queue, workers end
//! their jobs or return them when the drain is over, the acknowledger writes the last results, and the
//! reporter the last reports.
//!
//! A job that waits for jobs (`dependencies.rs`) is out of the sight of claims, as one that waits for a
//! limit: no worker is held. It runs when the last of them has ended.
//!
//! What a running job reports (progress, log lines) and what its followers read (status, result) is a row of
//! `forge_job_progress` for each such job, in a table of which changes are captured, since the tables of
//! jobs have no triggers: the reporter writes it beside the job and copies its end after the commit that
//! wrote it. A job that reports nothing and that nobody follows has no row, and costs nothing.
//!
//! Invariants
//! - A job is in one place: it waits in `forge_jobs`, its row or a batch lease holds it, or it is in the
//!   history.
//! - A write about a job names what holds it: the number of its claim, which grows with each claim, or its
//!   batch lease, which it has not left. A write by a stopped, disconnected or slow worker whose job was
//!   taken over is refused. Nothing else fences writes, and no clock decides whether a write counts. A worker
//!   also does not start a job whose lease may have run out by the node's own clock; that only saves work.
//! - A statement that waits for the lock of a batch lease reads the history in the next statement, whose
//!   snapshot is newer than the wait.
//! - An attempt counts when it has ended, or when its begin is written; and no longer when it is snoozed or
//!   interrupted. A job starts once more than it has attempts at most, and a job with one attempt starts
//!   once.
//! - No job begins without a free worker, and long jobs of one queue keep no other queue waiting: some
//!   workers are kept for queues that run nothing (`queue_load.rs`).
//! - A claimed job that does not begin soon goes back to its queue, where an idle node takes it.
//! - An expired lease allows other nodes to take the job over. Until one does, the job is still its holder's.
//! - Jobs without a handler in this binary are never claimed by it; the counter reports them.
//! - A job whose arguments this binary cannot read waits again, without a spent attempt, while a node of
//!   another build may read them: versions of an application run side by side during a deploy. The row names
//!   the builds that refused, and the job's status becomes `failed` when no other build is left.
//! - Hints are only wake-ups. A claimer without hints polls once in `poll_interval`, and when the next
//!   scheduled job is due.
//! - An attempt lasts until its handler has ended. A handler that blocks its thread cannot be cut: its worker
//!   waits, and its lease is renewed, so that no other node runs the job meanwhile.
//!
//! Failures: a panic or a time limit ends one attempt. While the database is unreachable, claimers wait with
//! a backoff, and results are kept and written when the database is back; what holds the job decides whether
//! they still count. A row that the database refuses (a text that its encoding lacks, a broken constraint) is
//! found by halving its batch, and holds up no other one: a refused result is written as a failure of its job
//! that states the reason, as is a refused begin; a job of which the database refuses every end waits with
//! that reason, longer each time; a lease that cannot be renewed runs out. A job whose actor crashes or is
//! killed is released by the acknowledger when a batch lease holds it, and taken again when its lease has
//! expired (`jobs.lease`, 10 s) when its own row does; jobs in `WorkerHandle::assigned`, which the worker has
//! not taken yet, survive its restart.

mod acknowledger;
pub mod admin;
mod ageing;
mod batch_leases;
pub mod buffer;
mod claimer;
mod claims;
mod completion;
pub mod config;
mod counter;
mod dependencies;
pub mod dispatcher;
pub mod ends;
pub mod follow;
mod history_expiry;
mod inline;
pub mod insert;
mod leases;
mod limited_queues;
mod limits;
mod messages;
pub mod paths;
mod planner;
mod poll_pace;
mod queue_load;
mod report;
mod reporter;
mod rescuer;
mod resources;
mod result_batch;
pub mod retention;
mod settler;
mod shared;
pub mod signals;
pub mod state;
pub mod store;
pub mod subsystem;
mod unblocker;
mod worker;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::watch;

use crate::app::node::{Build, Peers};
use crate::app::{Catalog, Registration};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::kernel::ids::NodeId;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::resource::ResourceAmounts;
use crate::leader::{Term, expiry};
use crate::supervise::{ChildSpec, Mailbox, Strategy, SupervisorSpec};

use self::paths::{HISTORY_EXPIRY, WORKERS};
use acknowledger::Acknowledger;
use ageing::Ageing;
use claimer::Claimer;
use config::JobConfig;
use counter::Counter;
pub(crate) use dependencies::ends as ends_of;
pub use history_expiry::JOB_MAINTENANCE;
use history_expiry::OldHistory;
pub use inline::RanAttempt;
pub(crate) use insert::status_of;
use leases::LeaseTable;
use limits::LimitTable;
use messages::WorkerMessage;
use report::PendingReports;
use reporter::Reporter;
use rescuer::Rescuer;
use resources::NodeResources;
pub use settler::JOB_SETTLEMENT;
use settler::Settler;
use shared::{JobShared, WorkerHandle};
use store::JobStore;
use unblocker::Unblocker;
use worker::Worker;

#[cfg(test)]
mod tests;

/// Wire names of the jobs and crons that a node with these capabilities may run, aliases included.
fn runnable_names(catalog: &Catalog, capabilities: &[String]) -> Vec<String> {
    let can_run = |known: &Registration| {
        let capability = known.meta.job_meta().and_then(|job| job.capability);
        capability.is_none_or(|word| capabilities.iter().any(|own| own == word))
    };
    catalog.queued().filter(|(_, known)| can_run(known)).map(|(name, _)| name.to_owned()).collect()
}

/// The mailbox of a worker, and its handle.
fn new_worker() -> (Mailbox<WorkerMessage>, WorkerHandle) {
    let (mailbox, address) = Mailbox::of::<Worker>();
    (mailbox, WorkerHandle { assigned: MergeSlot::new(), running: MergeSlot::new(), address })
}

/// The role of nodes that run jobs.
pub(crate) const WORKER_ROLE: &str = "worker";

/// How far jobs are. Changes of this table are captured, so that live queries follow jobs.
pub(crate) const JOB_PROGRESS_TABLE: &str = "forge_job_progress";

/// Runs the jobs of one node. Cheap to clone; every clone is a handle of the same subsystem.
#[derive(Clone)]
pub struct Jobs {
    shared: Arc<JobShared>,
}

/// What the job subsystem needs of the node.
pub struct JobDeps {
    /// Jobs are claimed for this node.
    pub node: NodeId,
    /// What this node can do that not every node can.
    pub capabilities: Vec<String>,
    /// What jobs may take of this node at a time.
    pub resources: ResourceAmounts,
    /// The database of the jobs.
    pub database: Database,
    /// Runs the handlers.
    pub functions: Functions,
    /// Names the builds of the other nodes; `None` where there are none.
    pub peers: Option<Arc<dyn Peers>>,
    /// The build of this binary.
    pub build: Build,
    /// Wakes the claimer, and other nodes when jobs are returned.
    pub hints: HintHub,
    /// Terms of [`JOB_MAINTENANCE`].
    pub terms: watch::Receiver<Option<Term>>,
    /// Terms of [`JOB_SETTLEMENT`].
    pub settlement_terms: watch::Receiver<Option<Term>>,
    /// Section `[jobs]`.
    pub config: JobConfig,
}

/// How many jobs a node holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobStats {
    /// Jobs that this node holds: claimed, running, or with a result that is not written yet.
    pub held: usize,
    /// Of those, how many have begun.
    pub begun: usize,
}

impl Jobs {
    /// Makes the subsystem and its supervisor, which the caller puts into the tree.
    pub fn new(deps: JobDeps) -> (Self, ChildSpec) {
        let JobDeps {
            node,
            capabilities,
            resources,
            database,
            functions,
            peers,
            build,
            hints,
            terms,
            settlement_terms,
            config,
        } = deps;
        let names = runnable_names(functions.catalog(), &capabilities);
        let resources = NodeResources::of(functions.catalog(), resources);
        let (acknowledger_mailbox, acknowledger) = Mailbox::of::<Acknowledger>();
        let (reporter_mailbox, reporter) = Mailbox::of::<Reporter>();
        let (claimer_mailbox, claimer) = Mailbox::of::<Claimer>();
        let (unblocker_mailbox, unblocker) = Mailbox::of::<Unblocker>();
        let (worker_mailboxes, workers): (Vec<_>, Vec<_>) =
            (0..config.concurrency).map(|_| new_worker()).unzip();
        let shared = Arc::new(JobShared {
            limits: LimitTable::of(functions.catalog()),
            resources,
            node,
            store: JobStore::new(database.clone()),
            database,
            functions,
            peers,
            build,
            hints,
            config,
            names,
            claims_in_batches: MergeSlot::new(),
            leases: LeaseTable::default(),
            workers,
            released: MergeSlot::new(),
            has_expired: AtomicBool::new(false),
            has_lost_node: AtomicBool::new(false),
            freed_keys: MergeSlot::new(),
            limited_queues: MergeSlot::new(),
            reports: PendingReports::default(),
            reporter,
            acknowledger,
            claimer,
            unblocker,
            drain: watch::Sender::new(None),
        });
        let workers = worker_mailboxes
            .into_iter()
            .enumerate()
            .map(|(index, mailbox)| Worker::spec(Arc::clone(&shared), index, mailbox))
            .collect();
        let children = vec![
            Reporter::spec(Arc::clone(&shared), reporter_mailbox),
            Acknowledger::spec(Arc::clone(&shared), acknowledger_mailbox),
            ChildSpec::supervisor(WORKERS.id(), SupervisorSpec::new(Strategy::OneForOne, workers)),
            Claimer::spec(Arc::clone(&shared), claimer_mailbox),
            Rescuer::spec(Arc::clone(&shared)),
            Unblocker::spec(Arc::clone(&shared), unblocker_mailbox),
            Counter::spec(Arc::clone(&shared)),
            Ageing::spec(Arc::clone(&shared), terms.clone()),
            Settler::spec(Arc::clone(&shared), settlement_terms),
            expiry(&HISTORY_EXPIRY, shared.database.clone(), terms, OldHistory::new(Arc::clone(&shared))),
        ];
        let spec = SupervisorSpec::new(Strategy::OneForOne, children);
        (Self { shared }, ChildSpec::supervisor(paths::JOBS.id(), spec))
    }

    /// Counts the jobs that this node holds.
    pub fn stats(&self) -> JobStats {
        JobStats { held: self.shared.leases.len(), begun: self.shared.leases.begun() }
    }
}
