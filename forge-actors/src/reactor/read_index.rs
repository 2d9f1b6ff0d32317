//! Which groups read which tables.

use std::collections::{BTreeSet, HashMap};

use crate::kernel::commit::TableId;

use super::query_key::GroupId;

/// The groups that read each table. A table that no group reads has no entry.
#[derive(Debug, Default)]
pub(super) struct ReadIndex {
    readers: HashMap<TableId, BTreeSet<GroupId>>,
    /// True when the set of tables changed since it was last taken.
    tables_changed: bool,
}

impl ReadIndex {
    pub(super) fn add(&mut self, id: GroupId, tables: &BTreeSet<TableId>) {
        for table in tables {
            let readers = self.readers.entry(*table).or_default();
            self.tables_changed |= readers.is_empty();
            readers.insert(id);
        }
    }

    pub(super) fn remove(&mut self, id: GroupId, tables: &BTreeSet<TableId>) {
        for table in tables {
            let Some(readers) = self.readers.get_mut(table) else { continue };
            readers.remove(&id);
            if readers.is_empty() {
                self.readers.remove(table);
                self.tables_changed = true;
            }
        }
    }

    /// True when a group reads one of `tables`.
    pub(super) fn reads_any(&self, tables: &BTreeSet<TableId>) -> bool {
        tables.iter().any(|table| self.readers.contains_key(table))
    }

    /// The groups that read `tables`. A group that reads several of them is returned several times.
    pub(super) fn readers_of(&self, tables: &BTreeSet<TableId>) -> impl Iterator<Item = GroupId> {
        tables.iter().filter_map(|table| self.readers.get(table)).flatten().copied()
    }

    /// The tables that groups read, when they are others than at the last call.
    pub(super) fn take_changed_tables(&mut self) -> Option<BTreeSet<TableId>> {
        std::mem::take(&mut self.tables_changed).then(|| self.readers.keys().copied().collect())
    }
}
