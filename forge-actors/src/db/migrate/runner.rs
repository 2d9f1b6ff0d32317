//! Runs migrations against a database, one runner at a time.

use std::time::{Duration, Instant};

use futures::TryStreamExt;
use sqlx::postgres::{PgDatabaseError, PgErrorPosition};
use sqlx::{AssertSqlSafe, Executor, Row};

use crate::db::database::Database;
use crate::db::error::Error;
use crate::db::lock::{LockKey, SessionLock};
use crate::db::session::{Activity, Session};

use super::error::MigrateError;
use super::file::Section;
use super::plan::{Applied, Direction, DownTo, Status, Step, plan_down, plan_up, status};
use super::set::MigrationSet;
use super::split::split;

/// A migration that cannot get its table locks within this time gives up, because everybody else queues
/// behind it.
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

/// What a run did.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Done {
    /// The set's name.
    pub set: String,
    /// `NNNN_verb_noun`.
    pub title: String,
    /// Forward or back.
    pub direction: Direction,
    /// How long it took.
    pub execution_ms: u64,
}

/// What a run is doing, for people who wait.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// Another node migrates.
    WaitingForLock {
        /// For how long.
        waited: Duration,
    },
    /// A migration starts.
    Running(Step<'a>),
    /// A migration is done.
    Ran(&'a Done),
}

/// Runs the migrations of some sets on one database.
#[derive(Debug, Clone, Copy)]
pub struct Runner<'a> {
    /// Where.
    pub database: &'a Database,
    /// What, in this order.
    pub sets: &'a [MigrationSet],
    /// This node, for the bookkeeping.
    pub node: &'a str,
    /// How long to wait for another node that migrates.
    pub lock_wait: Duration,
}

impl<'a> Runner<'a> {
    /// Applies what is missing; `to` stops one set at a number. Returns at once, without a lock, when nothing
    /// is missing.
    pub async fn up(
        &self,
        to: Option<(&str, u32)>,
        progress: impl Fn(Progress<'_>),
    ) -> Result<Vec<Done>, MigrateError> {
        if plan_up(self.sets, &self.applied().await?, to)?.is_empty() {
            return Ok(Vec::new());
        }
        self.run(|applied| plan_up(self.sets, applied, to), progress).await
    }

    /// Undoes migrations of one set, last first.
    pub async fn down(
        &self,
        set: &str,
        to: DownTo,
        progress: impl Fn(Progress<'_>),
    ) -> Result<Vec<Done>, MigrateError> {
        self.run(|applied| plan_down(self.sets, applied, set, to), progress).await
    }

    /// The steps that [`up`](Self::up) would take: print their sections for a dry run.
    pub async fn plan_up(&self, to: Option<(&str, u32)>) -> Result<Vec<Step<'a>>, MigrateError> {
        plan_up(self.sets, &self.applied().await?, to)
    }

    /// The steps that [`down`](Self::down) would take.
    pub async fn plan_down(&self, set: &str, to: DownTo) -> Result<Vec<Step<'a>>, MigrateError> {
        plan_down(self.sets, &self.applied().await?, set, to)
    }

    /// Every migration and whether it is applied.
    pub async fn status(&self) -> Result<Vec<Status>, MigrateError> {
        Ok(status(self.sets, &self.applied().await?))
    }

    async fn applied(&self) -> Result<Vec<Applied>, MigrateError> {
        let mut lease = self.database.lend_control_session().await.map_err(bookkeeping)?;
        read_applied(lease.session(), Activity::Idle).await
    }

    async fn run<'p>(
        &self,
        plan: impl FnOnce(&[Applied]) -> Result<Vec<Step<'p>>, MigrateError>,
        progress: impl Fn(Progress<'_>),
    ) -> Result<Vec<Done>, MigrateError> {
        let waiting = |waited| progress(Progress::WaitingForLock { waited });
        let mut lock =
            SessionLock::acquire(self.database, LockKey::forge("migrations"), self.lock_wait, waiting)
                .await?;
        lock.verify(self.database).await?;
        let outcome = self.run_locked(lock.session(), plan, progress).await;
        // A lock whose connection broke is free already; the first failure is the one to tell.
        let released = lock.release().await;
        let done = outcome?;
        released?;
        Ok(done)
    }

    async fn run_locked<'p>(
        &self,
        session: &mut Session,
        plan: impl FnOnce(&[Applied]) -> Result<Vec<Step<'p>>, MigrateError>,
        progress: impl Fn(Progress<'_>),
    ) -> Result<Vec<Done>, MigrateError> {
        session.execute(CREATE_TABLE, Activity::Bound).await.map_err(bookkeeping)?;
        let applied = read_applied(session, Activity::Bound).await?;
        let mut done = Vec::new();
        for step in plan(&applied)? {
            progress(Progress::Running(step));
            let started = Instant::now();
            if step.migration.transactional {
                self.run_whole(session, step).await?
            } else {
                self.run_singly(session, step).await?
            }
            let execution_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            let finished = Done {
                set: step.set.to_owned(),
                title: step.migration.title(),
                direction: step.direction,
                execution_ms,
            };
            progress(Progress::Ran(&finished));
            done.push(finished);
        }
        Ok(done)
    }

    /// The section, its row, one transaction.
    async fn run_whole(&self, session: &mut Session, step: Step<'_>) -> Result<(), MigrateError> {
        let started = Instant::now();
        let begin = format!("BEGIN; SET LOCAL lock_timeout = {TABLE_LOCK_TIMEOUT_MS}");
        session.execute(AssertSqlSafe(begin), Activity::Bound).await.map_err(bookkeeping)?;
        let outcome = match run_section(session, step.section).await {
            Ok(()) => self.record(session, step, started).await,
            Err((line, error)) => Err(failed(step, line, error)),
        };
        let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
        let ended = session.execute(end, Activity::Bound).await;
        outcome?;
        ended.map_err(|error| failed(step, step.section.line, error))
    }

    /// Statement after statement, each in its own transaction, the row last.
    async fn run_singly(&self, session: &mut Session, step: Step<'_>) -> Result<(), MigrateError> {
        let started = Instant::now();
        refuse_invalid_index(session, step).await?;
        for piece in split(&step.section.sql).iter().filter(|piece| !piece.is_blank()) {
            let result = session.execute(AssertSqlSafe(piece.text), Activity::Bound).await;
            if let Err(error) = result {
                // The more telling message, when there is one: what the failure left behind must go before
                // anything else helps.
                tracing::warn!(file = %step.migration.file, %error, "a statement outside of a transaction failed");
                refuse_invalid_index(session, step).await?;
                return Err(failed(step, step.section.line + piece.line - 1, error));
            }
        }
        refuse_invalid_index(session, step).await?;
        self.record(session, step, started).await
    }

    async fn record(
        &self,
        session: &mut Session,
        step: Step<'_>,
        started: Instant,
    ) -> Result<(), MigrateError> {
        let number = i32::try_from(step.migration.number).expect("numbers have four digits");
        let result = match step.direction {
            Direction::Up => {
                let sql = "INSERT INTO forge_migrations (set_name, number, name, checksum, execution_ms, node) VALUES ($1, $2, $3, $4, $5, $6)";
                let elapsed = i64::try_from(started.elapsed().as_millis()).unwrap_or(i64::MAX);
                let query = sqlx::query(sql)
                    .bind(step.set)
                    .bind(number)
                    .bind(&step.migration.name)
                    .bind(&step.migration.checksum);
                query.bind(elapsed).bind(self.node).execute(session.engage()).await
            }
            Direction::Down => {
                let sql = "DELETE FROM forge_migrations WHERE set_name = $1 AND number = $2";
                sqlx::query(sql).bind(step.set).bind(number).execute(session.engage()).await
            }
        };
        session.settle(&result, Activity::Bound);
        result.map_err(bookkeeping)?;
        Ok(())
    }
}

async fn read_applied(session: &mut Session, rest: Activity) -> Result<Vec<Applied>, MigrateError> {
    // Asked by the simple protocol and without a plan: the table may come into being between two questions.
    let there = session.engage().fetch_one("SELECT to_regclass('forge_migrations') IS NOT NULL").await;
    session.settle(&there, rest);
    if !there.and_then(|row| row.try_get::<bool, _>(0)).map_err(bookkeeping)? {
        return Ok(Vec::new());
    }
    let sql = "SELECT set_name, number, name, checksum, applied_at, execution_ms, node FROM forge_migrations ORDER BY set_name, number";
    let rows = sqlx::query(sql).persistent(false).fetch_all(session.engage()).await;
    session.settle(&rows, rest);
    let read = |row: &sqlx::postgres::PgRow| {
        Ok(Applied {
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

/// Sends a whole section at once. A failure comes with the line of the file that it belongs to.
async fn run_section(session: &mut Session, section: &Section) -> Result<(), (usize, sqlx::Error)> {
    let mut completed = 0;
    let result = {
        let mut results = session.engage().execute_many(sqlx::raw_sql(AssertSqlSafe(section.sql.as_str())));
        loop {
            match results.try_next().await {
                Ok(Some(_)) => completed += 1,
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            }
        }
    };
    session.settle(&result, Activity::Bound);
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

async fn refuse_invalid_index(session: &mut Session, step: Step<'_>) -> Result<(), MigrateError> {
    // An index that is being built right now is invalid too, and nobody's fault.
    let sql = "SELECT i.indexrelid::regclass::text FROM pg_index i WHERE NOT i.indisvalid \
               AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p WHERE p.index_relid = i.indexrelid) ORDER BY 1 LIMIT 1";
    let found = sqlx::query_scalar(sql).persistent(false).fetch_optional(session.engage()).await;
    session.settle(&found, Activity::Bound);
    match found.map_err(bookkeeping)? {
        Some(index) => Err(MigrateError::InvalidIndex { file: step.migration.file.clone(), index }),
        None => Ok(()),
    }
}

fn failed(step: Step<'_>, line: usize, source: sqlx::Error) -> MigrateError {
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
    Error::Statement { doing: "keeping the books of migrations (forge_migrations)".into(), source }.into()
}
