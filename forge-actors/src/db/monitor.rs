//! Pings the database, and publishes whether it answers and takes writes, as a [`DatabaseState`].
//!
//! ```text
//!   start ──takes writes──▶ Up ──two pings fail───▶ Unreachable ──┐
//!     │                     ▲ └──takes no writes──▶ ReadOnly ─────┤
//!     │                     └───────────takes writes──────────────┘  older sessions are not used again
//!     └─ permanent error, or start_timeout is over: the start fails
//! ```
//!
//! The monitor pings once a second while calls use the database three times a second or more, and every five
//! seconds otherwise; the heartbeat of the node, every two seconds, still notices a broken connection between
//! two pings. It pings at once when a session broke or was refused a write, and up to ten times a second
//! while the database is not up. A ping asks whether the server takes writes, and which commits wait for a
//! synchronous standby: one that does so for longer than 5 s is published at the next ping as a
//! [`CommitWait`], which ends by itself. A standby and a server that was made read-only answer, so their
//! sessions last; after a switch-over they lead to the wrong server. Once the state is `ReadOnly`, each ping
//! therefore uses a new connection.
//!
//! An outage is published and never a crash: a failed ping is not an error of this actor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::time::secs;
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Timer};

use super::clock::{CLOCK_DIFFERENCE_MAX, ClockDifference};
use super::commit_wait::{CommitWait, CommitWatch};
use super::database::{CheckError, Database};
use super::error::{DatabaseError, no_answer, read_only_server};
use super::long_transaction::LongTransaction;
use super::paths::MONITOR;
use super::ping_pace::PingPace;
use super::signals;
use super::state::{DatabaseState, ServerMode, ServerReport};

const PING_EVERY: Duration = Duration::from_secs(1);
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Uses of the database in a second by which it counts as used. The duties of an idle node make one
/// or two.
const BUSY_FROM: u32 = 3;
/// Pauses between pings while the database is not up.
const OUTAGE: Backoff = Backoff::exponential(Duration::from_millis(100), Duration::from_secs(1));
/// Pauses between connection attempts at the start.
const STARTING: Backoff = Backoff::exponential(Duration::from_millis(200), Duration::from_secs(5));
/// However many sessions break at once, the pings that they ask for are at least this far apart.
const SUSPECT_PAUSE: Duration = Duration::from_millis(100);
const PRUNE_EVERY_PINGS: u32 = 30;
const TRANSACTIONS_EVERY_PINGS: u32 = 5;

/// A connection attempt that failed, of a start that goes on waiting.
#[derive(Debug)]
pub struct FailedAttempt<'a> {
    /// The attempt's number, counted from 1.
    pub number: u32,
    /// Time since the first attempt.
    pub waited: Duration,
    /// Time until the next attempt.
    pub next: Duration,
    /// Why the attempt failed.
    pub cause: &'a sqlx::Error,
}

/// Waits until the database answers and takes writes, for at most `database.start_timeout`.
///
/// # Errors
/// At once for a failure that a person must mend, such as a refused login; after the timeout for every
/// other.
pub async fn wait_for(
    database: &Database,
    progress: impl Fn(FailedAttempt<'_>),
) -> Result<(), DatabaseError> {
    let timeout = database.config().start_timeout;
    let started = Instant::now();
    for attempt in 0.. {
        let cause = match database.check().await {
            Ok(()) => break,
            Err(CheckError::Permanent(error)) => return Err(error),
            Err(CheckError::Unreachable(cause)) => cause,
            Err(CheckError::ReadOnly(cause)) => read_only_server(cause.to_owned()),
        };
        let waited = started.elapsed();
        if waited >= timeout {
            return Err(DatabaseError::Unreachable { address: database.address(), waited, cause });
        }
        let next = STARTING.jittered(attempt).min(timeout - waited);
        progress(FailedAttempt { number: attempt + 1, waited, next, cause: &cause });
        tokio::time::sleep(next).await;
    }
    Ok(())
}

/// [`wait_for`], with a line in the log for each attempt that failed.
pub(super) async fn wait_and_log(database: &Database) -> Result<(), DatabaseError> {
    let progress = |attempt: FailedAttempt<'_>| {
        let FailedAttempt { number, waited, cause, .. } = attempt;
        let (address, waited_seconds) = (database.address(), waited.as_secs());
        let cause = error_chain(cause);
        tracing::warn!(database = address, number, waited_seconds, cause, "waiting for the database");
    };
    wait_for(database, progress).await
}

/// A message of the monitor.
#[derive(Debug, forge_app_macros::Message)]
pub enum MonitorMessage {
    /// Pings the database, if a ping is due.
    PingDue,
    /// Pings the database, and publishes the result.
    Ping,
}

/// Watches one database.
#[derive(Debug, Clone)]
pub struct Monitor {
    database: Database,
    /// True once a start has waited for the database. A monitor that restarts during an outage does not wait
    /// for the outage's end, which would fail its start.
    waited: Arc<AtomicBool>,
}

/// State of the [`Monitor`].
#[derive(Debug)]
pub struct MonitorState {
    /// Pings since the last one that found the database up.
    failures: u32,
    pings: u32,
    pace: PingPace,
    commits: CommitWatch,
    /// The log has a warning about the clocks' difference.
    clock_differs: bool,
    next: Timer,
}

impl Monitor {
    /// The child that watches `database`. Its first start waits until the database answers.
    pub fn child(database: Database) -> ChildSpec {
        let start_deadline = database.config().start_timeout + secs(10);
        let monitor = Self { database, waited: Arc::default() };
        let mut spec = ChildSpec::unaddressed(MONITOR.id(), move || monitor.clone());
        spec.start_deadline = Some(start_deadline);
        spec
    }

    /// Pings, unless hardly anybody has used the database, and the last ping was a short while ago.
    async fn ping_if_due(&self, cx: &Context<MonitorMessage>, state: &mut MonitorState) {
        let is_well = state.failures == 0
            && self.database.state().borrow().is_up()
            && self.database.commits().borrow().is_none();
        if state.pace.is_due(self.database.take_uses() >= BUSY_FROM || !is_well) {
            return self.ping(cx, state).await;
        }
        state.next = cx.send_after(PING_EVERY, MonitorMessage::PingDue);
    }

    async fn ping(&self, cx: &Context<MonitorMessage>, state: &mut MonitorState) {
        state.pace.sent();
        let pinged = self.ping_twice().await.map(|report| {
            self.publish_commits(state.commits.found(report.commits, Instant::now()));
            self.publish_clock(report.clock, &mut state.clock_differs);
            report.mode
        });
        let delay = if self.publish(&pinged) {
            state.failures = 0;
            PING_EVERY
        } else {
            let delay = OUTAGE.jittered(state.failures);
            state.failures = state.failures.saturating_add(1);
            delay
        };
        metrics::gauge!(signals::WRITABLE).set(f64::from(u8::from(self.database.state().borrow().is_up())));
        state.pings = state.pings.wrapping_add(1);
        if pinged.is_ok() && state.pings.is_multiple_of(TRANSACTIONS_EVERY_PINGS) {
            self.find_long_transaction().await;
        }
        if state.pings.is_multiple_of(PRUNE_EVERY_PINGS) {
            self.database.prune();
        }
        state.next = cx.send_after(delay, MonitorMessage::PingDue);
    }

    /// Publishes the result of a ping, and logs what is new. True when the database is up.
    fn publish(&self, pinged: &sqlx::Result<ServerMode>) -> bool {
        let database = self.database.address();
        match pinged.as_ref().map(|mode| mode.obstacle()) {
            Ok(None) => {
                if let Some(ended) = self.database.mark_up() {
                    let seconds = ended.duration().as_secs_f64();
                    match ended {
                        DatabaseState::ReadOnly { .. } => {
                            tracing::info!(database, seconds, "database takes writes again")
                        }
                        DatabaseState::Up | DatabaseState::Unreachable { .. } => {
                            tracing::info!(database, seconds, "database reachable again")
                        }
                    }
                }
                true
            }
            Ok(Some(cause)) => {
                if self.database.mark_read_only(cause) {
                    tracing::warn!(
                        database,
                        cause,
                        "database read-only; writes are answered with UNAVAILABLE until a server takes them"
                    );
                }
                false
            }
            Err(error) => {
                if self.database.mark_unreachable(error) {
                    tracing::warn!(
                        database,
                        error = error_chain(error),
                        "database unreachable; calls are answered with UNAVAILABLE until it answers again"
                    );
                }
                false
            }
        }
    }

    /// Publishes which commits do not end, and logs what is new.
    fn publish_commits(&self, wait: Option<CommitWait>) {
        let seconds = wait.as_ref().map_or(0.0, |wait| wait.since.elapsed().as_secs_f64());
        metrics::gauge!(signals::COMMIT_WAIT_SECONDS).set(seconds);
        let (database, standbys) = (self.database.address(), wait.as_ref().map(|wait| wait.standbys.clone()));
        if !self.database.mark_commits(wait) {
            return;
        }
        match standbys {
            Some(standbys) => tracing::warn!(
                database,
                synchronous_standby_names = standbys,
                "commits wait for a synchronous standby: connect one, or change synchronous_standby_names; \
                 until then mutations are committed on the primary and answered with OUTCOME_UNKNOWN"
            ),
            None => tracing::info!(database, "synchronous standby confirms commits again"),
        }
    }

    /// Publishes the oldest transaction when it is open for long, and logs one that was not known.
    async fn find_long_transaction(&self) {
        let found = match tokio::time::timeout(PING_TIMEOUT, self.database.oldest_transaction()).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                let error = error_chain(&error);
                return tracing::debug!(error, "reading the oldest transaction failed");
            }
            Err(_) => return tracing::debug!("reading the oldest transaction took too long"),
        };
        let age = found.as_ref().map_or(Duration::ZERO, |oldest| oldest.age);
        metrics::gauge!(signals::OLDEST_TRANSACTION_SECONDS).set(age.as_secs_f64());
        let limit = self.database.config().long_transaction_after;
        let long = found.filter(|oldest| oldest.age > limit);
        let before = self.database.mark_long_transaction(long.clone());
        let is_known = |long: &LongTransaction| before.as_ref().is_some_and(|before| long.continues(before));
        if let Some(long) = long.filter(|long| !is_known(long)) {
            tracing::warn!(
                pid = long.pid,
                application_name = %long.name,
                seconds = long.age.as_secs(),
                "long-running transaction: vacuum keeps every row version that it may still see; end it with \
                 pg_terminate_backend(pid), a prepared one (pid 0) with ROLLBACK PREPARED"
            );
        }
    }

    /// Publishes how the clocks differ, and logs when they begin to differ and when they agree again.
    fn publish_clock(&self, difference: ClockDifference, differs: &mut bool) {
        metrics::gauge!(signals::CLOCK_OFFSET_SECONDS).set(difference.offset_ms as f64 / 1_000.0);
        self.database.mark_clock(difference);
        if difference.certain > CLOCK_DIFFERENCE_MAX && !*differs {
            *differs = true;
            tracing::warn!(
                offset_seconds = difference.offset_ms as f64 / 1_000.0,
                "clocks differ: {}",
                difference.warning()
            );
        } else if difference.certain <= CLOCK_DIFFERENCE_MAX / 2 && *differs {
            *differs = false;
            tracing::info!("this machine's clock agrees with the database's again");
        }
    }

    /// Pings again when the first ping fails. One broken connection is no outage, and neither is a control
    /// pool whose sessions all wait: the second ping uses a new connection.
    async fn ping_twice(&self) -> sqlx::Result<ServerReport> {
        let anew = matches!(&*self.database.state().borrow(), DatabaseState::ReadOnly { .. });
        if let Ok(answer) = self.ping_once(anew).await {
            return Ok(answer);
        }
        self.ping_once(true).await
    }

    async fn ping_once(&self, anew: bool) -> sqlx::Result<ServerReport> {
        let asking =
            async { if anew { self.database.ping_anew().await } else { self.database.ping().await } };
        let answered = tokio::time::timeout(PING_TIMEOUT, asking).await;
        answered.unwrap_or_else(|_| Err(no_answer(PING_TIMEOUT)))
    }
}

impl Actor for Monitor {
    type Message = MonitorMessage;
    type State = MonitorState;
    const KIND: &'static str = "monitor";

    async fn start(&self, cx: &Context<MonitorMessage>) -> Result<MonitorState, ActorError> {
        if !self.waited.load(Ordering::Acquire) {
            wait_and_log(&self.database).await?;
            match self.database.fit_connections().await {
                Ok(()) => {}
                Err(error @ DatabaseError::TooFewConnections { .. }) => return Err(error.into()),
                // The database may go away again at any moment; the pools then keep their sizes.
                Err(error) => {
                    let error = error_chain(&error);
                    tracing::warn!(error, "reading max_connections failed; the pools keep their sizes")
                }
            }
            self.waited.store(true, Ordering::Release);
        }
        let (database, address) = (self.database.clone(), cx.address());
        cx.spawn("suspected outages", async move {
            loop {
                database.outage_suspected().await;
                // While the database is not up, it is pinged often anyway. The notification is dropped when
                // the mailbox is full, and then a ping is due already.
                if database.state().borrow().is_up() {
                    address.notify(MonitorMessage::Ping);
                }
                tokio::time::sleep(SUSPECT_PAUSE).await;
            }
        });
        // The first ping is due at once: after a restart the published state may be out of date.
        let next = cx.send_after(Duration::ZERO, MonitorMessage::Ping);
        Ok(MonitorState {
            failures: 0,
            pings: 0,
            pace: PingPace::default(),
            commits: CommitWatch::default(),
            clock_differs: false,
            next,
        })
    }

    async fn handle(
        &self,
        cx: &Context<MonitorMessage>,
        message: MonitorMessage,
        state: &mut MonitorState,
    ) -> Result<(), ActorError> {
        match message {
            MonitorMessage::PingDue => self.ping_if_due(cx, state).await,
            MonitorMessage::Ping => self.ping(cx, state).await,
        }
        Ok(())
    }
}
