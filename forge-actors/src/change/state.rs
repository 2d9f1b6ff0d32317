//! Where a reader of changes is, and what a look tells it.

use std::collections::BTreeSet;

use crate::kernel::commit::{Snapshot, TableId, Xid};
use crate::kernel::time::Timestamp;

/// Stands in for a table where definitions changed.
const DEFINITIONS: TableId = TableId(0);

/// What changed between two looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These tables, with the partitions and parents that share their rows. None: nothing that is captured.
    Tables(BTreeSet<TableId>),
    /// Possibly anything: the first look, changes that are gone already, changed definitions, another server.
    Everything,
}

/// A look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// What it saw.
    pub snapshot: Snapshot,
    /// What the snapshot before did not see.
    pub changed: Changed,
}

/// What the database answers to a look.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) snapshot: Snapshot,
    /// Changes of transactions before it may be gone.
    pub(super) horizon: Xid,
    pub(super) server_started: Timestamp,
    /// Some were not read.
    pub(super) too_many: bool,
    pub(super) tables: Vec<TableId>,
}

/// The last look: everything that it saw has been told.
#[derive(Debug, Clone, Default)]
pub(super) struct Cursor(Option<Place>);

#[derive(Debug, Clone)]
struct Place {
    snapshot: Snapshot,
    server_started: Timestamp,
}

impl Cursor {
    /// The snapshot to look from.
    pub(super) fn since(&self) -> Option<&Snapshot> {
        self.0.as_ref().map(|place| &place.snapshot)
    }

    /// Moves on to what was seen.
    pub(super) fn advance(&mut self, look: Look) -> Batch {
        let Look { snapshot, horizon, server_started, too_many, tables } = look;
        let surprise = match &self.0 {
            None => Some("first look"),
            Some(place) if place.server_started != server_started => {
                Some("the server was restarted, or is another one")
            }
            // A restored or older server; or a caller whose snapshot is older than the last one's.
            Some(place) if snapshot.xmax() < place.snapshot.xmax() => {
                Some("the snapshot is older than the last one")
            }
            Some(place) if place.snapshot.xmin() < horizon => Some("changes since the last look are gone"),
            Some(_) if too_many => Some("more changes than are read at once"),
            Some(_) if tables.contains(&DEFINITIONS) => Some("definitions changed"),
            Some(_) => None,
        };
        let changed = match surprise {
            None => Changed::Tables(tables.into_iter().collect()),
            Some(reason) => {
                tracing::debug!(reason, "everything counts as changed");
                Changed::Everything
            }
        };
        self.0 = Some(Place { snapshot: snapshot.clone(), server_started });
        Batch { snapshot, changed }
    }
}
