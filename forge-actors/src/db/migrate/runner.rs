//! Runs migrations against a database, one runner at a time.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::db::advisory_lock::{AdvisoryLock, LockKey};
use crate::db::database::Database;
use crate::db::error::DatabaseError;
use crate::db::session::{Activity, Session};

use super::error::MigrateError;
use super::file::Section;
use super::plan::{
    AppliedMigration, Direction, DownTo, MigrationStatus, MigrationStep, plan_down, plan_up, status,
};
use super::set::MigrationSet;
use super::split::split;

/// A migration that cannot get its table locks within this time fails, because statements of running nodes
/// queue behind its lock request.
const TABLE_LOCK_TIMEOUT_MS: u32 = 30_000;

const CREATE_TABLE: &str = "\
CREATE TABLE IF NOT EXISTS forge_migrations (
    set_name     text        NOT NULL,
    number       int4        NOT NULL CHECK (number > 0),
    name         text        NOT NULL,
    checksum     text        NOT NULL CHECK (length(checksum) = 64),
    applied_at   timestamptz NOT NULL DEFAULT now(),
    execution_ms int8        NOT NULL CHECK (execution_ms >= 0),
    node         text        NOT NULL,
    PRIMARY KEY (set_name, number)
)";

/// A migration that was applied or undone.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CompletedMigration {
    /// The set's name.
    pub set: String,
    /// `NNNN_verb_noun`.
    pub title: String,
    /// Whether it was applied or undone.
    pub direction: Direction,
    /// Its duration in milliseconds.
    pub execution_ms: u64,
}

/// What a run is doing, for a person who waits.
#[derive(Debug, Clone, Copy)]
pub enum MigrationProgress<'a> {
    /// Another node migrates.
    WaitingForLock {
        /// The time waited so far.
        waited: Duration,
    },
    /// A migration starts.
    Started(MigrationStep<'a>),
    /// A migration is applied or undone.
    Completed(&'a CompletedMigration),
}

/// Runs the migrations of some sets on one database.
#[derive(Debug, Clone, Copy)]
pub struct Runner<'a> {
    /// The database to migrate.
    pub database: &'a Database,
    /// The sets, applied in this order.
    pub sets: &'a [MigrationSet],
    /// This node's name, for the column `forge_migrations.node`.
    pub node: &'a str,
    /// Time to wait for another node that migrates.
    pub lock_wait: Duration,
}

impl<'a> Runner<'a> {
    /// Applies the pending migrations; `to` (a set's name and a number) stops that set at the number. Returns
    /// at once, without taking the lock, when none is pending.
    ///
    /// # Errors
    /// When files and rows do not fit together, another node holds the lock for too long, or a statement
    /// fails: the migrations before the failed one stay applied.
    pub async fn up(
        &self,
        to: Option<(&str, u32)>,
        progress: impl Fn(MigrationProgress<'_>),
    ) -> Result<Vec<CompletedMigration>, MigrateError> {
        if plan_up(self.sets, &self.applied().await?, to)?.is_empty() {
            return Ok(Vec::new());
        }
        self.run(|applied| plan_up(self.sets, applied, to), progress).await
    }

    /// Undoes migrations of one set, the last one first.
    ///
    /// # Errors
    /// Those of [`up`](Self::up), and when a migration to undo is irreversible: nothing is undone then.
    pub async fn down(
        &self,
        set: &str,
        to: DownTo,
        progress: impl Fn(MigrationProgress<'_>),
    ) -> Result<Vec<CompletedMigration>, MigrateError> {
        self.run(|applied| plan_down(self.sets, applied, set, to), progress).await
    }

    /// The steps that [`up`](Self::up) would take, for a dry run.
    pub async fn plan_up(&self, to: Option<(&str, u32)>) -> Result<Vec<MigrationStep<'a>>, MigrateError> {
        plan_up(self.sets, &self.applied().await?, to)
    }

    /// The steps that [`down`](Self::down) would take.
    pub async fn plan_down(&self, set: &str, to: DownTo) -> Result<Vec<MigrationStep<'a>>, MigrateError> {
        plan_down(self.sets, &self.applied().await?, set, to)
    }

    /// Every migration and whether it is applied.
    pub async fn status(&self) -> Result<Vec<MigrationStatus>, MigrateError> {
        Ok(status(self.sets, &self.applied().await?))
    }

    async fn applied(&self) -> Result<Vec<AppliedMigration>, MigrateError> {
        let mut pooled = self.database.lend_control_session().await.map_err(bookkeeping)?;
        read_applied(pooled.session(), Activity::Idle).await
    }

    async fn run<'p>(
        &self,
        plan: impl FnOnce(&[AppliedMigration]) -> Result<Vec<MigrationStep<'p>>, MigrateError>,
        progress: impl Fn(MigrationProgress<'_>),
    ) -> Result<Vec<CompletedMigration>, MigrateError> {
        let waiting = |waited| progress(MigrationProgress::WaitingForLock { waited });
        let mut lock =
            AdvisoryLock::acquire(self.database, LockKey::forge("migrations"), self.lock_wait, waiting)
                .await?;
        lock.verify(self.database).await?;
        let result = self.run_locked(lock.session(), plan, progress).await;
        // Releasing fails when the connection broke. The failure of the run, which came first, is then
        // reported.
        let released = lock.release().await;
        let completed = result?;
        released?;
        Ok(completed)
    }

    async fn run_locked<'p>(
        &self,
        session: &mut Session,
        plan: impl FnOnce(&[AppliedMigration]) -> Result<Vec<MigrationStep<'p>>, MigrateError>,
        progress: impl Fn(MigrationProgress<'_>),
    ) -> Result<Vec<CompletedMigration>, MigrateError> {
        session.execute(CREATE_TABLE, Activity::Pinned).await.map_err(bookkeeping)?;
        let applied = read_applied(session, Activity::Pinned).await?;
        let mut completed = Vec::new();
        for step in plan(&applied)? {
            progress(MigrationProgress::Started(step));
            let started = Instant::now();
            if step.migration.transactional {
                self.run_in_transaction(session, step).await?
            } else {
                self.run_statement_by_statement(session, step).await?
            }
            let execution_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let migration = CompletedMigration {
                set: step.set.to_owned(),
                title: step.migration.title(),
                direction: step.direction,
                execution_ms,
            };
            progress(MigrationProgress::Completed(&migration));
            completed.push(migration);
        }
        Ok(completed)
    }

    /// Runs the section and writes its row in one transaction.
    async fn run_in_transaction(
        &self,
        session: &mut Session,
        step: MigrationStep<'_>,
    ) -> Result<(), MigrateError> {
        let started = Instant::now();
        let begin = format!("BEGIN; SET LOCAL lock_timeout = {TABLE_LOCK_TIMEOUT_MS}");
        session.execute(AssertSqlSafe(begin), Activity::Pinned).await.map_err(bookkeeping)?;
        let result = match run_section(session, step.section).await {
            Ok(()) => self.write_row(session, step, started).await,
            Err((line, error)) => Err(failed(step, line, error)),
        };
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = session.execute(end, Activity::Pinned).await;
        result?;
        ended.map_err(|error| failed(step, step.section.line, error))
    }

    /// Runs each statement in a transaction of its own, and writes the section's row after the last one.
    async fn run_statement_by_statement(
        &self,
        session: &mut Session,
        step: MigrationStep<'_>,
    ) -> Result<(), MigrateError> {
        let started = Instant::now();
        refuse_invalid_index(session, step).await?;
        for piece in split(&step.section.sql).iter().filter(|piece| !piece.is_blank()) {
            let result = session.execute(AssertSqlSafe(piece.text), Activity::Pinned).await;
            if let Err(error) = result {
                // When the statement left an invalid index, that error is returned instead of the statement's
                // own: the index must be dropped before the migration can run again.
                let file = &step.migration.file;
                tracing::warn!(file, %error, "statement of a migration without transaction failed");
                refuse_invalid_index(session, step).await?;
                return Err(failed(step, step.section.line + piece.line - 1, error));
            }
        }
        refuse_invalid_index(session, step).await?;
        self.write_row(session, step, started).await
    }

    async fn write_row(
        &self,
        session: &mut Session,
        step: MigrationStep<'_>,
        started: Instant,
    ) -> Result<(), MigrateError> {
        let number = i32::try_from(step.migration.number).expect("numbers have four digits");
        let result = match step.direction {
            Direction::Up => {
                let sql = "INSERT INTO forge_migrations \
                               (set_name, number, name, checksum, execution_ms, node) \
                           VALUES ($1, $2, $3, $4, $5, $6)";
                let elapsed = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
                let query = sqlx::query(sql)
                    .bind(step.set)
                    .bind(number)
                    .bind(&step.migration.name)
                    .bind(&step.migration.checksum);
                query.bind(elapsed).bind(self.node).execute(session.start_request()).await
            }
            Direction::Down => {
                let sql = "DELETE FROM forge_migrations WHERE set_name = $1 AND number = $2";
                sqlx::query(sql).bind(step.set).bind(number).execute(session.start_request()).await
            }
        };
        session.finish_request(&result, Activity::Pinned);
        result.map_err(bookkeeping)?;
        Ok(())
    }
}

/// Reads the rows of `forge_migrations`; none when the table does not exist yet. The session then has the
/// activity `after`.
async fn read_applied(session: &mut Session, after: Activity) -> Result<Vec<AppliedMigration>, MigrateError> {
    // Sent through the simple protocol and not prepared, because the table may be created between two of
    // these queries.
    let exists =
        session.start_request().fetch_one("SELECT to_regclass('forge_migrations') IS NOT NULL").await;
    session.finish_request(&exists, after);
    if !exists.and_then(|row| row.try_get::<bool, _>(0)).map_err(bookkeeping)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT set_name, number, name, checksum, applied_at, execution_ms, node \
               FROM forge_migrations ORDER BY set_name, number";
    let rows = sqlx::query(sql).persistent(false).fetch_all(session.start_request()).await;
    session.finish_request(&rows, after);
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(AppliedMigration {
            set: row.try_get("set_name")?,
            number: row.try_get::<i32, _>("number")?.unsigned_abs(),
            name: row.try_get("name")?,
            checksum: row.try_get("checksum")?,
            at: row.try_get("applied_at")?,
            execution_ms: row.try_get("execution_ms")?,
            node: row.try_get("node")?,
        })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(bookkeeping)
}

/// Sends a whole section at once. An error comes with the line of the file that it belongs to.
async fn run_section(session: &mut Session, section: &Section) -> Result<(), (usize, sqlx::Error)> {
    let mut completed = 0;
    let result = {
        let mut results =
            session.start_request().execute_many(sqlx::raw_sql(AssertSqlSafe(section.sql.as_str())));
        loop {
            match results.try_next().await {
                Ok(Some(_)) => completed += 1,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        }
    };
    session.finish_request(&result, Activity::Pinned);
    result.map_err(|error| (section.line + failed_line(&section.sql, completed, &error) - 1, error))
}

/// The line in `sql`, counted from 1: where the server points, or else where the first statement that did not
/// complete begins.
fn failed_line(sql: &str, completed: usize, error: &sqlx::Error) -> usize {
    let position =
        match error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>()) {
            Some(error) => error.position(),
            None => None,
        };
    if let Some(PgErrorPosition::Original(character)) = position {
        return 1 + sql.chars().take(character.saturating_sub(1)).filter(|c| *c == '\n').count();
    }
    split(sql).iter().filter(|piece| !piece.is_blank()).nth(completed).map_or(1, |piece| piece.line)
}

async fn refuse_invalid_index(session: &mut Session, step: MigrationStep<'_>) -> Result<(), MigrateError> {
    // An index that is being built at the moment is invalid too, and no failure.
    let sql = "SELECT i.indexrelid::regclass::text FROM pg_index i WHERE NOT i.indisvalid \
               AND NOT EXISTS \
                   (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) \
               ORDER BY 1 LIMIT 1";
    let found = sqlx::query_scalar(sql).persistent(false).fetch_optional(session.start_request()).await;
    session.finish_request(&found, Activity::Pinned);
    match found.map_err(bookkeeping)? {
        Some(index) => Err(MigrateError::InvalidIndex { file: step.migration.file.clone(), index }),
        None => Ok(()),
    }
}

fn failed(step: MigrationStep<'_>, line: usize, source: sqlx::Error) -> MigrateError {
    let server = source.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    let message = server.map_or_else(|| source.to_string(), |error| error.message().to_owned());
    let detail = server.and_then(|error| {
        let parts: Vec<&str> = [error.detail(), error.hint()].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join("\n  "))
    });
    let (file, transactional) = (step.migration.file.clone(), step.migration.transactional);
    MigrateError::Statement { file, line, message, detail, transactional, source: Box::new(source) }
}

fn bookkeeping(source: sqlx::Error) -> MigrateError {
    DatabaseError::Statement { doing: "reading or writing forge_migrations".into(), source }.into()
}
