//! Workflows: functions whose progress is a journal in Postgres, so that they go on after any crash.
//!
//! | From | What happens | To |
//! |---|---|---|
//! | | start, fork | `ready` |
//! | | start, by a call without a transaction on a node that executes it at once | `running` |
//! | `ready`, `waiting` | a node with its code claims the run when it is due | `running` |
//! | `waiting` | an event, a signal, or the end of a child or a job has come | `ready` |
//! | `running` | the function, or a compensation, can only wait | `waiting` |
//! | `running` | the same, and something has come or was asked meanwhile | `ready` |
//! | `running` | the node stops, has lost its lease, or reads the journal anew | `ready` |
//! | `running` | the activation failed | `ready` |
//! | `ready`, `waiting` | a person pauses the run | `paused` |
//! | `running` | the same; the steps under way end first | `paused` |
//! | `running` | too many activations have ended without progress | `paused` |
//! | `running` | the run was to be paused, and was resumed or cancelled meanwhile | `ready` |
//! | `paused` | a person resumes the run | `ready` |
//! | `running` | code, arguments or migration do not fit the journal | `diverged` |
//! | `running` | a compensation has failed for good | `compensation_failed` |
//! | `diverged`, `compensation_failed` | a person retries the run | `ready` |
//! | `compensation_failed` | a person skips the compensation | `ready` |
//! | `waiting`, `paused`, `diverged` | a person, or the end of its parent, cancels the run | `ready` |
//! | `running` | the function has returned | `completed` |
//! | `running` | the function has asked for `continue_as_new` | `continued` |
//! | `running` | function failed or time limit reached, and all is compensated | `failed` |
//! | `running` | the run was cancelled, and all is compensated | `cancelled` |
//! | every status that has not ended | a person terminates the run | `terminated` |
//! | `failed`, `cancelled`, `terminated` | a person retries the run, while its history is kept | `ready` |
//!
//! A run that is cancelled while it is `ready` or `running` keeps its status: its node compensates it.
//! `ending` says how a run will end while its steps are compensated. `compensating` is no status of a row:
//! people see it while `ending` is set and the status is `ready`, `running` or `waiting`. `paused`,
//! `diverged` and `compensation_failed` are called parked: a person decides.
//!
//! A run executes its function from the beginning each time it is activated. A step that the journal holds
//! returns what the journal says; the first one that it does not hold runs, is recorded, and only then
//! returns. A run that can do nothing but wait leaves memory: it is a row with a `due_at`, and rows of its
//! journal that say what it waits for.
//!
//! Who owns a run
//! - A node that runs workflows holds one row of `forge_workflow_owners`, its lease, whose id is the fencing
//!   number of all runs that it holds (`forge_workflow_runs.owner_id`); `claim` counts the activations of one
//!   run. Every write about a run names both.
//! - A write locks the owner's row `FOR KEY SHARE` and checks `lost_at` and `expires_at` in the version that
//!   it has locked. A takeover locks that row `FOR UPDATE`, sets `lost_at`, commits, and only then releases
//!   the runs. So a write of the old owner is either committed before the takeover, and seen by the next
//!   owner, or refused. A renewal changes no key, and waits for no write.
//! - A lease is taken over when it has run out, or sooner, when it was not renewed for a moment and the
//!   server has no session of its node left: a killed process is replaced in about three seconds.
//! - An owner stops all of its runs before its lease runs out by the local clock. One that was asleep has its
//!   writes refused.
//!
//! What is written, and when
//! - **Steps**: `INSERT .. ON CONFLICT` of the steps of many runs in one statement and one commit. While one
//!   such statement is under way, what other runs record gathers; a lone step waits for nobody.
//! - **Leaves**: a run that waits, ends, pauses or fails leaves its owner; the same way, in statements of
//!   their own.
//! - **Attempts** that have been executing for a second are rows of `forge_workflow_attempts`, for people to
//!   see (`attempts.rs`). They are no part of the journal.
//! - A wait is a row of the journal (`waiting`) before its run leaves. Whatever satisfies it (an event, the
//!   end of a child or of a job) is a row of `forge_workflow_events`; the router finds the runs whose journal
//!   waits for it, makes them due, and adds one to `wakes`. A run that leaves compares `wakes` with what it
//!   has seen, so an event between registration and leaving makes it due again. After its registration is
//!   committed, a run looks for events that came before. So one of the two sees the other, without a lock.
//! - An event is consumed by the journal row that names it (`event_id`), in the write that completes the
//!   wait. A run that goes on as a new one remembers the last events that were consumed (`consumed`,
//!   `events_from`). While a run is held, its owner alone writes its journal, so whether a wait has got its
//!   event or its timeout is decided once.
//!
//! Determinism
//! - Steps are identified by their position: the first step that the function makes is 1, the next one 2,
//!   counted per branch of `parallel`, `race` and `join_all`; each turn of a loop makes new positions.
//! - The journal keeps kind, name and shape (a hash of the form of arguments and result) of each step. Code
//!   that asks for another one at that position, or ends without having asked for one that the journal has,
//!   diverges: the run is parked with the difference, and nothing is executed.
//! - What an event or a signal says is read before it is consumed. Where it does not fit the type for which
//!   the code waits, the run diverges too; code that fits receives it.
//! - `ctx.now()` is the time at which the last step of the branch ended, `ctx.uuid()` and `ctx.random()`
//!   follow from the run's id and the position; they cost no row.
//!
//! Divergence: only code that fits the journal knows what a run has completed, so a run that has diverged is
//! neither executed nor compensated. It is parked until a person retries it with code that fits, or
//! terminates it.
//! - `cancel` of such a run stays as its request: the run is tried once more, and where its code still does
//!   not fit it is parked with a sentence that says so. Retried with code that fits, it is compensated and
//!   cancelled.
//! - A run that diverges while it is compensated keeps why it is: `error` says how it has diverged, and has
//!   that reason as its `cause`. A retry brings the reason back, and the run ends with it.
//!
//! Compensation: while `ending` is set, the function runs once more against its journal, without executing
//! anything new. That brings back the compensations of the steps that have completed; they run in the
//! reverse order of `number`, each one a row of the journal, retried with a policy of its own. Before the
//! first one the children that end with the run are cancelled, and the run waits until they have ended.
//!
//! Followers: a run that was started with a handle has a row in `forge_workflow_progress`, which triggers
//! write in each statement that changes the run (`follow.rs`). Live queries of clients read that table alone.
//!
//! Failures: an outage of the database holds up steps that want to be recorded, until the owner's lease is
//! over; then other nodes, or this one under a new lease, go on from the journal. A step that was executed
//! and not recorded is executed again. A row that the database refuses is found by halving its batch, and
//! fails its own step. An activation that ends early (its process is gone, it panics, its journal cannot be
//! read) is a crash. `crashes` counts those in a row between which no step has ended: the run is claimed
//! again later each time, and paused after 20. A lease that ran out while its process may have been alive, as
//! in an outage of the database, makes no crash.
//!
//! ```text
//!   workflows (one_for_one)
//!   ├ recorder     writes steps, those of different runs in one commit
//!   ├ leaver       writes how runs leave: they wait, are parked, or are to be claimed again
//!   ├ ender        writes how runs end
//!   ├ instances    an actor for each run that is active (dynamic)
//!   ├ lease        holds the lease of this node, reads what wakes or stops its runs
//!   ├ router       wakes runs for which events have come
//!   ├ rescuer      takes over the runs of lost nodes
//!   ├ run_counter  counts runs for metrics, while this node leads `workflows`
//!   ├ run_expiry   deletes old runs, events and attempts, while this node leads `workflows`
//!   └ claimer      claims runs that are due, starts their actors
//! ```

mod activation;
pub mod admin;
mod admission;
mod attempts;
mod batches;
mod chain;
pub mod check;
mod check_store;
mod claimer;
pub mod config;
mod counter;
mod expiry;
pub mod follow;
pub mod history;
pub mod insert;
mod instance;
pub mod job_end;
mod lease;
mod messages;
mod migration;
pub mod paths;
mod replay;
mod rescuer;
mod router;
mod rows;
mod run_store;
mod shared;
pub mod signals;
pub mod starter;
mod store;
pub mod subsystem;
mod testing;
mod write_limiter;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use dashmap::DashMap;
use tokio::sync::watch;

use crate::app::new_job::InsertJob;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::kernel::ids::NodeId;
use crate::kernel::merge_slot::MergeSlot;
use crate::leader::{self, Term};
use crate::supervise::{ChildSpec, DynamicSpec, Mailbox, Strategy, SupervisorSpec};

use self::paths::{ENDER, EXPIRY, INSTANCES, LEAVER, RECORDER, WORKFLOWS};
use admission::WorkflowAdmission;
use batches::Batches;
use claimer::RunClaimer;
use config::WorkflowConfig;
use counter::RunCounter;
use expiry::OldWorkflowRuns;
use lease::LeaseKeeper;
use rescuer::RunRescuer;
use router::Router;
use shared::{Ender, Leaver, Recorder, WorkflowShared, WriterDeps};
use starter::WorkflowStarter;
use store::WorkflowStore;

/// Executes the runs of one node. Cheap to clone; every clone is a handle of the same subsystem.
#[derive(Clone)]
pub struct Workflows {
    shared: Arc<WorkflowShared>,
}

/// What the workflow subsystem needs of the node.
pub struct WorkflowDeps {
    /// Runs are claimed for this node.
    pub node: NodeId,
    /// Its name, for people.
    pub node_name: String,
    /// The database of the runs.
    pub database: Database,
    /// Executes the functions.
    pub functions: Functions,
    /// Its runs are begun with their start, while there are places.
    pub starter: WorkflowStarter,
    /// Writes the jobs that runs dispatch.
    pub jobs: Arc<dyn InsertJob>,
    /// Wakes claimer and router.
    pub hints: HintHub,
    /// Terms of the leadership `workflows`, whose leader deletes old runs.
    pub terms: watch::Receiver<Option<Term>>,
    /// Section `[workflows]`.
    pub config: WorkflowConfig,
}

impl Workflows {
    /// Makes the subsystem and its supervisor, which the caller puts into the tree.
    pub fn new(deps: WorkflowDeps) -> (Self, ChildSpec) {
        let WorkflowDeps { node, node_name, database, functions, starter, jobs, hints, terms, config } = deps;
        let store = WorkflowStore::new(database.clone());
        let (lease, holds) = watch::channel(None);
        let writer =
            || WriterDeps { store: store.clone(), lease: holds.clone(), retention: config.retention };
        let (recorder, recorder_child) = Batches::spec(&RECORDER, Recorder(writer()), starter.limiter());
        let (leaver, leaver_child) = Batches::spec(&LEAVER, Leaver(writer()), starter.limiter());
        let (ender, ender_child) = Batches::spec(&ENDER, Ender(writer()), starter.limiter());
        let (instances_child, instances) =
            ChildSpec::dynamic(INSTANCES.id(), DynamicSpec::new(config.active_max as usize + 1));
        let (claimer_mailbox, claimer) = Mailbox::of::<RunClaimer>();
        let (lease_mailbox, lease_keeper) = Mailbox::of::<LeaseKeeper>();
        let (router_mailbox, router) = Mailbox::of::<Router>();
        let catalog = functions.catalog();
        let linked = catalog.workflows().map(|(name, ..)| name);
        let migrated = catalog.workflow_migrations().map(|(name, ..)| name);
        let admission = WorkflowAdmission::new(&config, database.config(), linked.chain(migrated));
        let shared = Arc::new(WorkflowShared {
            node,
            node_name,
            store,
            database: database.clone(),
            functions,
            jobs,
            hints,
            config: config.clone(),
            lease,
            active: DashMap::new(),
            held: DashMap::new(),
            admission,
            given_back: MergeSlot::new(),
            next_due: MergeSlot::new(),
            has_suspect: AtomicBool::new(false),
            micros_passed: AtomicU64::new(0),
            has_backlog: AtomicBool::new(false),
            is_draining: AtomicBool::new(false),
            begun: MergeSlot::new(),
            recorder,
            leaver,
            ender,
            claimer,
            lease_keeper,
            router,
        });
        starter.begin_on(&shared);
        let children = vec![
            recorder_child,
            leaver_child,
            ender_child,
            instances_child,
            LeaseKeeper::spec(Arc::clone(&shared), lease_mailbox),
            Router::spec(Arc::clone(&shared), router_mailbox),
            RunRescuer::spec(Arc::clone(&shared)),
            RunCounter::spec(Arc::clone(&shared), terms.clone()),
            leader::expiry(&EXPIRY, database, terms, OldWorkflowRuns(config)),
            RunClaimer::spec(Arc::clone(&shared), instances, claimer_mailbox),
        ];
        let spec = SupervisorSpec::new(Strategy::OneForOne, children);
        (Self { shared }, ChildSpec::supervisor(WORKFLOWS.id(), spec))
    }

    /// How many runs are active on this node.
    pub fn active(&self) -> usize {
        self.shared.active.len()
    }
}
