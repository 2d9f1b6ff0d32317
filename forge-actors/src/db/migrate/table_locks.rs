//! [`TableLocks`]: what a migration waits for, and the locks that its next try takes first.
//!
//! A migration takes the locks of its tables one after the other, as its statements need them. A statement of
//! a running node that locks two of these tables in the other order waits for the migration, and the
//! migration for it. The migration gives way; but it would meet the next such statement at its next try. So
//! the next try begins with the lock that was missing, until the order is that of the statements.
//!
//! Only such a lock, since the migration then holds it from its beginning on. One that is held by a session
//! which waits for nothing, as by a long report, is taken when it is needed.

use std::convert::Infallible;
use std::time::Duration;

use crate::db::database::Database;
use crate::db::session::BackendPid;
use crate::kernel::time::millis;

/// Between two looks at what a migration waits for: a few in the shortest wait for a lock.
const LOOK_EVERY: Duration = millis(40);

/// What the session $1 waits for: the table, or the table of the index or row; the mode as `LOCK TABLE`
/// spells it; whether it is a view; whether a holder waits for $1, itself or behind others; and the names of
/// the holders. While a session waits for the transaction that wrote a row, it holds the lock of that row,
/// which others wait for.
const WAITS_FOR: &str = "\
WITH RECURSIVE wait AS ( \
    SELECT relation, CASE locktype WHEN 'relation' THEN mode ELSE 'ShareRowExclusiveLock' END AS mode \
    FROM pg_locks \
    WHERE pid = $1 AND NOT granted AND locktype IN ('relation', 'tuple') \
    UNION ALL \
    SELECT row.relation, 'ShareRowExclusiveLock' \
    FROM pg_locks lock JOIN pg_locks row USING (pid) \
    WHERE pid = $1 AND NOT lock.granted AND lock.locktype = 'transactionid' \
          AND row.granted AND row.locktype = 'tuple' \
), ahead AS ( \
    SELECT unnest(pg_blocking_pids($1)) AS pid \
    UNION \
    SELECT unnest(pg_blocking_pids(ahead.pid)) FROM ahead WHERE ahead.pid <> $1 \
) \
SELECT format('%I.%I', namespace.nspname, class.relname), \
       upper(trim(regexp_replace(replace(wait.mode, 'Lock', ''), '([A-Z])', ' \\1', 'g'))), \
       class.relkind = 'v', \
       EXISTS (SELECT FROM ahead WHERE pid = $1), \
       (SELECT string_agg(format('`%s` (pid %s)', application_name, pid), ', ') \
        FROM pg_stat_activity WHERE pid = ANY (pg_blocking_pids($1))) \
FROM wait \
LEFT JOIN pg_index index ON index.indexrelid = wait.relation \
JOIN pg_class class ON class.oid = coalesce(index.indrelid, wait.relation) \
JOIN pg_namespace namespace ON namespace.oid = class.relnamespace \
WHERE class.relkind IN ('r', 'p', 'v') AND namespace.nspname <> 'pg_catalog' \
LIMIT 1";

/// The lock of a table or view.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TableLock {
    /// With its schema, and quoted where SQL needs it.
    table: String,
    /// As `LOCK TABLE` spells it.
    mode: String,
    /// `LOCK TABLE` locks the tables below a view as well.
    is_view: bool,
}

/// A lock that a migration waits for.
#[derive(Debug)]
struct WaitedLock {
    lock: TableLock,
    /// A session that holds it waits for the migration.
    is_mutual: bool,
    /// The sessions that hold it.
    holders: Option<String>,
}

/// The locks of one migration, over its tries.
#[derive(Debug, Default)]
pub(super) struct TableLocks {
    /// In the order in which they are taken.
    first: Vec<TableLock>,
    /// What the present try waited for last.
    waited: Option<WaitedLock>,
}

impl TableLocks {
    /// One `LOCK TABLE` for each lock that is taken first, in order. A try begins.
    pub(super) fn begin(&mut self) -> String {
        self.waited = None;
        let statement = |TableLock { table, mode, is_view }: &TableLock| {
            let only = if *is_view { "" } else { "ONLY " };
            format!("LOCK TABLE {only}{table} IN {mode} MODE;")
        };
        self.first.iter().map(statement).collect()
    }

    /// Notes, until the future is dropped, what the session `pid` waits for.
    pub(super) async fn watch(&mut self, database: &Database, pid: BackendPid) -> Infallible {
        let db = database.control();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match sqlx::query_as(WAITS_FOR).bind(pid.0).fetch_optional(&db).await {
                Ok(Some((table, mode, is_view, is_mutual, holders))) => {
                    self.waited =
                        Some(WaitedLock { lock: TableLock { table, mode, is_view }, is_mutual, holders });
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "reading the lock that the migration waits for failed");
                }
            }
        }
    }

    /// The try failed, because it did not get a lock: the next one takes it first if both had waited for each
    /// other.
    pub(super) fn missed(&mut self) {
        if let Some(WaitedLock { lock, is_mutual: true, .. }) = &self.waited {
            self.first.retain(|known| known.table != lock.table);
            self.first.insert(0, lock.clone());
        }
    }

    /// Takes no lock first any more. False when none was.
    pub(super) fn forget(&mut self) -> bool {
        !std::mem::take(&mut self.first).is_empty()
    }

    /// What the present try waited for, for a person.
    pub(super) fn waited(&self) -> Option<String> {
        let WaitedLock { lock: TableLock { table, mode, .. }, holders, .. } = self.waited.as_ref()?;
        let holders = holders.as_ref().map(|holders| format!(", held by {holders}")).unwrap_or_default();
        Some(format!("{mode} on {table}{holders}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{TableLock, TableLocks, WaitedLock};

    fn waited(table: &str, mode: &str, is_view: bool, is_mutual: bool) -> WaitedLock {
        let lock = TableLock { table: table.into(), mode: mode.into(), is_view };
        WaitedLock { lock, is_mutual, holders: Some("`forge a` (pid 7)".into()) }
    }

    #[test]
    fn the_lock_that_was_missing_last_is_taken_first() {
        let mut locks = TableLocks::default();
        assert_eq!(locks.begin(), "");
        for (table, is_view, is_mutual) in
            [("p.a", false, true), ("p.b", true, true), ("p.c", false, false), ("p.a", false, true)]
        {
            locks.waited = Some(waited(table, "ACCESS EXCLUSIVE", is_view, is_mutual));
            locks.missed();
        }
        assert_eq!(locks.waited().as_deref(), Some("ACCESS EXCLUSIVE on p.a, held by `forge a` (pid 7)"));
        assert_eq!(
            locks.begin(),
            "LOCK TABLE ONLY p.a IN ACCESS EXCLUSIVE MODE;LOCK TABLE p.b IN ACCESS EXCLUSIVE MODE;",
            "not the one whose holder waited for nothing"
        );
        assert!(locks.forget() && !locks.forget());
        assert_eq!((locks.begin().as_str(), locks.waited()), ("", None));
    }
}
