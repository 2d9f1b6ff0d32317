//! Statements about whole databases of the tests' server, and the names of those databases.

use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::database::Database;
use forge_actors::kernel::error_chain::error_chain;
use sqlx::AssertSqlSafe;

use super::error::TestError;

/// The name of database `number` of a run. The statement `list_leftovers.sql` takes the run from it.
pub(super) fn database_name(run: &str, number: u64) -> String {
    format!("forge_test_{run}_{number}")
}

/// Few connections: many tests run at once.
pub(super) fn config() -> DatabaseConfig {
    DatabaseConfig {
        write_connections_max: 4,
        read_connections_max: 4,
        lock_connections_max: 2,
        job_connections_max: 2,
        control_connections_max: 2,
        ..DatabaseConfig::default()
    }
}

/// Runs a statement that concerns a whole database; `doing` says what for.
pub(super) async fn execute(admin: &Database, doing: &str, sql: String) -> Result<(), TestError> {
    match sqlx::query(AssertSqlSafe(sql)).execute(&admin.writer()).await {
        Ok(_) => Ok(()),
        Err(error) => Err(TestError::new(format!("{doing}: {}{}", error_chain(&error), remedy(&error)))),
    }
}

/// What helps against the failures that a server has in store for a stranger.
fn remedy(error: &sqlx::Error) -> &'static str {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("42501") => "; tests make databases of their own: ALTER ROLE .. CREATEDB",
        Some("53300") => "; run fewer tests at once: cargo test -- --test-threads 4",
        _ => "",
    }
}

/// Drops a database that nobody needs any more; another run may be faster, and a session in it prevents it.
pub(super) async fn drop_quietly(admin: &Database, name: &str) {
    let sql = format!("DROP DATABASE IF EXISTS \"{}\"", name.replace('"', "\"\""));
    if let Err(error) = execute(admin, "dropping an old database", sql).await {
        tracing::debug!(name, %error, "an old database stays");
    }
}
