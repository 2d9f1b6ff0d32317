//! The position of a reader of changes, and what each poll returns to it.

use std::collections::BTreeSet;

use crate::kernel::commit::{Snapshot, TableId, Xid};
use crate::kernel::time::Timestamp;

/// The table id of the rows that record changed definitions.
const DEFINITIONS: TableId = TableId(0);

/// What changed between two polls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// These captured tables, with the partitions and parents that share their rows. Empty: no captured
    /// table.
    Tables(BTreeSet<TableId>),
    /// Possibly any table: after the first poll, after changes that the compactor has deleted already, after
    /// DDL, and after a restart of the server.
    Everything,
}

/// The result of one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeSet {
    /// The snapshot that the poll read in.
    pub snapshot: Snapshot,
    /// What this snapshot sees and the one of the poll before did not see.
    pub changed: Changed,
}

/// What the database returns to a poll.
#[derive(Debug)]
pub(super) struct PolledChanges {
    pub(super) snapshot: Snapshot,
    /// Changes of transactions before this one may be deleted.
    pub(super) horizon: Xid,
    pub(super) server_started: Timestamp,
    /// True when there were more rows than one poll reads.
    pub(super) too_many: bool,
    pub(super) tables: Vec<TableId>,
}

/// The position of a reader: the last poll, all of whose changes the reader has. Empty before the first
/// poll.
#[derive(Debug, Clone, Default)]
pub(super) struct Cursor(Option<Position>);

#[derive(Debug, Clone)]
struct Position {
    snapshot: Snapshot,
    server_started: Timestamp,
}

impl Cursor {
    /// The snapshot whose successors the next poll has to read.
    pub(super) fn since(&self) -> Option<&Snapshot> {
        self.0.as_ref().map(|position| &position.snapshot)
    }

    /// Moves to the snapshot of a poll, and returns what changed since the poll before.
    pub(super) fn advance(&mut self, polled: PolledChanges) -> ChangeSet {
        let PolledChanges { snapshot, horizon, server_started, too_many, tables } = polled;
        let unknown = match &self.0 {
            None => Some("first poll"),
            Some(last) if last.server_started != server_started => {
                Some("the server was restarted or replaced")
            }
            // A server that was restored from a backup, or a caller whose snapshot is older than the cursor.
            Some(last) if snapshot.xmax() < last.snapshot.xmax() => {
                Some("the snapshot is older than the one of the last poll")
            }
            Some(last) if last.snapshot.xmin() < horizon => Some("changes since the last poll are deleted"),
            Some(_) if too_many => Some("more changes than one poll reads"),
            Some(_) if tables.contains(&DEFINITIONS) => Some("definitions changed"),
            Some(_) => None,
        };
        let changed = match unknown {
            None => Changed::Tables(tables.into_iter().collect()),
            Some(reason) => {
                tracing::debug!(reason, "all tables count as changed");
                Changed::Everything
            }
        };
        self.0 = Some(Position { snapshot: snapshot.clone(), server_started });
        ChangeSet { snapshot, changed }
    }
}
