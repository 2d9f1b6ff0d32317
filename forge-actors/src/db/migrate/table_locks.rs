//! [`TableLocks`]: the table locks that a migration did not get in time, which its next try takes first.
//!
//! A migration takes the locks of its tables one after the other, as its statements need them. A statement of
//! a running node that takes two of them in the other order then waits for the migration, and the migration
//! for it. The migration gives up in time; but it would meet the next such statement at its next try. So the
//! next try begins with the lock that was missing, and comes to an order in which the statements take them.

use std::convert::Infallible;
use std::time::Duration;

use crate::db::database::Database;
use crate::db::session::BackendPid;
use crate::kernel::time::millis;

/// Between two looks at what a migration waits for.
const LOOK_EVERY: Duration = millis(100);

/// The table that a session waits for, as the mode says it in SQL. An index is locked with its table.
const WAITS_FOR: &str = "\
SELECT format('%I.%I', class.relnamespace::regnamespace, class.relname), \
       upper(trim(regexp_replace(replace(lock.mode, 'Lock', ''), '([A-Z])', ' \\1', 'g'))) \
FROM pg_locks lock \
LEFT JOIN pg_index index ON index.indexrelid = lock.relation \
JOIN pg_class class ON class.oid = coalesce(index.indrelid, lock.relation) \
WHERE lock.pid = $1 AND NOT lock.granted AND lock.locktype = 'relation' AND class.relkind IN ('r', 'p', 'v') \
      AND class.relnamespace <> 'pg_catalog'::regnamespace";

/// Tables with the modes of their locks, in the order in which they are taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct TableLocks(Vec<(String, String)>);

impl TableLocks {
    /// The statements that take them.
    pub(super) fn statements(&self) -> String {
        self.0.iter().map(|(table, mode)| format!("LOCK TABLE {table} IN {mode} MODE;")).collect()
    }

    /// Takes this lock before the others from now on.
    pub(super) fn take_first(&mut self, table: String, mode: String) {
        self.0.retain(|(known, _)| *known != table);
        self.0.insert(0, (table, mode));
    }

    /// Looks, until it is dropped, which table the session `pid` waits for; the last one is `waited`.
    pub(super) async fn watch(
        database: &Database,
        pid: BackendPid,
        waited: &mut Option<(String, String)>,
    ) -> Infallible {
        let db = database.control();
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match sqlx::query_as(WAITS_FOR).bind(pid.0).fetch_optional(&db).await {
                Ok(found) => *waited = found,
                // Without a look the next try has the order of the one before.
                Err(error) => tracing::debug!(%error, "what the migration waits for is not known"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TableLocks;

    #[test]
    fn the_lock_that_was_missing_last_is_taken_first() {
        let mut locks = TableLocks::default();
        assert_eq!(locks.statements(), "");
        let mode = || "ACCESS EXCLUSIVE".to_owned();
        locks.take_first("public.a".into(), mode());
        locks.take_first("public.b".into(), "SHARE".into());
        locks.take_first("public.a".into(), mode());
        assert_eq!(
            locks.statements(),
            "LOCK TABLE public.a IN ACCESS EXCLUSIVE MODE;LOCK TABLE public.b IN SHARE MODE;"
        );
    }
}
