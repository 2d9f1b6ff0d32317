//! Advisory locks: named, bounded waits, released when their holder is gone.
//!
//! Keys: Postgres has one space of 64-bit keys per database, shared by everybody. A key here is the first
//! eight bytes of SHA-256(`forge/<namespace>/<name>`), read as a big-endian signed integer; Forge's own locks
//! and the application's have namespaces of their own.
//!
//! A session lock lives exactly as long as its connection. Dropping the guard discards the connection, so a
//! future that is dropped half-way cannot keep a lock. It is no leadership: a holder that is cut off from the
//! database still believes in it until it next asks.

use std::fmt;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::kernel::backoff::Backoff;
use crate::kernel::fault::Fault;

use super::database::Database;
use super::error::Error;
use super::handle::Db;
use super::pool::Lease;
use super::session::{Activity, Session};

/// Between two tries for a lock that somebody else holds.
const RETRY: Backoff = Backoff::exponential(Duration::from_millis(50), Duration::from_millis(500));
/// How often a waiting caller is told so.
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

    /// A lock that nobody else means, to try out how locks behave.
    pub(super) fn probe() -> Self {
        Self::within("probe", &uuid::Uuid::now_v7().to_string())
    }

    fn within(namespace: &str, name: &str) -> Self {
        let digest = Sha256::digest(format!("forge/{namespace}/{name}"));
        let number = digest.iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        Self { name: format!("{namespace}/{name}"), number: number.cast_signed() }
    }

    /// What `pg_locks` shows, as `(classid << 32) | objid`.
    pub fn number(&self) -> i64 {
        self.number
    }
}

impl fmt::Display for LockKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// Takes `key` until the end of the transaction that `db` belongs to, waiting for at most `wait`; then the
/// fault is a `CONFLICT`.
pub async fn lock_transaction(db: &Db, key: &LockKey, wait: Duration) -> Result<(), Fault> {
    if !db.in_transaction() {
        return Err(Fault::internal(format!("the lock `{key}` was asked for outside of a transaction")));
    }
    // The inner row is made first and keeps the old limit, which must hold again for the statements that
    // follow.
    let sql = "SELECT set_config('lock_timeout', $2, true), pg_advisory_xact_lock($1), set_config('lock_timeout', before, true) \
               FROM (SELECT current_setting('lock_timeout') AS before OFFSET 0) AS old";
    sqlx::query(sql).bind(key.number).bind(format!("{}ms", wait.as_millis().max(1))).execute(db).await?;
    Ok(())
}

/// Takes `key` until the end of the transaction if nobody holds it.
pub async fn try_lock_transaction(db: &Db, key: &LockKey) -> Result<bool, Fault> {
    if !db.in_transaction() {
        return Err(Fault::internal(format!("the lock `{key}` was asked for outside of a transaction")));
    }
    Ok(sqlx::query_scalar("SELECT pg_try_advisory_xact_lock($1)").bind(key.number).fetch_one(db).await?)
}

/// A lock held by a connection of its own.
#[derive(Debug)]
#[must_use = "the lock is free again when its guard is dropped"]
pub struct SessionLock {
    key: LockKey,
    lease: Lease,
}

impl SessionLock {
    /// Takes `key`, trying again for at most `wait`; `waiting` is told now and then how long it has been.
    ///
    /// It asks again and again instead of queueing in Postgres: a queued request holds a snapshot, for which
    /// the holder's `CREATE INDEX CONCURRENTLY` would wait in turn.
    pub async fn acquire(
        database: &Database,
        key: LockKey,
        wait: Duration,
        mut waiting: impl FnMut(Duration),
    ) -> Result<Self, Error> {
        let failed = |source| Error::Statement { doing: format!("taking the lock `{key}`"), source };
        let mut lease = database.lend_lock_session().await.map_err(failed)?;
        let started = Instant::now();
        let mut noticed = Duration::ZERO;
        for attempt in 0.. {
            if ask(lease.session(), &format!("SELECT pg_try_advisory_lock({})", key.number))
                .await
                .map_err(failed)?
            {
                break;
            }
            let waited = started.elapsed();
            if waited >= wait {
                // Nothing is held, so the session is as good as new.
                lease.session().rest(Activity::Idle);
                return Err(Error::LockTimeout { name: key.to_string(), waited });
            }
            if attempt == 0 || waited >= noticed + WAIT_NOTICE_EVERY {
                noticed = waited;
                waiting(waited);
            }
            tokio::time::sleep(RETRY.jittered(attempt).min(wait - waited)).await;
        }
        Ok(Self { key, lease })
    }

    /// The lock's name.
    pub fn key(&self) -> &LockKey {
        &self.key
    }

    /// Gives the lock back, and its connection to the pool.
    pub async fn release(mut self) -> Result<(), Error> {
        let sql = format!("SELECT pg_advisory_unlock({})", self.key.number);
        let session = self.lease.session();
        let held = ask(session, &sql).await.map_err(|source| Error::Statement {
            doing: format!("releasing the lock `{}`", self.key),
            source,
        })?;
        if held {
            session.rest(Activity::Idle);
        }
        Ok(())
    }

    /// True while the connection, and with it the lock, is alive.
    pub async fn is_held(&mut self) -> bool {
        self.lease.session().ping().await.is_ok()
    }

    /// Proves that the lock excludes others: a pooler in transaction mode would give this connection's
    /// statements to any server session. See [`verify_exclusive`].
    pub async fn verify(&mut self, database: &Database) -> Result<(), Error> {
        verify_exclusive(self.lease.session(), &self.key, database).await
    }

    /// The connection that holds the lock: work that must not outlive the lock runs on it.
    pub(super) fn session(&mut self) -> &mut Session {
        self.lease.session()
    }
}

/// Proves that the lock `key`, which `session` holds, excludes other sessions.
///
/// The control session stays inside a transaction while it looks, which pins its server session. Behind a
/// pooler in transaction mode it either sits on the session that holds the lock, and gets it too, or leaves
/// this connection another session to run on.
pub(super) async fn verify_exclusive(
    session: &mut Session,
    key: &LockKey,
    database: &Database,
) -> Result<(), Error> {
    let place = database.place();
    let failed = |source| Error::Statement { doing: format!("verifying the lock `{key}`"), source };
    let pooler = |evidence: String| Error::TransactionPooler { place: place.clone(), evidence };
    let mut second = database.lend_control_session().await.map_err(failed)?;
    second.session().execute("BEGIN", Activity::Bound).await.map_err(failed)?;
    let taken = ask(second.session(), &format!("SELECT pg_try_advisory_xact_lock({})", key.number)).await;
    let pid = session.pid();
    let moved = ask(session, &format!("SELECT pg_backend_pid() <> {pid}")).await;
    second.session().execute("ROLLBACK", Activity::Idle).await.map_err(failed)?;
    if taken.map_err(failed)? {
        return Err(pooler("a second connection was given the same lock".into()));
    }
    if moved.map_err(failed)? {
        return Err(pooler("two statements of one connection ran in different server processes".into()));
    }
    Ok(())
}

/// Asks a yes-or-no question by the simple protocol, which poolers understand too. The session stays bound.
pub(super) async fn ask(session: &mut Session, sql: &str) -> sqlx::Result<bool> {
    let result = session.engage().fetch_one(sqlx::raw_sql(AssertSqlSafe(sql))).await;
    session.settle(&result, Activity::Bound);
    result?.try_get(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_keep_equal_names_apart_and_keys_never_change() {
        assert_ne!(LockKey::forge("migrations").number(), LockKey::application("migrations").number());
        // Two versions of Forge must mean the same lock.
        assert_eq!(LockKey::forge("migrations").number(), LockKey::within("system", "migrations").number());
    }
}
