//! Templates: migrated databases that the databases of tests are copies of.
//!
//! A template is made by the first run that needs it, under the name of a database of that run, which is
//! changed when the template is complete. So a run that is killed leaves a database that the next run drops,
//! and never half a template.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use forge_actors::change::captures::reconcile;
use forge_actors::change::config::CaptureConfig;
use forge_actors::db::advisory_lock::{AdvisoryLock, LockKey};
use forge_actors::db::database::Database;
use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::set::MigrationSet;
use forge_actors::kernel::error_chain::error_chain;
use forge_actors::kernel::time::{days, minutes};
use forge_actors::tree::reactive_tables;

use super::admin::{config, database_name, drop_quietly, execute};
use super::error::TestError;

/// Time to wait for another process that makes a template.
const LOCK_WAIT: Duration = minutes(5);
/// A template that was made longer ago is dropped when another one is made. One that is still in use is then
/// made again.
const AGE_MAX: Duration = days(7);

/// The name of the template of these migrations, which is made when there is none.
pub(super) async fn find_or_make(
    admin: &Database,
    run: &str,
    sets: &[MigrationSet],
) -> Result<String, TestError> {
    let name = format!("forge_template_{:016x}", fingerprint(sets, &models()));
    if exists(admin, &name).await? {
        return Ok(name);
    }
    let lock = AdvisoryLock::acquire(admin, LockKey::forge("test templates"), LOCK_WAIT, |_| {}).await?;
    let made = match exists(admin, &name).await? {
        true => Ok(()),
        false => make(admin, run, sets, &name).await,
    };
    // A connection that broke has released the lock.
    let released = lock.release().await;
    made?;
    released?;
    Ok(name)
}

/// The tables of models, and whether their changes are captured.
fn models() -> Vec<(&'static str, Option<bool>)> {
    reactive_tables().0
}

/// A hash of all that makes a template what it is.
pub(super) fn fingerprint(sets: &[MigrationSet], models: &[(&str, Option<bool>)]) -> u64 {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    models.hash(&mut hasher);
    for set in sets {
        set.name.hash(&mut hasher);
        for migration in set.migrations() {
            (migration.number, &migration.name, &migration.checksum).hash(&mut hasher);
        }
    }
    hasher.finish()
}

async fn exists(admin: &Database, name: &str) -> Result<bool, TestError> {
    let select = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)";
    Ok(sqlx::query_scalar(select).bind(name).fetch_one(&admin.reader()).await?)
}

async fn make(admin: &Database, run: &str, sets: &[MigrationSet], name: &str) -> Result<(), TestError> {
    const DOING: &str = "making the template of the tests' databases";
    let draft = database_name(run, 0);
    // Nobody ever connects to template0, so that it can always be copied.
    execute(admin, DOING, format!("CREATE DATABASE {draft} TEMPLATE template0")).await?;
    let database = Database::new(admin.options().clone().database(&draft), config(), &draft);
    let migrated = migrate(&database, sets).await;
    database.close().await;
    if let Err(error) = migrated {
        drop_quietly(admin, &draft).await;
        return Err(error);
    }
    let second = std::time::UNIX_EPOCH.elapsed().map_or(0, |elapsed| elapsed.as_secs());
    for sql in [
        format!("COMMENT ON DATABASE {draft} IS '{second}'"),
        // A database with a session in it cannot be copied.
        format!("ALTER DATABASE {draft} WITH ALLOW_CONNECTIONS false"),
        format!("ALTER DATABASE {draft} RENAME TO {name}"),
    ] {
        execute(admin, DOING, sql).await?;
    }
    drop_old(admin, name).await
}

async fn migrate(database: &Database, sets: &[MigrationSet]) -> Result<(), TestError> {
    let runner = Runner { database, sets, node: "test", lock_wait: LOCK_WAIT };
    let migrated = runner.up(None, |_| {}).await;
    migrated.map_err(|error| TestError::diagnosed("the migrations of the tests' database", &error))?;
    let settings = CaptureConfig::default().settings(models());
    let done = reconcile(database, &settings).await?;
    match done.refused.into_iter().next() {
        Some((setting, fault)) => {
            let table = setting.table;
            Err(TestError::new(format!("capturing the changes of `{table}`: {}", error_chain(&fault))))
        }
        None => Ok(()),
    }
}

async fn drop_old(admin: &Database, newest: &str) -> Result<(), TestError> {
    let old: Vec<String> = sqlx::query_scalar(include_str!("sql/list_old_templates.sql"))
        .bind(newest)
        .bind(AGE_MAX.as_secs_f64())
        .fetch_all(&admin.reader())
        .await?;
    for name in old {
        drop_quietly(admin, &name).await;
    }
    Ok(())
}
