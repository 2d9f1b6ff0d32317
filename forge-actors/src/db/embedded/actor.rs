//! Keeps an embedded database running: its end is a crash of this actor, and the restart brings it back.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::supervise::{Actor, ActorError, Context, Message, Timer};

use super::server::{Embedded, Progress};

/// Between two looks at the server's process.
const CHECK_EVERY: Duration = Duration::from_millis(250);

/// What the keeper of an embedded database receives.
#[derive(Debug)]
pub enum PostgresMessage {
    /// Look whether the server lives.
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

/// A database that was started before the tree, on its way to the actor's first start.
#[derive(Debug, Clone, Default)]
pub struct Handover(Arc<Mutex<Option<Embedded>>>);

impl Handover {
    /// Hands `embedded` to the first start.
    pub fn new(embedded: Embedded) -> Self {
        Self(Arc::new(Mutex::new(Some(embedded))))
    }

    /// Takes it, once.
    pub fn take(&self) -> Option<Embedded> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The actor.
#[derive(Debug, Clone)]
pub struct Postgres {
    /// Usually `.forge`.
    pub root: PathBuf,
    /// What the node started before its tree.
    pub handover: Handover,
}

/// Its state.
#[derive(Debug)]
pub struct PostgresState {
    embedded: Option<Embedded>,
    next: Timer,
}

impl Actor for Postgres {
    type Message = PostgresMessage;
    type State = PostgresState;
    const KIND: &'static str = "postgres";

    async fn start(&self, cx: &Context<PostgresMessage>) -> Result<PostgresState, ActorError> {
        let embedded = match self.handover.take() {
            Some(embedded) => embedded,
            None => Embedded::start(&self.root, &report).await?,
        };
        Ok(PostgresState {
            embedded: Some(embedded),
            next: cx.send_after(CHECK_EVERY, PostgresMessage::Check),
        })
    }

    async fn handle(
        &self,
        cx: &Context<PostgresMessage>,
        message: PostgresMessage,
        state: &mut PostgresState,
    ) -> Result<(), ActorError> {
        match message {
            PostgresMessage::Check => check(cx, state),
        }
    }

    async fn stop(&self, _: &Context<PostgresMessage>, state: &mut PostgresState) {
        if let Some(embedded) = state.embedded.take()
            && let Err(error) = embedded.stop().await
        {
            tracing::warn!(%error, "the embedded database was not stopped in order");
        }
    }
}

fn check(cx: &Context<PostgresMessage>, state: &mut PostgresState) -> Result<(), ActorError> {
    if let Some(embedded) = &mut state.embedded {
        embedded.check()?;
    }
    state.next = cx.send_after(CHECK_EVERY, PostgresMessage::Check);
    Ok(())
}

fn report(progress: Progress<'_>) {
    match progress {
        Progress::Fetching { command } => tracing::info!(command, "fetching Postgres"),
        Progress::Said { line } => tracing::debug!(line, "fetching Postgres"),
        Progress::Creating => tracing::info!("creating the embedded database"),
        Progress::Starting => tracing::info!("starting the embedded database"),
        Progress::Waiting => tracing::info!("waiting for the node that looks after the embedded database"),
        Progress::Warning { text } => tracing::warn!("{text}"),
    }
}
