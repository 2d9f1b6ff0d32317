//! [`TableLocks`]: the table locks that a migration did not get in time, which its next try takes first.
//!
//! A migration takes the locks of its tables one after the other, as its statements need them. A statement of
//! a running node that locks two of these tables in the other order waits for the migration, and the
//! migration for it. The migration gives way; but it would meet the next such statement at its next try. So
//! the next try begins with the lock that was missing, until the order is that of the statements.

use std::convert::Infallible;
use std::time::Duration;

use crate::db::database::Database;
use crate::db::session::BackendPid;
use crate::kernel::time::millis;

/// Between two looks at what a migration waits for.
const LOOK_EVERY: Duration = millis(100);

/// The table whose lock the session $1 waits for, and the mode as `LOCK TABLE` spells it; for an index, its
/// table. No view, since `LOCK TABLE` would lock the tables below it as well.
const WAITS_FOR: &str = "\
SELECT format('%I.%I', namespace.nspname, class.relname) AS table, \
       upper(trim(regexp_replace(replace(lock.mode, 'Lock', ''), '([A-Z])', ' \\1', 'g'))) AS mode \
FROM pg_locks lock \
LEFT JOIN pg_index index ON index.indexrelid = lock.relation \
JOIN pg_class class ON class.oid = coalesce(index.indrelid, lock.relation) \
JOIN pg_namespace namespace ON namespace.oid = class.relnamespace \
WHERE lock.pid = $1 AND NOT lock.granted AND lock.locktype = 'relation' AND class.relkind IN ('r', 'p') \
      AND namespace.nspname <> 'pg_catalog'";

/// The lock of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TableLock {
    /// With its schema, and quoted where SQL needs it.
    table: String,
    /// As `LOCK TABLE` spells it.
    mode: String,
}

/// Locks in the order in which they are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TableLocks(Vec<TableLock>);

impl TableLocks {
    /// One `LOCK TABLE` for each lock, in order.
    pub(super) fn statements(&self) -> String {
        let statement =
            |TableLock { table, mode }: &TableLock| format!("LOCK TABLE ONLY {table} IN {mode} MODE;");
        self.0.iter().map(statement).collect()
    }

    /// Takes this lock before the others from now on.
    pub(super) fn take_first(&mut self, lock: TableLock) {
        self.0.retain(|known| known.table != lock.table);
        self.0.insert(0, lock);
    }

    /// Writes into `waited`, until the future is dropped, which table lock the session `pid` waits for.
    pub(super) async fn watch(
        database: &Database,
        pid: BackendPid,
        waited: &mut Option<TableLock>,
    ) -> Infallible {
        let db = database.control();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let found = sqlx::query_as(WAITS_FOR).bind(pid.0).fetch_optional(&db).await;
            if let Err(error) = &found {
                tracing::debug!(%error, "reading the lock that the migration waits for failed");
            }
            *waited = found.ok().flatten().map(|(table, mode)| TableLock { table, mode });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{TableLock, TableLocks};

    #[test]
    fn the_lock_that_was_missing_last_is_taken_first() {
        let mut locks = TableLocks::default();
        assert_eq!(locks.statements(), "");
        for (table, mode) in [("p.a", "ACCESS EXCLUSIVE"), ("p.b", "SHARE"), ("p.a", "ACCESS EXCLUSIVE")] {
            locks.take_first(TableLock { table: table.into(), mode: mode.into() });
        }
        assert_eq!(
            locks.statements(),
            "LOCK TABLE ONLY p.a IN ACCESS EXCLUSIVE MODE;LOCK TABLE ONLY p.b IN SHARE MODE;"
        );
    }
}
