//! A database of its own for each test, on the server that FORGE_TEST_DATABASE_URL names (as a superuser).

use std::future::Future;
use std::str::FromStr;
use std::time::{Duration, Instant};

use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::database::Database;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

/// An empty database, dropped with its sessions at the end of the test.
pub(super) struct Scratch {
    pub(super) database: Database,
    pub(super) name: String,
    admin: PgConnectOptions,
}

impl Scratch {
    pub(super) async fn new() -> Self {
        Self::with(DatabaseConfig::default()).await
    }

    pub(super) async fn with(config: DatabaseConfig) -> Self {
        let url = std::env::var("FORGE_TEST_DATABASE_URL").expect("FORGE_TEST_DATABASE_URL names a scratch server");
        let admin = PgConnectOptions::from_str(&url).unwrap();
        let name = format!("forge_test_{}", uuid::Uuid::now_v7().simple());
        let mut connection = admin.connect().await.unwrap();
        execute(&mut connection, &format!("CREATE DATABASE {name}")).await;
        connection.close().await.unwrap();
        let database = Database::new(admin.clone().database(&name), config, "test");
        Self { database, name, admin }
    }

    /// A connection that no pool knows.
    pub(super) async fn connect(&self) -> PgConnection {
        self.admin.clone().database(&self.name).connect().await.unwrap()
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        self.admin.clone().database(&self.name)
    }

    /// Sessions of this test's pools in a given state.
    pub(super) async fn sessions(&self, condition: &str) -> i64 {
        let mut connection = self.connect().await;
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = '{}' AND pid <> pg_backend_pid() AND application_name LIKE 'forge %' AND ({condition})",
            self.name
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await.unwrap()
    }

    pub(super) async fn drop(self) {
        self.database.close().await;
        let mut connection = self.admin.connect().await.unwrap();
        execute(&mut connection, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
    }
}

pub(super) async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// Polls until `condition` holds; says what never came.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, limit: Duration, condition: impl Fn() -> F) -> Duration {
    let started = Instant::now();
    while !condition().await {
        assert!(started.elapsed() < limit, "{what}: not within {limit:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    started.elapsed()
}
