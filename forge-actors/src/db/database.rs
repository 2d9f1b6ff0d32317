//! [`Database`]: the pools of one node on one database, and everything that starts from them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{Notify, watch};

use crate::kernel::fault::Fault;

use super::config::DatabaseConfig;
use super::disposal::Disposal;
use super::error::{Error, SERVER_MAJOR_MIN};
use super::handle::Db;
use super::pool::{Lease, Pool, PoolUsage, SessionMaker, Shared};
use super::session::BackendPid;
use super::state::DatabaseState;
use super::transaction::{Isolation, Transaction, TransactionOptions};

/// Of the reactor: one for a tick, one for what it looks up meanwhile, one that is being replaced.
const LIVE_CONNECTIONS: usize = 3;

/// How sessions begin that serve reads.
const READ_ONLY: &str = "SET default_transaction_read_only = on;";

/// The pools of one node. Cheap to clone; opening it connects to nothing.
#[derive(Debug, Clone)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: DatabaseConfig,
    options: PgConnectOptions,
    shared: Arc<Shared>,
    write: Pool,
    read: Pool,
    locks: Pool,
    /// Of the reactor: a tick must not wait behind calls.
    live: Pool,
    control: Pool,
}

/// How full each pool is.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DatabaseUsage {
    /// Transactions.
    pub write: PoolUsage,
    /// Queries.
    pub read: PoolUsage,
    /// Advisory locks.
    pub locks: PoolUsage,
    /// Health and cancellation.
    pub control: PoolUsage,
}

impl Database {
    /// Pools for `options`; `node` names this node in `pg_stat_activity`.
    pub fn new(options: PgConnectOptions, config: DatabaseConfig, node: &str) -> Self {
        // Asked for by the log's filter (`sqlx::query=debug`), each statement is written under its call's
        // trace; otherwise it costs nothing.
        let wanted = tracing::enabled!(target: "sqlx::query", tracing::Level::DEBUG);
        let options = if wanted { options } else { options.disable_statement_logging() };
        let (state, _) = watch::channel(DatabaseState::Up);
        let shared = Arc::new(Shared {
            generation: AtomicU64::new(0),
            state,
            suspicion: Notify::new(),
            disposal: Disposal::new(),
        });
        let pool = |name: &str, size: usize, setting: &str, fails_when_away: bool| {
            let maker = SessionMaker {
                options: options.clone().application_name(&format!("forge {node} {name}")),
                setup: setup(&config, setting),
                connect_timeout: config.connect_timeout,
                age_max: config.connection_age_max,
                shared: Arc::clone(&shared),
                knocking: AtomicUsize::new(0),
            };
            Pool::new(maker, size, config.acquire_timeout, fails_when_away)
        };
        let write = pool("write", config.write_connections_max, "", true);
        let read = pool("read", config.read_connections_max, READ_ONLY, true);
        let live = pool("live", LIVE_CONNECTIONS, READ_ONLY, true);
        // A migration may take its time, and IF NOT EXISTS prints a notice each time, which is nobody's
        // business.
        let quiet = "SET statement_timeout = 0; SET client_min_messages = warning;";
        let locks = pool("locks", config.lock_connections_max, quiet, true);
        let control = pool("control", config.control_connections_max, "SET statement_timeout = '2s';", false);
        shared.disposal.set_control(&control);
        Self(Arc::new(Inner { config, options, shared, write, read, live, locks, control }))
    }

    /// What it was opened with.
    pub fn config(&self) -> &DatabaseConfig {
        &self.0.config
    }

    /// How its connections are made.
    pub fn options(&self) -> &PgConnectOptions {
        &self.0.options
    }

    /// Host, port and database for people.
    pub fn place(&self) -> String {
        let options = &self.0.options;
        let host = options
            .get_socket()
            .map_or_else(|| options.get_host().to_owned(), |socket| socket.display().to_string());
        format!("{host}:{}/{}", options.get_port(), options.get_database().unwrap_or(options.get_username()))
    }

    /// Reads outside of any transaction: each statement takes a session for itself, whose transactions are
    /// read-only.
    pub fn reader(&self) -> Db {
        Db::pooled(self.0.read.clone(), true)
    }

    /// Single writing statements outside of any transaction, each committed by itself: for Forge's own
    /// bookkeeping.
    pub fn writer(&self) -> Db {
        Db::pooled(self.0.write.clone(), false)
    }

    /// Reads of the reactor outside of its snapshots.
    pub fn live_reader(&self) -> Db {
        Db::pooled(self.0.live.clone(), true)
    }

    /// The snapshot of a tick, on a session that no call can take: calls that wait would hold up every live
    /// query.
    pub async fn live_snapshot(
        &self,
        label: &str,
        statement_timeout: Duration,
    ) -> Result<Transaction, Fault> {
        self.snapshot_on(&self.0.live, label, statement_timeout).await
    }

    /// Small statements that must not wait behind applications' own: signs of life, of nodes and of jobs.
    pub fn control(&self) -> Db {
        Db::pooled(self.0.control.clone(), false)
    }

    /// One read-only snapshot for several statements, on a session of the read pool.
    pub async fn snapshot(&self, label: &str, statement_timeout: Duration) -> Result<Transaction, Fault> {
        self.snapshot_on(&self.0.read, label, statement_timeout).await
    }

    async fn snapshot_on(
        &self,
        pool: &Pool,
        label: &str,
        statement_timeout: Duration,
    ) -> Result<Transaction, Fault> {
        let options = TransactionOptions {
            isolation: Isolation::RepeatableRead,
            read_only: true,
            statement_timeout,
            label,
        };
        Transaction::begin_on(self, pool, options).await
    }

    /// Cancels the statement that `pid` runs, if it runs one.
    pub async fn cancel(&self, pid: BackendPid) -> sqlx::Result<()> {
        self.0.control.acquire().await?.run_one("SELECT pg_cancel_backend($1)", pid).await
    }

    /// What the monitor sees; without a monitor it stays `Up`.
    pub fn state(&self) -> watch::Receiver<DatabaseState> {
        self.0.shared.state.subscribe()
    }

    /// How full the pools are.
    pub fn usage(&self) -> DatabaseUsage {
        let Inner { write, read, locks, control, .. } = &*self.0;
        DatabaseUsage {
            write: write.usage(),
            read: read.usage(),
            locks: locks.usage(),
            control: control.usage(),
        }
    }

    /// One round trip through the control pool; the server's major version.
    pub async fn ping(&self) -> sqlx::Result<u32> {
        let mut lease = self.0.control.acquire().await?;
        let session = lease.session();
        session.ping().await?;
        Ok(session.server_version() / 10_000)
    }

    /// [`ping`](Self::ping), with failures that only a person can mend told apart from an outage.
    pub async fn check(&self) -> Result<(), CheckError> {
        match self.ping().await {
            Ok(major) if major < SERVER_MAJOR_MIN => {
                Err(CheckError::Permanent(Error::TooOld { place: self.place(), major }))
            }
            Ok(_) => Ok(()),
            Err(error) => Err(match Error::permanent(&self.place(), &error) {
                Some(permanent) => CheckError::Permanent(permanent),
                None => CheckError::Away(error),
            }),
        }
    }

    /// Closes sessions that were unused for longer than configured.
    pub fn prune(&self) {
        for pool in [&self.0.write, &self.0.read, &self.0.live, &self.0.locks] {
            pool.prune(self.0.config.connection_idle_max);
        }
    }

    /// Closes the pools and waits until discarded sessions are gone. Lent sessions end when they come back.
    pub async fn close(&self) {
        self.0.shared.disposal.finish().await;
        for pool in [&self.0.write, &self.0.read, &self.0.live, &self.0.locks, &self.0.control] {
            pool.close();
        }
    }

    /// Tells everybody that the database does not answer; true when it did before.
    pub(super) fn mark_away(&self, cause: &sqlx::Error) -> bool {
        self.0.shared.state.send_if_modified(|state| {
            let changed = state.is_up();
            if changed {
                *state = DatabaseState::Away { since: Instant::now(), cause: cause.to_string() };
            }
            changed
        })
    }

    /// Tells everybody that the database answers, and how long it did not. After an outage no session of
    /// before is lent again.
    pub(super) fn mark_up(&self) -> Option<Duration> {
        let mut outage = None;
        self.0.shared.state.send_if_modified(|state| {
            if let DatabaseState::Away { since, .. } = state {
                outage = Some(since.elapsed());
                self.0.shared.generation.fetch_add(1, Ordering::AcqRel);
                *state = DatabaseState::Up;
            }
            outage.is_some()
        });
        outage
    }

    /// Resolves when a session broke or a connection failed since the last call.
    pub(super) async fn suspicion(&self) {
        self.0.shared.suspicion.notified().await;
    }

    pub(super) fn write_pool(&self) -> &Pool {
        &self.0.write
    }

    pub(super) async fn lend_control_session(&self) -> sqlx::Result<Lease> {
        self.0.control.acquire().await
    }

    pub(super) async fn lend_lock_session(&self) -> sqlx::Result<Lease> {
        self.0.locks.acquire().await
    }
}

/// Why a check failed.
#[derive(Debug)]
pub enum CheckError {
    /// Waiting does not help.
    Permanent(Error),
    /// Waiting may help.
    Away(sqlx::Error),
}

/// One simple-protocol batch: the session's settings, then its pid and the server's version.
///
/// Settings are statements and not start-up options, because poolers refuse the latter. The connection check,
/// which ends a statement whose client is gone, exists on every platform from Postgres 15 on and on Linux
/// before; asking for it elsewhere would be an error.
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
