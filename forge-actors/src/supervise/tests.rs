//! Shared by the tests: an actor that does what its message says (`Puppet`), and a reader of the journal that
//! waits for a step (`Steps`).

mod boot;
mod calls;
mod control;
mod crashes;
mod dynamic;
mod periodic;
mod restarts;
mod spec;
mod state;
mod tasks;

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use super::journal::EventKind;
use super::{
    Actor, ActorError, Address, Budget, ChildSpec, Context, Message, Reply, Restart, Root, RootExit,
    Shutdown, Strategy, SupervisorSpec, Timer, Tree,
};
use crate::kernel::backoff::Backoff;
use crate::kernel::time::{millis, secs};

/// Far more than any step takes: a test that waits so long has failed.
const PATIENCE: Duration = secs(20);

pub(super) enum PuppetMessage {
    Panic,
    Fail,
    Stop,
    Hang,
    Echo(u32, Reply<u32>),
    /// Sets these timers one after the other; each replaces, and so drops, the one before.
    Later(Vec<(Duration, PuppetMessage)>, Reply<()>),
    TaskPanics,
    SlowEcho(Arc<tokio::sync::Semaphore>, Reply<bool>),
}

impl Message for PuppetMessage {
    const NAMES: &'static [&'static str] =
        &["Panic", "Fail", "Stop", "Hang", "Echo", "Later", "TaskPanics", "SlowEcho"];

    fn index(&self) -> usize {
        match self {
            Self::Panic => 0,
            Self::Fail => 1,
            Self::Stop => 2,
            Self::Hang => 3,
            Self::Echo(..) => 4,
            Self::Later(..) => 5,
            Self::TaskPanics => 6,
            Self::SlowEcho(..) => 7,
        }
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("scripted error")]
pub(super) struct ScriptedError;

#[derive(Default)]
pub(super) struct Puppet {
    /// How many of the next starts fail; counted down over all incarnations.
    failing_starts: Arc<AtomicU32>,
    /// Its `start` never returns.
    hanging_start: bool,
    /// Its `stop` never returns.
    hanging_stop: bool,
    /// Its `stop` panics.
    panicking_stop: bool,
}

impl Actor for Puppet {
    type Message = PuppetMessage;
    type State = Option<Timer>;
    const KIND: &'static str = "puppet";
    const MAILBOX_MAX: usize = 3;

    async fn start(&self, _: &Context<PuppetMessage>) -> Result<Option<Timer>, ActorError> {
        if self.hanging_start {
            pending::<()>().await;
        }
        let fails = self.failing_starts.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1)).is_ok();
        if fails { Err(ScriptedError.into()) } else { Ok(None) }
    }

    async fn handle(
        &self,
        cx: &Context<PuppetMessage>,
        message: PuppetMessage,
        timer: &mut Option<Timer>,
    ) -> Result<(), ActorError> {
        match message {
            PuppetMessage::Panic => panic!("scripted panic"),
            PuppetMessage::Fail => return Err(ScriptedError.into()),
            PuppetMessage::Stop => cx.stop("scripted stop"),
            PuppetMessage::Hang => pending().await,
            PuppetMessage::Echo(number, reply) => {
                reply.send(number);
            }
            PuppetMessage::Later(timers, reply) => {
                for (delay, message) in timers {
                    *timer = Some(cx.send_after(delay, message));
                }
                reply.send(());
            }
            PuppetMessage::TaskPanics => cx.spawn("side task", async { panic!("the task panics") }),
            PuppetMessage::SlowEcho(gate, reply) => {
                let _permit = gate.acquire().await?;
                let closed = reply.is_closed();
                reply.send(closed);
            }
        }
        Ok(())
    }

    async fn stop(&self, _: &Context<PuppetMessage>, _: &mut Option<Timer>) {
        assert!(!self.panicking_stop, "scripted panic in stop");
        if self.hanging_stop {
            pending().await
        }
    }
}

pub(super) fn puppet(id: &str) -> (ChildSpec, Address<PuppetMessage>) {
    ChildSpec::actor(id, Puppet::default)
}

/// Three puppets `a`, `b`, `c` and their addresses.
pub(super) fn three() -> (Vec<ChildSpec>, [Address<PuppetMessage>; 3]) {
    let ((a, to_a), (b, to_b), (c, to_c)) = (puppet("a"), puppet("b"), puppet("c"));
    (vec![a, b, c], [to_a, to_b, to_c])
}

/// A supervisor that restarts its children after a millisecond, at most five times in a minute.
pub(super) fn quick(strategy: Strategy, children: Vec<ChildSpec>) -> SupervisorSpec {
    let budget = Budget { restarts_max: 5, window: secs(60) };
    SupervisorSpec {
        budget,
        backoff: Backoff::exponential(millis(1), millis(2)),
        ..SupervisorSpec::new(strategy, children)
    }
}

/// A root under the path `node`, and its journal from the beginning.
pub(super) async fn start(spec: SupervisorSpec) -> (Root, Steps) {
    let tree = Tree::new();
    let root = Root::start("node", spec, Arc::clone(&tree)).await.expect("the root starts");
    let mut steps = Steps { tree, seq: 0 };
    steps.until("started node").await;
    (root, steps)
}

/// Reads the journal step by step.
pub(super) struct Steps {
    pub(super) tree: Arc<Tree>,
    seq: u64,
}

impl Steps {
    pub(super) fn new(tree: &Arc<Tree>) -> Self {
        Self { tree: Arc::clone(tree), seq: 0 }
    }

    /// The steps up to and including `last`; waits until `last` has come.
    pub(super) async fn until(&mut self, last: &str) -> Vec<String> {
        let mut steps: Vec<String> = Vec::new();
        let search = async {
            loop {
                for event in self.tree.journal().events_after(self.seq).await.entries {
                    self.seq = event.seq;
                    steps.push(step(&event.path, &event.kind));
                    if steps.last().is_some_and(|step| step == last) {
                        return;
                    }
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, search).await;
        assert!(found.is_ok(), "`{last}` never came; {steps:?}");
        steps
    }
}

fn step(path: &str, kind: &EventKind) -> String {
    let verb = match kind {
        EventKind::Started => "started",
        EventKind::Stopped { killed: false } => "stopped",
        EventKind::Stopped { killed: true } => "killed",
        EventKind::Crashed { .. } => "crashed",
        EventKind::Restarting { .. } => "restarting",
        EventKind::BudgetExhausted => "exhausted",
        EventKind::Escalated => "escalated",
        EventKind::GaveUp => "gave up",
    };
    format!("{verb} {}", path.strip_prefix("node/").unwrap_or(path))
}

/// Stops the root and checks that no actor is left.
pub(super) async fn finish(root: Root) {
    root.stop(PATIENCE).await.expect("all actors stop in time");
    assert!(ractor::registry::get_all_pids().is_empty(), "no actor outlives its root");
}

pub(super) fn with_shutdown(mut spec: ChildSpec, shutdown: Shutdown) -> ChildSpec {
    spec.shutdown = shutdown;
    spec
}

pub(super) fn with_restart(mut spec: ChildSpec, restart: Restart) -> ChildSpec {
    spec.restart = restart;
    spec
}

pub(super) async fn ended(root: &mut Root) -> RootExit {
    tokio::time::timeout(PATIENCE, root.wait()).await.expect("the root ends")
}
