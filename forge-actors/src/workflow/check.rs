//! Compares the code of a binary with the runs that have not ended, before the binary is deployed: nothing is
//! executed, and nothing is written.

use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::activation::{RunCode, code_of};
use super::replay::{Replayed, ReplayedRun, replay};
use super::store::WorkflowStore;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::function::Functions;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::kernel::time::Timestamp;

/// Runs of one version whose journals are compared, the newest ones.
const RUNS_MAX: usize = 1_000;
/// Runs whose journals are in memory at the same time.
const BATCH_MAX: usize = 20;

/// What a binary is for the runs of the database.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowCheck {
    /// Each version of a workflow that has runs which have not ended.
    pub versions: Vec<CheckedVersion>,
    /// The runs that the code of the binary does not fit.
    pub divergences: Vec<CheckedDivergence>,
}

/// A version of a workflow that has runs which have not ended.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedVersion {
    /// Wire name of the workflow.
    pub workflow: String,
    /// The version.
    pub version: u32,
    /// Its runs that have not ended.
    pub runs: u32,
    /// Those of them whose journals were compared with the code: the newest 1,000.
    pub checked: u32,
    /// What the binary has for them.
    pub code: CheckedCode,
    /// The version that they are migrated to.
    pub migrated_to: Option<u32>,
}

/// What a binary has for the runs of a version.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckedCode {
    /// The function of that version.
    Linked,
    /// A migration to a newer one.
    Migrated,
    /// Nothing: no node with this binary takes them.
    Missing,
}

/// A run that the code does not fit.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckedDivergence {
    /// The run.
    pub run: RunId,
    /// Wire name of its workflow.
    pub workflow: String,
    /// The version that it has.
    pub version: u32,
    /// The difference, in a sentence.
    pub difference: String,
}

impl WorkflowCheck {
    /// Whether a node with this binary goes on with every run that was compared.
    pub fn is_sound(&self) -> bool {
        self.divergences.is_empty()
            && self.versions.iter().all(|version| version.code != CheckedCode::Missing)
    }
}

/// Compares the code that `functions` has with the runs of the database.
///
/// # Errors
/// When the database cannot be read.
pub async fn check(database: &Database, functions: &Functions) -> Result<WorkflowCheck, Fault> {
    let db = database.reader();
    let store = WorkflowStore::new(database.clone());
    let count = sqlx::query(include_str!("sql/count_live_versions.sql"));
    let mut found = WorkflowCheck { versions: Vec::new(), divergences: Vec::new() };
    for row in count.fetch_all(&db).await? {
        let workflow: String = row.try_get("workflow")?;
        let version = row.try_get::<i32, _>("version")?.unsigned_abs();
        let runs: i64 = row.try_get("runs")?;
        let code = code_of(functions.catalog(), &workflow, version);
        let mut checked = CheckedVersion {
            version,
            runs: u32::try_from(runs).unwrap_or(u32::MAX),
            checked: 0,
            code: match &code {
                Some(RunCode::Linked(_)) => CheckedCode::Linked,
                Some(RunCode::Migrated(..)) => CheckedCode::Migrated,
                None => CheckedCode::Missing,
            },
            migrated_to: match &code {
                Some(RunCode::Migrated(_, migration)) => Some(migration.to),
                _ => None,
            },
            workflow,
        };
        if let Some(code) = code {
            let comparison = VersionCheck { db: &db, store: &store, functions, code };
            found.divergences.extend(comparison.of_version(&mut checked).await?);
        }
        found.versions.push(checked);
    }
    Ok(found)
}

/// Compares the runs of one version with its code.
struct VersionCheck<'a> {
    db: &'a Db,
    store: &'a WorkflowStore,
    functions: &'a Functions,
    code: RunCode,
}

impl VersionCheck<'_> {
    async fn of_version(&self, version: &mut CheckedVersion) -> Result<Vec<CheckedDivergence>, Fault> {
        let mut divergences = Vec::new();
        let mut before = RunId::from_uuid(Uuid::max());
        while (version.checked as usize) < RUNS_MAX {
            let limit = BATCH_MAX.min(RUNS_MAX - version.checked as usize);
            let batch = self.list(version, before, limit).await?;
            let Some(last) = batch.last() else { break };
            before = last.id;
            let ids: Vec<RunId> = batch.iter().map(|run| run.id).collect();
            let mut journals = self.store.journals(&ids).await?;
            for mut run in batch {
                let id = run.id;
                run.entries = journals.remove(&id).unwrap_or_default();
                if let Replayed::Diverged(difference) = replay(self.functions, &self.code, run).await? {
                    let (workflow, version) = (version.workflow.to_owned(), version.version);
                    divergences.push(CheckedDivergence { run: id, workflow, version, difference });
                }
                version.checked += 1;
            }
        }
        Ok(divergences)
    }

    async fn list(
        &self,
        version: &CheckedVersion,
        before: RunId,
        limit: usize,
    ) -> Result<Vec<ReplayedRun>, Fault> {
        let list = sqlx::query(include_str!("sql/list_live_runs.sql"))
            .bind(&version.workflow)
            .bind(i32::try_from(version.version).unwrap_or(i32::MAX))
            .bind(before)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let read = |row: &PgRow| {
            let now: Timestamp = row.try_get("now")?;
            let identity: Option<&str> = row.try_get("identity")?;
            Ok(ReplayedRun {
                id: row.try_get("id")?,
                workflow: version.workflow.to_owned(),
                version: version.version,
                input: row.try_get("input")?,
                identity: identity.map(serde_json::from_str).transpose().map_err(Fault::internal)?,
                attributes: row.try_get("attributes")?,
                is_ending: row.try_get("is_ending")?,
                begun_at: row.try_get::<Option<Timestamp>, _>("begun_at")?.unwrap_or(now),
                now,
                entries: Vec::new(),
            })
        };
        list.fetch_all(self.db).await?.iter().map(read).collect()
    }
}
