//! One database per test, in the cluster that `tests/run` starts.

use std::future::Future;

use sqlx::postgres::{PgConnection, PgRow, Postgres};
use sqlx::{AssertSqlSafe, Connection, Decode, Executor, Row, Type};

/// Where `tests/run` says its cluster is.
const CLUSTER: &str = "FORGE_TEST_DATABASE_URL";

/// A database of its own; dropping the value drops it, whoever is still connected.
pub struct Database {
    name: String,
    url: String,
    cluster_url: String,
}

impl Database {
    /// A new, empty database in the run's cluster.
    pub async fn create() -> Self {
        Self::create_in(&Self::cluster(), None).await
    }

    fn cluster() -> String {
        std::env::var(CLUSTER)
            .unwrap_or_else(|_| panic!("{CLUSTER} is not set: run the tests by `tests/run [name]`"))
    }

    /// A new, empty database in the run's cluster whose texts have another encoding than UTF-8.
    pub async fn create_in_encoding(encoding: &str) -> Self {
        let template = format!("template0 encoding '{encoding}' lc_collate 'C' lc_ctype 'C'");
        Self::create_in(&Self::cluster(), Some(&template)).await
    }

    /// A copy of another database, to which nobody may be connected.
    pub async fn copy_of(template: &Self) -> Self {
        Self::create_in(&template.cluster_url, Some(&template.name)).await
    }

    /// A new database in the cluster behind `cluster_url`.
    pub async fn create_in(cluster_url: &str, template: Option<&str>) -> Self {
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        // template0 is never connected to, so that concurrent creations do not wait for each other's
        // sessions.
        let sql = format!("create database {name} template {}", template.unwrap_or("template0"));
        run(cluster_url, &sql).await.expect("create the test's database");
        let (server, _) = cluster_url.rsplit_once('/').expect("the cluster's url ends in a database");
        Self { url: format!("{server}/{name}"), name, cluster_url: cluster_url.to_owned() }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its URL, for a superuser.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its URL through another server address, for example a [`FaultProxy`](crate::FaultProxy)'s.
    pub fn url_through(&self, address: std::net::SocketAddr) -> String {
        format!("postgres://forge@{address}/{}", self.name)
    }

    /// A connection of its own, outside of any pool.
    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("connect to the test's database")
    }

    /// Runs statements.
    pub async fn execute(&self, sql: &str) {
        run(&self.url, sql).await.unwrap_or_else(|error| panic!("{error}\nin: {sql}"));
    }

    /// The first column of the first row.
    pub async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        self.rows(sql).await.first().unwrap_or_else(|| panic!("no row: {sql}")).get(0)
    }

    /// The first column of every row.
    pub async fn column<T>(&self, sql: &str) -> Vec<T>
    where
        T: for<'r> Decode<'r, Postgres> + Type<Postgres>,
    {
        self.rows(sql).await.iter().map(|row| row.get(0)).collect()
    }

    /// Every row.
    pub async fn rows(&self, sql: &str) -> Vec<PgRow> {
        let mut connection = self.connect().await;
        let rows = connection
            .fetch_all(AssertSqlSafe(sql.to_owned()))
            .await
            .unwrap_or_else(|error| panic!("{error}\nin: {sql}"));
        connection.close().await.expect("close the connection");
        rows
    }

    /// What other sessions do here: `state: statement`, one entry for each that is not idle.
    pub async fn busy_sessions(&self) -> Vec<String> {
        self.column(
            "select state || ': ' || left(query, 120) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend' and state <> 'idle'",
        )
        .await
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let sql = format!("drop database if exists {} with (force)", self.name);
        let cluster_url = self.cluster_url.clone();
        // A cluster that its test has stopped takes its databases with it.
        block_on(async move { run(&cluster_url, &sql).await.ok() });
    }
}

async fn run(url: &str, sql: &str) -> Result<(), sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    connection.execute(AssertSqlSafe(sql.to_owned())).await?;
    connection.close().await
}

/// Runs a future to its end inside `Drop`, whatever runtime is around it.
fn block_on<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime for the cleanup");
            runtime.block_on(future)
        });
        worker.join().expect("the cleanup does not panic")
    })
}
