//! Advisory locks: named, taken with a bounded wait, released when the connection of their holder ends.
//!
//! Keys: Postgres has one space of 64-bit keys per database, shared by all of its clients. A key here is the
//! first eight bytes of SHA-256(`forge/<namespace>/<name>`), read as a big-endian signed integer; Forge's own
//! locks and the application's have namespaces of their own.
//!
//! A session lock lives exactly as long as its connection. Dropping the guard discards the connection, so a
//! future that is dropped half-way cannot keep a lock. A session lock alone is no leadership: a holder that
//! is cut off from the database does not know that its lock is gone until its next statement fails.

use std::fmt;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;

use super::database::Database;
use super::error::DatabaseError;
use super::handle::Db;
use super::pool::PooledSession;
use super::session::{Activity, Session};

/// Pauses between the attempts to take a lock that another session holds.
const RETRY: Backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_millis(500));
/// How often the `waiting` callback of a waiting caller is called.
const WAIT_NOTICE_EVERY: Duration = Duration::from_secs(2);

/// A lock's name and its number in Postgres.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockKey {
    name: String,
    number: i64,
}

impl LockKey {
    /// One of Forge's own locks.
    pub fn forge(name: &str) -> Self {
        Self::within("system", name)
    }

    /// A lock of the application.
    pub fn application(name: &str) -> Self {
        Self::within("application", name)
    }

    /// A key that no other caller uses, to check how locks behave on a connection.
    pub(super) fn probe() -> Self {
        Self::within("probe", &uuid::Uuid::now_v7().to_string())
    }

    fn within(namespace: &str, name: &str) -> Self {
        let digest = Sha256::digest(format!("forge/{namespace}/{name}"));
        let number = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        Self { name: format!("{namespace}/{name}"), number: number.cast_signed() }
    }

    /// The key's number in Postgres. `pg_locks` shows it as `(classid << 32) | objid`.
    pub fn number(&self) -> i64 {
        self.number
    }
}

impl fmt::Display for LockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Takes `key` until the end of the transaction that `db` belongs to, waiting for at most `wait`.
///
/// # Errors
/// `CONFLICT` when another session still holds the lock after `wait`; `INTERNAL` outside of a transaction.
pub async fn lock_transaction(db: &Db, key: &LockKey, wait: Duration) -> Result<(), Fault> {
    if !db.in_transaction() {
        return Err(Fault::internal(format!("the lock `{key}` was asked for outside of a transaction")));
    }
    // The inner row is made first and keeps the old lock_timeout, which the statements that follow must have
    // again.
    let sql = "SELECT set_config('lock_timeout', $2, true), pg_advisory_xact_lock($1), \
                      set_config('lock_timeout', before, true) \
               FROM (SELECT current_setting('lock_timeout') AS before OFFSET 0) AS old";
    sqlx::query(sql).bind(key.number).bind(format!("{}ms", wait.as_millis().max(1))).execute(db).await?;
    Ok(())
}

/// Takes `key` until the end of the transaction that `db` belongs to, if no other session holds it. True when
/// it was taken.
///
/// # Errors
/// `INTERNAL` outside of a transaction.
pub async fn try_lock_transaction(db: &Db, key: &LockKey) -> Result<bool, Fault> {
    if !db.in_transaction() {
        return Err(Fault::internal(format!("the lock `{key}` was asked for outside of a transaction")));
    }
    Ok(sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(key.number).fetch_one(db).await?)
}

/// An advisory lock, held by a connection of its own.
#[derive(Debug)]
#[must_use = "the lock is free again when its guard is dropped"]
pub struct AdvisoryLock {
    key: LockKey,
    pooled: PooledSession,
}

impl AdvisoryLock {
    /// Takes `key`, trying again for at most `wait`. While it waits, `waiting` is called every two seconds
    /// with the time waited so far.
    ///
    /// The lock is tried again and again instead of queueing in Postgres: a queued request holds a snapshot,
    /// for which the holder's `CREATE INDEX CONCURRENTLY` would wait in turn.
    ///
    /// # Errors
    /// `LockTimeout` when another session still holds the lock after `wait`; `Statement` when the database
    /// does not answer.
    pub async fn acquire(
        database: &Database,
        key: LockKey,
        wait: Duration,
        mut waiting: impl FnMut(Duration),
    ) -> Result<Self, DatabaseError> {
        let failed = |source| DatabaseError::Statement { doing: format!("taking the lock `{key}`"), source };
        let mut pooled = database.acquire_lock_session().await.map_err(failed)?;
        let started = Instant::now();
        let mut noticed = Duration::ZERO;
        for attempt in 0.. {
            let take = format!("SELECT pg_try_advisory_lock({})", key.number);
            if query_bool(pooled.session(), &take).await.map_err(failed)? {
                break;
            }
            let waited = started.elapsed();
            if waited >= wait {
                // The session holds no lock, so its pool may use it again.
                pooled.session().mark_idle();
                return Err(DatabaseError::LockTimeout { name: key.to_string(), waited });
            }
            if attempt == 0 || waited >= noticed + WAIT_NOTICE_EVERY {
                noticed = waited;
                waiting(waited);
            }
            tokio::time::sleep(RETRY.jittered(attempt).min(wait - waited)).await;
        }
        Ok(Self { key, pooled })
    }

    /// The lock's key.
    pub fn key(&self) -> &LockKey {
        &self.key
    }

    /// Releases the lock, and returns its connection to the pool.
    ///
    /// # Errors
    /// `Statement` when the connection broke: Postgres has released the lock with it.
    pub async fn release(mut self) -> Result<(), DatabaseError> {
        let sql = format!("SELECT pg_advisory_unlock({})", self.key.number);
        let session = self.pooled.session();
        let was_held = query_bool(session, &sql).await.map_err(|source| DatabaseError::Statement {
            doing: format!("releasing the lock `{}`", self.key),
            source,
        })?;
        if was_held {
            session.mark_idle();
        }
        Ok(())
    }

    /// True while the connection answers, and with it the lock exists. One round trip.
    pub async fn is_held(&mut self) -> bool {
        self.pooled.session().ping().await.is_ok()
    }

    /// Proves that the lock excludes other sessions; see `verify_exclusive`.
    ///
    /// # Errors
    /// `TransactionPooler` when the lock does not exclude other sessions; `Statement` when the database does
    /// not answer.
    pub async fn verify(&mut self, database: &Database) -> Result<(), DatabaseError> {
        verify_exclusive(self.pooled.session(), &self.key, database).await
    }

    /// The connection that holds the lock: work that must not outlive the lock runs on it.
    pub(super) fn session(&mut self) -> &mut Session {
        self.pooled.session()
    }
}

/// Proves that the lock `key`, which `session` holds, excludes other sessions. Behind a pooler in transaction
/// mode it does not, because such a pooler sends this connection's statements to any of its server sessions.
///
/// The control session stays inside a transaction during the check, which pins it to one server session.
/// Behind such a pooler that is either the session that holds the lock, and then the control session gets the
/// lock too; or it is another one, and then this connection's next statement runs in a different server
/// process.
///
/// # Errors
/// `TransactionPooler` when the lock does not exclude other sessions; `Statement` when the database does not
/// answer.
pub(super) async fn verify_exclusive(
    session: &mut Session,
    key: &LockKey,
    database: &Database,
) -> Result<(), DatabaseError> {
    let address = database.address();
    let failed = |source| DatabaseError::Statement { doing: format!("verifying the lock `{key}`"), source };
    let pooler = |evidence: String| DatabaseError::TransactionPooler { address: address.clone(), evidence };
    let mut second = database.acquire_control_session().await.map_err(failed)?;
    second.session().execute("BEGIN", Activity::Pinned).await.map_err(failed)?;
    let take = format!("SELECT pg_try_advisory_xact_lock({})", key.number);
    let taken = query_bool(second.session(), &take).await;
    let compare = format!("SELECT pg_backend_pid() <> {}", session.pid());
    let moved = query_bool(session, &compare).await;
    second.session().execute("ROLLBACK", Activity::Idle).await.map_err(failed)?;
    if taken.map_err(failed)? {
        return Err(pooler("a second connection was given the same lock".into()));
    }
    if moved.map_err(failed)? {
        return Err(pooler("two statements of one connection ran in different server processes".into()));
    }
    Ok(())
}

/// Reads one boolean through the simple protocol, which poolers support too. The session stays pinned.
pub(super) async fn query_bool(session: &mut Session, sql: &str) -> sqlx::Result<bool> {
    let result = session.start_request().fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await;
    session.finish_request(&result, Activity::Pinned);
    result?.try_get(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_keep_equal_names_apart_and_keys_never_change() {
        assert_ne!(LockKey::forge("migrations").number(), LockKey::application("migrations").number());
        // Nodes of two versions of Forge must take the same lock.
        assert_eq!(LockKey::forge("migrations").number(), LockKey::within("system", "migrations").number());
    }
}
