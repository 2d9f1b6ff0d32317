//! Brings the schema up to date while the node starts; a transient child that is gone afterwards.

use std::sync::Arc;
use std::time::Duration;

use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Message, Restart, Timer};

use super::database::Database;
use super::migrate::runner::{Progress, Runner};
use super::migrate::set::MigrationSet;

/// Longer than any sane migration: the start of the siblings waits for it.
const START_DEADLINE: Duration = secs(3_600);

/// What the migrator receives.
#[derive(Debug)]
pub enum MigratorMessage {
    /// Everything is applied: end.
    Finished,
}

impl Message for MigratorMessage {
    const NAMES: &'static [&'static str] = &["Finished"];

    fn index(&self) -> usize {
        match self {
            Self::Finished => 0,
        }
    }
}

/// The actor.
#[derive(Debug, Clone)]
pub struct Migrator {
    /// Where.
    pub database: Database,
    /// What, in this order.
    pub sets: Arc<[MigrationSet]>,
    /// This node, for the bookkeeping.
    pub node: String,
    /// How long to wait for another node that migrates.
    pub lock_wait: Duration,
}

impl Migrator {
    /// The child that migrates in its start, so that later siblings find the schema they were compiled for.
    pub fn child(self) -> ChildSpec {
        let (mut spec, _) = ChildSpec::actor("migrator", move || self.clone());
        spec.restart = Restart::Transient;
        spec.start_deadline = Some(START_DEADLINE);
        spec
    }
}

impl Actor for Migrator {
    type Message = MigratorMessage;
    type State = Timer;
    const KIND: &'static str = "migrator";

    async fn start(&self, cx: &Context<MigratorMessage>) -> Result<Timer, ActorError> {
        let runner = Runner {
            database: &self.database,
            sets: &self.sets,
            node: &self.node,
            lock_wait: self.lock_wait,
        };
        runner.up(None, report).await?;
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

fn report(progress: Progress<'_>) {
    match progress {
        Progress::WaitingForLock { waited } => {
            tracing::info!(waited_seconds = waited.as_secs(), "another node migrates; waiting")
        }
        Progress::Running(step) => {
            tracing::debug!(set = step.set, migration = step.migration.title(), "migrating")
        }
        Progress::Ran(done) => tracing::info!(
            set = done.set,
            migration = done.title,
            milliseconds = done.execution_ms,
            "migrated"
        ),
    }
}
