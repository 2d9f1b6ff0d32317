//! The standard actor for periodic duties: it runs a [`Duty`] again and again.
//!
//! ```text
//!              due · run_now           run ended
//!   Waiting ─────────────▶ Running ─────────────▶ Waiting (interval, pause or backoff)
//!     ▲ │                      │
//!     │ │ term ended           │ term ended: the run is cancelled
//!     │ ▼                      │
//!   Standby ◀──────────────────┘
//! ```
//!
//! The duty runs in a task beside the actor, so the actor answers while a run is under way, and a run that
//! hangs is cancelled at its time limit. A failed run is logged once when failures begin and once when they
//! end; it is tried again after a backoff. A duty that panics is a crash of the actor: the supervisor
//! restarts it with a duty made anew.
//!
//! A duty that every node runs has the term `()`, which never ends. An elected duty runs only while this node
//! holds a leadership term, and each run gets the term to write with.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use super::actor::{Actor, ActorError};
use super::address::{ActorCallError, Mailbox, Reply};
use super::context::{Context, Timer};
use super::duty::{Duty, DutyOutcome, PeriodicHandle, PeriodicStatus, RunError, RunReport, Schedule};
use super::signals;
use super::spec::ChildSpec;
use crate::kernel::error_chain::error_causes;
use crate::kernel::time::{Timestamp, secs};

/// Time for a run that is under way when the actor is asked to stop; then it is cancelled.
pub const STOP_TIMEOUT: Duration = secs(2);
/// Callers of [`PeriodicHandle::run_now`] that wait at a time; one more is refused.
const WAITING_MAX: usize = 64;
/// Messages that may wait at the actor.
const MAILBOX_MAX: usize = 128;

/// The actor that runs a duty.
struct Periodic<D: Duty> {
    make: Arc<dyn Fn() -> D + Send + Sync>,
    schedule: Schedule,
    terms: watch::Receiver<Option<D::Term>>,
    status: Arc<watch::Sender<PeriodicStatus>>,
}

impl ChildSpec {
    /// A periodic duty that every node runs, and the handle that shows and runs it; see [`Duty`].
    pub fn periodic<D: Duty<Term = ()>>(
        id: impl Into<String>,
        schedule: Schedule,
        make: impl Fn() -> D + Send + Sync + 'static,
    ) -> (Self, PeriodicHandle) {
        // The sender is gone, so this term never ends.
        child(id, schedule, watch::channel(Some(())).1, false, make)
    }

    /// A periodic duty that runs only while `terms` holds a leadership term, which each run gets. A term that
    /// begins runs the duty at once; a term that ends or is replaced cancels the run that has it.
    pub fn elected<D: Duty>(
        id: impl Into<String>,
        schedule: Schedule,
        terms: watch::Receiver<Option<D::Term>>,
        make: impl Fn() -> D + Send + Sync + 'static,
    ) -> (Self, PeriodicHandle) {
        child(id, schedule, terms, true, make)
    }
}

/// The child of a duty, and its handle.
fn child<D: Duty>(
    id: impl Into<String>,
    schedule: Schedule,
    terms: watch::Receiver<Option<D::Term>>,
    elected: bool,
    make: impl Fn() -> D + Send + Sync + 'static,
) -> (ChildSpec, PeriodicHandle) {
    let (mailbox, address) = Mailbox::new(MAILBOX_MAX);
    let status = PeriodicStatus { elected, ..PeriodicStatus::default() };
    let (make, status) = (Arc::new(make), Arc::new(watch::Sender::new(status)));
    let handle = PeriodicHandle { address, status: status.subscribe() };
    let spec = ChildSpec::with_mailbox(id, mailbox, move || Periodic {
        make: Arc::clone(&make) as Arc<dyn Fn() -> D + Send + Sync>,
        schedule,
        terms: terms.clone(),
        status: Arc::clone(&status),
    });
    (spec, handle)
}

/// Messages of the actor.
#[derive(forge_app_macros::Message)]
pub(super) enum PeriodicMessage {
    /// The pause before the next run is over.
    Due,
    /// Run the duty now, and answer with the result.
    RunNow(Reply<Result<RunReport, RunError>>),
    /// The run that was under way has ended.
    Ended(DutyRunEnd),
    /// A term began or ended.
    TermChanged,
}

/// How a run ended, and when it had started.
pub(super) struct DutyRunEnd {
    result: Result<RunReport, RunError>,
    start: Timestamp,
    duration: Duration,
}

/// Callers of [`PeriodicHandle::run_now`].
type Callers = Vec<Reply<Result<RunReport, RunError>>>;

/// State of the actor.
struct PeriodicState<D: Duty> {
    duty: DutyState<D>,
    /// Callers that the present run answers.
    served: Callers,
    /// Callers that came during the present run: the next one answers them.
    waiting: Callers,
    /// Failed runs since the last success.
    failures: u32,
    /// The term of the last run; `None` before the first one, and after the term ended.
    last_term: Option<D::Term>,
    /// Fires when the next run is due; unset during a run, and without a term.
    _due: Option<Timer>,
}

/// Where the duty is: with the actor, or in the task of a run, which hands it back.
enum DutyState<D> {
    Idle(D),
    InRun(oneshot::Receiver<D>),
}

impl<D: Duty> Periodic<D> {
    /// Starts a run, unless one is under way. Without a term it answers the waiting callers with `NotLeader`.
    fn begin(&self, cx: &Context<PeriodicMessage>, state: &mut PeriodicState<D>) {
        if matches!(state.duty, DutyState::InRun(_)) {
            return;
        }
        state._due = None;
        let term = self.terms.borrow().clone();
        self.status.send_modify(|status| status.leading = term.is_some());
        let Some(term) = term else {
            for caller in state.waiting.drain(..) {
                caller.send(Err(RunError::NotLeader));
            }
            state.last_term = None;
            // A term whose message was dropped is found then.
            state._due = Some(cx.send_after(self.schedule.interval, PeriodicMessage::Due));
            return;
        };
        let (give_back, back) = oneshot::channel();
        let DutyState::Idle(mut duty) = std::mem::replace(&mut state.duty, DutyState::InRun(back)) else {
            return;
        };
        state.last_term = Some(term.clone());
        state.served = std::mem::take(&mut state.waiting);
        let (terms, limit) = (self.terms.clone(), self.schedule.time_limit);
        let (began, start) = (Instant::now(), chrono::Utc::now());
        self.status.send_modify(|status| status.running_since = Some(start));
        cx.spawn_message("run", async move {
            let result = run_once(&mut duty, term, terms, limit).await;
            // An error says that the actor has crashed; its successor makes a new duty.
            let _: Result<(), D> = give_back.send(duty);
            PeriodicMessage::Ended(DutyRunEnd { result, start, duration: began.elapsed() })
        });
    }

    fn ended(&self, cx: &Context<PeriodicMessage>, state: &mut PeriodicState<D>, end: DutyRunEnd) {
        let DutyState::InRun(back) = &mut state.duty else { return };
        let Ok(duty) = back.try_recv() else { return };
        state.duty = DutyState::Idle(duty);
        self.count(cx, state, &end.result);
        let failures = state.failures;
        self.status.send_modify(|status| {
            status.running_since = None;
            status.last_start = Some(end.start);
            status.last_duration = Some(end.duration);
            status.last_result = Some(end.result.clone());
            status.runs += 1;
            status.failures = failures;
            status.timed_out += u64::from(matches!(end.result, Err(RunError::TimedOut { .. })));
        });
        for caller in state.served.drain(..) {
            caller.send(end.result.clone());
        }
        // The message of a term that began during the run found the run under way.
        if !state.waiting.is_empty() || self.is_new_term(state) {
            return self.begin(cx, state);
        }
        let pause = self.schedule.pause(&end.result, state.failures, fastrand::f64());
        state._due = Some(cx.send_after(pause, PeriodicMessage::Due));
    }

    /// True when the present term is not that of the last run.
    fn is_new_term(&self, state: &PeriodicState<D>) -> bool {
        *self.terms.borrow() != state.last_term
    }

    /// Counts a run. Logs the first of several failures, and the success after them.
    fn count(
        &self,
        cx: &Context<PeriodicMessage>,
        state: &mut PeriodicState<D>,
        result: &Result<RunReport, RunError>,
    ) {
        signals::duty_run(D::KIND, &DutyOutcome::from(result));
        match result {
            Ok(_) => {
                let failures = std::mem::take(&mut state.failures);
                if failures > 0 {
                    tracing::info!(path = cx.path(), failures, "periodic duty recovered");
                }
            }
            Err(RunError::TermEnded | RunError::NotLeader) => {}
            Err(error) => {
                if state.failures == 0 {
                    tracing::warn!(path = cx.path(), %error, "periodic duty failed; retried with backoff");
                } else {
                    tracing::debug!(path = cx.path(), %error, "periodic duty failed again");
                }
                state.failures = state.failures.saturating_add(1);
            }
        }
    }

    /// Keeps a caller until its run has ended. Callers whose deadline has passed are dropped.
    fn wait(state: &mut PeriodicState<D>, caller: Reply<Result<RunReport, RunError>>) {
        state.waiting.retain(|caller| !caller.is_closed());
        if state.waiting.len() < WAITING_MAX {
            state.waiting.push(caller);
        } else {
            caller.send(Err(RunError::Call(ActorCallError::Full { mailbox_max: WAITING_MAX })));
        }
    }
}

/// One run, cancelled at its time limit and when its term ends.
async fn run_once<D: Duty>(
    duty: &mut D,
    term: D::Term,
    mut terms: watch::Receiver<Option<D::Term>>,
    limit: Duration,
) -> Result<RunReport, RunError> {
    let current = Some(term.clone());
    let term_end = async {
        if terms.wait_for(|term| *term != current).await.is_err() {
            // The sender is gone, so the term never ends.
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = term_end => Err(RunError::TermEnded),
        ended = timeout(limit, duty.run(term)) => match ended {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(fault)) => {
                // The text of a fault is for callers; an operator needs what it keeps from them.
                let cause = error_causes(&fault).unwrap_or_else(|| fault.to_string());
                Err(RunError::Failed { cause: cause.into() })
            }
            Err(_) => Err(RunError::TimedOut { limit }),
        },
    }
}

impl<D: Duty> Actor for Periodic<D> {
    type Message = PeriodicMessage;
    type State = PeriodicState<D>;
    const KIND: &'static str = D::KIND;
    const MAILBOX_MAX: usize = MAILBOX_MAX;

    async fn start(&self, cx: &Context<PeriodicMessage>) -> Result<PeriodicState<D>, ActorError> {
        let (mut terms, actor) = (self.terms.clone(), cx.address());
        let leading = terms.borrow_and_update().is_some();
        let elected = self.status.borrow().elected;
        self.status.send_modify(|status| {
            status.leading = leading;
            status.running_since = None;
        });
        cx.spawn("terms", async move {
            while terms.changed().await.is_ok() {
                actor.notify(PeriodicMessage::TermChanged);
            }
        });
        cx.tree().set_duty(cx.path(), || self.status.subscribe());
        let at_once = elected && leading;
        let first = if at_once { Duration::ZERO } else { self.schedule.first(fastrand::f64()) };
        Ok(PeriodicState {
            duty: DutyState::Idle((self.make)()),
            served: Callers::new(),
            waiting: Callers::new(),
            failures: 0,
            last_term: None,
            _due: Some(cx.send_after(first, PeriodicMessage::Due)),
        })
    }

    async fn handle(
        &self,
        cx: &Context<PeriodicMessage>,
        message: PeriodicMessage,
        state: &mut PeriodicState<D>,
    ) -> Result<(), ActorError> {
        match message {
            PeriodicMessage::Due => self.begin(cx, state),
            // A run that ended meanwhile may have begun the run of the new term.
            PeriodicMessage::TermChanged if self.is_new_term(state) => self.begin(cx, state),
            PeriodicMessage::TermChanged => {}
            PeriodicMessage::RunNow(caller) => {
                Self::wait(state, caller);
                self.begin(cx, state);
            }
            PeriodicMessage::Ended(end) => self.ended(cx, state, end),
        }
        Ok(())
    }

    async fn stop(&self, _: &Context<PeriodicMessage>, state: &mut PeriodicState<D>) {
        if let DutyState::InRun(back) = &mut state.duty
            && let Ok(Ok(duty)) = timeout(STOP_TIMEOUT, back).await
        {
            state.duty = DutyState::Idle(duty);
        }
        if let DutyState::Idle(duty) = &mut state.duty {
            duty.finish().await;
        }
        self.status.send_modify(|status| status.running_since = None);
    }
}
