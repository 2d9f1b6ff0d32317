//! [`Database`]: the pools of one node on one database, and everything that starts from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::postgres::{PgArguments, PgConnectOptions, PgRow};
use sqlx::query::Query;
use sqlx::{ConnectOptions, Postgres};
use tokio::sync::watch;

use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::ids::NodeId;
use crate::subsystem::DatabaseUsage;

use super::clock::ClockDifference;
use super::commit_wait::CommitWait;
use super::config::DatabaseConfig;
use super::error::{
    DatabaseError, SERVER_MAJOR_MIN, as_read_only_server, is_broken, is_read_only_server, no_answer,
};
use super::handle::Db;
use super::live_snapshot::LiveSnapshot;
use super::long_transaction::LongTransaction;
use super::pool::{Pool, PoolUsers, PooledSession, SessionFactory};
use super::session::{Activity, Session};
use super::session_name::{SessionNames, short_id};
use super::shared::DatabaseShared;
use super::state::{DatabaseState, ServerReport};
use super::transaction::{Isolation, Transaction, TransactionOptions, outcome_unknown};

/// Connections of the reactor, beside those of its lanes: one for a tick, one for the lookups beside it, one
/// that is being replaced.
const LIVE_CONNECTIONS: usize = 3;

/// The setting with which sessions that serve reads begin.
const READ_ONLY: &str = "SET default_transaction_read_only = on;";

/// The settings with which sessions of the pool of jobs begin. Its statements read forge_jobs by the index
/// that the head of their file names, and keep one generic plan: planning a claim takes 0.9 ms, a small claim
/// 0.4 ms. Sequential scans are off, because a plan from before a burst would read the whole table; JIT is
/// off, because a table that has no index to be read by then costs so much by the planner's count that the
/// server would compile the statement.
const JOBS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET jit = off;";

/// The setting with which sessions of the control pool begin.
const CONTROL: &str = "SET statement_timeout = '2s';";

/// The pools of one node. Cheap to clone; creating it connects to nothing.
#[derive(Debug, Clone)]
pub struct Database(Arc<Pools>);

#[derive(Debug)]
struct Pools {
    config: DatabaseConfig,
    options: PgConnectOptions,
    shared: Arc<DatabaseShared>,
    write: Pool,
    read: Pool,
    locks: Pool,
    /// Connections of the reactor, so that a tick never waits behind calls.
    live: Pool,
    /// Connections of the job subsystem, so that neither claims nor results wait behind calls.
    jobs: Pool,
    control: Pool,
}

impl Database {
    /// Makes the pools of a process that is no node; `name` names it in `pg_stat_activity`.
    pub fn new(options: PgConnectOptions, config: DatabaseConfig, name: &str) -> Self {
        Self::with_names(options, config, name, SessionNames::default())
    }

    /// Makes the pools of a node. Its sessions are named in `pg_stat_activity` by its `name` and its id, by
    /// which other nodes end them when it is dead.
    pub fn of_node(options: PgConnectOptions, config: DatabaseConfig, name: &str, id: NodeId) -> Self {
        Self::with_names(options, config, name, SessionNames::of_node(id))
    }

    fn with_names(
        options: PgConnectOptions,
        config: DatabaseConfig,
        node: &str,
        session_names: SessionNames,
    ) -> Self {
        // Statements are logged, each under its call's trace, when the log's filter asks for them
        // (`sqlx::query=debug`). Otherwise logging them is switched off, because it costs time.
        let logs_statements = tracing::enabled!(target: "sqlx::query", tracing::Level::DEBUG);
        let options = if logs_statements { options } else { options.disable_statement_logging() };
        let shared = DatabaseShared::new(session_names);
        let pool = |name: &str, size: usize, setting: &str, users: PoolUsers| {
            let factory = SessionFactory {
                options: options
                    .clone()
                    .application_name(&shared.session_names.name(&format!("{node} {name}"))),
                setup: setup(&config, setting),
                connect_timeout: config.connect_timeout,
                age_max: config.connection_age_max,
                shared: Arc::clone(&shared),
                pending_probes: AtomicUsize::new(0),
            };
            Pool::new(factory, size, config.acquire_timeout, users)
        };
        let write = pool("write", config.write_connections_max, "", PoolUsers::WRITERS);
        let read = pool("read", config.read_connections_max, READ_ONLY, PoolUsers::READERS);
        let live = pool("live", LIVE_CONNECTIONS, READ_ONLY, PoolUsers::READERS);
        let jobs = pool("jobs", config.job_connections_max, JOBS, PoolUsers::JOBS);
        // A migration may run for long. `IF NOT EXISTS` sends a notice each time it finds something, which
        // sqlx would log.
        let quiet = "SET statement_timeout = 0; SET client_min_messages = warning;";
        let locks = pool("locks", config.lock_connections_max, quiet, PoolUsers::READERS);
        let control = pool("control", config.control_connections_max, CONTROL, PoolUsers::CONTROL);
        let terminating = control.downgrade();
        shared.discarder.terminate_with(Box::new(move |pid| {
            let control = terminating.upgrade()?;
            Some(Box::pin(async move {
                control.acquire().await?.run_for_backend(include_str!("sql/end_session.sql"), pid).await
            }))
        }));
        Self(Arc::new(Pools { config, options, shared, write, read, live, locks, jobs, control }))
    }

    /// The configuration that the pools were made with.
    pub fn config(&self) -> &DatabaseConfig {
        &self.0.config
    }

    /// The options that connections are opened with.
    pub fn options(&self) -> &PgConnectOptions {
        &self.0.options
    }

    /// `host:port/database`, for messages; the socket's folder stands in the place of a host.
    pub fn address(&self) -> String {
        let options = &self.0.options;
        let host = options
            .get_socket()
            .map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
        format!("{host}:{}/{}", options.get_port(), options.get_database().unwrap_or(options.get_username()))
    }

    /// Reads outside of any transaction: each statement takes a session of its own, in which Postgres refuses
    /// writes.
    pub fn reader(&self) -> Db {
        Db::pooled(self.0.read.clone(), true)
    }

    /// Single writing statements outside of any transaction, each committed by itself: Forge's
    /// bookkeeping, and `ctx.db()` of jobs.
    pub fn writer(&self) -> Db {
        Db::pooled(self.0.write.clone(), false)
    }

    /// Runs one writing statement of Forge's own, which commits by itself.
    ///
    /// # Errors
    /// `OUTCOME_UNKNOWN` when it was sent, and the connection broke or `database.commit_timeout` passed
    /// before the answer came. With every other error nothing was written.
    pub async fn write_alone(&self, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, Fault> {
        let mut pooled = self.0.write.acquire().await?;
        let session = pooled.session();
        let run = query.fetch_all(session.start_request());
        // A session that is dropped before its answer came is discarded.
        let Ok(result) = tokio::time::timeout(self.0.config.commit_timeout, run).await else {
            return Err(outcome_unknown());
        };
        let result = as_read_only_server(result);
        session.finish_request(&result, Activity::Idle);
        match result {
            Ok(rows) => Ok(rows),
            Err(error) if is_read_only_server(&error) => Err(error.into()),
            // Also a pooler between node and server that has lost the server says so as an error of a
            // server: the statement may have been committed.
            Err(error) if is_broken(&error) => Err(outcome_unknown().because(error)),
            // The server has said that it failed.
            Err(error) => Err(error.into()),
        }
    }

    /// Reads of the reactor outside of its snapshots.
    pub fn live_reader(&self) -> Db {
        Db::pooled(self.0.live.clone(), true)
    }

    /// Statements of the job subsystem: claims, promotions, rescues and results.
    pub fn jobs(&self) -> Db {
        Db::pooled(self.0.jobs.clone(), false)
    }

    /// Small statements that must not wait behind those of applications: heartbeats of nodes, begins and
    /// leases of jobs.
    pub fn control(&self) -> Db {
        Db::pooled(self.0.control.clone(), false)
    }

    /// The options of a connection of this process that belongs to no pool.
    pub(super) fn options_for(&self, label: &str) -> PgConnectOptions {
        self.0.options.clone().application_name(&self.0.shared.session_names.name(label))
    }

    /// Ends the sessions of `node`, which is dead or frozen: their transactions would hold locks for as long
    /// as the server takes the connections for alive. A session that was at work within `silent_for` is left
    /// alone, since its node may live. Behind a pooler that hides the names of sessions, none is found.
    /// Returns how many were ended.
    ///
    /// # Errors
    /// When the role of this node may not end those sessions, or the database does not answer.
    pub async fn end_sessions_of(&self, node: NodeId, silent_for: Duration) -> sqlx::Result<i64> {
        let ending = sqlx::query_scalar(include_str!("sql/end_sessions.sql"));
        let ending = ending.bind(short_id(node)).bind(silent_for.as_secs_f64());
        ending.fetch_one(&self.control()).await
    }

    /// Begins a transaction on a session of the write pool, in one round trip.
    ///
    /// # Errors
    /// `OVERLOADED` when no session was free within `acquire_timeout`; `UNAVAILABLE` when the database does
    /// not answer. Nothing has happened in the database then.
    pub async fn begin(&self, options: TransactionOptions<'_>) -> Result<Transaction, Fault> {
        self.begin_on(&self.0.write, options).await
    }

    /// Begins a transaction of the job subsystem, on a session of its pool.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin).
    pub async fn begin_of_jobs(&self, options: TransactionOptions<'_>) -> Result<Transaction, Fault> {
        self.begin_on(&self.0.jobs, options).await
    }

    /// Begins a read-only snapshot for several statements, on a session of the read pool.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin).
    pub async fn snapshot(&self, label: &str, statement_timeout: Duration) -> Result<Transaction, Fault> {
        self.begin_on(&self.0.read, snapshot_options(label, statement_timeout)).await
    }

    /// Begins a snapshot of live queries. Its session comes from a pool that calls cannot use: calls that
    /// wait must not hold up every live query.
    ///
    /// # Errors
    /// Those of [`begin`](Self::begin), `CONFLICT` when a table cannot be locked within the lock timeout, and
    /// an error of the database when the transaction that exported the snapshot has ended.
    pub async fn live_snapshot(&self, snapshot: LiveSnapshot<'_>) -> Result<Transaction, Fault> {
        let Pools { live, control, config, .. } = &*self.0;
        Transaction::begin_live(live, control, config.commit_timeout, snapshot).await
    }

    /// Lets the reactor have a connection for each of its lanes, beside the
    /// three of every node.
    pub fn reserve_lanes(&self, lanes: usize) {
        self.0.live.resize(LIVE_CONNECTIONS + lanes);
    }

    /// The most connections of live queries.
    pub(super) fn live_connections_max(&self) -> usize {
        self.0.live.size_max()
    }

    /// Changes the sizes of pools. A session beyond them that is in use now is closed when it is returned.
    pub(super) fn resize(&self, write: usize, read: usize, jobs: usize, locks: usize) {
        self.0.write.resize(write);
        self.0.read.resize(read);
        self.0.jobs.resize(jobs);
        self.0.locks.resize(locks);
    }

    async fn begin_on(&self, pool: &Pool, options: TransactionOptions<'_>) -> Result<Transaction, Fault> {
        Transaction::begin(pool, &self.0.control, self.0.config.commit_timeout, options).await
    }

    /// The result of the monitor's last ping; without a monitor it stays `Up`.
    pub fn state(&self) -> watch::Receiver<DatabaseState> {
        self.0.shared.state.subscribe()
    }

    /// Commits that do not end, as the monitor's last ping found them.
    pub fn commits(&self) -> watch::Receiver<Option<CommitWait>> {
        self.0.shared.commits.subscribe()
    }

    /// How this machine's clock differs from the database's, as the monitor's last ping found it.
    pub fn clock(&self) -> Option<ClockDifference> {
        *self.0.shared.clock.borrow()
    }

    /// The oldest transaction of the database, when it is open for long.
    pub fn long_transaction(&self) -> Option<LongTransaction> {
        self.0.shared.long_transaction.borrow().clone()
    }

    /// Reads the oldest transaction that keeps vacuum from removing row versions.
    pub(super) async fn oldest_transaction(&self) -> sqlx::Result<Option<LongTransaction>> {
        let finding = sqlx::query_as(include_str!("sql/find_oldest_transaction.sql"));
        Ok(finding.fetch_optional(&self.control()).await?.map(LongTransaction::of_row))
    }

    /// Reads the database's clock.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn read_clock(&self) -> sqlx::Result<ClockDifference> {
        Ok(self.ping().await?.clock)
    }

    /// How full the pools are.
    pub fn usage(&self) -> DatabaseUsage {
        let Pools { write, read, live, locks, jobs, control, .. } = &*self.0;
        DatabaseUsage {
            write: write.usage(),
            read: read.usage(),
            live: Some(live.usage()),
            jobs: Some(jobs.usage()),
            locks: locks.usage(),
            control: control.usage(),
        }
    }

    /// Checks that a server answers which is new enough and takes writes.
    ///
    /// # Errors
    /// `Permanent` for a failure that a person must mend, the others for what may pass.
    pub async fn check(&self) -> Result<(), CheckError> {
        let asking = async {
            let mut session = self.open_control_session().await?;
            Ok::<_, sqlx::Error>((session.server_version() / 10_000, session.server_report().await?.mode))
        };
        match asking.await {
            Ok((major, _)) if major < SERVER_MAJOR_MIN => {
                Err(CheckError::Permanent(DatabaseError::TooOld { address: self.address(), major }))
            }
            Ok((_, mode)) => match mode.obstacle() {
                Some(obstacle) => Err(CheckError::ReadOnly(obstacle)),
                None => Ok(()),
            },
            Err(error) => Err(match DatabaseError::permanent(&self.address(), &error) {
                Some(permanent) => CheckError::Permanent(permanent),
                None => CheckError::Unreachable(error),
            }),
        }
    }

    /// Asks the server of a session of the control pool whether it takes writes, for its clock, and for
    /// commits that wait.
    pub(super) async fn ping(&self) -> sqlx::Result<ServerReport> {
        self.0.control.acquire().await?.session().server_report().await
    }

    /// [`ping`](Self::ping) on a new connection: after a switch-over it may lead to another server than the
    /// sessions that are open, and it needs none of the pool's, whose commits may all be waiting.
    pub(super) async fn ping_anew(&self) -> sqlx::Result<ServerReport> {
        self.open_control_session().await?.server_report().await
    }

    /// A session as those of the control pool, on a connection of its own.
    async fn open_control_session(&self) -> sqlx::Result<Session> {
        let Pools { config, options, .. } = &*self.0;
        let setup = setup(config, CONTROL);
        // Generation and age matter only to pools, and this session is never pooled.
        let opening = Session::open(options, &setup, 0, config.connection_age_max);
        let opened = tokio::time::timeout(config.connect_timeout, opening).await;
        opened.unwrap_or_else(|_| Err(no_answer(config.connect_timeout)))
    }

    fn pools(&self) -> [&Pool; 6] {
        let Pools { write, read, live, locks, jobs, control, .. } = &*self.0;
        [write, read, live, locks, jobs, control]
    }

    /// Closes the sessions that were unused for `connection_idle_max`.
    pub fn prune(&self) {
        for pool in self.pools() {
            pool.prune(self.0.config.connection_idle_max);
        }
    }

    /// Closes the pools and waits until discarded sessions are closed. A session that is in use is closed
    /// when its user drops it.
    pub async fn close(&self) {
        self.0.shared.discarder.finish().await;
        for pool in self.pools() {
            pool.close();
        }
    }

    /// Publishes that the database does not answer. True when the state was another one before.
    pub(super) fn mark_unreachable(&self, cause: &sqlx::Error) -> bool {
        self.0.shared.state.send_if_modified(|state| {
            let is_new = !matches!(state, DatabaseState::Unreachable { .. });
            if is_new {
                *state = DatabaseState::Unreachable { since: Instant::now(), cause: error_chain(cause) };
            }
            is_new
        })
    }

    /// Publishes that the server takes no writes, for this cause. True when the state was another one
    /// before.
    pub(super) fn mark_read_only(&self, cause: &'static str) -> bool {
        self.0.shared.state.send_if_modified(|state| {
            let is_new = !matches!(state, DatabaseState::ReadOnly { .. });
            if is_new {
                *state = DatabaseState::ReadOnly { since: Instant::now(), cause };
            }
            is_new
        })
    }

    /// Publishes that the database is up. When it was not, no session from before is used again, and the
    /// result is the state that has ended.
    pub(super) fn mark_up(&self) -> Option<DatabaseState> {
        let mut ended = None;
        self.0.shared.state.send_if_modified(|state| {
            if !state.is_up() {
                self.0.shared.end_generation();
                ended = Some(std::mem::replace(state, DatabaseState::Up));
            }
            ended.is_some()
        });
        ended
    }

    /// Publishes how this machine's clock differs from the database's.
    pub(super) fn mark_clock(&self, difference: ClockDifference) {
        self.0.shared.clock.send_replace(Some(difference));
    }

    /// Publishes the oldest transaction, when it is open for long. The result is the one before.
    pub(super) fn mark_long_transaction(&self, found: Option<LongTransaction>) -> Option<LongTransaction> {
        self.0.shared.long_transaction.send_replace(found)
    }

    /// Publishes the commits that do not end. True when waiting began or ended with this value.
    pub(super) fn mark_commits(&self, wait: Option<CommitWait>) -> bool {
        let waits = wait.is_some();
        let before = self.0.shared.commits.send_replace(wait);
        before.is_some() != waits
    }

    /// Ends a session that belongs to no pool, with what its backend still does.
    pub(super) fn discard(&self, session: Session) {
        self.0.shared.discarder.discard(session);
    }

    /// How often calls and duties have used the database since this was asked last.
    pub(super) fn take_uses(&self) -> u32 {
        self.0.shared.uses.swap(0, Ordering::Relaxed)
    }

    /// Resolves when a session broke or a connection attempt failed since the last call.
    pub(super) async fn outage_suspected(&self) {
        self.0.shared.suspect_outage.notified().await;
    }

    pub(super) async fn acquire_control_session(&self) -> sqlx::Result<PooledSession> {
        self.0.control.acquire().await
    }

    pub(super) async fn acquire_lock_session(&self) -> sqlx::Result<PooledSession> {
        self.0.locks.acquire().await
    }
}

/// Why a check failed.
#[derive(Debug)]
pub enum CheckError {
    /// Waiting does not help.
    Permanent(DatabaseError),
    /// Waiting may help.
    Unreachable(sqlx::Error),
    /// The server takes no writes, for this cause. Waiting helps when another server takes its place.
    ReadOnly(&'static str),
}

fn snapshot_options(label: &str, statement_timeout: Duration) -> TransactionOptions<'_> {
    TransactionOptions { isolation: Isolation::RepeatableRead, read_only: true, statement_timeout, label }
}

/// One simple-protocol batch: the session's settings, then its pid and the server's version.
///
/// Settings are statements and not start-up options, because poolers refuse the latter. The connection check,
/// which ends a statement whose client is gone, exists on every platform from Postgres 15 on and on Linux
/// before; setting it elsewhere would be an error.
fn setup(config: &DatabaseConfig, setting: &str) -> String {
    format!(
        "SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}; {setting} \
         SELECT pg_backend_pid() AS pid, current_setting('server_version_num')::int4 AS version, \
         CASE WHEN version() LIKE '%linux%' AND current_setting('server_version_num')::int4 >= 140000 \
         THEN set_config('client_connection_check_interval', '2s', false) END",
        config.statement_timeout.as_millis(),
        config.idle_in_transaction_timeout.as_millis(),
    )
}
