//! A bounded set of sessions. Lending costs no round trip, except for a session that nobody used for a
//! second.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use deadpool::managed::{self, Metrics, Object, PoolError, QueueMode, RecycleError, RecycleResult};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, watch};

use super::disposal::Disposal;
use super::error::no_answer;
use super::session::{Activity, BackendPid, Session};
use super::state::DatabaseState;

/// A session unused for longer is pinged before it is lent: sockets die while nobody watches.
const PING_AFTER: Duration = Duration::from_secs(1);
/// How long that ping may take.
const PING_TIMEOUT: Duration = Duration::from_secs(1);

/// What the pools of one database share.
#[derive(Debug)]
pub(super) struct Shared {
    /// Sessions of an older generation are not lent again; grows when the database comes back.
    pub(super) generation: AtomicU64,
    /// What the monitor last saw.
    pub(super) state: watch::Sender<DatabaseState>,
    /// Wakes the monitor when a session broke or a connection failed.
    pub(super) suspicion: Notify,
    pub(super) disposal: Disposal,
}

/// Opens sessions and judges used ones.
pub(super) struct SessionMaker {
    pub(super) options: PgConnectOptions,
    pub(super) setup: String,
    pub(super) connect_timeout: Duration,
    pub(super) age_max: Duration,
    pub(super) shared: Arc<Shared>,
    /// Connections being opened and pings not yet answered. An acquire that takes too long meanwhile waits
    /// for the database, not for other callers.
    pub(super) knocking: AtomicUsize,
}

/// Counts as a wait for the database while it lives, however it ends.
struct Knock<'a>(&'a AtomicUsize);

impl<'a> Knock<'a> {
    fn new(knocking: &'a AtomicUsize) -> Self {
        knocking.fetch_add(1, Ordering::AcqRel);
        Self(knocking)
    }
}

impl Drop for Knock<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl managed::Manager for SessionMaker {
    type Type = Session;
    type Error = sqlx::Error;

    async fn create(&self) -> Result<Session, sqlx::Error> {
        let generation = self.shared.generation.load(Ordering::Acquire);
        let opening = Session::open(&self.options, &self.setup, generation, self.age_max);
        let _knock = Knock::new(&self.knocking);
        let opened = tokio::time::timeout(self.connect_timeout, opening).await;
        let opened = opened.unwrap_or_else(|_| Err(no_answer(self.connect_timeout)));
        opened.inspect_err(|_| self.shared.suspicion.notify_one())
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<sqlx::Error> {
        if !session.is_reusable(self.shared.generation.load(Ordering::Acquire)) {
            return Err(RecycleError::message("used up"));
        }
        if session.idle_for() > PING_AFTER {
            let _knock = Knock::new(&self.knocking);
            let pinged = tokio::time::timeout(PING_TIMEOUT, session.ping()).await;
            pinged.unwrap_or_else(|_| Err(no_answer(PING_TIMEOUT)))?;
        }
        Ok(())
    }
}

/// A bounded set of sessions of one kind.
#[derive(Clone)]
pub(super) struct Pool {
    sessions: managed::Pool<SessionMaker>,
    acquire_timeout: Duration,
    /// Fails at once while the database is away. Off for the control pool, which is how its return is
    /// noticed.
    fails_when_away: bool,
}

impl Pool {
    pub(super) fn new(
        maker: SessionMaker,
        size: usize,
        acquire_timeout: Duration,
        fails_when_away: bool,
    ) -> Self {
        // Last in, first out: the busy few stay warm and need no ping, the others age and are closed.
        let sessions = managed::Pool::builder(maker).max_size(size).queue_mode(QueueMode::Lifo).build();
        Self {
            sessions: sessions.expect("deadpool only refuses timeouts without a runtime"),
            acquire_timeout,
            fails_when_away,
        }
    }

    /// Lends a session, or says within the acquire timeout why there is none.
    pub(super) async fn acquire(&self) -> sqlx::Result<Lease> {
        if self.fails_when_away
            && let DatabaseState::Away { cause, .. } = &*self.shared().state.borrow()
        {
            return Err(sqlx::Error::Io(std::io::Error::new(
                std::io::ErrorKind::NotConnected,
                format!("the database is away: {cause}"),
            )));
        }
        // Not moved into the timeout, so that this caller's own knock still counts when its time is up.
        let mut lending = pin!(self.sessions.get());
        let lent = tokio::time::timeout(self.acquire_timeout, lending.as_mut())
            .await
            .map_err(|_| self.timed_out())?;
        let session = lent.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Closed => sqlx::Error::PoolClosed,
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                sqlx::Error::PoolTimedOut
            }
        })?;
        Ok(Lease { session: Some(session), shared: Arc::clone(self.shared()) })
    }

    /// `PoolTimedOut` says that other callers have every session; a database that does not answer is an `Io`
    /// error.
    fn timed_out(&self) -> sqlx::Error {
        let waits_for_database = self.sessions.manager().knocking.load(Ordering::Acquire) > 0;
        if waits_for_database { no_answer(self.acquire_timeout) } else { sqlx::Error::PoolTimedOut }
    }

    /// A session that did not lie in the pool: what lay there beside a broken one is most likely broken too.
    pub(super) async fn acquire_fresh(&self) -> sqlx::Result<Lease> {
        self.prune(Duration::ZERO);
        self.acquire().await
    }

    /// Closes sessions that nobody used for `idle_max`.
    pub(super) fn prune(&self, idle_max: Duration) {
        self.sessions.retain(|session, _| session.idle_for() < idle_max);
    }

    pub(super) fn close(&self) {
        self.sessions.close();
    }

    /// Open sessions, lent sessions, and the bound on both.
    pub(super) fn usage(&self) -> PoolUsage {
        let status = self.sessions.status();
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let lent = status.size.saturating_sub(status.available);
        PoolUsage {
            open: count(status.size),
            lent: count(lent),
            waiting: count(status.waiting),
            max: count(status.max_size),
        }
    }

    pub(super) fn downgrade(&self) -> WeakPool {
        WeakPool {
            sessions: self.sessions.weak(),
            acquire_timeout: self.acquire_timeout,
            fails_when_away: self.fails_when_away,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.sessions.manager().shared
    }
}

/// A pool that does not keep itself alive.
#[derive(Debug)]
pub(super) struct WeakPool {
    sessions: managed::WeakPool<SessionMaker>,
    acquire_timeout: Duration,
    fails_when_away: bool,
}

impl WeakPool {
    pub(super) fn upgrade(&self) -> Option<Pool> {
        let sessions = self.sessions.upgrade()?;
        Some(Pool { sessions, acquire_timeout: self.acquire_timeout, fails_when_away: self.fails_when_away })
    }
}

impl fmt::Debug for SessionMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionMaker")
            .field("application_name", &self.options.get_application_name())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("usage", &self.usage()).finish_non_exhaustive()
    }
}

/// How full a pool is.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUsage {
    /// Sessions that exist.
    pub open: u32,
    /// Sessions in use.
    pub lent: u32,
    /// Callers that wait for one.
    pub waiting: u32,
    /// The bound.
    pub max: u32,
}

/// A session on loan. Returned when dropped at rest; discarded when dropped in any other state.
pub(super) struct Lease {
    session: Option<Object<SessionMaker>>,
    shared: Arc<Shared>,
}

impl Lease {
    pub(super) fn session(&mut self) -> &mut Session {
        self.session.as_mut().expect("only drop takes the session")
    }

    pub(super) fn activity(&self) -> Activity {
        self.session.as_ref().map_or(Activity::Broken, |session| session.activity())
    }

    /// True when the session waited in the pool before this loan, so that its socket may have died there.
    pub(super) fn was_pooled(&self) -> bool {
        self.session.as_ref().is_some_and(|session| Object::metrics(session).recycle_count > 0)
    }

    /// Runs one statement with one argument and reads its answer.
    pub(super) async fn run_one(mut self, sql: &'static str, pid: BackendPid) -> sqlx::Result<()> {
        let session = self.session();
        let result = sqlx::query(sql).bind(pid.0).execute(session.engage()).await.map(drop);
        session.settle(&result, Activity::Idle);
        result
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        if let Some(stale) = session.stale_generation() {
            // Whoever notices first ends the generation; the others find it ended.
            let _ended = self.shared.generation.compare_exchange(
                stale,
                stale + 1,
                Ordering::AcqRel,
                Ordering::Acquire,
            );
        }
        match session.activity() {
            Activity::Idle if session.is_used_up() => self.shared.disposal.discard(Object::take(session)),
            Activity::Idle => drop(session),
            Activity::Broken => {
                self.shared.suspicion.notify_one();
                drop(Object::take(session));
            }
            Activity::Busy | Activity::Bound => self.shared.disposal.discard(Object::take(session)),
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("activity", &self.activity()).finish_non_exhaustive()
    }
}
