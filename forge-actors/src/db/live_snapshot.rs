//! How a snapshot of live queries begins: with the newest state of the database, or with the snapshot that
//! another transaction has exported.
//!
//! A transaction that imports a snapshot reads what the exporting one reads, also after that one has ended;
//! only at the moment of the import must it still be open (measured: an ended one is an `invalid snapshot
//! identifier`). Exporting writes a file of a few hundred bytes, takes no transaction id and no lock, and is
//! refused inside of a savepoint.
//!
//! `LOCK TABLE` takes no snapshot. A transaction whose first statement it is sees what was committed before
//! the lock was granted, so nothing that needs an exclusive lock, as TRUNCATE does, comes between its
//! snapshot and its reads.

use std::fmt::Write as _;
use std::time::Duration;

/// The name of a snapshot that a transaction has exported: hexadecimal digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportedSnapshot(String);

impl ExportedSnapshot {
    /// The name as Postgres returned it. `None` when it could end a string literal.
    pub(super) fn new(name: String) -> Option<Self> {
        name.chars().all(|c| c.is_ascii_hexdigit() || c == '-').then_some(Self(name))
    }
}

/// A relation that the snapshot no longer shows as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RewrittenRelation {
    /// Its `oid`.
    pub id: u32,
    /// Its name as SQL writes it, for a relation that `LOCK TABLE` accepts.
    pub table: Option<String>,
}

/// How a snapshot of live queries begins.
#[derive(Debug, Clone, Copy)]
pub struct LiveSnapshot<'a> {
    /// Longest time of one statement.
    pub statement_timeout: Duration,
    /// Longest wait of one statement for a lock.
    pub lock_timeout: Duration,
    /// The snapshot of another transaction, which must still be open; the newest one otherwise.
    pub imported: Option<&'a ExportedSnapshot>,
    /// Tables that are locked against being rewritten before anything is read; those that cannot be locked
    /// are left out.
    pub locked: &'a [RewrittenRelation],
}

impl LiveSnapshot<'_> {
    /// The statements that follow on `BEGIN`, none of which takes a snapshot by itself.
    pub(super) fn sql(&self) -> String {
        let mut sql = String::new();
        if let Some(ExportedSnapshot(name)) = self.imported {
            write!(sql, "SET TRANSACTION SNAPSHOT '{name}'; ").expect("writing to a String");
        }
        // Postgres reads 0 as "no limit".
        let timeout = self.lock_timeout.as_millis().clamp(1, i32::MAX as u128);
        write!(sql, "SET LOCAL lock_timeout = {timeout}").expect("writing to a String");
        // Without ONLY, the partitions of a table would be locked too, and count as read by nobody.
        for table in self.locked.iter().filter_map(|relation| relation.table.as_ref()) {
            write!(sql, "; LOCK TABLE ONLY {table} IN ACCESS SHARE MODE").expect("writing to a String");
        }
        sql
    }

    /// The tables that are locked.
    pub(super) fn locked_tables(&self) -> Vec<u32> {
        let lockable = self.locked.iter().filter(|relation| relation.table.is_some());
        lockable.map(|relation| relation.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::millis;

    #[test]
    fn a_snapshot_is_imported_before_anything_is_set_and_taken_after_tables_are_locked() {
        let exported = ExportedSnapshot::new("00000003-00000009-1".into()).expect("a name");
        let (statement_timeout, lock_timeout) = (millis(5_000), millis(250));
        let locked = [
            RewrittenRelation { id: 20_000, table: Some("public.orders".into()) },
            RewrittenRelation { id: 20_001, table: None },
        ];
        let newest = LiveSnapshot { statement_timeout, lock_timeout, imported: None, locked: &locked };
        assert_eq!(newest.locked_tables(), [20_000]);
        assert_eq!(
            newest.sql(),
            "SET LOCAL lock_timeout = 250; LOCK TABLE ONLY public.orders IN ACCESS SHARE MODE"
        );
        let imported = LiveSnapshot { imported: Some(&exported), locked: &[], ..newest };
        assert_eq!(
            imported.sql(),
            "SET TRANSACTION SNAPSHOT '00000003-00000009-1'; SET LOCAL lock_timeout = 250"
        );
        assert!(ExportedSnapshot::new("1'; DROP".into()).is_none());
    }
}
