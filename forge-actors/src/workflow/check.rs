//! Compares the code of a binary with the runs that have not ended, before the binary is deployed: nothing is
//! executed, and nothing is written.

use sqlx::Row;
use sqlx::postgres::PgRow;

use super::activation::{RunCode, code_of};
use super::replay::{Replayed, ReplayedRun, replay};
use super::store::WorkflowStore;
use crate::db::database::Database;
use crate::db::handle::Db;
use crate::function::Functions;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::kernel::time::Timestamp;

/// Runs of one page.
const PAGE_MAX: usize = 50;
/// Bytes of the journals that are in memory at the same time; a larger one is there alone.
const JOURNALS_BYTES_MAX: i64 = 64 * 1024 * 1024;
/// Divergences that an answer lists; further ones are counted.
const LISTED_MAX: usize = 1_000;

/// What a binary is for the runs of the database.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowCheck {
    /// Each version of a workflow that has runs which have not ended.
    pub versions: Vec<CheckedVersion>,
    /// The runs that the code of the binary does not fit, newest first: 1,000 at most. `diverged` of the
    /// versions counts all of them.
    pub divergences: Vec<CheckedDivergence>,
    /// Runs of versions with code that were not looked at, because of a limit: the oldest ones.
    pub unchecked: u32,
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
    /// Those of them whose journals were compared with the code.
    pub checked: u32,
    /// Those of them that the code does not fit.
    pub diverged: u32,
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

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckProgress {
    /// Runs that were compared.
    pub checked: u32,
    /// Runs that are compared in all.
    pub runs: u32,
}

impl WorkflowCheck {
    /// Whether the binary has code for all versions that live runs have, and no run that was compared
    /// diverges. Runs that `unchecked` counts are not considered.
    pub fn is_sound(&self) -> bool {
        let is_sound =
            |version: &CheckedVersion| version.diverged == 0 && version.code != CheckedCode::Missing;
        self.versions.iter().all(is_sound)
    }
}

/// Compares the code that `functions` has with the runs of the database that have not ended: all of them, or
/// the newest ones up to `limit`, page by page. Runs that are started after the check has begun are not
/// compared. `on_progress` is called after each page.
///
/// # Errors
/// When the database cannot be read.
pub async fn check(
    database: &Database,
    functions: &Functions,
    limit: Option<u32>,
    mut on_progress: impl FnMut(CheckProgress),
) -> Result<WorkflowCheck, Fault> {
    let mut comparison = RunComparison::of_versions(database, functions).await?;
    let listed = comparison.list(limit).await?;
    let count = |runs: usize| u32::try_from(runs).unwrap_or(u32::MAX);
    let runs = count(listed.len());
    let mut checked = 0_u32;
    for page in listed.chunks(PAGE_MAX) {
        let found = comparison.find(page).await?;
        comparison.compare(found).await?;
        checked = checked.saturating_add(count(page.len()));
        on_progress(CheckProgress { checked, runs });
    }
    Ok(comparison.finish(limit.is_none_or(|limit| runs < limit)))
}

/// A run of a page.
struct PagedRun {
    run: ReplayedRun,
    journal_bytes: i64,
}

/// A check that is under way.
struct RunComparison<'a> {
    db: Db,
    store: WorkflowStore,
    functions: &'a Functions,
    versions: Vec<(CheckedVersion, Option<RunCode>)>,
    divergences: Vec<CheckedDivergence>,
}

impl<'a> RunComparison<'a> {
    async fn of_versions(database: &Database, functions: &'a Functions) -> Result<Self, Fault> {
        let db = database.reader();
        let count = sqlx::query(include_str!("sql/count_live_versions.sql"));
        let mut versions = Vec::new();
        for row in count.fetch_all(&db).await? {
            let workflow: String = row.try_get("workflow")?;
            let version = row.try_get::<i32, _>("version")?.unsigned_abs();
            let runs: i64 = row.try_get("runs")?;
            let code = code_of(functions.catalog(), &workflow, version);
            let checked = CheckedVersion {
                version,
                runs: u32::try_from(runs).unwrap_or(u32::MAX),
                checked: 0,
                diverged: 0,
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
            versions.push((checked, code));
        }
        let store = WorkflowStore::new(database.clone());
        Ok(Self { db, store, functions, versions, divergences: Vec::new() })
    }

    /// The runs that the binary has code for, newest first; 16 bytes of memory for each.
    async fn list(&self, limit: Option<u32>) -> Result<Vec<RunId>, Fault> {
        let known = self.versions.iter().filter(|(_, code)| code.is_some()).map(|(version, _)| version);
        let number = |version: u32| i32::try_from(version).unwrap_or(i32::MAX);
        let (names, versions): (Vec<&str>, Vec<i32>) =
            known.map(|version| (&*version.workflow, number(version.version))).unzip();
        let list = sqlx::query_scalar(include_str!("sql/list_live_runs.sql"));
        let list = list.bind(names).bind(versions).bind(limit.map(i64::from));
        Ok(list.fetch_all(&self.db).await?)
    }

    /// Those of a page that have not ended meanwhile.
    async fn find(&self, page: &[RunId]) -> Result<Vec<PagedRun>, Fault> {
        let find = sqlx::query(include_str!("sql/find_live_runs.sql")).bind(page);
        find.fetch_all(&self.db).await?.iter().map(paged).collect()
    }

    /// Compares the runs of a page, as many at a time as their journals fit into memory.
    async fn compare(&mut self, page: Vec<PagedRun>) -> Result<(), Fault> {
        let mut rest = page.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut part, mut bytes) = (Vec::new(), 0);
            while let Some(next) =
                rest.next_if(|next| part.is_empty() || bytes + next.journal_bytes <= JOURNALS_BYTES_MAX)
            {
                bytes += next.journal_bytes;
                part.push(next.run);
            }
            let ids: Vec<RunId> = part.iter().map(|run| run.id).collect();
            let mut journals = self.store.journals(&ids).await?;
            for mut run in part {
                run.entries = journals.remove(&run.id).unwrap_or_default();
                self.compare_one(run).await?;
            }
        }
        Ok(())
    }

    async fn compare_one(&mut self, run: ReplayedRun) -> Result<(), Fault> {
        let is_of =
            |version: &CheckedVersion| version.workflow == run.workflow && version.version == run.version;
        let found = self.versions.iter_mut().find(|(version, _)| is_of(version));
        let Some((version, Some(code))) = found else { return Ok(()) };
        version.checked = version.checked.saturating_add(1);
        let id = run.id;
        if let Replayed::Diverged(difference) = replay(self.functions, code, run).await? {
            version.diverged = version.diverged.saturating_add(1);
            if self.divergences.len() < LISTED_MAX {
                let (workflow, version) = (version.workflow.clone(), version.version);
                self.divergences.push(CheckedDivergence { run: id, workflow, version, difference });
            }
        }
        Ok(())
    }

    /// The answer. `is_whole`: no run is left that was not looked at.
    fn finish(self, is_whole: bool) -> WorkflowCheck {
        let left = |(version, code): &(CheckedVersion, Option<RunCode>)| match code {
            Some(_) if !is_whole => version.runs.saturating_sub(version.checked),
            _ => 0,
        };
        let unchecked = self.versions.iter().map(left).fold(0, u32::saturating_add);
        let versions = self.versions.into_iter().map(|(version, _)| version).collect();
        WorkflowCheck { versions, divergences: self.divergences, unchecked }
    }
}

fn paged(row: &PgRow) -> Result<PagedRun, Fault> {
    let now: Timestamp = row.try_get("now")?;
    let identity: Option<&str> = row.try_get("identity")?;
    let run = ReplayedRun {
        id: row.try_get("id")?,
        workflow: row.try_get("workflow")?,
        version: row.try_get::<i32, _>("version")?.unsigned_abs(),
        input: row.try_get("input")?,
        identity: identity.map(serde_json::from_str).transpose().map_err(Fault::internal)?,
        attributes: row.try_get("attributes")?,
        is_ending: row.try_get("is_ending")?,
        begun_at: row.try_get::<Option<Timestamp>, _>("begun_at")?.unwrap_or(now),
        now,
        entries: Vec::new(),
    };
    Ok(PagedRun { run, journal_bytes: row.try_get("journal_bytes")? })
}
