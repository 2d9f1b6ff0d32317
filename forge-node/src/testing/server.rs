//! The server of this process's tests, and the databases on it.

use std::env;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use forge_actors::app::App;
use forge_actors::db::advisory_lock::{AdvisoryLock, LockKey};
use forge_actors::db::config::DatabaseUrl;
use forge_actors::db::database::Database;
use forge_actors::db::embedded::error::EmbeddedError;
use forge_actors::db::embedded::server::Embedded;
use forge_actors::kernel::diagnose::Diagnose;
use forge_actors::kernel::time::secs;
use tokio::runtime::{Builder, Runtime};

use super::admin::{config, database_name, drop_quietly, execute};
use super::error::TestError;
use super::template;
use super::watchdog;
use crate::boot::storage::migration_sets;

/// The variable of the environment that names a server; without it the tests have an embedded one.
const URL_VARIABLE: &str = "DATABASE_URL";
/// Longer than taking a lock that nobody else wants.
const LOCK_WAIT: Duration = secs(10);

/// The server, as one test process uses it.
pub(super) struct TestServer {
    /// Statements about databases run here: the connections outlive the runtimes of single tests.
    runtime: Runtime,
    admin: Database,
    run: String,
    template: String,
    databases: AtomicU64,
    /// Keeps a session of this run open, by which other runs know that its databases are in use.
    _run_lock: AdvisoryLock,
    /// The embedded server, for as long as this process lives: a static is never dropped, and the kernel
    /// releases what it holds.
    _embedded: Option<Embedded>,
}

/// A database of one test. Dropping the value drops the database.
pub(super) struct TestDatabase {
    server: &'static TestServer,
    name: String,
}

/// The server of this process, which the first test sets up. `test` is the name of the calling test.
pub(super) fn of_this_process(test: &str) -> Result<&'static TestServer, TestError> {
    static SERVER: OnceLock<Result<TestServer, TestError>> = OnceLock::new();
    SERVER.get_or_init(|| TestServer::open(test)).as_ref().map_err(Clone::clone)
}

impl TestServer {
    fn open(test: &str) -> Result<Self, TestError> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let run = format!("{:016x}", fastrand::u64(..));
        // Other runs find the sessions of this one by their application_name, which begins with this.
        let node = format!("test_{run}");
        let (admin, embedded) = match env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty()) {
            Some(url) => {
                let options = DatabaseUrl::new(url).options();
                let options = options.map_err(|error| TestError::diagnosed(URL_VARIABLE, &error))?;
                (Database::new(options, config(), &node), None)
            }
            None => {
                let embedded = start_embedded(&runtime, test)?;
                (Database::new(embedded.options(), config(), &node), Some(embedded))
            }
        };
        let sets = migration_sets(&App::linked()).map_err(|report| TestError::new(report.to_string()))?;
        let (run_lock, template) = runtime.block_on(async {
            if embedded.is_some() {
                make_fast(&admin).await?;
            }
            let key = LockKey::forge(&format!("test run {run}"));
            let lock = AdvisoryLock::acquire(&admin, key, LOCK_WAIT, |_| {}).await;
            let lock = lock.map_err(|error| unreachable_server(&error))?;
            drop_leftovers(&admin).await?;
            let template = template::find_or_make(&admin, &run, &sets).await?;
            Ok::<_, TestError>((lock, template))
        })?;
        let databases = AtomicU64::new(1);
        Ok(Self { runtime, admin, run, template, databases, _run_lock: run_lock, _embedded: embedded })
    }

    /// A new database, a copy of the template.
    pub(super) fn create_database(&'static self) -> Result<TestDatabase, TestError> {
        let number = self.databases.fetch_add(1, Ordering::Relaxed);
        let name = database_name(&self.run, number);
        let sql = format!("CREATE DATABASE {name} TEMPLATE {}", self.template);
        self.runtime.block_on(execute(&self.admin, "creating a database for the test", sql))?;
        Ok(TestDatabase { server: self, name })
    }
}

impl TestDatabase {
    /// Pools on this database.
    pub(super) fn open(&self) -> Database {
        let options = self.server.admin.options().clone().database(&self.name);
        Database::new(options, config(), &self.name)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let sql = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        let dropped = self.server.runtime.block_on(execute(&self.server.admin, "dropping the database", sql));
        if let Err(error) = dropped {
            // The next run drops what this one leaves.
            tracing::warn!(%error, "the database of a test was not dropped");
        }
    }
}

fn start_embedded(runtime: &Runtime, test: &str) -> Result<Embedded, TestError> {
    let watchdog = watchdog::program(test)?;
    let server = runtime.block_on(Embedded::start(&watchdog::folder(), Some(&watchdog), &|_| {}));
    server.map_err(|error| no_embedded_server(&error))
}

/// The databases of tests are thrown away, so the embedded server need not wait for the disk.
async fn make_fast(admin: &Database) -> Result<(), TestError> {
    let select = "SELECT current_setting('fsync') = 'on'";
    let durable: bool = sqlx::query_scalar(select).fetch_one(&admin.reader()).await?;
    if !durable {
        return Ok(());
    }
    for setting in ["fsync", "full_page_writes", "synchronous_commit"] {
        execute(admin, "configuring the test server", format!("ALTER SYSTEM SET {setting} = off")).await?;
    }
    execute(admin, "configuring the test server", "SELECT pg_reload_conf()".to_owned()).await
}

/// Drops the databases of runs that were killed.
async fn drop_leftovers(admin: &Database) -> Result<(), TestError> {
    let leftovers: Vec<String> =
        sqlx::query_scalar(include_str!("sql/list_leftovers.sql")).fetch_all(&admin.reader()).await?;
    for name in leftovers {
        drop_quietly(admin, &name).await;
    }
    Ok(())
}

fn unreachable_server(error: &(dyn Diagnose + 'static)) -> TestError {
    let help = format!("; start it, or unset {URL_VARIABLE} to test on an embedded server");
    let error = TestError::diagnosed("the server of the tests does not answer", error);
    TestError::new(format!("{error}{help}"))
}

fn no_embedded_server(error: &EmbeddedError) -> TestError {
    match error {
        EmbeddedError::NoBinaries { help, .. } => TestError::new(format!(
            "tests need Postgres 14 or later, and this machine has none: install it ({help}), or name a \
             server in {URL_VARIABLE}"
        )),
        _ => TestError::diagnosed("the embedded Postgres of the tests does not start", error),
    }
}
