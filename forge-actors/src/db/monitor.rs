//! Watches whether the database answers, and tells everybody who waits.
//!
//! ```text
//!   start ──answers──▶ Up ──two pings fail──▶ Away ──answers──▶ Up (older sessions are not lent again)
//!     └─ permanent error, or patience exhausted: the start fails
//! ```
//!
//! It pings once a second, at once when a session broke, and up to ten times a second while the database is
//! away. An outage is published, never a crash: this actor has no path from a failed ping to an error.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::kernel::backoff::Backoff;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Message, Timer};

use super::database::{CheckError, Database};
use super::error::{Error, no_answer};

const PING_EVERY: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Between pings while the database is away.
const AWAY: Backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(1));
/// Between tries at the start.
const STARTING: Backoff = Backoff::exponential(Duration::from_millis(200), Duration::from_secs(5));
/// However many sessions break at once, the pings that they ask for keep this distance.
const SUSPICION_PAUSE: Duration = Duration::from_millis(100);
const PRUNE_EVERY_PINGS: u32 = 30;

/// One failed try of a start that goes on waiting.
#[derive(Debug)]
pub struct Try<'a> {
    /// Counted from 1.
    pub number: u32,
    /// Since the first one.
    pub waited: Duration,
    /// Until the next one.
    pub next: Duration,
    /// Why it failed.
    pub cause: &'a sqlx::Error,
}

/// Waits until the database answers. What only a person can mend fails at once, everything else after the
/// configured patience.
pub async fn wait_for(database: &Database, progress: impl Fn(Try<'_>)) -> Result<(), Error> {
    let patience = database.config().start_patience;
    let started = Instant::now();
    for attempt in 0.. {
        let cause = match database.check().await {
            Ok(()) => break,
            Err(CheckError::Permanent(error)) => return Err(error),
            Err(CheckError::Away(cause)) => cause,
        };
        let waited = started.elapsed();
        if waited >= patience {
            return Err(Error::Away { place: database.place(), waited, cause });
        }
        let next = STARTING.jittered(attempt).min(patience - waited);
        progress(Try { number: attempt + 1, waited, next, cause: &cause });
        tokio::time::sleep(next).await;
    }
    Ok(())
}

/// What the monitor receives.
#[derive(Debug)]
pub enum MonitorMessage {
    /// See whether the database answers.
    Ping,
}

impl Message for MonitorMessage {
    const NAMES: &'static [&'static str] = &["Ping"];

    fn index(&self) -> usize {
        match self {
            Self::Ping => 0,
        }
    }
}

/// The actor.
#[derive(Debug, Clone)]
pub struct Monitor {
    database: Database,
    /// A restart of the monitor during an outage must not wait for its end and fail.
    waited: Arc<AtomicBool>,
}

/// Its state.
#[derive(Debug)]
pub struct MonitorState {
    failures: u32,
    pings: u32,
    next: Timer,
}

impl Monitor {
    /// The child that watches `database`. Its first start waits for the database.
    pub fn child(database: Database) -> ChildSpec {
        let start_deadline = database.config().start_patience + secs(10);
        let monitor = Self { database, waited: Arc::default() };
        let (mut spec, _) = ChildSpec::actor("monitor", move || monitor.clone());
        spec.start_deadline = Some(start_deadline);
        spec
    }

    async fn ping(&self, cx: &Context<MonitorMessage>, state: &mut MonitorState) {
        let delay = match self.ping_twice().await {
            Ok(()) => {
                state.failures = 0;
                if let Some(outage) = self.database.mark_up() {
                    tracing::info!(
                        place = self.database.place(),
                        seconds = outage.as_secs_f64(),
                        "the database is back"
                    );
                }
                PING_EVERY
            }
            Err(error) => {
                if self.database.mark_away(&error) {
                    tracing::warn!(place = self.database.place(), %error, "the database is away; calls are answered with UNAVAILABLE until it is back");
                }
                let delay = AWAY.jittered(state.failures);
                state.failures = state.failures.saturating_add(1);
                delay
            }
        };
        state.pings = state.pings.wrapping_add(1);
        if state.pings.is_multiple_of(PRUNE_EVERY_PINGS) {
            self.database.prune();
        }
        state.next = cx.send_after(delay, MonitorMessage::Ping);
    }

    /// One broken connection is no outage, so the second try counts; it is made on a new one.
    async fn ping_twice(&self) -> sqlx::Result<()> {
        if self.ping_once().await.is_ok() {
            return Ok(());
        }
        self.ping_once().await
    }

    async fn ping_once(&self) -> sqlx::Result<()> {
        let pinged = tokio::time::timeout(PING_TIMEOUT, self.database.ping()).await;
        pinged.unwrap_or_else(|_| Err(no_answer(PING_TIMEOUT))).map(drop)
    }
}

impl Actor for Monitor {
    type Message = MonitorMessage;
    type State = MonitorState;
    const KIND: &'static str = "database monitor";

    async fn start(&self, cx: &Context<MonitorMessage>) -> Result<MonitorState, ActorError> {
        if !self.waited.load(Ordering::Acquire) {
            wait_for(&self.database, |attempt| {
                let Try { number, waited, cause, .. } = attempt;
                tracing::warn!(place = self.database.place(), number, waited_seconds = waited.as_secs(), %cause, "waiting for the database");
            })
            .await?;
            self.waited.store(true, Ordering::Release);
        }
        let (database, address) = (self.database.clone(), cx.address());
        cx.spawn("suspicion", async move {
            loop {
                database.suspicion().await;
                // While it is away the pings come fast enough. A full mailbox means that one is due anyway.
                if database.state().borrow().is_up()
                    && let Err(error) = address.cast(MonitorMessage::Ping)
                {
                    tracing::debug!(%error, "a suspicion was not passed on");
                }
                tokio::time::sleep(SUSPICION_PAUSE).await;
            }
        });
        // At once: after a restart nobody knows what happened meanwhile.
        Ok(MonitorState { failures: 0, pings: 0, next: cx.send_after(Duration::ZERO, MonitorMessage::Ping) })
    }

    async fn handle(
        &self,
        cx: &Context<MonitorMessage>,
        message: MonitorMessage,
        state: &mut MonitorState,
    ) -> Result<(), ActorError> {
        match message {
            MonitorMessage::Ping => self.ping(cx, state).await,
        }
        Ok(())
    }
}
