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
use super::invalid_index::{self, InvalidIndex};
use super::plan::{
    AppliedMigration, Direction, DownTo, MigrationStatus, MigrationStep, newer, plan_down, plan_up, status,
};
use super::set::MigrationSet;
use super::split::{Piece, split};
use super::table_locks::TableLocks;
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::time::{millis, secs};

/// Pauses between two tries: the statements that queued go ahead meanwhile.
const TABLE_LOCK_RETRY: Backoff = Backoff::exponential(millis(500), secs(5));

const CREATE_TABLE: &str = "\
CREATE TABLE IF NOT EXISTS forge_migrations (
    set_name     text        NOT NULL,
    number       int4        NOT NULL CHECK (number > 0),
    name         text        NOT NULL,
    checksum     text        NOT NULL CHECK (length(checksum) = 64),
    applied_at   timestamptz NOT NULL DEFAULT now(),
    execution_ms int8        NOT NULL CHECK (execution_ms >= 0),
    node         text        NOT NULL,
    breaking     bool        NOT NULL DEFAULT false,
    PRIMARY KEY (set_name, number)
)";

/// For a table that a version without the column made. That version names the columns that it reads and
/// writes, so that it goes on with the table.
const ADD_BREAKING: &str = "ALTER TABLE forge_migrations ADD COLUMN breaking bool NOT NULL DEFAULT false";

const HAS_BREAKING: &str = "SELECT EXISTS (SELECT FROM pg_attribute \
                            WHERE attrelid = 'forge_migrations'::regclass AND attname = 'breaking')";

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
    /// A newer binary applied this migration, and this binary can run on its schema.
    Newer(&'a AppliedMigration),
    /// The migration did not get the lock of a table, and is tried again.
    TableLocked {
        /// The migration.
        step: MigrationStep<'a>,
        /// Which lock, and who holds it, where that was seen.
        lock: Option<&'a str>,
        /// The time since its first try.
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
    /// Time to wait for another node that migrates, and for the locks of the tables that a migration changes.
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
        let applied = self.applied().await?;
        let pending = plan_up(self.sets, &applied, to)?;
        newer(self.sets, &applied).into_iter().for_each(|row| progress(MigrationProgress::Newer(row)));
        if pending.is_empty() {
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
        let mut pooled = self.database.acquire_control_session().await.map_err(bookkeeping)?;
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
        // The statement locks the table, which every starting node reads.
        if !read_bool(session, HAS_BREAKING, Activity::Pinned).await? {
            session.execute(ADD_BREAKING, Activity::Pinned).await.map_err(bookkeeping)?;
        }
        let applied = read_applied(session, Activity::Pinned).await?;
        let mut completed = Vec::new();
        for step in plan(&applied)? {
            progress(MigrationProgress::Started(step));
            let started = Instant::now();
            if step.migration.transactional {
                let mut tries = LockedTries::new(self.lock_wait);
                let mut locks = TableLocks::default();
                while let Err(error) = self.run_in_transaction(session, step, &mut locks).await {
                    tries.pause_after(error, step, locks.waited(), &progress).await?;
                }
            } else {
                self.run_statement_by_statement(session, step, &progress).await?
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

    /// Takes the locks that the tries before have missed, runs the section and writes its row, in one
    /// transaction.
    async fn run_in_transaction(
        &self,
        session: &mut Session,
        step: MigrationStep<'_>,
        locks: &mut TableLocks,
    ) -> Result<(), MigrateError> {
        let started = Instant::now();
        let begin = format!("BEGIN; {}", limit_lock_wait(true));
        session.execute(AssertSqlSafe(begin), Activity::Pinned).await.map_err(bookkeeping)?;
        let (pid, lock) = (session.pid(), locks.begin());
        let mut is_locked = false;
        let locked_section = async {
            let locked = session.execute(AssertSqlSafe(lock), Activity::Pinned).await;
            locked.map_err(|error| (step.section.line, error))?;
            is_locked = true;
            run_section(session, step.section).await
        };
        let ran = tokio::select! {
            ran = locked_section => ran,
            never = locks.watch(self.database, pid) => match never {},
        };
        let result = match ran {
            Ok(()) => self.write_row(session, step, started).await,
            Err((line, error)) => Err(failed(step, line, error)),
        };
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = session.execute(end, Activity::Pinned).await;
        match &result {
            Err(error) if error.is_lock_conflict() => locks.missed(),
            // A lock that the migration needs may be one that it may not take by itself.
            Err(_) if !is_locked && locks.forget() => {
                return Box::pin(self.run_in_transaction(session, step, locks)).await;
            }
            Ok(()) | Err(_) => {}
        }
        result?;
        ended.map_err(|error| failed(step, step.section.line, error))
    }

    /// Runs each statement in a transaction of its own, and writes the section's row after the last one.
    async fn run_statement_by_statement(
        &self,
        session: &mut Session,
        step: MigrationStep<'_>,
        progress: &impl Fn(MigrationProgress<'_>),
    ) -> Result<(), MigrateError> {
        let started = Instant::now();
        let before = invalid_index::list(session).await.map_err(bookkeeping)?;
        refuse_invalid_index(session, step, &before).await?;
        for piece in split(&step.section.sql).iter().filter(|piece| !piece.is_blank()) {
            let mut tries = LockedTries::new(self.lock_wait);
            while let Err(error) = run_piece(session, piece).await {
                // When the statement left an invalid index, that error is returned instead of the statement's
                // own: the index must be dropped before the migration can run again.
                let file = &step.migration.file;
                let text = error_chain(&error);
                tracing::warn!(file, error = text, "statement of a migration without transaction failed");
                refuse_invalid_index(session, step, &before).await?;
                let error = failed(step, step.section.line + piece.line - 1, error);
                tries.pause_after(error, step, None, progress).await?;
            }
        }
        refuse_invalid_index(session, step, &before).await?;
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
                               (set_name, number, name, checksum, execution_ms, node, breaking) \
                           VALUES ($1, $2, $3, $4, $5, $6, $7)";
                let elapsed = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
                let query = sqlx::query(sql)
                    .bind(step.set)
                    .bind(number)
                    .bind(&step.migration.name)
                    .bind(&step.migration.checksum);
                let query = query.bind(elapsed).bind(self.node).bind(step.migration.breaking);
                query.execute(session.start_request()).await
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
    if !read_bool(session, "SELECT to_regclass('forge_migrations') IS NOT NULL", after).await? {
        return Ok(Vec::new());
    }
    // Through jsonb, because a table that an older version made has the column `breaking` only from the next
    // run on.
    let sql = "SELECT set_name, number, name, checksum, applied_at, execution_ms, node, \
                      coalesce((to_jsonb(row) ->> 'breaking')::bool, false) AS breaking \
               FROM forge_migrations AS row ORDER BY set_name, number";
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
            breaking: row.try_get("breaking")?,
        })
    };
    rows.and_then(|rows| rows.iter().map(read).collect()).map_err(bookkeeping)
}

/// Reads one truth value. The query is sent through the simple protocol and not prepared, because the table
/// that it asks about may change between two of these queries.
async fn read_bool(session: &mut Session, sql: &'static str, after: Activity) -> Result<bool, MigrateError> {
    let row = session.start_request().fetch_one(sql).await;
    session.finish_request(&row, after);
    row.and_then(|row| row.try_get(0)).map_err(bookkeeping)
}

/// Sets how long a migration waits for the lock of a table until it gives up its place, because statements of
/// running nodes queue behind its lock request: half of the server's `deadlock_timeout`, and half a second at
/// most. Of a statement and a migration that wait for each other the migration gives up first, unless the
/// statement had waited for half of that time already when the migration began to wait: then the server ends
/// the statement.
fn limit_lock_wait(in_transaction: bool) -> String {
    format!(
        "WITH deadlock AS ( \
             SELECT extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000 AS ms \
         ) \
         SELECT set_config('lock_timeout', greatest(least(ms / 2, 500), 1)::int8 || 'ms', {in_transaction}) \
         FROM deadlock"
    )
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

/// Runs one statement in a transaction of its own. A concurrent build waits for the transactions that run,
/// and nothing queues behind the build, so only the other statements have a limit.
async fn run_piece(session: &mut Session, piece: &Piece<'_>) -> sqlx::Result<()> {
    let waits_alone = piece.text.to_ascii_lowercase().contains("concurrently");
    if waits_alone {
        return session.execute(AssertSqlSafe(piece.text), Activity::Pinned).await;
    }
    session.execute(AssertSqlSafe(limit_lock_wait(false)), Activity::Pinned).await?;
    let result = session.execute(AssertSqlSafe(piece.text), Activity::Pinned).await;
    session.execute("RESET lock_timeout", Activity::Pinned).await?;
    result
}

async fn refuse_invalid_index(
    session: &mut Session,
    step: MigrationStep<'_>,
    before: &[InvalidIndex],
) -> Result<(), MigrateError> {
    let found = invalid_index::list(session).await.map_err(bookkeeping)?;
    match invalid_index::of_migration(&found, before, &step.section.sql) {
        Some(index) => {
            let (file, index) = (step.migration.file.clone(), index.qualified.clone());
            Err(MigrateError::InvalidIndex { file, index })
        }
        None => Ok(()),
    }
}

/// The tries of one migration to get its table locks.
struct LockedTries {
    began: Instant,
    timeout: Duration,
    failures: u32,
}

impl LockedTries {
    fn new(timeout: Duration) -> Self {
        Self { began: Instant::now(), timeout, failures: 0 }
    }

    /// Waits before the next try after `error`.
    ///
    /// # Errors
    /// `error` itself when another try would not help, or the time is over.
    async fn pause_after(
        &mut self,
        error: MigrateError,
        step: MigrationStep<'_>,
        lock: Option<String>,
        progress: &impl Fn(MigrationProgress<'_>),
    ) -> Result<(), MigrateError> {
        let waited = self.began.elapsed();
        if !error.is_lock_conflict() || waited >= self.timeout {
            return Err(error);
        }
        progress(MigrationProgress::TableLocked { step, lock: lock.as_deref(), waited });
        tokio::time::sleep(TABLE_LOCK_RETRY.jittered(self.failures)).await;
        self.failures = self.failures.saturating_add(1);
        Ok(())
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
