//! Declarations of supervisors and their children: how children restart and how they stop. A declaration is
//! checked before anything starts.

use std::collections::HashSet;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use ractor::ActorCell;

use super::actor::{Actor, ActorError};
use super::address::{Address, AddressTarget, Mailbox};
use super::dynamic::Children;
use super::host::launch_actor;
use super::launch::{Launch, Launched, StartError};
use super::supervisor::{self, SupervisorCommand, SupervisorKind};
use super::task::TaskActor;
use crate::kernel::backoff::Backoff;
use crate::kernel::time::{format_duration, millis, secs};

/// Time for a child to start when its spec names no other.
pub const START_DEADLINE: Duration = secs(30);
/// Time for a child to stop when its spec names no other.
pub const STOP_DEADLINE: Duration = secs(5);
/// Time for a killed child to reach an await point. A child that needs longer blocks its thread, which no
/// kill can end, and is left behind.
pub const KILL_DEADLINE: Duration = secs(2);
/// Bytes of a child's id.
const ID_BYTES_MAX: usize = 64;

/// Which siblings restart with a child (the strategies of Erlang/OTP's `supervisor`).
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// Only the child restarts.
    OneForOne,
    /// All children restart.
    OneForAll,
    /// The child and the children that were started after it restart.
    RestForOne,
}

impl Strategy {
    /// The name of the strategy in OTP.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OneForOne => "one_for_one",
            Self::OneForAll => "one_for_all",
            Self::RestForOne => "rest_for_one",
        }
    }
}

/// When a child that ended starts again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// After every end.
    Permanent,
    /// After a crash, not after a normal end.
    Transient,
    /// Never. A temporary child also stays stopped when its siblings restart.
    Temporary,
}

/// How a child is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// It is asked to stop, and killed when it has not stopped after this time.
    Deadline(Duration),
    /// It is killed at once.
    Brutal,
}

impl Shutdown {
    /// The longest that stopping takes.
    pub(super) fn longest(self) -> Duration {
        match self {
            Self::Deadline(deadline) => deadline.saturating_add(KILL_DEADLINE),
            Self::Brutal => KILL_DEADLINE,
        }
    }
}

/// How many restarts a supervisor makes before it fails to its own supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Restarts that fit in `window`; at the next one the supervisor fails.
    pub restarts_max: u32,
    /// Length of the sliding window. A child that ran for this long counts as healthy, and its backoff starts
    /// anew.
    pub window: Duration,
}

/// Declares a supervisor whose children are known beforehand. They start in order and stop in reverse order.
pub struct SupervisorSpec {
    /// Which siblings restart with a child.
    pub strategy: Strategy,
    /// How many restarts are made before the supervisor fails.
    pub budget: Budget,
    /// Delay before each restart.
    pub backoff: Backoff,
    /// The children, in start order.
    pub children: Vec<ChildSpec>,
}

impl SupervisorSpec {
    /// `strategy` over `children` with five restarts in half a minute and delays of 50 ms to 1 s.
    pub fn new(strategy: Strategy, children: Vec<ChildSpec>) -> Self {
        Self { strategy, budget: BUDGET, backoff: BACKOFF, children }
    }

    /// Checks this supervisor and all supervisors below it.
    ///
    /// # Errors
    /// The first [`SpecError`].
    pub fn validate(&self) -> Result<(), SpecError> {
        validate_budget(self.budget, self.backoff)?;
        let mut ids = HashSet::new();
        for child in &self.children {
            validate_id(&child.id)?;
            if !ids.insert(&child.id) {
                return Err(SpecError::DuplicateId { id: child.id.clone() });
            }
            child.validate()?;
        }
        Ok(())
    }

    /// The longest that an ordered stop of all children takes.
    fn stop_longest(&self) -> Duration {
        self.children.iter().map(|child| child.shutdown.longest()).fold(secs(1), Duration::saturating_add)
    }
}

/// Declares a supervisor whose children come and go at run time, each on its own (`one_for_one`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DynamicSpec {
    /// Children at a time; one more is refused.
    pub children_max: usize,
    /// How many restarts of all children together are made before the supervisor fails.
    pub budget: Budget,
    /// Delay before each restart.
    pub backoff: Backoff,
    /// All children stop at the same time. A child that needs longer than this is killed, also when its own
    /// deadline is longer.
    pub stop_max: Duration,
}

impl DynamicSpec {
    /// At most `children_max` children, otherwise as [`SupervisorSpec::new`].
    pub fn new(children_max: usize) -> Self {
        Self { children_max, budget: BUDGET, backoff: BACKOFF, stop_max: STOP_DEADLINE }
    }
}

const BUDGET: Budget = Budget { restarts_max: 5, window: secs(30) };
const BACKOFF: Backoff = Backoff::exponential(millis(50), secs(1));

pub(super) type LaunchFn =
    Arc<dyn Fn(Launch, ActorCell) -> BoxFuture<'static, Result<Launched, StartError>> + Send + Sync>;

/// Declares a child of a supervisor.
pub struct ChildSpec {
    /// The child's segment of the path, from the characters `a-z`, `0-9`, `_`, `.`, `-`.
    pub id: String,
    /// When the child starts again; [`Restart::Permanent`] unless changed.
    pub restart: Restart,
    /// How the child stops: by [`STOP_DEADLINE`] for an actor, and by the sum of its children's deadlines for
    /// a supervisor.
    pub shutdown: Shutdown,
    /// Time for the child's start. Unset for a supervisor, because each of its children has a deadline.
    pub start_deadline: Option<Duration>,
    pub(super) launch: LaunchFn,
    checked: Result<(), SpecError>,
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("restart", &self.restart)
            .finish_non_exhaustive()
    }
}

impl ChildSpec {
    /// An actor, made anew by `make` at every start, and its address, which stays valid over restarts.
    pub fn actor<A: Actor>(
        id: impl Into<String>,
        make: impl Fn() -> A + Send + Sync + 'static,
    ) -> (Self, Address<A::Message>) {
        let (mailbox, address) = Mailbox::of::<A>();
        (Self::with_mailbox(id, mailbox, make), address)
    }

    /// An actor, made anew by `make` at every start, that receives at `mailbox`. The address of the mailbox
    /// exists before the actor, so other actors can be made with it.
    pub fn with_mailbox<A: Actor>(
        id: impl Into<String>,
        mailbox: Mailbox<A::Message>,
        make: impl Fn() -> A + Send + Sync + 'static,
    ) -> Self {
        let (target, make) = (mailbox.target, Arc::new(make));
        let launch: LaunchFn = Arc::new(move |launch, parent| {
            Box::pin(launch_actor(Arc::clone(&make), Arc::clone(&target), launch, parent))
        });
        Self::new(id.into(), Shutdown::Deadline(STOP_DEADLINE), Some(START_DEADLINE), launch, Ok(()))
    }

    /// An actor that no other actor addresses: it receives only the messages of its own timers and tasks.
    pub fn unaddressed<A: Actor>(
        id: impl Into<String>,
        make: impl Fn() -> A + Send + Sync + 'static,
    ) -> Self {
        Self::with_mailbox(id, Mailbox::of::<A>().0, make)
    }

    /// A loop without messages: the future that `make` returns, made anew at every start.
    ///
    /// - An `Err` or a panic is a crash, which restarts the loop with the supervisor's backoff and counts in
    ///   its restart budget.
    /// - `Ok(())` is a normal end: the loop has no more work, and the child stays stopped. (The child is
    ///   [`Restart::Transient`]; as [`Restart::Permanent`] it would be restarted after a normal end too.)
    /// - When the child is stopped, the future is dropped at its next await.
    ///
    /// ```
    /// # use forge_actors::supervise::ChildSpec;
    /// # let mut numbers = tokio::sync::watch::channel(0).1;
    /// let child = ChildSpec::task("printer", move || {
    ///     let mut numbers = numbers.clone();
    ///     async move {
    ///         while numbers.changed().await.is_ok() {
    ///             println!("{}", *numbers.borrow_and_update());
    ///         }
    ///         Ok(())
    ///     }
    /// });
    /// ```
    pub fn task<F>(id: impl Into<String>, make: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), ActorError>> + Send + 'static,
    {
        let make = Arc::new(make);
        let spec = Self::unaddressed(id, move || TaskActor { make: Arc::clone(&make) });
        Self { restart: Restart::Transient, ..spec }
    }

    /// A supervisor with children of its own.
    pub fn supervisor(id: impl Into<String>, spec: SupervisorSpec) -> Self {
        let shutdown = Shutdown::Deadline(spec.stop_longest());
        let checked = spec.validate();
        Self::new(
            id.into(),
            shutdown,
            None,
            launch_supervisor(
                SupervisorKind::Fixed(Arc::new(spec)),
                AddressTarget::new(supervisor::MAILBOX_MAX),
            ),
            checked,
        )
    }

    /// A supervisor for children that come and go at run time, and the handle that starts and stops them.
    pub fn dynamic(id: impl Into<String>, spec: DynamicSpec) -> (Self, Children) {
        let shutdown =
            Shutdown::Deadline(spec.stop_max.saturating_add(KILL_DEADLINE).saturating_add(secs(1)));
        let checked = validate_budget(spec.budget, spec.backoff);
        let target = AddressTarget::new(supervisor::MAILBOX_MAX);
        let children = Children::new(Address::new(Arc::clone(&target)));
        (
            Self::new(
                id.into(),
                shutdown,
                None,
                launch_supervisor(SupervisorKind::Dynamic(spec), target),
                checked,
            ),
            children,
        )
    }

    fn new(
        id: String,
        shutdown: Shutdown,
        start_deadline: Option<Duration>,
        launch: LaunchFn,
        checked: Result<(), SpecError>,
    ) -> Self {
        Self { id, restart: Restart::Permanent, shutdown, start_deadline, launch, checked }
    }

    /// The same child for the next incarnation of its supervisor. Specs are not `Clone`, because two children
    /// must not share one address.
    pub(super) fn share(&self) -> Self {
        let Self { restart, shutdown, start_deadline, .. } = *self;
        Self {
            id: self.id.clone(),
            restart,
            shutdown,
            start_deadline,
            launch: Arc::clone(&self.launch),
            checked: self.checked.clone(),
        }
    }

    /// Checks the id and, for a supervisor, the specs below it.
    ///
    /// # Errors
    /// The first [`SpecError`].
    pub fn validate(&self) -> Result<(), SpecError> {
        validate_id(&self.id)?;
        self.checked
            .clone()
            .map_err(|source| SpecError::Below { id: self.id.clone(), source: Box::new(source) })
    }
}

fn launch_supervisor(kind: SupervisorKind, target: Arc<AddressTarget<SupervisorCommand>>) -> LaunchFn {
    Arc::new(move |launch, parent| {
        Box::pin(supervisor::launch(kind.clone(), Arc::clone(&target), launch, Some(parent), None))
    })
}

/// Why a spec is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The id of a child is not a path segment.
    #[error("`{id}` cannot name a child: an id has 1 to 64 of the characters a-z, 0-9, `_`, `.` and `-`")]
    InvalidId {
        /// The id.
        id: String,
    },
    /// Two children of one supervisor share an id.
    #[error("two children are called `{id}`: an id is unique under its supervisor")]
    DuplicateId {
        /// The id.
        id: String,
    },
    /// The backoff makes restarts so rare that the budget can never be exhausted.
    #[error(
        "the budget can never be exhausted: {restarts_max} restarts wait up to {} in all, \
         and the window is only {}; widen `window`, or lower `restarts_max` or the backoff",
        format_duration(*.delays), format_duration(*.window)
    )]
    UnreachableBudget {
        /// Restarts in the window.
        restarts_max: u32,
        /// The longest time that all restarts of a window wait together.
        delays: Duration,
        /// Length of the window.
        window: Duration,
    },
    /// A spec below this child is refused.
    #[error("below `{id}`: {source}")]
    Below {
        /// The child.
        id: String,
        /// Why the spec is refused.
        source: Box<SpecError>,
    },
}

fn validate_id(id: &str) -> Result<(), SpecError> {
    let clean = id.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'));
    let valid = clean && (1..=ID_BYTES_MAX).contains(&id.len());
    if valid { Ok(()) } else { Err(SpecError::InvalidId { id: id.to_owned() }) }
}

fn validate_budget(budget: Budget, backoff: Backoff) -> Result<(), SpecError> {
    let delays = (0..budget.restarts_max)
        .map(|attempt| backoff.ceiling(attempt))
        .fold(Duration::ZERO, Duration::saturating_add);
    let Budget { restarts_max, window } = budget;
    if delays < window { Ok(()) } else { Err(SpecError::UnreachableBudget { restarts_max, delays, window }) }
}
