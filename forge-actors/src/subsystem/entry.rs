//! The trait of a subsystem, its line in the node's table, and what a built subsystem leaves with the node.

use std::borrow::Cow;

use futures::future::BoxFuture;
use tokio::sync::watch;

use super::builder::NodeBuilder;
use super::path::ActorPath;
use super::section::SectionEntry;
use super::stats::NodeStats;
use crate::supervise::{ChildSpec, StartError};

/// A part of a node with actors of its own. Implemented by a type without values; `tree.rs` lists it.
pub trait Subsystem: 'static {
    /// Its actor or supervisor below the root, whose id is the subsystem's name.
    const ROOT: ActorNote;
    /// The actors below that one which always have the same path, in start order.
    const ACTORS: &'static [ActorNote] = &[];
    /// The sections of `forge.toml` that it reads.
    const SECTIONS: &'static [SectionEntry] = &[];
    /// Its check in `/ready`. `None`: the node takes traffic without it.
    const CHECK: Option<ReadinessRule> = None;

    /// Makes its actors' specifications and its handle, which it provides to later subsystems. `None` on a
    /// node whose roles or options leave it out.
    ///
    /// # Errors
    /// What the subsystem cannot start without, as the boot reports it.
    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError>;
}

/// A fixed actor of a subsystem.
#[derive(Debug, Clone, Copy)]
pub struct ActorNote {
    /// Where it is.
    pub path: &'static ActorPath,
    /// What it does, in a few words.
    pub about: &'static str,
    /// What may be stopped by a command.
    pub stop: StopRule,
    /// Which commands travel through it.
    pub route: CommandRoute,
}

/// What an administrator may stop. Everything else can only be restarted: the node cannot do without it, or
/// its absence would be noticed too late.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopRule {
    /// Neither the actor nor what runs below it.
    Nothing,
    /// What runs below it.
    Below,
    /// The actor and what runs below it.
    Whole,
}

/// The commands that travel through an actor. It would wait for such a command, or cut off its answer, so
/// the command is carried out after its answer was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandRoute {
    /// None.
    None,
    /// Every command to this node.
    All,
    /// Those that come from other nodes.
    FromPeers,
}

impl ActorNote {
    /// An actor that can be restarted at any time, and not stopped.
    pub const fn new(path: &'static ActorPath, about: &'static str) -> Self {
        Self { path, about, stop: StopRule::Nothing, route: CommandRoute::None }
    }

    /// The node goes on without it and what runs below it.
    pub const fn safe_to_stop(mut self) -> Self {
        self.stop = StopRule::Whole;
        self
    }

    /// The node goes on without what runs below it.
    pub const fn safe_to_stop_below(mut self) -> Self {
        self.stop = StopRule::Below;
        self
    }

    /// Every command to this node travels through it.
    pub const fn routes_commands(mut self) -> Self {
        self.route = CommandRoute::All;
        self
    }

    /// Commands of other nodes travel through it.
    pub const fn routes_peer_commands(mut self) -> Self {
        self.route = CommandRoute::FromPeers;
        self
    }

    /// True when a command may stop the actor at `path` by this note's rule.
    pub fn allows_stop(&self, path: &str) -> bool {
        match self.stop {
            StopRule::Nothing => false,
            StopRule::Below => self.path.contains(path),
            StopRule::Whole => self.path.is(path) || self.path.contains(path),
        }
    }
}

/// The check of a subsystem in `/ready`: it holds while all of these actors run.
#[derive(Debug, Clone, Copy)]
pub struct ReadinessRule {
    /// Its name in the answer.
    pub name: &'static str,
    /// The actors; without any the subsystem's [`Part::health`] alone decides.
    pub actors: &'static [&'static ActorPath],
}

/// A built subsystem.
pub struct Part {
    pub(crate) child: ChildSpec,
    pub(crate) stats: Option<FillStats>,
    pub(crate) health: Vec<Box<dyn Health>>,
    pub(crate) started: Option<Hook>,
    pub(crate) drain: Option<Hook>,
}

/// Fills in one subsystem's part of the statistics.
pub(crate) type FillStats = Box<dyn Fn(&mut NodeStats) + Send + Sync>;
/// Runs once.
pub(crate) type Hook = Box<dyn FnOnce() + Send + Sync>;

impl Part {
    /// A subsystem that runs as `child`.
    pub fn new(child: ChildSpec) -> Self {
        Self { child, stats: None, health: Vec::new(), started: None, drain: None }
    }

    /// Fills in what this subsystem knows of the node's statistics. Called a few times a second while a
    /// dashboard is open, from any thread: it must not block.
    pub fn stats(mut self, fill: impl Fn(&mut NodeStats) + Send + Sync + 'static) -> Self {
        self.stats = Some(Box::new(fill));
        self
    }

    /// A further condition of its readiness check; there may be several: `judge` says whether the last value
    /// of `state` breaks it. The text is public, so it holds no address and no SQL.
    pub fn health<T: Send + Sync + 'static>(
        mut self,
        state: watch::Receiver<T>,
        judge: fn(&T) -> HealthVerdict,
    ) -> Self {
        self.health.push(Box::new(WatchedHealth { state, judge }));
        self
    }

    /// Runs when every subsystem has started.
    pub fn started(mut self, hook: impl FnOnce() + Send + Sync + 'static) -> Self {
        self.started = Some(Box::new(hook));
        self
    }

    /// Runs when the node begins to stop, before any child is stopped; those of later subsystems run first.
    pub fn drain(mut self, hook: impl FnOnce() + Send + Sync + 'static) -> Self {
        self.drain = Some(Box::new(hook));
        self
    }
}

/// What a condition says of a readiness check. Texts are public, so they hold no address and no SQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthVerdict {
    /// The condition holds.
    Well,
    /// The condition holds, and something is wrong all the same.
    Remark(Cow<'static, str>),
    /// The condition is broken: the check fails.
    Broken(Cow<'static, str>),
}

impl HealthVerdict {
    /// Broken for `reason`, if there is one.
    pub fn broken_if(reason: Option<String>) -> Self {
        reason.map_or(Self::Well, |reason| Self::Broken(reason.into()))
    }
}

/// A condition that changes by itself.
pub(crate) trait Health: Send + Sync {
    /// How it is now.
    fn now(&self) -> HealthVerdict;
    /// Waits for the next change; for ever when there will be none.
    fn changed(&mut self) -> BoxFuture<'_, ()>;
    /// A second one that sees the same changes.
    fn clone_box(&self) -> Box<dyn Health>;
}

struct WatchedHealth<T> {
    state: watch::Receiver<T>,
    judge: fn(&T) -> HealthVerdict,
}

impl<T: Send + Sync + 'static> Health for WatchedHealth<T> {
    fn now(&self) -> HealthVerdict {
        (self.judge)(&self.state.borrow())
    }

    fn changed(&mut self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            if self.state.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
    }

    fn clone_box(&self) -> Box<dyn Health> {
        Box::new(Self { state: self.state.clone(), judge: self.judge })
    }
}

/// A subsystem as a value: the line of the node's table.
#[derive(Clone, Copy)]
pub struct SubsystemEntry {
    /// [`Subsystem::ROOT`].
    pub root: ActorNote,
    /// [`Subsystem::ACTORS`].
    pub actors: &'static [ActorNote],
    /// [`Subsystem::SECTIONS`].
    pub sections: &'static [SectionEntry],
    /// [`Subsystem::CHECK`].
    pub check: Option<ReadinessRule>,
    /// [`Subsystem::build`].
    pub build: fn(&mut NodeBuilder) -> Result<Option<Part>, StartError>,
}

impl SubsystemEntry {
    /// The entry of `S`.
    pub const fn of<S: Subsystem>() -> Self {
        Self { root: S::ROOT, actors: S::ACTORS, sections: S::SECTIONS, check: S::CHECK, build: S::build }
    }

    /// Every fixed actor, the subsystem's own first.
    pub fn actors(&self) -> impl Iterator<Item = &ActorNote> {
        std::iter::once(&self.root).chain(self.actors)
    }

    /// The name of the subsystem.
    pub const fn name(&self) -> &'static str {
        self.root.path.id()
    }
}
