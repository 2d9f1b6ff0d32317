//! [`ElectionSession`]: a connection that stays open and holds several advisory locks, for elections.
//!
//! Postgres ends the session when it received no statement for `idle_max`. A holder that is frozen or cut off
//! from the database therefore loses its locks within that time; without the setting it would keep them for
//! as long as the server considers the connection alive (60 s and more were measured). The holder must run a
//! statement more often than that. It holds its locks for certain until `idle_max` after it *sent* the last
//! statement that was answered.
//!
//! The session belongs to no pool: no other caller uses it, and dropping it releases its locks.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor, Postgres};

use super::advisory_lock::{LockKey, query_bool, verify_exclusive};
use super::database::Database;
use super::error::{DatabaseError, no_answer};
use super::session::{Activity, Session};
use crate::kernel::time::millis;

/// Number of checks for a transaction pooler before the session is used. On a busy pooler one check may pass
/// by chance.
const VERIFICATIONS: usize = 3;
/// Postgres cancels a statement of the session that takes longer.
const STATEMENT_TIMEOUT: &str = "2s";
/// How long a statement of the session waits for the lock of a row or table, at most.
const LOCK_WAIT_MAX: Duration = millis(500);
/// A statement of the session waits for a lock for at most `idle_max` divided by this number, so that the
/// next statement comes in time after several that waited.
const LOCK_WAIT_PARTS: u32 = 12;
/// Reads what a new session must know of its server process.
const IDENTIFY: &str =
    "SELECT pg_backend_pid() AS pid, current_setting('server_version_num')::int4 AS version";

/// A connection of its own that holds advisory locks.
#[derive(Debug)]
pub struct ElectionSession {
    session: Session,
}

impl ElectionSession {
    /// Connects to `database` and proves that locks of the connection exclude other connections; `label`
    /// names it in `pg_stat_activity`. Postgres ends the session once it idled for `idle_max`.
    ///
    /// # Errors
    /// [`DatabaseError::TransactionPooler`] when the URL leads to a pooler in transaction mode, whose
    /// sessions no lock can be held through; [`DatabaseError::Statement`] when the database does not answer.
    pub async fn open(database: &Database, label: &str, idle_max: Duration) -> Result<Self, DatabaseError> {
        let failed =
            |source| DatabaseError::Statement { doing: "opening the session for locks".into(), source };
        let options = database.options_for(label);
        // Generation and age matter only to pools, and this session is never pooled.
        let opening = Session::open(&options, IDENTIFY, 0, Duration::from_secs(1));
        let limit = database.config().connect_timeout;
        let opened = tokio::time::timeout(limit, opening).await.unwrap_or_else(|_| Err(no_answer(limit)));
        let mut session = opened.map_err(failed)?;
        for _ in 0..VERIFICATIONS {
            let key = LockKey::probe();
            let number = key.number();
            query_bool(&mut session, &format!("SELECT pg_try_advisory_lock({number})"))
                .await
                .map_err(failed)?;
            verify_exclusive(&mut session, &key, database).await?;
            query_bool(&mut session, &format!("SELECT pg_advisory_unlock({number})"))
                .await
                .map_err(failed)?;
        }
        // The settings follow the checks: through a pooler they would change a session of other clients.
        let settings = format!(
            "SET idle_session_timeout = {}; SET statement_timeout = '{STATEMENT_TIMEOUT}'; \
             SET lock_timeout = {}",
            idle_max.as_millis().max(1),
            LOCK_WAIT_MAX.min(idle_max / LOCK_WAIT_PARTS).as_millis().max(1)
        );
        session.execute(AssertSqlSafe(settings), Activity::Pinned).await.map_err(failed)?;
        Ok(Self { session })
    }

    /// Takes those of `keys` that no other session holds. The result says for each key, in order, whether it
    /// was taken. A key that this session holds already is taken once more, and must be unlocked once more.
    ///
    /// # Errors
    /// When the session is lost, and its locks with it.
    pub async fn try_lock(&mut self, keys: &[LockKey]) -> sqlx::Result<Vec<bool>> {
        let numbers: Vec<i64> = keys.iter().map(LockKey::number).collect();
        let sql = "SELECT pg_try_advisory_lock(number) FROM UNNEST($1::int8[]) AS keys (number)";
        let rows = self.fetch_all(sqlx::query(sql).bind(numbers)).await?;
        rows.iter().map(|row| sqlx::Row::try_get(row, 0)).collect()
    }

    /// Releases `key`.
    ///
    /// # Errors
    /// When the session is lost, and its locks with it.
    pub async fn unlock(&mut self, key: &LockKey) -> sqlx::Result<()> {
        query_bool(&mut self.session, &format!("SELECT pg_advisory_unlock({})", key.number())).await.map(drop)
    }

    /// Runs a statement on the session. When it succeeds, the session held its locks meanwhile.
    ///
    /// # Errors
    /// Those of the statement; see [`is_lost`](Self::is_lost) for whether the session survived it.
    pub async fn fetch_all(&mut self, query: Query<'_, Postgres, PgArguments>) -> sqlx::Result<Vec<PgRow>> {
        let result = self.session.start_request().fetch_all(query).await;
        self.session.finish_request(&result, Activity::Pinned);
        result
    }

    /// Ends the session. The server process of a statement that was abandoned half-way is terminated: a write
    /// that waits for a standby would keep it for as long as the standby is gone.
    pub fn discard(self, database: &Database) {
        database.discard(self.session);
    }

    /// True when the connection broke, or a statement was abandoned half-way: the session must be dropped.
    pub fn is_lost(&self) -> bool {
        matches!(self.session.activity(), Activity::Broken | Activity::Busy)
    }

    /// Fails unless `pid`, which a statement of this session reported, is the session's own server process.
    ///
    /// # Errors
    /// [`DatabaseError::TransactionPooler`]: statements of one connection run in different server processes.
    pub fn check_pid(&self, pid: i32, database: &Database) -> Result<(), DatabaseError> {
        if pid == self.session.pid().0 {
            return Ok(());
        }
        let evidence = "two statements of one connection ran in different server processes".into();
        Err(DatabaseError::TransactionPooler { address: database.address(), evidence })
    }
}
