//! One connection to Postgres, together with what is known about it: its backend's pid, its age, and whether
//! it is at rest.

use std::fmt;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, Row};

use super::error::{is_broken, is_stale};
use super::guard::Effect;

/// Names a server process, as `pg_stat_activity.pid` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BackendPid(pub i32);

impl fmt::Display for BackendPid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the server is doing for this session, as far as answers were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    /// At rest, outside of any transaction: may be pooled.
    Idle,
    /// At rest inside a transaction, or holding a lock: not for anybody else.
    Bound,
    /// A statement was sent and its answer was not read to the end.
    Busy,
    /// The socket or the protocol broke.
    Broken,
}

/// A connection that knows whether it is at rest.
pub(super) struct Session {
    connection: PgConnection,
    pid: BackendPid,
    server_version: u32,
    generation: u64,
    expires: Instant,
    last_used: Instant,
    activity: Activity,
    /// Something of its last user may still be in it.
    used_up: bool,
    /// A statement failed because the schema had changed under what was prepared.
    stale: bool,
}

impl Session {
    /// Connects and runs `setup` (settings, then one row: pid and version number) in one round trip after the
    /// handshake.
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
            used_up: false,
            stale: false,
        })
    }

    pub(super) fn pid(&self) -> BackendPid {
        self.pid
    }

    /// The server's version in its own numbering, 150018 for 15.18.
    pub(super) fn server_version(&self) -> u32 {
        self.server_version
    }

    pub(super) fn activity(&self) -> Activity {
        self.activity
    }

    pub(super) fn idle_for(&self) -> Duration {
        self.last_used.elapsed()
    }

    /// True when a statement left something behind that the next user must not meet.
    pub(super) fn is_used_up(&self) -> bool {
        self.used_up || self.stale
    }

    /// The generation of sessions that end with this one: what it had prepared no longer fits the schema, and
    /// the others of its age have prepared the same.
    pub(super) fn stale_generation(&self) -> Option<u64> {
        self.stale.then_some(self.generation)
    }

    /// True when nothing forbids another use: at rest, unspoilt, young enough, and opened after the last
    /// outage.
    pub(super) fn is_reusable(&self, generation: u64) -> bool {
        self.activity == Activity::Idle
            && !self.is_used_up()
            && self.generation == generation
            && Instant::now() < self.expires
    }

    /// Marks the session busy and lends its connection. Until [`settle`](Self::settle) is called it counts as
    /// cut off.
    pub(super) fn engage(&mut self) -> &mut PgConnection {
        self.activity = Activity::Busy;
        &mut self.connection
    }

    /// [`engage`](Self::engage) for a statement with `effect`. Noted before it is sent: a statement that
    /// fails or is cut off may have had it.
    pub(super) fn engage_for(&mut self, effect: Effect) -> &mut PgConnection {
        self.used_up |= effect == Effect::Stays;
        self.engage()
    }

    /// Notes that a statement's answer was read to the end, and where that leaves the session.
    pub(super) fn settle<T>(&mut self, result: &sqlx::Result<T>, rest: Activity) {
        self.last_used = Instant::now();
        self.stale |= matches!(result, Err(error) if is_stale(error));
        self.activity = match result {
            Err(error) if is_broken(error) => Activity::Broken,
            _ => rest,
        };
    }

    /// Says where a session at rest stands, when that was decided by more than its last statement.
    pub(super) fn rest(&mut self, activity: Activity) {
        if !matches!(self.activity, Activity::Busy | Activity::Broken) {
            self.activity = activity;
        }
    }

    /// Runs statements that return nothing, in one round trip. After a success the session rests in `after`.
    pub(super) async fn execute(
        &mut self,
        sql: impl sqlx::SqlSafeStr + Send,
        after: Activity,
    ) -> sqlx::Result<()> {
        let before = self.activity;
        let result = self.engage().execute(sqlx::raw_sql(sql)).await.map(drop);
        self.settle(&result, if result.is_ok() { after } else { before });
        result
    }

    /// [`execute`](Self::execute) for a batch that returns rows. All of its answers are read: its last
    /// statement may be the one that counts.
    pub(super) async fn query(
        &mut self,
        sql: impl sqlx::SqlSafeStr + Send,
        after: Activity,
    ) -> sqlx::Result<Vec<PgRow>> {
        let before = self.activity;
        let result = self.engage().fetch_all(sqlx::raw_sql(sql)).await;
        self.settle(&result, if result.is_ok() { after } else { before });
        result
    }

    /// Asks for a sign of life.
    pub(super) async fn ping(&mut self) -> sqlx::Result<()> {
        let before = self.activity;
        let result = self.engage().ping().await;
        self.settle(&result, before);
        result
    }

    /// Reads whatever an abandoned statement still has to say. Bounded: an abandoned prepare and its
    /// execution can leave one error each.
    pub(super) async fn drain(&mut self) -> sqlx::Result<()> {
        let mut errors = 0;
        loop {
            match self.engage().ping().await {
                Ok(()) => {
                    self.settle(&Ok(()), Activity::Bound);
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
