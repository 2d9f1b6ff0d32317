//! The lease keeper: holds the lease of this node while runs are active, renews it twice a second, and reads
//! what wakes or stops the runs that this node holds. When the lease is refused or has run out, all active
//! runs stop; a lease without active runs is given up after five seconds.
//!
//! ```text
//!             wanted                      renewed
//!   None ───────────────▶ Registering ──▶ Held ──┐
//!    ▲ ▲                                  │ │ ▲  │ each tick
//!    │ └── idle for 5 s: resigned ────────┘ │ └──┘
//!    └──── refused · ran out: all runs stop ◀┘
//! ```

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::attempts::ShownAttempts;
use super::messages::{LeaseMessage, RunClaimerMessage};
use super::paths::LEASE;
use super::rows::{GivenBack, Leave};
use super::shared::{OwnLease, StopReason, WorkflowShared};
use super::signals;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::ids::RunId;
use crate::kernel::merge_slot::MergeSlot;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Context, Mailbox, Timer};

/// Between two renewals.
const RENEW_EVERY: Duration = millis(500);
/// A lease that was not renewed for this time is lost, when the server has no session of its node either.
pub(super) const SUSPECT_AFTER: Duration = millis(1_500);
/// A lease without active runs is given up after this time.
const IDLE_MAX: Duration = secs(5);
/// Between two looks for runs that are held and not executed.
const LOOK_EVERY: Duration = secs(5);

pub(super) struct LeaseKeeper {
    shared: Arc<WorkflowShared>,
}

pub(super) struct LeaseState {
    is_busy: bool,
    is_wanted: bool,
    tick: Option<Timer>,
    idle_since: Instant,
    /// Held runs without an activation, as the last look has found them, and when that was.
    without_activation: Arc<MergeSlot<HeldWithoutActivation>>,
    attempts: Arc<ShownAttempts>,
}

/// Runs that are held and have no activation.
struct HeldWithoutActivation {
    runs: Vec<(RunId, i32)>,
    at: Instant,
}

impl LeaseKeeper {
    pub(super) fn spec(shared: Arc<WorkflowShared>, mailbox: Mailbox<LeaseMessage>) -> ChildSpec {
        ChildSpec::with_mailbox(LEASE.id(), mailbox, move || Self { shared: Arc::clone(&shared) })
    }

    fn proceed(&self, cx: &Context<LeaseMessage>, state: &mut LeaseState) {
        if state.is_busy {
            return;
        }
        let held = *self.shared.lease.borrow();
        if held.is_none() && !state.is_wanted {
            state.tick = None;
            return;
        }
        state.is_busy = true;
        let is_idle = self.is_idle(state);
        state.is_wanted = false;
        let shared = Arc::clone(&self.shared);
        let (without_activation, attempts) =
            (Arc::clone(&state.without_activation), Arc::clone(&state.attempts));
        cx.spawn_message("renew", async move {
            give_back(&shared).await;
            match held {
                None => register(&shared).await,
                Some(lease) if is_idle => resign_unused(&shared, lease).await,
                Some(lease) => {
                    if renew(&shared, lease).await {
                        attempts.write(&shared, lease.id).await;
                    }
                    compare_held(&shared, &without_activation).await;
                }
            }
            LeaseMessage::Done
        });
        if state.tick.is_none() {
            state.tick = Some(cx.send_every(RENEW_EVERY, || LeaseMessage::Tick));
        }
    }

    fn is_idle(&self, state: &mut LeaseState) -> bool {
        // The statement of a claim or of a start may wait for long.
        if state.is_wanted || !self.shared.admission.is_unused() {
            state.idle_since = Instant::now();
        }
        state.idle_since.elapsed() > IDLE_MAX
    }
}

impl Actor for LeaseKeeper {
    type Message = LeaseMessage;
    type State = LeaseState;
    const KIND: &'static str = "lease_keeper";

    async fn start(&self, cx: &Context<LeaseMessage>) -> Result<LeaseState, ActorError> {
        // A lease from before a restart is kept, and renewed at once.
        cx.address().cast(LeaseMessage::Tick)?;
        Ok(LeaseState {
            is_busy: false,
            is_wanted: false,
            tick: None,
            idle_since: Instant::now(),
            without_activation: Arc::default(),
            attempts: Arc::default(),
        })
    }

    async fn handle(
        &self,
        cx: &Context<LeaseMessage>,
        message: LeaseMessage,
        state: &mut LeaseState,
    ) -> Result<(), ActorError> {
        match message {
            LeaseMessage::Wanted => state.is_wanted = true,
            LeaseMessage::Tick => {}
            LeaseMessage::Done => {
                state.is_busy = false;
                return Ok(());
            }
        }
        self.proceed(cx, state);
        Ok(())
    }

    /// Gives the lease up, so that other nodes take the runs at once.
    async fn stop(&self, _cx: &Context<LeaseMessage>, _state: &mut LeaseState) {
        let held = *self.shared.lease.borrow();
        if let Some(lease) = held {
            resign(&self.shared, lease).await;
        }
    }
}

async fn register(shared: &WorkflowShared) {
    let sent = Instant::now();
    let duration = shared.config.lease;
    match shared.store.register(shared.node, &shared.node_name, duration).await {
        Ok(id) => {
            tracing::debug!(lease = id, "lease for workflows acquired");
            shared.lease.send_replace(Some(OwnLease { id, until: sent + margin(duration) }));
        }
        Err(fault) => {
            tracing::debug!(error = error_chain(&fault), "acquiring a lease for workflows failed; retrying");
        }
    }
    shared.claimer.notify(RunClaimerMessage::LeaseChanged);
}

/// False when the database has not renewed the lease, or does not answer.
async fn renew(shared: &WorkflowShared, lease: OwnLease) -> bool {
    let sent = Instant::now();
    let duration = shared.config.lease;
    match shared.store.renew(lease.id, duration).await {
        Ok(true) => {
            shared.lease.send_replace(Some(OwnLease { until: sent + margin(duration), ..lease }));
        }
        Ok(false) => {
            lose(shared, lease, "the lease has run out, or another node has taken the runs over");
            return false;
        }
        Err(_) if lease.until <= Instant::now() => {
            lose(shared, lease, "it could not be renewed");
            return false;
        }
        Err(fault) => {
            tracing::debug!(error = error_chain(&fault), "renewing the lease failed; retrying");
            return false;
        }
    }
    if shared.active.is_empty() {
        return true;
    }
    match shared.store.arrivals(lease.id).await {
        Ok(arrivals) => {
            for arrival in arrivals {
                let Some(mut entry) = shared.active.get_mut(&arrival.run) else { continue };
                if entry.claim != arrival.claim {
                    continue;
                }
                if entry.wakes != arrival.wakes {
                    entry.wakes = arrival.wakes;
                    entry.run.wake();
                }
                if let Some(request) = arrival.request {
                    entry.stop_for(StopReason::Requested(request));
                }
            }
            true
        }
        Err(fault) => {
            tracing::debug!(error = error_chain(&fault), "looking for what came for runs failed; retrying");
            false
        }
    }
}

/// Lets runs be claimed again whose activation has ended before they have left. Those whose activation has
/// failed are counted.
async fn give_back(shared: &WorkflowShared) {
    let runs = shared.given_back.try_take().unwrap_or_default();
    let crashed: Vec<_> =
        runs.iter().filter(|back| back.is_crash).map(|back| (back.run.id, back.run.claim)).collect();
    if let Some(lease) = shared.living_lease().filter(|_| !crashed.is_empty()) {
        match shared.store.give_back(lease, &crashed).await {
            Ok(released) => {
                signals::released(&released);
                shared.claimer.notify(RunClaimerMessage::RunReady);
            }
            Err(fault) => report_kept(crashed.len(), &fault),
        }
    }
    let leaves = runs.into_iter().map(async |GivenBack { run, is_crash }| {
        if !is_crash
            && let Err(fault) = shared.leaver.submit(Leave::ready(run.id, run.claim, run.wakes)).await
        {
            report_kept(1, &fault);
        }
        shared.leave_place(run.id, run.claim, &run.workflow);
    });
    futures::future::join_all(leaves).await;
}

/// Logs that runs were not released. The next look at the runs that are held finds them.
fn report_kept(runs: usize, fault: &Fault) {
    tracing::warn!(runs, error = error_chain(fault), "releasing runs failed; they are claimed again later");
}

/// Compares the runs that this node holds with those that it executes. One that it holds and does not execute
/// is given back: the answer to its claim got lost. A run that has just been claimed has no activation yet,
/// so one is given back when two looks have found it. One that it executes and does not hold is stopped: it
/// was terminated, and whatever its steps still did would be refused.
async fn compare_held(shared: &WorkflowShared, without_activation: &MergeSlot<HeldWithoutActivation>) {
    let last = without_activation
        .try_take()
        .unwrap_or_else(|| HeldWithoutActivation { runs: Vec::new(), at: Instant::now() });
    if last.at.elapsed() < LOOK_EVERY {
        return without_activation.put(|slot| *slot = Some(last));
    }
    let Some(lease) = shared.living_lease() else { return };
    let active: Vec<_> = shared.active.iter().map(|entry| (*entry.key(), entry.claim)).collect();
    let Ok(held) = shared.store.held(lease).await else { return };
    let held: HashSet<(RunId, i32)> = held.into_iter().collect();
    for (run, claim) in active.iter().filter(|run| !held.contains(run)) {
        if let Some(entry) = shared.active.get(run).filter(|entry| entry.claim == *claim) {
            entry.stop_for(StopReason::Lost);
        }
    }
    let is_active = |(run, claim): &(RunId, i32)| shared.held.get(run).is_some_and(|known| *known == *claim);
    let runs: Vec<_> = held.into_iter().filter(|held| !is_active(held)).collect();
    for (run, claim) in runs.iter().filter(|run| last.runs.contains(run)) {
        tracing::warn!(%run, "a run was held and not executed; it is claimed again");
        let _left = shared.leaver.submit(Leave::ready(*run, *claim, 0)).await;
    }
    without_activation.put(|slot| *slot = Some(HeldWithoutActivation { runs, at: Instant::now() }));
}

/// How long after a renewal this node counts on its lease: a sixth less than others wait.
fn margin(duration: Duration) -> Duration {
    duration - duration / 6
}

fn lose(shared: &WorkflowShared, lease: OwnLease, reason: &str) {
    tracing::warn!(lease = lease.id, runs = shared.active.len(), reason, "lease for workflows lost");
    shared.lease.send_replace(None);
    shared.stop_all(StopReason::Lost);
    shared.claimer.notify(RunClaimerMessage::LeaseChanged);
}

/// Gives a lease up that was not used, unless a claim or a start uses it again.
async fn resign_unused(shared: &WorkflowShared, lease: OwnLease) {
    shared.lease.send_replace(None);
    if shared.admission.is_unused() {
        return resign(shared, lease).await;
    }
    shared.lease.send_replace(Some(lease));
    shared.claimer.notify(RunClaimerMessage::LeaseChanged);
}

async fn resign(shared: &WorkflowShared, lease: OwnLease) {
    shared.lease.send_replace(None);
    if let Err(fault) = shared.store.resign(lease.id).await {
        tracing::debug!(error = error_chain(&fault), "the lease was not given up; it runs out");
    }
}
