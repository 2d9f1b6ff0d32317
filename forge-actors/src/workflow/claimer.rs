//! The claimer: claims runs that are due, as many as there are places, and starts an actor for each, and for
//! those that were begun with their start.
//!
//! New runs, runs that were woken and runs of lost nodes are claimed alike: the workflows in turn, and the
//! runs of one in the order of the times at which they became due. How many may be active: see
//! [`admission`](super::admission).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::instance::Instance;
use super::messages::{LeaseMessage, RouterMessage, RunClaimerMessage};
use super::paths::CLAIMER;
use super::rows::{ClaimableVersion, ClaimedRun, FoundWork};
use super::shared::{StopReason, WorkflowShared};
use super::signals;
use crate::app::workflow::{EVENTS_TOPIC, WORKFLOWS_TOPIC};
use crate::change::{InterestOf, TopicKind, TopicSet};
use crate::kernel::backoff::Backoff;
use crate::kernel::error_chain::error_chain;
use crate::kernel::fault::Fault;
use crate::kernel::time::{millis, secs};
use crate::supervise::{Actor, ActorError, ChildSpec, Children, Context, Mailbox, Shutdown, Timer};

/// Runs of one claim.
const CLAIM_MAX: usize = 100;
/// A claim that brings runs so soon after the one before shows that they come in faster than claims can be
/// sent.
const BUSY: Duration = millis(10);
/// How long after a claim that brought runs those that are due later are looked for.
const LOOK_AFTER: Duration = millis(100);
/// How long the next runs gather then.
const GATHER: Duration = millis(2);
/// Between two attempts to reach a database that does not answer.
const OUTAGE_BACKOFF: Backoff = Backoff::exponential(millis(100), secs(5));
/// Time for an actor of a run to start.
const START_LIMIT: Duration = secs(5);

pub(super) struct RunClaimer {
    pub(super) shared: Arc<WorkflowShared>,
    pub(super) instances: Children,
    code: Vec<KnownVersion>,
}

/// A version of a workflow whose runs this binary executes: it has the function, or a migration.
#[derive(Clone)]
struct KnownVersion {
    workflow: String,
    version: i32,
}

pub(super) struct RunClaimerState {
    is_claiming: bool,
    is_polling: bool,
    /// A run became ready while a claim was under way, or may be due.
    has_work: bool,
    failures: u32,
    gather: Option<Timer>,
    /// When the last claim was answered.
    claimed_at: Instant,
    /// A look for runs that are due later.
    look: Option<Timer>,
    pause: Option<Timer>,
    _poll: Timer,
    /// The next run that is due before the next poll, or a lease that is to be looked at.
    due: Option<Timer>,
    /// The next run that is due of those that have left.
    next_due: Option<Timer>,
    /// Counts the claims.
    turn: usize,
    /// The runs that the last claim may have brought, all in all and of each workflow.
    last_size: usize,
    /// A workflow had no places at the last claim, so that its runs may wait.
    has_full: bool,
    limits: Vec<(String, usize)>,
}

impl RunClaimer {
    pub(super) fn spec(
        shared: Arc<WorkflowShared>,
        instances: Children,
        mailbox: Mailbox<RunClaimerMessage>,
    ) -> ChildSpec {
        let catalog = shared.functions.catalog();
        let linked = catalog.workflows().map(|(name, version, _)| (name.to_owned(), version));
        let migrated = catalog.workflow_migrations().map(|(name, from, _)| (name.to_owned(), from));
        let code: Vec<_> = linked
            .chain(migrated)
            .map(|(workflow, version)| KnownVersion {
                workflow,
                version: i32::try_from(version).unwrap_or(i32::MAX),
            })
            .collect();
        let drain = shared.config.drain_timeout;
        let make =
            move || Self { shared: Arc::clone(&shared), instances: instances.clone(), code: code.clone() };
        let mut spec = ChildSpec::with_mailbox(CLAIMER.id(), mailbox, make);
        spec.shutdown = Shutdown::Deadline(drain + secs(2));
        spec
    }

    fn proceed(&self, cx: &Context<RunClaimerMessage>, state: &mut RunClaimerState) {
        let is_delayed = state.pause.is_some() || state.gather.is_some();
        if self.code.is_empty() || state.is_claiming || is_delayed || !state.has_work {
            return;
        }
        let admission = &self.shared.admission;
        admission.claiming(CLAIM_MAX);
        let limit = admission.free_runs().min(CLAIM_MAX);
        admission.claiming(limit);
        let claimable = self.claimable(state.turn, limit);
        if claimable.is_empty() || self.shared.is_draining.load(Ordering::Acquire) {
            self.shared.has_backlog.store(true, Ordering::Release);
            return admission.claiming(0);
        }
        let Some(lease) = self.shared.living_lease() else {
            admission.claiming(0);
            return self.shared.lease_keeper.notify(LeaseMessage::Wanted);
        };
        (state.is_claiming, state.has_work) = (true, false);
        let shared = Arc::clone(&self.shared);
        state.turn = state.turn.wrapping_add(1);
        state.limits = claimable.iter().map(|code| (code.workflow.clone(), code.limit)).collect();
        state.last_size = limit;
        state.has_full = claimable.len() < self.code.len();
        cx.spawn_message("claim", async move {
            RunClaimerMessage::Claimed(shared.store.claim(lease, &claimable, limit).await)
        });
    }

    /// The versions of which runs may be claimed. Each claim begins with another one, so that the first one
    /// with many runs that are due does not take all places that become free.
    fn claimable(&self, turn: usize, limit: usize) -> Vec<ClaimableVersion> {
        let first = turn % self.code.len();
        let (before, after) = self.code.split_at(first);
        let claimable = after.iter().chain(before).map(|code| {
            // The versions of a workflow have one share.
            let versions = self.code.iter().filter(|other| other.workflow == code.workflow).count();
            let free = self.shared.admission.free_runs_of(&code.workflow);
            let limit = free.div_ceil(versions).min(limit);
            ClaimableVersion { workflow: code.workflow.clone(), version: code.version, limit }
        });
        claimable.filter(|code| code.limit > 0).collect()
    }

    fn poll(&self, cx: &Context<RunClaimerMessage>, state: &mut RunClaimerState) {
        if state.is_polling || state.pause.is_some() {
            return;
        }
        state.is_polling = true;
        let shared = Arc::clone(&self.shared);
        let code = self.code.iter().map(|code| (code.workflow.clone(), code.version));
        let (names, versions): (Vec<_>, Vec<_>) = code.unzip();
        cx.spawn_message("poll", async move {
            let suspect = super::lease::SUSPECT_AFTER;
            RunClaimerMessage::Found(shared.store.find_work(&names, &versions, shared.node, suspect).await)
        });
    }

    fn found(&self, cx: &Context<RunClaimerMessage>, state: &mut RunClaimerState, found: FoundWork) {
        if found.has_events {
            self.shared.router.notify(RouterMessage::EventsReady);
        }
        if found.next_suspect.is_some_and(|suspect| suspect.is_zero()) {
            self.shared.has_suspect.store(true, Ordering::Release);
        }
        state.has_work |= found.next_due.is_some_and(|due| due.is_zero());
        let soon = [found.next_due, found.next_suspect].into_iter().flatten();
        let next = soon.filter(|wait| !wait.is_zero() && *wait < self.shared.config.poll_interval).min();
        state.due = next.map(|wait| cx.send_after(wait + millis(1), RunClaimerMessage::Poll));
    }

    async fn claimed(
        &self,
        cx: &Context<RunClaimerMessage>,
        state: &mut RunClaimerState,
        runs: Vec<ClaimedRun>,
    ) {
        let count = runs.len();
        let mut claimed: HashMap<String, usize> = HashMap::new();
        for run in &runs {
            self.shared.admission.enter(&run.workflow);
            signals::claimed(&run.workflow, (run.now - run.due_at).to_std().unwrap_or_default());
            *claimed.entry(run.workflow.clone()).or_default() += 1;
        }
        self.shared.admission.claiming(0);
        signals::active(self.shared.admission.active());
        let has_more = |(workflow, limit): &(String, usize)| claimed.get(workflow) >= Some(limit);
        let has_more = count >= state.last_size || state.limits.iter().any(has_more);
        self.shared.has_backlog.store(has_more || state.has_full, Ordering::Release);
        self.activate(runs).await;
        if has_more {
            state.has_work = true;
        } else if state.look.is_none() {
            // Runs that are due later are looked for once, and not at each poll.
            let after = if count == 0 { Duration::ZERO } else { LOOK_AFTER };
            state.look = Some(cx.send_after(after, RunClaimerMessage::Poll));
        }
        let is_busy = state.claimed_at.elapsed() < BUSY;
        state.claimed_at = Instant::now();
        if is_busy && count > 0 && count < CLAIM_MAX {
            state.gather = Some(cx.send_after(GATHER, RunClaimerMessage::RunReady));
        }
    }

    /// Starts an actor for each run.
    async fn activate(&self, runs: Vec<ClaimedRun>) {
        let starts = runs.into_iter().map(async |run| {
            self.shared.held.insert(run.id, run.claim);
            let spec = Instance::spec(Arc::clone(&self.shared), run);
            // An actor that does not start gives its run back when it is dropped.
            if let Err(error) = self.instances.start_child(spec, START_LIMIT).await {
                tracing::warn!(%error, "the actor of a run did not start; the run is claimed again");
            }
        });
        futures::future::join_all(starts).await;
    }

    /// Starts the actors of the runs that were begun with their start.
    async fn activate_begun(&self) {
        let Some(begun) = self.shared.begun.try_take() else { return };
        signals::active(self.shared.admission.active());
        self.activate(begun).await;
    }

    /// Looks for runs when the next one is due that has left.
    fn await_due(&self, cx: &Context<RunClaimerMessage>, state: &mut RunClaimerState) {
        let Some(due) = self.shared.next_due.get() else { return };
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            self.shared.next_due.try_take();
            state.has_work = true;
            state.next_due = None;
        } else {
            state.next_due = Some(cx.send_after(wait + millis(1), RunClaimerMessage::DueSoon));
        }
    }

    /// `what` says which statement has failed.
    fn failed(
        &self,
        cx: &Context<RunClaimerMessage>,
        state: &mut RunClaimerState,
        what: &str,
        fault: &Fault,
    ) {
        self.shared.admission.claiming(0);
        if state.failures == 0 {
            tracing::warn!(error = error_chain(fault), "{what} failed; retrying");
        }
        state.has_work = true;
        state.pause = Some(cx.send_after(OUTAGE_BACKOFF.jittered(state.failures), RunClaimerMessage::Poll));
        state.failures = state.failures.saturating_add(1);
    }
}

impl Actor for RunClaimer {
    type Message = RunClaimerMessage;
    type State = RunClaimerState;
    const KIND: &'static str = "run_claimer";

    async fn start(&self, cx: &Context<RunClaimerMessage>) -> Result<RunClaimerState, ActorError> {
        self.shared.is_draining.store(false, Ordering::Release);
        let hints = self.shared.hints.subscribe(TopicKind::Queues);
        self.shared.hints.set_interest(
            InterestOf::Workflows,
            [WORKFLOWS_TOPIC, EVENTS_TOPIC].into_iter().map(Arc::<str>::from).collect::<TopicSet>(),
        );
        let (claimer, router) = (cx.address(), self.shared.router.clone());
        cx.spawn("hints", async move {
            loop {
                let hint = hints.next().await;
                let has = |name: &str| hint.topics.queues().any(|queue| &**queue == name);
                if has(WORKFLOWS_TOPIC) {
                    claimer.notify(RunClaimerMessage::RunReady);
                }
                if has(EVENTS_TOPIC) {
                    router.notify(RouterMessage::EventsReady);
                }
            }
        });
        cx.address().cast(RunClaimerMessage::Poll)?;
        // Runs may have been begun before a restart.
        cx.address().cast(RunClaimerMessage::Begun)?;
        Ok(RunClaimerState {
            is_claiming: false,
            is_polling: false,
            has_work: true,
            failures: 0,
            gather: None,
            claimed_at: Instant::now(),
            look: None,
            pause: None,
            _poll: cx.send_every(self.shared.config.poll_interval, || RunClaimerMessage::Poll),
            due: None,
            next_due: None,
            turn: 0,
            last_size: 0,
            has_full: false,
            limits: Vec::new(),
        })
    }

    async fn handle(
        &self,
        cx: &Context<RunClaimerMessage>,
        message: RunClaimerMessage,
        state: &mut RunClaimerState,
    ) -> Result<(), ActorError> {
        match message {
            RunClaimerMessage::Poll => {
                (state.pause, state.look) = (None, None);
                self.poll(cx, state);
            }
            RunClaimerMessage::RunReady => {
                state.gather = None;
                state.has_work = true;
            }
            RunClaimerMessage::DueSoon => self.await_due(cx, state),
            RunClaimerMessage::Begun => {}
            RunClaimerMessage::PlaceFree | RunClaimerMessage::LeaseChanged => state.has_work = true,
            RunClaimerMessage::Claimed(claimed) => {
                state.is_claiming = false;
                match claimed {
                    Ok(runs) => {
                        state.failures = 0;
                        self.claimed(cx, state, runs).await;
                    }
                    Err(fault) => self.failed(cx, state, "claiming runs", &fault),
                }
            }
            RunClaimerMessage::Found(found) => {
                state.is_polling = false;
                match found {
                    Ok(found) => self.found(cx, state, found),
                    Err(fault) => self.failed(cx, state, "looking for runs that are due", &fault),
                }
            }
        }
        // At each message: a full mailbox drops notifications.
        self.activate_begun().await;
        self.proceed(cx, state);
        Ok(())
    }

    /// Claims no more, and waits until the steps that are under way have ended.
    async fn stop(&self, _cx: &Context<RunClaimerMessage>, _state: &mut RunClaimerState) {
        self.shared.is_draining.store(true, Ordering::Release);
        self.shared.stop_all(StopReason::Drain);
        let until = Instant::now() + self.shared.config.drain_timeout;
        while self.shared.admission.active() > 0 && Instant::now() < until {
            // Those that were begun meanwhile are released.
            for run in self.shared.begun.try_take().unwrap_or_default() {
                self.shared.give_back(run, false);
            }
            tokio::time::sleep(millis(10)).await;
        }
    }
}
