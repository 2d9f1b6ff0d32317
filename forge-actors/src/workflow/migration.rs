//! Migrates the journal of a run whose version this binary has no function for, in one transaction with the
//! run's version and arguments.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::rows::{ClaimedRun, RunRequest};
use super::shared::WorkflowShared;
use crate::app::job_failure::JobFailure;
use crate::app::workflow::MigrationRegistration;
use crate::app::workflow::migration::JournalContents;
use crate::app::workflow_run::journal::{JournalEntry, position_parts};
use crate::db::handle::Db;
use crate::db::transaction::TransactionOptions;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::kernel::time::minutes;

/// Time limit of the transaction that migrates a journal.
const MIGRATION_LIMIT: Duration = minutes(1);

/// What has become of a journal that was to be migrated.
pub(super) enum Migrated {
    /// It is written, and this is it.
    Written(Vec<JournalEntry>),
    /// The migration has failed with this `JobFailure`, as JSON; nothing was written.
    Refused(String),
    /// The node does not hold the run any more.
    NotHeld,
}

/// Migrates the journal of a run, and writes it. `claimed` is then of the newer version.
pub(super) async fn migrate(
    shared: &Arc<WorkflowShared>,
    claimed: &mut ClaimedRun,
    mut before: Vec<JournalEntry>,
    migration: &'static MigrationRegistration,
) -> Result<Migrated, Fault> {
    before.sort_by_key(|entry| position_parts(&entry.position));
    let input = serde_json::from_str(&claimed.input).map_err(Fault::internal)?;
    let after = match (migration.migrate)(JournalContents { input, entries: before.clone() }) {
        Ok(after) => after,
        Err(fault) => {
            let text = format!(
                "the migration from version {} to {} has failed: {}{}",
                migration.from,
                migration.to,
                fault.message(),
                RunRequest::when_diverged(claimed.request)
            );
            return Ok(Migrated::Refused(JobFailure::json_of(&Fault::new(fault.code(), text))?));
        }
    };
    let Some(lease) = shared.living_lease() else { return Ok(Migrated::NotHeld) };
    let input = after.input.to_string();
    let moves = StepMoves::of(&before, &after.entries);
    let tx = shared.database.begin(TransactionOptions::new(&claimed.workflow, MIGRATION_LIMIT)).await?;
    match write(&tx.db(), lease, claimed, (migration.to, &input), &moves).await {
        Ok(true) => {
            tx.commit().await?;
        }
        Ok(false) => {
            tx.rollback().await;
            return Ok(Migrated::NotHeld);
        }
        Err(fault) => {
            tx.rollback().await;
            return Err(fault);
        }
    }
    let (run, handler, from, to) = (claimed.id, &claimed.workflow, migration.from, migration.to);
    tracing::info!(%run, handler, from, to, "run migrated");
    (claimed.version, claimed.input) = (migration.to, input);
    Ok(Migrated::Written(after.entries))
}

/// How the rows of a journal change in a migration.
struct StepMoves<'a> {
    /// Steps that stay: the position that their row has, and what they are now.
    stay: Vec<(&'a str, &'a JournalEntry)>,
    gone: Vec<&'a str>,
    added: Vec<&'a JournalEntry>,
}

impl<'a> StepMoves<'a> {
    fn of(before: &'a [JournalEntry], after: &'a [JournalEntry]) -> Self {
        let mut left: HashSet<&str> = before.iter().map(|entry| entry.position.as_str()).collect();
        let (mut stay, mut added) = (Vec::new(), Vec::new());
        for entry in after {
            match entry.origin().filter(|origin| left.remove(origin)) {
                Some(origin) => stay.push((origin, entry)),
                None => added.push(entry),
            }
        }
        Self { stay, gone: left.into_iter().collect(), added }
    }
}

/// False when the run is not held any more.
async fn write(
    db: &Db,
    lease: i64,
    run: &ClaimedRun,
    (version, input): (u32, &str),
    moves: &StepMoves<'_>,
) -> Result<bool, Fault> {
    let migrate = sqlx::query(include_str!("sql/migrate_run.sql")).bind(lease).bind(run.id).bind(run.claim);
    let migrate = migrate.bind(i32::try_from(version).unwrap_or(i32::MAX)).bind(input);
    if migrate.fetch_optional(db).await?.is_none() {
        return Ok(false);
    }
    write_steps(db, run.id, moves).await?;
    Ok(true)
}

async fn write_steps(db: &Db, run: RunId, moves: &StepMoves<'_>) -> Result<(), Fault> {
    fn all<'a, T>(entries: &[&'a JournalEntry], of: impl Fn(&'a JournalEntry) -> T) -> Vec<T> {
        entries.iter().map(|entry| of(entry)).collect()
    }
    sqlx::query(include_str!("sql/delete_steps.sql")).bind(run).bind(&moves.gone).execute(db).await?;
    let (origins, stay): (Vec<_>, Vec<_>) = moves.stay.iter().copied().unzip();
    sqlx::query(include_str!("sql/move_steps.sql"))
        .bind(run)
        .bind(origins)
        .bind(all(&stay, |entry| entry.position.as_str()))
        .bind(all(&stay, |entry| entry.name.as_str()))
        .bind(all(&stay, |entry| entry.shape.cast_signed()))
        .bind(all(&stay, |entry| entry.output.as_deref()))
        .execute(db)
        .await?;
    sqlx::query(include_str!("sql/place_steps.sql")).bind(run).execute(db).await?;
    sqlx::query(include_str!("sql/insert_steps.sql"))
        .bind(run)
        .bind(all(&moves.added, |entry| entry.position.as_str()))
        .bind(all(&moves.added, |entry| entry.name.as_str()))
        .bind(all(&moves.added, |entry| entry.output.as_deref().unwrap_or("null")))
        .execute(db)
        .await?;
    Ok(())
}
