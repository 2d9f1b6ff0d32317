//! The job room's public face.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::watch;

use super::acknowledger::Acknowledger;
use super::claimer::{Claimer, ClaimerMessage};
use super::config::JobConfig;
use super::held::Held;
use super::rescuer::Rescuer;
use super::store::Store;
use super::sweeper::Sweeper;
use super::worker::Worker;
use crate::app::KindName;
use crate::change::messages::Hints;
use crate::db::database::Database;
use crate::function::messages::Functions;
use crate::kernel::ids::NodeId;
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
    pub hints: Hints,
    /// Limits.
    pub config: JobConfig,
}

/// What the room's actors share.
pub(super) struct Room {
    pub(super) node: NodeId,
    pub(super) store: Store,
    pub(super) database: Database,
    pub(super) functions: Functions,
    pub(super) hints: Hints,
    pub(super) config: JobConfig,
    pub(super) held: Held,
    /// Every name that this binary has a handler for.
    pub(super) names: Vec<String>,
    /// Hands out what is claimed. A cell, because it knows the workers and they know it.
    pub(super) claimer: OnceLock<Address<ClaimerMessage>>,
    /// When jobs that still run are handed back; set while the node stops.
    pub(super) drain: watch::Sender<Option<Instant>>,
}

/// How busy the room is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JobStats {
    /// Jobs that this node holds: claimed, running, or with an end that is not written yet.
    pub held: usize,
    /// Of those, how many have been started.
    pub begun: usize,
}

impl Jobs {
    /// The room, and the supervisor that runs it.
    pub fn new(needs: Needs) -> (Self, ChildSpec) {
        let Needs { node, database, functions, hints, config } = needs;
        let names = functions.catalog().names_of(KindName::Job).map(|(name, _)| name.to_owned()).collect();
        let room = Room {
            node,
            store: Store::new(database.clone()),
            database,
            functions,
            hints,
            config,
            held: Held::default(),
            names,
            claimer: OnceLock::new(),
            drain: watch::Sender::new(None),
        };
        let jobs = Self { room: Arc::new(room) };
        let children = jobs.children();
        (jobs, ChildSpec::supervisor("jobs", SupervisorSpec::new(Strategy::OneForOne, children)))
    }

    /// How busy it is.
    pub fn stats(&self) -> JobStats {
        let claims = self.room.held.claims();
        JobStats { held: claims.len(), begun: claims.iter().filter(|claim| claim.begun).count() }
    }

    fn children(&self) -> Vec<ChildSpec> {
        let room = || Arc::clone(&self.room);
        let (acknowledger, ends) = Acknowledger::spec(room());
        let count = 0..self.room.config.concurrency as usize;
        let (workers, addresses): (Vec<_>, Vec<_>) = count.map(|index| Worker::spec(room(), index, ends.clone())).unzip();
        let (claimer, address) = Claimer::spec(room(), addresses.into(), ends);
        // Whoever starts first finds it there: nothing has been started yet.
        self.room.claimer.set(address).unwrap_or_else(|_| unreachable!("a room has its children made once"));
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
    /// The queues that this binary's handlers name. Rows of a handler that was moved wait in others; the sweeper finds those.
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
