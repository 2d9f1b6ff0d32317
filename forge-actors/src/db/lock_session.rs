//! [`LockSession`]: a connection that stays open and holds several advisory locks, for elections.
//!
//! Postgres itself ends the session when no statement came for `idle_max`. A holder that is frozen or cut off
//! from the database therefore loses its locks within that time; without the setting it would keep them for
//! as long as the server believes in the connection (60 s and more were measured). The holder must run a
//! statement more often than that, and may believe in its locks until `idle_max` after it *sent* the last
//! statement that was answered.
//!
//! The session belongs to no pool: it is never lent to anyone else, and dropping it frees its locks.

use std::time::Duration;

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Executor, Postgres};

use super::database::Database;
use super::error::{Error, no_answer};
use super::lock::{LockKey, ask, verify_exclusive};
use super::session::{Activity, Session};

/// Looks for a transaction pooler before the session is used: on a busy pooler a single look may be lucky.
const VERIFICATIONS: usize = 3;
/// A statement of the session that takes longer is cancelled by Postgres.
const STATEMENT_TIMEOUT: &str = "2s";
/// How long a statement of the session waits for the lock of a row or table.
const ROW_LOCK_TIMEOUT: &str = "500ms";
/// The least that a new session needs to know of its server process.
const IDENTIFY: &str =
    "SELECT pg_backend_pid() AS pid, current_setting('server_version_num')::int4 AS version";

/// A connection of its own that holds advisory locks.
#[derive(Debug)]
pub struct LockSession {
    session: Session,
}

impl LockSession {
    /// Connects to `database` and proves that locks of the connection exclude other connections; `label` names
    /// it in `pg_stat_activity`. Postgres ends the session once it idled for `idle_max`.
    ///
    /// # Errors
    /// [`Error::TransactionPooler`] when the URL leads to a pooler in transaction mode, whose sessions no lock
    /// can be held through; [`Error::Statement`] when the database does not answer.
    pub async fn open(database: &Database, label: &str, idle_max: Duration) -> Result<Self, Error> {
        let failed = |source| Error::Statement { doing: "opening the session for locks".into(), source };
        let options = database.options().clone().application_name(&format!("forge {label}"));
        // The pools' generations and ages do not concern a session that is never pooled.
        let opening = Session::open(&options, IDENTIFY, 0, Duration::from_secs(1));
        let limit = database.config().connect_timeout;
        let opened = tokio::time::timeout(limit, opening).await.unwrap_or_else(|_| Err(no_answer(limit)));
        let mut session = opened.map_err(failed)?;
        for _ in 0..VERIFICATIONS {
            let key = LockKey::probe();
            let number = key.number();
            ask(&mut session, &format!("SELECT pg_try_advisory_lock({number})")).await.map_err(failed)?;
            verify_exclusive(&mut session, &key, database).await?;
            ask(&mut session, &format!("SELECT pg_advisory_unlock({number})")).await.map_err(failed)?;
        }
        // Only now: settings that are made through a pooler stay in a session of other clients.
        let settings = format!(
            "SET idle_session_timeout = {}; SET statement_timeout = '{STATEMENT_TIMEOUT}'; \
             SET lock_timeout = '{ROW_LOCK_TIMEOUT}'",
            idle_max.as_millis().max(1)
        );
        session.execute(AssertSqlSafe(settings), Activity::Bound).await.map_err(failed)?;
        Ok(Self { session })
    }

    /// Takes those of `keys` that no other session holds; answers for each key, in order, whether it was
    /// taken. A key that this session holds already is taken once more, and must be unlocked once more.
    ///
    /// # Errors
    /// When the session is lost, and its locks with it.
    pub async fn try_lock(&mut self, keys: &[LockKey]) -> sqlx::Result<Vec<bool>> {
        let numbers: Vec<i64> = keys.iter().map(LockKey::number).collect();
        let sql = "SELECT pg_try_advisory_lock(number) FROM UNNEST($1::int8[]) AS keys (number)";
        let rows = self.fetch_all(sqlx::query(sql).bind(numbers)).await?;
        rows.iter().map(|row| sqlx::Row::try_get(row, 0)).collect()
    }

    /// Frees `key`.
    ///
    /// # Errors
    /// When the session is lost, and its locks with it.
    pub async fn unlock(&mut self, key: &LockKey) -> sqlx::Result<()> {
        ask(&mut self.session, &format!("SELECT pg_advisory_unlock({})", key.number())).await.map(drop)
    }

    /// Runs a statement on the session: when it succeeds, the session held its locks meanwhile.
    ///
    /// # Errors
    /// Those of the statement; [`is_lost`](Self::is_lost) tells whether the session survived it.
    pub async fn fetch_all(&mut self, query: Query<'_, Postgres, PgArguments>) -> sqlx::Result<Vec<PgRow>> {
        let result = self.session.engage().fetch_all(query).await;
        self.session.settle(&result, Activity::Bound);
        result
    }

    /// True when the connection broke, or a statement was abandoned half-way: the session must be dropped.
    pub fn is_lost(&self) -> bool {
        matches!(self.session.activity(), Activity::Broken | Activity::Busy)
    }

    /// Fails unless `pid`, which a statement of this session reported, is the session's own server process.
    ///
    /// # Errors
    /// [`Error::TransactionPooler`]: statements of one connection run in different server processes.
    pub fn check_pid(&self, pid: i32, database: &Database) -> Result<(), Error> {
        if pid == self.session.pid().0 {
            return Ok(());
        }
        let evidence = "two statements of one connection ran in different server processes".into();
        Err(Error::TransactionPooler { place: database.place(), evidence })
    }
}
