//! The actor that keeps an embedded database running. When the server ends, the actor crashes, and its
//! restart starts the server again.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::kernel::error_chain::error_chain;
use crate::supervise::{Actor, ActorError, Context, Message, Timer};

use super::progress::EmbeddedProgress;
use super::server::Embedded;
use super::watchdog::WatchdogProgram;

/// Time between two checks of the server's process.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// A message of the actor of an embedded database.
#[derive(Debug)]
pub enum PostgresMessage {
    /// Checks that the server runs.
    Check,
}

impl Message for PostgresMessage {
    const NAMES: &'static [&'static str] = &["Check"];

    fn index(&self) -> usize {
        match self {
            Self::Check => 0,
        }
    }
}

/// Carries a database that was started before the supervision tree to the first start of its actor.
#[derive(Debug, Clone, Default)]
pub struct Handover(Arc<Mutex<Option<Embedded>>>);

impl Handover {
    /// Carries `embedded` to the first start.
    pub fn new(embedded: Embedded) -> Self {
        Self(Arc::new(Mutex::new(Some(embedded))))
    }

    /// Takes the database out; `None` from the second call on.
    pub fn take(&self) -> Option<Embedded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Keeps the embedded database of one folder running.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// The folder of the embedded database, usually `.forge`.
    pub root: PathBuf,
    /// What stops the server when the last process that uses it was killed.
    pub watchdog: Option<WatchdogProgram>,
    /// The database that the node started before its tree.
    pub handover: Handover,
}

/// State of the [`Postgres`] actor.
#[derive(Debug)]
pub struct PostgresState {
    /// Absent once the actor has stopped the database.
    embedded: Option<Embedded>,
    _check_timer: Timer,
}

impl Actor for Postgres {
    type Message = PostgresMessage;
    type State = PostgresState;
    const KIND: &'static str = "postgres";

    async fn start(&self, cx: &Context<PostgresMessage>) -> Result<PostgresState, ActorError> {
        let embedded = match self.handover.take() {
            Some(embedded) => embedded,
            None => Embedded::start(&self.root, self.watchdog.as_ref(), &report).await?,
        };
        Ok(PostgresState {
            embedded: Some(embedded),
            _check_timer: cx.send_every(CHECK_EVERY, || PostgresMessage::Check),
        })
    }

    async fn handle(
        &self,
        _: &Context<PostgresMessage>,
        message: PostgresMessage,
        state: &mut PostgresState,
    ) -> Result<(), ActorError> {
        match message {
            PostgresMessage::Check => check(state),
        }
    }

    async fn stop(&self, _: &Context<PostgresMessage>, state: &mut PostgresState) {
        if let Some(embedded) = state.embedded.take()
            && let Err(error) = embedded.stop().await
        {
            let error = error_chain(&error);
            tracing::warn!(error, "stopping the embedded database failed");
        }
    }
}

fn check(state: &mut PostgresState) -> Result<(), ActorError> {
    if let Some(embedded) = &mut state.embedded {
        embedded.check()?;
    }
    Ok(())
}

fn report(progress: EmbeddedProgress<'_>) {
    match progress {
        EmbeddedProgress::Fetching { command } => tracing::info!(command, "fetching Postgres"),
        EmbeddedProgress::Output { line } => tracing::debug!(line, "fetching Postgres"),
        EmbeddedProgress::Creating => tracing::info!("creating the embedded database"),
        EmbeddedProgress::Starting => tracing::info!("starting the embedded database"),
        EmbeddedProgress::Waiting => tracing::info!("waiting for the node that owns the embedded database"),
        EmbeddedProgress::Warning { text } => tracing::warn!("{text}"),
    }
}
