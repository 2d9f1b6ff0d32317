//! One connection to Postgres, with its backend's pid, its age, and whether its last answer was read to the
//! end.

use std::fmt;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};

use super::clock::ClockDifference;
use super::commit_wait::WaitingCommits;
use super::error::{is_broken, is_lock_timeout, is_read_only_server, is_stale};
use super::guard::SessionEffect;
use super::state::{ServerMode, ServerReport};

/// Whether the server takes writes, its clock, and which commits wait for a standby. Where no standby is
/// named, the list of sessions is not read. With each commit comes how long its statement has lasted: with a
/// procedure, which may commit many times, the last transaction.
const SERVER_REPORT: &str = "SELECT pg_is_in_recovery() AS standby, \
     current_setting('transaction_read_only')::bool AS read_only, \
     clock_timestamp() AS clock, current_setting('synchronous_standby_names') AS standbys, \
     coalesce(waiting.commits, '{}') AS commits, coalesce(waiting.seconds, '{}') AS seconds \
     FROM (SELECT array_agg(pid || ' ' || xact_start) AS commits, \
         array_agg(extract(epoch FROM clock_timestamp() - greatest(query_start, xact_start))::float8) \
             AS seconds \
         FROM pg_stat_activity WHERE current_setting('synchronous_standby_names') <> '' \
             AND datname = current_database() AND wait_event = 'SyncRep') waiting";

/// The process id of a server process, as `pg_stat_activity.pid` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BackendPid(pub i32);

impl fmt::Display for BackendPid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the server is doing for a session, as far as its answers were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// No statement runs and no transaction is open: the session may go back to its pool.
    Idle,
    /// No statement runs, and the session is inside a transaction or holds a lock: only its user may go on
    /// with it.
    Pinned,
    /// A statement was sent and its answer was not read to the end.
    Busy,
    /// The socket or the protocol broke.
    Broken,
}

/// A connection that knows whether its last answer was read to the end.
pub(super) struct Session {
    connection: PgConnection,
    pid: BackendPid,
    server_version: u32,
    generation: u64,
    expires: Instant,
    last_used: Instant,
    activity: Activity,
    /// A statement may have left something in the session: a setting, a lock, a temporary table.
    tainted: bool,
    /// A prepared statement of the session no longer fits the schema.
    stale: bool,
    /// A statement waited for a lock for too long, since this was last taken.
    lock_timed_out: bool,
    /// The session's server refused a write that it should have taken.
    is_write_refused: bool,
}

impl Session {
    /// Connects, and runs `setup` (settings, then one row with `pid` and `version`) in one round trip after
    /// the handshake.
    pub(super) async fn open(
        options: &PgConnectOptions,
        setup: &str,
        generation: u64,
        age_max: Duration,
    ) -> sqlx::Result<Self> {
        let mut connection = options.connect().await?;
        let row = (&mut connection).fetch_one(sqlx::raw_sql(AssertSqlSafe(setup))).await?;
        let (pid, server_version): (i32, i32) = (row.try_get("pid")?, row.try_get("version")?);
        let now = Instant::now();
        Ok(Self {
            connection,
            pid: BackendPid(pid),
            server_version: server_version.unsigned_abs(),
            generation,
            // Up to a tenth earlier, so that connections opened together do not expire together.
            expires: now + age_max.mul_f64(1.0 - fastrand::f64() / 10.0),
            last_used: now,
            activity: Activity::Idle,
            tainted: false,
            stale: false,
            lock_timed_out: false,
            is_write_refused: false,
        })
    }

    pub(super) fn pid(&self) -> BackendPid {
        self.pid
    }

    /// The server's version in its own numbering: 150018 for 15.18.
    pub(super) fn server_version(&self) -> u32 {
        self.server_version
    }

    pub(super) fn activity(&self) -> Activity {
        self.activity
    }

    pub(super) fn idle_for(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// True when the session must not be used again, whatever its activity: a statement may have left
    /// something in it, or its prepared statements no longer fit the schema.
    pub(super) fn must_discard(&self) -> bool {
        self.tainted || self.stale
    }

    /// The session's generation, when its prepared statements no longer fit the schema. The other sessions of
    /// the generation have prepared the same statements, so the generation must end.
    pub(super) fn stale_generation(&self) -> Option<u64> {
        self.stale.then_some(self.generation)
    }

    /// Whether a statement waited for a lock for too long since the last call.
    pub(super) fn take_lock_timeout(&mut self) -> bool {
        std::mem::take(&mut self.lock_timed_out)
    }

    /// The session's generation, when its server takes no writes. The other sessions of the generation most
    /// likely lead to the same server.
    pub(super) fn read_only_generation(&self) -> Option<u64> {
        self.is_write_refused.then_some(self.generation)
    }

    /// True when the session may be used again: idle, not to be discarded, young enough, and opened after the
    /// last outage.
    pub(super) fn is_reusable(&self, generation: u64) -> bool {
        self.activity == Activity::Idle
            && !self.must_discard()
            && self.generation == generation
            && Instant::now() < self.expires
    }

    /// Marks the session busy and hands out its connection for one request. The session stays `Busy` until
    /// [`finish_request`](Self::finish_request) is called.
    pub(super) fn start_request(&mut self) -> &mut PgConnection {
        self.activity = Activity::Busy;
        &mut self.connection
    }

    /// [`start_request`](Self::start_request) for a statement with `effect`. The effect is recorded before
    /// the statement is sent, because a statement that fails or is cut off may still have had it.
    pub(super) fn start_statement(&mut self, effect: SessionEffect) -> &mut PgConnection {
        self.tainted |= effect == SessionEffect::Persists;
        self.start_request()
    }

    /// Records that a request's answer was read to the end. The session then has the activity `after`, or
    /// `Broken` when `result` says that its connection broke.
    pub(super) fn finish_request<T>(&mut self, result: &sqlx::Result<T>, after: Activity) {
        self.last_used = Instant::now();
        self.stale |= matches!(result, Err(error) if is_stale(error));
        self.lock_timed_out |= matches!(result, Err(error) if is_lock_timeout(error));
        self.is_write_refused |= matches!(result, Err(error) if is_read_only_server(error));
        self.activity = match result {
            Err(error) if is_broken(error) => Activity::Broken,
            _ => after,
        };
    }

    /// Marks a pinned session idle: its user knows that it holds neither a transaction nor a lock any more.
    pub(super) fn mark_idle(&mut self) {
        if self.activity == Activity::Pinned {
            self.activity = Activity::Idle;
        }
    }

    /// Runs statements that return nothing, in one round trip. After a success the session's activity is
    /// `after`, after a failed statement the one from before.
    pub(super) async fn execute(
        &mut self,
        sql: impl sqlx::SqlSafeStr + Send,
        after: Activity,
    ) -> sqlx::Result<()> {
        let before = self.activity;
        let result = self.start_request().execute(sqlx::raw_sql(sql)).await.map(drop);
        self.finish_request(&result, if result.is_ok() { after } else { before });
        result
    }

    /// [`execute`](Self::execute) for a batch that returns rows. The answers of all of its statements are
    /// read, because an error of the last one fails the whole batch.
    pub(super) async fn query(
        &mut self,
        sql: impl sqlx::SqlSafeStr + Send,
        after: Activity,
    ) -> sqlx::Result<Vec<PgRow>> {
        let before = self.activity;
        let result = self.start_request().fetch_all(sqlx::raw_sql(sql)).await;
        self.finish_request(&result, if result.is_ok() { after } else { before });
        result
    }

    /// Asks the server for an empty answer, in one round trip. The session's activity stays as it is.
    pub(super) async fn ping(&mut self) -> sqlx::Result<()> {
        let before = self.activity;
        let result = self.start_request().ping().await;
        self.finish_request(&result, before);
        result
    }

    /// Asks the server for its state, in one round trip. The setting `transaction_read_only` is on in every
    /// transaction of a standby as well.
    pub(super) async fn server_report(&mut self) -> sqlx::Result<ServerReport> {
        let before = chrono::Utc::now();
        let rows = self.query(SERVER_REPORT, Activity::Idle).await?;
        let after = chrono::Utc::now();
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        let mode = match (row.try_get("standby")?, row.try_get("read_only")?) {
            (true, _) => ServerMode::Standby,
            (false, true) => ServerMode::ReadOnly,
            (false, false) => ServerMode::Writable,
        };
        let (commits, seconds): (Vec<String>, Vec<f64>) = (row.try_get("commits")?, row.try_get("seconds")?);
        let for_at_least = seconds.into_iter().map(Duration::try_from_secs_f64);
        let waiting = commits.into_iter().zip(for_at_least.map(Result::unwrap_or_default)).collect();
        let clock = ClockDifference::between(before, row.try_get("clock")?, after);
        Ok(ServerReport {
            mode,
            clock,
            commits: WaitingCommits { standbys: row.try_get("standbys")?, waiting },
        })
    }

    /// Reads the rest of the answer of a statement whose future was dropped. At most two errors are read: an
    /// abandoned prepare and its execution can leave one each.
    pub(super) async fn drain(&mut self) -> sqlx::Result<()> {
        let mut errors = 0;
        loop {
            match self.start_request().ping().await {
                Ok(()) => {
                    self.finish_request(&Ok(()), Activity::Pinned);
                    return Ok(());
                }
                Err(error) if !is_broken(&error) && errors < 2 => errors += 1,
                Err(error) => {
                    self.activity = Activity::Broken;
                    return Err(error);
                }
            }
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("pid", &self.pid)
            .field("activity", &self.activity)
            .finish_non_exhaustive()
    }
}
