//! Applies pending migrations while the node starts: a transient child that stops when they are applied. An
//! outage meanwhile is waited for, as one at the start is: what had been applied stays, the rest is applied
//! when the database answers.

use std::sync::Arc;
use std::time::Duration;

use crate::kernel::error_chain::error_chain;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Restart, Timer};

use super::database::Database;
use super::error::{DatabaseError, no_answer};
use super::migrate::plan::NEWER_MIGRATION;
use super::migrate::runner::{MigrationProgress, Runner};
use super::migrate::set::MigrationSet;
use super::monitor::wait_and_log;
use super::paths::MIGRATOR;
use super::state::DatabaseState;

/// Time for all migrations together. The siblings behind the migrator start only after it.
const START_DEADLINE: Duration = secs(3_600);

/// Outages that one start waits for; after one more the start fails, since the migrations may be their cause.
const OUTAGES_MAX: u32 = 5;

/// A message of the migrator.
#[derive(Debug, forge_app_macros::Message)]
pub enum MigratorMessage {
    /// Every migration is applied: the actor stops.
    Finished,
}

/// Applies the pending migrations of some sets.
#[derive(Debug, Clone)]
pub struct Migrator {
    /// The database to migrate.
    pub database: Database,
    /// The sets, applied in this order.
    pub sets: Arc<[MigrationSet]>,
    /// This node's name, for the column `forge_migrations.node`.
    pub node: String,
    /// Time to wait for another node that migrates.
    pub lock_wait: Duration,
}

impl Migrator {
    /// The child that migrates in its start, so that later siblings find the schema that they were compiled
    /// for.
    pub fn child(self) -> ChildSpec {
        let mut spec = ChildSpec::unaddressed(MIGRATOR.id(), move || self.clone());
        spec.restart = Restart::Transient;
        spec.start_deadline = Some(START_DEADLINE);
        spec
    }
}

impl Migrator {
    fn runner(&self) -> Runner<'_> {
        Runner { database: &self.database, sets: &self.sets, node: &self.node, lock_wait: self.lock_wait }
    }

    /// Waits for the database for as long as a start does, and until the monitor has found it up.
    async fn await_database(&self) -> Result<(), DatabaseError> {
        wait_and_log(&self.database).await?;
        let mut state = self.database.state();
        let timeout = self.database.config().start_timeout;
        let up = tokio::time::timeout(timeout, state.wait_for(DatabaseState::is_up)).await;
        up.map(drop).map_err(|_| DatabaseError::Unreachable {
            address: self.database.address(),
            waited: timeout,
            cause: no_answer(timeout),
        })
    }
}

impl Actor for Migrator {
    type Message = MigratorMessage;
    type State = Timer;
    const KIND: &'static str = "migrator";

    async fn start(&self, cx: &Context<MigratorMessage>) -> Result<Timer, ActorError> {
        let mut outages = 0;
        while let Err(error) = self.runner().up(None, report).await {
            outages += 1;
            if !error.is_outage() || outages > OUTAGES_MAX {
                return Err(error.into());
            }
            let error = error_chain(&error);
            tracing::warn!(error, "database lost during the migrations; they go on when it answers");
            self.await_database().await?;
        }
        Ok(cx.send_after(Duration::ZERO, MigratorMessage::Finished))
    }

    async fn handle(
        &self,
        cx: &Context<MigratorMessage>,
        message: MigratorMessage,
        _: &mut Timer,
    ) -> Result<(), ActorError> {
        match message {
            MigratorMessage::Finished => cx.stop("the schema is up to date"),
        }
        Ok(())
    }
}

fn report(progress: MigrationProgress<'_>) {
    match progress {
        MigrationProgress::WaitingForLock { waited } => {
            tracing::info!(waited_seconds = waited.as_secs(), "waiting for another node that migrates")
        }
        MigrationProgress::Newer(row) => {
            tracing::warn!(set = row.set, migration = row.title(), "migration {NEWER_MIGRATION}")
        }
        MigrationProgress::TableLocked { step, lock, waited } => tracing::warn!(
            set = step.set,
            migration = step.migration.title(),
            lock,
            waited_seconds = waited.as_secs(),
            "migration waiting for a lock; it is tried again"
        ),
        MigrationProgress::Started(step) => {
            tracing::debug!(set = step.set, migration = step.migration.title(), "migration started")
        }
        MigrationProgress::Completed(migration) => tracing::info!(
            set = migration.set,
            migration = migration.title,
            milliseconds = migration.execution_ms,
            "migration applied"
        ),
    }
}
