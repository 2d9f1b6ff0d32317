//! The elector: holds the locks of this node's leaderships on one session, renews its terms, publishes them.
//!
//! It works in rounds, one every third of the lease. A round renews first, since that is what time is short
//! for, and then tries the leaderships that this node does not lead. A part of a round that takes until the
//! deadline of the terms is cut, and the session with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout_at};

use super::LeaderDeps;
use super::leadership::Leadership;
use super::messages::ElectorMessage;
use super::paths::ELECTOR;
use super::shared::LeaderShared;
use super::signals;
use super::state::{Election, ElectionEffect, ElectionInput, TermEnd};
use super::store;
use super::term::Term;
use crate::db::advisory_lock::LockKey;
use crate::db::election_session::ElectionSession;
use crate::db::error::DatabaseError;
use crate::kernel::diagnose::Diagnose;
use crate::kernel::error_chain::error_chain;
use crate::kernel::sqlstate::SqlStateClass;
use crate::kernel::time::{minutes, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Mailbox, Timer};

/// Between two checks whether an obstacle is still there.
const OBSTACLE_RETRY: Duration = minutes(1);
/// Longest time of a part of a round while this node holds no term; connecting is part of it.
const ROUND_MAX: Duration = secs(5);
/// Rounds that fail in a row until the node shows that it cannot lead: two leases, when each fails at once.
const FAILURES_SHOWN: u32 = 6;
/// Time for a node that stops to end its terms; after that the session is dropped, and they count as lost.
const RESIGN_MAX: Duration = secs(2);

/// The actor.
pub(super) struct Elector {
    deps: LeaderDeps,
    shared: Arc<LeaderShared>,
}

/// What the elector knows and holds.
pub(super) struct ElectorState {
    election: Election,
    /// `None` until the database was reached, and after the session was lost.
    session: Option<ElectionSession>,
    /// Of each term that is held: moved by renewals.
    deadlines: BTreeMap<Leadership, watch::Sender<Instant>>,
    /// Rounds that failed in a row; the first one is logged.
    failures: u32,
    /// Leaderships whose lock was free and whose term could not begin. Logged once, until a term begins.
    unelected: BTreeSet<Leadership>,
    /// Why a term could not begin in the last campaign, unless a transaction of the last leader is open.
    cause: Option<String>,
    next: Option<Timer>,
}

impl ElectorState {
    /// When a part of a round must be over: before the first term that is held can be lost.
    fn round_limit(&self) -> Instant {
        let deadline = self.deadlines.values().map(|deadline| *deadline.borrow()).min();
        deadline.unwrap_or_else(|| Instant::now() + ROUND_MAX)
    }
}

impl Drop for ElectorState {
    /// Terms end with their elector, also when it crashes: the session is dropped here.
    fn drop(&mut self) {
        for deadline in self.deadlines.values() {
            deadline.send_replace(Instant::now());
        }
    }
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
enum RoundError {
    #[error(transparent)]
    Database(#[from] DatabaseError),
    #[error(transparent)]
    Statement(#[from] sqlx::Error),
    #[error("no answer before the deadline")]
    TimedOut(#[from] Elapsed),
}

impl Elector {
    pub(super) fn spec(
        mailbox: Mailbox<ElectorMessage>,
        deps: LeaderDeps,
        shared: Arc<LeaderShared>,
    ) -> ChildSpec {
        let make = move || Self { deps: deps.clone(), shared: Arc::clone(&shared) };
        ChildSpec::with_mailbox(ELECTOR.id(), mailbox, make)
    }

    /// One round; returns when the next one is due, `None` when this node stands for nothing any more.
    async fn round(&self, state: &mut ElectorState) -> Option<Duration> {
        if self.shared.is_withdrawn() {
            self.withdraw(state).await;
            return None;
        }
        state.election.stand_for(self.shared.leaderships());
        // While the database is unreachable nothing can be opened. A session that is open finds out by
        // itself.
        if state.session.is_none() && !self.deps.database.state().borrow().is_up() {
            return Some(self.deps.config.renew_interval());
        }
        match self.try_round(state).await {
            Ok(()) => {
                if std::mem::take(&mut state.failures) > 0 {
                    tracing::info!("leader election recovered");
                }
                self.shared.set_obstacle(state.cause.clone());
                Some(self.deps.config.renew_interval())
            }
            Err(error) => Some(self.round_failed(state, &error).await),
        }
    }

    async fn try_round(&self, state: &mut ElectorState) -> Result<(), RoundError> {
        timeout_at(state.round_limit(), self.renew(state)).await??;
        // The renewal has moved the deadlines.
        timeout_at(state.round_limit(), self.campaign(state)).await?
    }

    /// Renews the terms, on a new session when there is none.
    async fn renew(&self, state: &mut ElectorState) -> Result<(), RoundError> {
        let LeaderDeps { node, node_name, database, config } = &self.deps;
        if state.session.is_none() {
            let label = format!("{node_name} leader");
            state.session = Some(ElectionSession::open(database, &label, config.lease).await?);
        }
        let Some(session) = &mut state.session else { return Ok(()) };
        let sent = Instant::now();
        let renewal = store::renew(session, &state.election.terms(), *node).await?;
        session.check_pid(renewal.pid, database)?;
        for deadline in state.deadlines.values() {
            deadline.send_replace(sent + config.local_deadline());
        }
        self.apply(state, ElectionInput::Renewed { lasting: renewal.lasting }, sent).await
    }

    /// Tries to be elected wherever this node does not lead.
    async fn campaign(&self, state: &mut ElectorState) -> Result<(), RoundError> {
        state.cause = None;
        let wanted = state.election.wanted();
        let Some(session) = &mut state.session else { return Ok(()) };
        if wanted.is_empty() {
            return Ok(());
        }
        let keys: Vec<LockKey> = wanted.iter().map(|leadership| leadership.lock_key()).collect();
        let taken = session.try_lock(&keys).await?;
        let free =
            wanted.into_iter().zip(taken).filter_map(|(leadership, taken)| taken.then_some(leadership));
        for leadership in free {
            self.elect(state, leadership).await?;
        }
        Ok(())
    }

    /// Begins a term of a leadership whose lock is held.
    async fn elect(&self, state: &mut ElectorState, leadership: Leadership) -> Result<(), RoundError> {
        let LeaderDeps { node, node_name, .. } = &self.deps;
        let Some(session) = &mut state.session else { return Ok(()) };
        let sent = Instant::now();
        match store::elect(session, leadership, *node, node_name).await {
            Ok(epoch) => self.apply(state, ElectionInput::Elected { leadership, epoch }, sent).await,
            Err(error) if session.is_lost() => Err(error.into()),
            Err(error) => {
                let first = state.unelected.insert(leadership);
                if waits_for_lock(&error) {
                    if first {
                        tracing::info!(%leadership, "election waits for a transaction of the last leader");
                    }
                } else {
                    let error = error_chain(&error);
                    if first {
                        tracing::warn!(%leadership, error, "election failed; retrying");
                    }
                    state.cause = Some(error);
                }
                Ok(session.unlock(&leadership.lock_key()).await?)
            }
        }
    }

    /// Applies an input to the candidacies and does what follows. `sent` is when the statement was sent that
    /// brought the input.
    async fn apply(
        &self,
        state: &mut ElectorState,
        input: ElectionInput,
        sent: Instant,
    ) -> Result<(), RoundError> {
        let effects = state.election.step(input);
        // First what needs no database: this future may be dropped at any statement.
        for effect in &effects {
            match *effect {
                ElectionEffect::Begin { leadership, epoch } => self.begin(state, leadership, epoch, sent),
                ElectionEffect::End { leadership, epoch, cause } => self.end(state, leadership, epoch, cause),
                ElectionEffect::CloseTerm { .. } | ElectionEffect::Unlock { .. } => {}
            }
        }
        let Some(session) = &mut state.session else { return Ok(()) };
        for effect in effects {
            match effect {
                ElectionEffect::CloseTerm { leadership, epoch } => {
                    store::resign(session, leadership, epoch, self.deps.node).await?;
                }
                ElectionEffect::Unlock { leadership } => session.unlock(&leadership.lock_key()).await?,
                ElectionEffect::Begin { .. } | ElectionEffect::End { .. } => {}
            }
        }
        Ok(())
    }

    fn begin(&self, state: &mut ElectorState, leadership: Leadership, epoch: i64, sent: Instant) {
        let (deadline, seen) = watch::channel(sent + self.deps.config.local_deadline());
        state.deadlines.insert(leadership, deadline);
        state.unelected.remove(&leadership);
        self.shared.publish(leadership, Some(Term::new(leadership, epoch, self.deps.node, seen)));
        signals::elected(leadership);
        tracing::info!(%leadership, epoch, "elected leader");
    }

    fn end(&self, state: &mut ElectorState, leadership: Leadership, epoch: i64, cause: TermEnd) {
        if let Some(deadline) = state.deadlines.remove(&leadership) {
            deadline.send_replace(Instant::now());
        }
        self.shared.publish(leadership, None);
        signals::ended(leadership, cause);
        match cause {
            TermEnd::Resigned => tracing::info!(%leadership, epoch, "leadership resigned"),
            TermEnd::SessionLost => {
                tracing::warn!(%leadership, epoch, "leadership lost: the session that held its lock is gone");
            }
            TermEnd::Superseded => tracing::warn!(
                %leadership,
                epoch,
                "leadership lost: forge_leaders has another term, although this node held the lock"
            ),
        }
    }

    /// Drops the session, ends the terms, and returns when to try again.
    async fn round_failed(&self, state: &mut ElectorState, error: &RoundError) -> Duration {
        self.discard_session(state);
        // Without a session no effect waits for the database, or fails.
        let _: Result<(), RoundError> = self.apply(state, ElectionInput::SessionLost, Instant::now()).await;
        let failed_before = state.failures > 0;
        state.failures = state.failures.saturating_add(1);
        if let RoundError::Database(obstacle @ DatabaseError::TransactionPooler { .. }) = error {
            let help = obstacle.help().unwrap_or_default();
            if self.shared.set_obstacle(Some(format!("{obstacle}; {help}"))) {
                tracing::error!(error = %obstacle, %help, "leader election disabled: transaction pooler");
            }
            return OBSTACLE_RETRY;
        }
        signals::round_failed();
        let error = error_chain(error);
        let database_up = self.deps.database.state().borrow().is_up();
        // An outage of the database has its own report, and one failure may be an interruption.
        if database_up && state.failures >= FAILURES_SHOWN {
            self.shared.set_obstacle(Some(error.clone()));
        }
        if failed_before || !database_up {
            tracing::debug!(error, "leader election failed; retrying");
        } else {
            tracing::warn!(error, "leader election failed; retrying");
        }
        self.deps.config.renew_interval()
    }

    /// Ends all terms in order.
    async fn withdraw(&self, state: &mut ElectorState) {
        let limit = Instant::now() + RESIGN_MAX;
        let resigning = self.apply(state, ElectionInput::Withdraw, Instant::now());
        match timeout_at(limit, resigning).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let error = error_chain(&error);
                tracing::warn!(error, "a leadership was not resigned in order and counts as lost")
            }
            Err(_) => tracing::warn!("a leadership was not resigned in time and counts as lost"),
        }
        // What was not freed is free when the session is gone.
        self.discard_session(state);
    }

    fn discard_session(&self, state: &mut ElectorState) {
        if let Some(session) = state.session.take() {
            session.discard(&self.deps.database);
        }
    }
}

fn waits_for_lock(error: &sqlx::Error) -> bool {
    SqlStateClass::of_error(error) == Some(SqlStateClass::LockNotAvailable)
}

impl Actor for Elector {
    type Message = ElectorMessage;
    type State = ElectorState;
    const KIND: &'static str = "elector";
    const MAILBOX_MAX: usize = 16;

    async fn start(&self, cx: &Context<ElectorMessage>) -> Result<ElectorState, ActorError> {
        for leadership in self.shared.leaderships() {
            // A term of the incarnation before, which ended with it.
            self.shared.publish(leadership, None);
            signals::stands(leadership);
        }
        Ok(ElectorState {
            election: Election::default(),
            session: None,
            deadlines: BTreeMap::new(),
            failures: 0,
            unelected: BTreeSet::new(),
            cause: None,
            next: Some(cx.send_after(Duration::ZERO, ElectorMessage::RoundDue)),
        })
    }

    async fn handle(
        &self,
        cx: &Context<ElectorMessage>,
        message: ElectorMessage,
        state: &mut ElectorState,
    ) -> Result<(), ActorError> {
        match message {
            ElectorMessage::RoundDue | ElectorMessage::WithdrawRequested => {
                state.next = None;
                let due = self.round(state).await;
                state.next = due.map(|due| cx.send_after(due, ElectorMessage::RoundDue));
            }
        }
        Ok(())
    }

    async fn stop(&self, _: &Context<ElectorMessage>, state: &mut ElectorState) {
        self.withdraw(state).await;
    }
}
