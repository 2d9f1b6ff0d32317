//! A database of its own for each test, with pools of its own.

use std::future::Future;
use std::str::FromStr;
use std::time::{Duration, Instant};

use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::database::Database;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgConnection};

/// An empty database, dropped with its sessions at the end of the test, also when that panics.
pub(crate) struct Scratch {
    pub(crate) database: Database,
    pub(crate) name: String,
    disk: forge_tests::Database,
}

impl Scratch {
    pub(crate) async fn new() -> Self {
        Self::with(DatabaseConfig::default()).await
    }

    pub(crate) async fn with(config: DatabaseConfig) -> Self {
        let disk = forge_tests::Database::create().await;
        let database = Database::new(options(&disk), config, "test");
        Self { database, name: disk.name().to_owned(), disk }
    }

    /// A database of another cluster.
    pub(crate) async fn in_cluster(url: &str) -> Self {
        let disk = forge_tests::Database::create_in(url, None).await;
        let database = Database::new(options(&disk), DatabaseConfig::default(), "test");
        Self { database, name: disk.name().to_owned(), disk }
    }

    /// One whose pools connect through a proxy.
    pub(crate) async fn behind_proxy() -> (Self, forge_tests::FaultProxy) {
        let disk = forge_tests::Database::create().await;
        let direct = options(&disk);
        let server = format!("{}:{}", direct.get_host(), direct.get_port()).parse().unwrap();
        let proxy = forge_tests::FaultProxy::start(server).await;
        let through = PgConnectOptions::from_str(&disk.url_through(proxy.address())).unwrap();
        let database = Database::new(through, DatabaseConfig::default(), "test");
        (Self { database, name: disk.name().to_owned(), disk }, proxy)
    }

    /// A connection that no pool knows.
    pub(crate) async fn connect(&self) -> PgConnection {
        self.disk.connect().await
    }

    pub(crate) fn options(&self) -> PgConnectOptions {
        options(&self.disk)
    }

    /// Sessions of this test's pools in a given state.
    pub(crate) async fn sessions(&self, condition: &str) -> i64 {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'forge %' AND ({condition})"
        );
        self.disk.value(&sql).await
    }

    pub(crate) async fn drop(self) {
        self.database.close().await;
    }
}

fn options(disk: &forge_tests::Database) -> PgConnectOptions {
    PgConnectOptions::from_str(disk.url()).unwrap()
}

pub(crate) async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// Polls until `condition` holds; says what never came, or how long it took.
pub(crate) async fn until<F: Future<Output = bool>>(
    what: &str,
    limit: Duration,
    condition: impl Fn() -> F,
) -> Duration {
    let started = Instant::now();
    forge_tests::until(what, limit, || async { condition().await.then_some(()) }).await;
    started.elapsed()
}
