//! The job room's public face.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::watch;

use super::acknowledger::{Acknowledger, AcknowledgerMessage, End};
use super::claimer::{Claimer, ClaimerMessage};
use super::config::JobConfig;
use super::held::{Held, Ticket};
use super::rescuer::Rescuer;
use super::state::{Ending, judge};
use super::store::{Job, Store};
use super::sweeper::Sweeper;
use super::worker::Worker;
use crate::app::{JobMeta, KindName};
use crate::change::HintHub;
use crate::db::database::Database;
use crate::function::Functions;
use crate::kernel::ids::NodeId;
use crate::kernel::slot::Slot;
use crate::supervise::{Address, CastError, ChildSpec, Strategy, SupervisorSpec};

/// Runs the jobs of one node. Cheap to clone; every clone is the same room.
#[derive(Clone)]
pub struct Jobs {
    pub(super) room: Arc<Room>,
}

/// What the room needs of the node.
pub struct Needs {
    /// Claims are made in its name.
    pub node: NodeId,
    /// Where the jobs are.
    pub database: Database,
    /// Runs their handlers.
    pub functions: Functions,
    /// Says when there is work, and hears of it.
    pub hints: HintHub,
    /// Limits.
    pub config: JobConfig,
}

/// What the room's actors share.
pub(super) struct Room {
    pub(super) node: NodeId,
    pub(super) store: Store,
    pub(super) database: Database,
    pub(super) functions: Functions,
    pub(super) hints: HintHub,
    pub(super) config: JobConfig,
    pub(super) held: Held,
    /// Every name that this binary has a handler for.
    pub(super) names: Vec<String>,
    /// What each worker is to run. Not in its mailbox, which is lost when it stops.
    pub(super) desks: Vec<Slot<VecDeque<Ticket>>>,
    /// Ends of attempts that are not written yet; kept over a restart of the acknowledger, and over its stop.
    pub(super) ends: Slot<Vec<End>>,
    acknowledger: OnceLock<Address<AcknowledgerMessage>>,
    claimer: OnceLock<Address<ClaimerMessage>>,
    /// When jobs that still run are handed back; set while the node stops.
    pub(super) drain: watch::Sender<Option<Instant>>,
}

/// How busy the room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobStats {
    /// Jobs that this node holds: claimed, running, or with an end that is not written yet.
    pub held: usize,
    /// Of those, how many have begun.
    pub begun: usize,
}

impl Jobs {
    /// The room, and the supervisor that runs it.
    pub fn new(needs: Needs) -> (Self, ChildSpec) {
        let Needs { node, database, functions, hints, config } = needs;
        let names = functions.catalog().names_of(KindName::Job).map(|(name, _)| name.to_owned()).collect();
        let concurrency = config.concurrency;
        let room = Room {
            node,
            store: Store::new(database.clone()),
            database,
            functions,
            hints,
            config,
            held: Held::default(),
            names,
            desks: (0..concurrency).map(|_| Slot::new()).collect(),
            ends: Slot::new(),
            acknowledger: OnceLock::new(),
            claimer: OnceLock::new(),
            drain: watch::Sender::new(None),
        };
        let jobs = Self { room: Arc::new(room) };
        let children = jobs.children();
        (jobs, ChildSpec::supervisor("jobs", SupervisorSpec::new(Strategy::OneForOne, children)))
    }

    /// How busy it is.
    pub fn stats(&self) -> JobStats {
        JobStats { held: self.room.held.len(), begun: self.room.held.begun() }
    }

    fn children(&self) -> Vec<ChildSpec> {
        let room = || Arc::clone(&self.room);
        let (acknowledger, acknowledges) = Acknowledger::spec(room());
        let (workers, addresses): (Vec<_>, Vec<_>) =
            (0..self.room.desks.len()).map(|index| Worker::spec(room(), index)).unzip();
        let (claimer, claims) = Claimer::spec(room(), addresses.into());
        // Whoever starts first finds them there: nothing has been started yet.
        let set = self.room.acknowledger.set(acknowledges).is_ok() && self.room.claimer.set(claims).is_ok();
        assert!(set, "a room has its children made once");
        vec![
            acknowledger,
            ChildSpec::supervisor("workers", SupervisorSpec::new(Strategy::OneForOne, workers)),
            claimer,
            Rescuer::spec(room()),
            Sweeper::spec(room()),
        ]
    }
}

impl Room {
    /// The queues that this binary's handlers name. Rows of a handler that was moved wait in others; the
    /// sweeper finds those.
    pub(super) fn queues(&self) -> BTreeSet<Arc<str>> {
        let jobs = self.functions.catalog().names_of(KindName::Job);
        jobs.filter_map(|(_, known)| known.meta.job).map(|job| Arc::from(job.queue)).collect()
    }

    /// Tells the claimer something. When it is not running it asks everybody at its start.
    pub(super) fn tell_claimer(&self, message: ClaimerMessage) {
        if let Some(claimer) = self.claimer.get() {
            let _: Result<(), CastError> = claimer.cast(message);
        }
    }

    /// Has the end of an attempt written.
    pub(super) fn end(&self, end: End) {
        self.ends.put(|ends| ends.get_or_insert_default().push(end));
        if let Some(acknowledger) = self.acknowledger.get() {
            // It only wakes: one that is not running looks when it starts, and once more when it stops.
            let _: Result<(), CastError> = acknowledger.cast(AcknowledgerMessage::Ended);
        }
    }

    /// Has a job handed back whose handler was never started.
    pub(super) fn hand_back(&self, ticket: Ticket) {
        let Job { attempt, attempts_max, .. } = *ticket.job;
        let verdict = judge(Ending::HandedBack, attempt, attempts_max, JobMeta::DEFAULT.backoff, 0.0);
        self.end(End { ticket, verdict });
    }

    /// Ends when the node stops and has waited long enough.
    pub(super) async fn drained(&self) {
        let mut drain = self.drain.subscribe();
        loop {
            let deadline = *drain.borrow_and_update();
            let changed = drain.changed();
            // The sender lives in `self`, so a change cannot fail to come.
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
