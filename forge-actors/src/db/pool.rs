//! A bounded set of sessions. Acquiring a session costs no round trip, unless it was unused for a second.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::postgres::PgConnectOptions;

use super::error::{no_answer, read_only_server};
use super::session::{Activity, BackendPid, Session};
use super::session_name::SessionNames;
use super::shared::DatabaseShared;
use super::state::DatabaseState;
use crate::subsystem::PoolUsage;

/// A session that was unused for longer is pinged before it is used again, because its socket may have died
/// meanwhile.
const PING_AFTER: Duration = Duration::from_secs(1);
/// Time for the answer to that ping.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// Opens the sessions of one pool, and decides whether one that was returned is used again.
pub(super) struct SessionFactory {
    pub(super) options: PgConnectOptions,
    pub(super) setup: String,
    pub(super) connect_timeout: Duration,
    pub(super) age_max: Duration,
    pub(super) shared: Arc<DatabaseShared>,
    /// Connections being opened, and pings that are not answered yet. An acquire that times out while there
    /// are any was waiting for the database, not for other callers.
    pub(super) pending_probes: AtomicUsize,
}

/// Counts one connection attempt or ping as pending for as long as this value lives.
struct Probe<'a>(&'a AtomicUsize);

impl<'a> Probe<'a> {
    fn new(pending: &'a AtomicUsize) -> Self {
        pending.fetch_add(1, Ordering::AcqRel);
        Self(pending)
    }
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl managed::Manager for SessionFactory {
    type Type = Session;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Session, sqlx::Error> {
        let generation = self.shared.generation();
        // Boxed, or the future of every call would be larger by it.
        let opening = Box::pin(Session::open(&self.options, &self.setup, generation, self.age_max));
        let _probe = Probe::new(&self.pending_probes);
        let opened = self.shared.driver.run(tokio::time::timeout(self.connect_timeout, opening)).await;
        let opened = opened.unwrap_or_else(|_| Err(no_answer(self.connect_timeout)));
        opened.inspect_err(|_| self.shared.suspect_outage.notify_one())
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<sqlx::Error> {
        if !session.is_reusable(self.shared.generation()) {
            return Err(RecycleError::message("the session must not be used again"));
        }
        if session.idle_for() > PING_AFTER {
            let _probe = Probe::new(&self.pending_probes);
            let pinged = tokio::time::timeout(PING_TIMEOUT, Box::pin(session.ping())).await;
            pinged.unwrap_or_else(|_| Err(no_answer(PING_TIMEOUT)))?;
        }
        Ok(())
    }
}

/// What the users of a pool need of the database. While it does not give that, acquiring fails at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PoolNeed {
    /// Nothing: of the control pool, through which the monitor notices that the database is back.
    Nothing,
    /// A server that answers.
    Answers,
    /// A server that takes writes.
    Writes,
}

/// Who uses a pool.
#[derive(Debug, Clone, Copy)]
pub(super) struct PoolUsers {
    need: PoolNeed,
    /// True when acquiring a session counts as use of the database: the monitor then pings once a second.
    counts_as_use: bool,
}

impl PoolUsers {
    /// Calls and duties that write.
    pub(super) const WRITERS: Self = Self { need: PoolNeed::Writes, counts_as_use: true };
    /// Calls and duties that read, and those that lock.
    pub(super) const READERS: Self = Self { need: PoolNeed::Answers, counts_as_use: true };
    /// The actors of the job subsystem, which send statements all the time.
    pub(super) const JOBS: Self = Self { need: PoolNeed::Writes, counts_as_use: false };
    /// Heartbeats, leases and the monitor.
    pub(super) const CONTROL: Self = Self { need: PoolNeed::Nothing, counts_as_use: false };
}

/// A bounded set of sessions of one kind.
#[derive(Clone)]
pub(super) struct Pool {
    sessions: managed::Pool<SessionFactory>,
    acquire_timeout: Duration,
    users: PoolUsers,
}

impl Pool {
    pub(super) fn new(
        factory: SessionFactory,
        size: usize,
        acquire_timeout: Duration,
        users: PoolUsers,
    ) -> Self {
        // Last in, first out: the few sessions in use stay warm and need no ping, the others age and are
        // closed.
        let sessions = managed::Pool::builder(factory).max_size(size).queue_mode(QueueMode::Lifo).build();
        Self {
            sessions: sessions.expect("deadpool only refuses timeouts without a runtime"),
            acquire_timeout,
            users,
        }
    }

    /// Acquires a session, or says within the acquire timeout why there is none.
    ///
    /// # Errors
    /// `PoolTimedOut` when other callers have every session; an `Io` error when the database does not answer.
    pub(super) async fn acquire(&self) -> sqlx::Result<PooledSession> {
        self.check_need()?;
        if self.users.counts_as_use {
            self.shared().uses.fetch_add(1, Ordering::Relaxed);
        }
        // Pinned here and not moved into the timeout, so that this caller's own probe still counts when the
        // timeout is over.
        let mut acquiring = pin!(self.sessions.get());
        let acquired = tokio::time::timeout(self.acquire_timeout, acquiring.as_mut())
            .await
            .map_err(|_| self.timed_out())?;
        let session = acquired.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Closed => sqlx::Error::PoolClosed,
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                sqlx::Error::PoolTimedOut
            }
        })?;
        Ok(PooledSession { session: Some(session), shared: Arc::clone(self.shared()) })
    }

    fn check_need(&self) -> sqlx::Result<()> {
        match (self.users.need, &*self.shared().state.borrow()) {
            (PoolNeed::Answers | PoolNeed::Writes, DatabaseState::Unreachable { cause, .. }) => {
                Err(sqlx::Error::Io(std::io::Error::new(
                    std::io::ErrorKind::NotConnected,
                    format!("the database is unreachable: {cause}"),
                )))
            }
            (PoolNeed::Writes, DatabaseState::ReadOnly { cause, .. }) => {
                Err(read_only_server((*cause).to_owned()))
            }
            (PoolNeed::Nothing, _)
            | (PoolNeed::Answers, DatabaseState::Up | DatabaseState::ReadOnly { .. })
            | (PoolNeed::Writes, DatabaseState::Up) => Ok(()),
        }
    }

    fn timed_out(&self) -> sqlx::Error {
        let waits_for_database = self.sessions.manager().pending_probes.load(Ordering::Acquire) > 0;
        if waits_for_database { no_answer(self.acquire_timeout) } else { sqlx::Error::PoolTimedOut }
    }

    /// Acquires a new session, after a pooled one was found broken: the others of the pool are most likely
    /// broken too, and are closed.
    pub(super) async fn acquire_fresh(&self) -> sqlx::Result<PooledSession> {
        self.prune(Duration::ZERO);
        self.acquire().await
    }

    /// Changes how many sessions the pool may have.
    pub(super) fn resize(&self, size: usize) {
        self.sessions.resize(size);
    }

    /// Closes the sessions that were unused for `idle_max`.
    pub(super) fn prune(&self, idle_max: Duration) {
        self.sessions.retain(|session, _| session.idle_for() < idle_max);
    }

    /// The most sessions that the pool opens.
    pub(super) fn size_max(&self) -> usize {
        self.sessions.status().max_size
    }

    pub(super) fn close(&self) {
        self.sessions.close();
    }

    pub(super) fn usage(&self) -> PoolUsage {
        let status = self.sessions.status();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let in_use = status.size.saturating_sub(status.available);
        PoolUsage {
            open: count(status.size),
            in_use: count(in_use),
            waiting: count(status.waiting),
            max: count(status.max_size),
        }
    }

    pub(super) fn downgrade(&self) -> WeakPool {
        WeakPool { sessions: self.sessions.weak(), acquire_timeout: self.acquire_timeout, users: self.users }
    }

    /// Names the sessions of this process.
    pub(super) fn session_names(&self) -> &SessionNames {
        &self.shared().session_names
    }

    fn shared(&self) -> &Arc<DatabaseShared> {
        &self.sessions.manager().shared
    }
}

/// A pool that does not keep itself alive.
#[derive(Debug)]
pub(super) struct WeakPool {
    sessions: managed::WeakPool<SessionFactory>,
    acquire_timeout: Duration,
    users: PoolUsers,
}

impl WeakPool {
    pub(super) fn upgrade(&self) -> Option<Pool> {
        let sessions = self.sessions.upgrade()?;
        Some(Pool { sessions, acquire_timeout: self.acquire_timeout, users: self.users })
    }
}

impl fmt::Debug for SessionFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionFactory")
            .field("application_name", &self.options.get_application_name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

/// A session of a pool that is in use. Dropped while idle it goes back to the pool; dropped in any other
/// state it is discarded.
pub(super) struct PooledSession {
    session: Option<Object<SessionFactory>>,
    shared: Arc<DatabaseShared>,
}

impl PooledSession {
    pub(super) fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("only drop takes the session")
    }

    pub(super) fn activity(&self) -> Activity {
        self.session.as_ref().map_or(Activity::Broken, |session| session.activity())
    }

    /// True when the session waited in the pool before it was acquired, so that its socket may have died
    /// there.
    pub(super) fn was_pooled(&self) -> bool {
        self.session.as_ref().is_some_and(|session| Object::metrics(session).recycle_count > 0)
    }

    /// Runs a statement whose one argument is `pid`, and reads its answer.
    pub(super) async fn run_for_backend(mut self, sql: &'static str, pid: BackendPid) -> sqlx::Result<()> {
        let session = self.session();
        let result = sqlx::query(sql).bind(pid.0).execute(session.start_request()).await.map(drop);
        session.finish_request(&result, Activity::Idle);
        result
    }
}

impl Drop for PooledSession {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        // While the state is `ReadOnly`, the generation ends with that state; reads go on meanwhile.
        let read_only = session.read_only_generation().filter(|_| self.shared.state.borrow().is_up());
        if let Some(generation) = session.stale_generation().or(read_only) {
            self.shared.end_generation_of(generation);
        }
        match session.activity() {
            Activity::Idle if session.must_discard() => self.shared.discarder.discard(Object::take(session)),
            Activity::Idle => drop(session),
            Activity::Broken => {
                self.shared.suspect_outage.notify_one();
                drop(Object::take(session));
            }
            Activity::Busy | Activity::Pinned => self.shared.discarder.discard(Object::take(session)),
        }
    }
}

impl fmt::Debug for PooledSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledSession").field("activity", &self.activity()).finish_non_exhaustive()
    }
}
