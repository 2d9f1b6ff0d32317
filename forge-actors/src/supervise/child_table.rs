//! A supervisor's children, and everything that it does with them.
//!
//! [`ChildStates`] decides, this file acts: it starts and stops actors, and writes the journal and the tree.
//! A supervisor that is asked to stop while one of its children starts cuts that start; it stops as soon as
//! its current message is handled.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::future::join_all;
use ractor::{ActorCell, ActorId};
use tokio::time::timeout;

use super::address::Reply;
use super::context::{Context, Timer};
use super::dynamic::ChildError;
use super::entry::TreeEntry;
use super::journal::{Crash, EventKind};
use super::launch::{Launch, Launched, StartCut, StartError, terminate};
use super::spec::{ChildSpec, DynamicSpec, KILL_DEADLINE, Shutdown, SpecError, Strategy};
use super::state::{ChildAction, ChildEvent, ChildKey, ChildStates, ExitKind, RestartDecision};
use super::supervisor::{BudgetExhausted, ChildExit, SupervisorCommand, SupervisorKind};
use super::tree::{ActorState, Tree};
use crate::kernel::error_chain::error_chain;
use crate::kernel::time::format_duration;

/// The children of one supervisor.
pub(super) struct ChildTable {
    launch: Launch,
    /// The supervisor's own cell, to which its children are linked.
    cell: ActorCell,
    cx: Context<SupervisorCommand>,
    /// Where a root leaves the cause of its end, since it has no parent to fail to.
    root_failure: Option<Arc<OnceLock<BudgetExhausted>>>,
    /// Set for a dynamic supervisor.
    dynamic: Option<DynamicSpec>,
    strategy: Strategy,
    states: ChildStates,
    children: BTreeMap<ChildKey, SupervisedChild>,
    by_id: HashMap<String, ChildKey>,
    by_actor: HashMap<ActorId, ChildKey>,
    /// Fires when the next waiting child is due.
    restart_timer: Option<Timer>,
}

struct SupervisedChild {
    spec: ChildSpec,
    entry: Arc<TreeEntry>,
    live: Option<Launched>,
}

impl ChildTable {
    pub(super) fn new(
        kind: &SupervisorKind,
        launch: Launch,
        cell: ActorCell,
        cx: Context<SupervisorCommand>,
        root_failure: Option<Arc<OnceLock<BudgetExhausted>>>,
    ) -> Self {
        let (strategy, budget, backoff, dynamic) = match kind {
            SupervisorKind::Fixed(spec) => (spec.strategy, spec.budget, spec.backoff, None),
            SupervisorKind::Dynamic(spec) => (Strategy::OneForOne, spec.budget, spec.backoff, Some(*spec)),
        };
        let states = ChildStates::new(strategy, budget, backoff);
        launch.entry.set_supervisor(strategy, states.budget());
        Self {
            launch,
            cell,
            cx,
            root_failure,
            dynamic,
            strategy,
            states,
            children: BTreeMap::new(),
            by_id: HashMap::new(),
            by_actor: HashMap::new(),
            restart_timer: None,
        }
    }

    /// Starts all children in order; when one fails, those before it are stopped in reverse order.
    pub(super) async fn start_all(&mut self, specs: &[ChildSpec]) -> Result<(), StartError> {
        let keys: Vec<_> = specs.iter().map(|spec| self.add(spec.share())).collect();
        for key in keys {
            if let Err(error) = self.start(key).await {
                self.stop_all().await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Stops all children: in reverse start order, or all at the same time under a dynamic supervisor.
    pub(super) async fn stop_all(&mut self) {
        self.restart_timer = None;
        self.by_actor.clear();
        if let Some(DynamicSpec { stop_max, .. }) = self.dynamic {
            let tree = Arc::clone(&self.launch.tree);
            join_all(self.children.values_mut().map(|child| child.stop(&tree, stop_max))).await;
            return;
        }
        for child in self.children.values_mut().rev() {
            child.stop(&self.launch.tree, Duration::MAX).await;
        }
    }

    /// A child ended by itself.
    pub(super) async fn exited(&mut self, cell: &ActorCell, exit: ChildExit) -> Result<(), BudgetExhausted> {
        let Some(key) = self.by_actor.remove(&cell.get_id()) else { return Ok(()) };
        let Some(child) = self.children.get_mut(&key) else { return Ok(()) };
        child.wait_until_dropped(&self.launch.tree).await;
        let (kind, failure) = child.record_exit(&self.launch.tree, exit);
        self.ended(key, kind, failure).await
    }

    /// Starts the children whose restart is due, in order.
    pub(super) async fn start_due(&mut self) -> Result<(), BudgetExhausted> {
        while let Some(key) = self.states.due(Instant::now()) {
            if let Some(child) = self.children.get(&key) {
                child.entry.count_restart();
            }
            let began = Instant::now();
            let started = self.start(key).await;
            self.states.spent_starting(began.elapsed());
            match started {
                Ok(()) => {}
                Err(_) if self.launch.stopping.is_cancelled() => return Ok(()),
                Err(error) => {
                    self.ended(key, ExitKind::Abnormal, BudgetExhausted::after(&error)).await?;
                }
            }
        }
        self.schedule_restarts();
        Ok(())
    }

    /// Adds a child to a dynamic supervisor, which a fixed one refuses by its limit of zero.
    pub(super) async fn start_child(&mut self, spec: ChildSpec, reply: Reply<Result<(), ChildError>>) {
        if reply.is_closed() {
            return;
        }
        let children_max = self.dynamic.map_or(0, |spec| spec.children_max);
        if self.by_id.contains_key(&spec.id) {
            reply.send(Err(SpecError::DuplicateId { id: spec.id }.into()));
        } else if self.children.len() >= children_max {
            reply.send(Err(ChildError::Full { children_max }));
        } else {
            let key = self.add(spec);
            let started = self.start(key).await;
            let failed = started.is_err();
            // A caller whose deadline has passed does not know that the child runs, so the child is removed.
            let answered = reply.send(started.map_err(ChildError::Start));
            if failed || !answered {
                self.remove_child(key).await;
            }
        }
    }

    pub(super) async fn stop_child(&mut self, id: &str, reply: Reply<Result<(), ChildError>>) {
        let Some(key) = self.by_id.get(id).copied() else {
            reply.send(Err(ChildError::Unknown { id: id.to_owned() }));
            return;
        };
        if self.dynamic.is_some() {
            self.remove_child(key).await;
        } else {
            self.request(key, ChildEvent::StopRequested).await;
        }
        reply.send(Ok(()));
    }

    /// Stops the child; the start follows as a command of its own. ractor's supervision port has priority
    /// over commands, so the last event of the child, which holds the actor's state if the child was killed,
    /// is read and dropped before the successor starts.
    pub(super) async fn restart_child(&mut self, id: &str, reply: Reply<Result<(), ChildError>>) {
        let Some(key) = self.by_id.get(id).copied() else {
            reply.send(Err(ChildError::Unknown { id: id.to_owned() }));
            return;
        };
        if self.request(key, ChildEvent::RestartRequested).await == ChildAction::Refuse {
            reply.send(Err(ChildError::Temporary { id: id.to_owned() }));
            return;
        }
        let sent = self.cx.address().cast(SupervisorCommand::StartStopped { id: id.to_owned(), reply });
        if let Err(error) = sent {
            // Only when the supervisor's own mailbox is full. The caller gets `NoReply`.
            tracing::error!(path = self.cx.path(), id, %error, "restart failed: the child stays stopped");
        }
    }

    /// The second half of [`restart_child`](Self::restart_child).
    pub(super) async fn start_stopped(
        &mut self,
        id: &str,
        reply: Reply<Result<(), ChildError>>,
    ) -> Result<(), BudgetExhausted> {
        let Some(key) = self.by_id.get(id).copied() else {
            reply.send(Err(ChildError::Unknown { id: id.to_owned() }));
            return Ok(());
        };
        // Of two requests that came together, the first one has started the child already.
        if self.states.apply(key, ChildEvent::StartRequested) != ChildAction::Start {
            reply.send(Ok(()));
            return Ok(());
        }
        if let Some(child) = self.children.get(&key) {
            child.entry.count_restart();
        }
        match self.start(key).await {
            Ok(()) => {
                reply.send(Ok(()));
                Ok(())
            }
            Err(error) => {
                let failure = BudgetExhausted::after(&error);
                reply.send(Err(error.into()));
                self.ended(key, ExitKind::Abnormal, failure).await
            }
        }
    }

    pub(super) fn list(&self, reply: Reply<Vec<String>>) {
        reply.send(self.children.values().map(|child| child.spec.id.clone()).collect());
    }

    fn add(&mut self, spec: ChildSpec) -> ChildKey {
        let key = self.states.add(spec.restart);
        let entry = self.launch.tree.enter(&format!("{}/{}", self.cx.path(), spec.id));
        self.by_id.insert(spec.id.clone(), key);
        self.children.insert(key, SupervisedChild { spec, entry, live: None });
        key
    }

    async fn start(&mut self, key: ChildKey) -> Result<(), StartError> {
        let Some(child) = self.children.get_mut(&key) else { return Ok(()) };
        let launch = Launch {
            tree: Arc::clone(&self.launch.tree),
            entry: Arc::clone(&child.entry),
            stopping: self.launch.stopping.child_token(),
        };
        match child.start(launch, self.cell.clone()).await {
            Ok(actor) => {
                self.by_actor.insert(actor, key);
                self.states.apply(key, ChildEvent::Started { now: Instant::now() });
                Ok(())
            }
            Err(error) => {
                child.entry.end_incarnation();
                child.entry.set_unless_failed(ActorState::Stopped);
                Err(error)
            }
        }
    }

    /// A child ended, or did not start: does what [`ChildStates::ended`] decides. `failure` is the cause with
    /// which this supervisor fails if its budget is exhausted.
    async fn ended(
        &mut self,
        key: ChildKey,
        exit: ExitKind,
        failure: BudgetExhausted,
    ) -> Result<(), BudgetExhausted> {
        let now = Instant::now();
        let decision = self.states.ended(key, exit, now, fastrand::f64());
        self.launch.entry.set_supervisor(self.strategy, self.states.budget());
        match decision {
            RestartDecision::StayStopped if self.dynamic.is_some() => self.remove_child(key).await,
            RestartDecision::StayStopped => {}
            RestartDecision::GiveUp => return Err(self.give_up(failure).await),
            RestartDecision::Restart { stop, until } => {
                if let Some(child) = self.children.get(&key) {
                    let restarting = EventKind::Restarting { after: until - now };
                    self.launch.tree.journal().record(&child.entry.path, restarting);
                }
                for key in stop {
                    self.stop_actor(key).await;
                }
                self.show_waiting();
                self.schedule_restarts();
            }
        }
        Ok(())
    }

    async fn give_up(&mut self, failure: BudgetExhausted) -> BudgetExhausted {
        let (entry, journal) = (&self.launch.entry, self.launch.tree.journal());
        tracing::error!(
            path = %entry.path,
            last = %failure.path,
            cause = %failure.cause,
            "restart budget exhausted"
        );
        journal.record(&entry.path, EventKind::BudgetExhausted);
        self.stop_all().await;
        let (entry, journal) = (&self.launch.entry, self.launch.tree.journal());
        entry.set_failed(&failure.to_string());
        match &self.root_failure {
            Some(root_failure) => {
                journal.record(&entry.path, EventKind::GaveUp);
                // A root gives up once, so the cell is empty.
                let _ = root_failure.set(failure.clone());
            }
            None => journal.record(&entry.path, EventKind::Escalated),
        }
        failure
    }

    /// Applies a request to one child, and stops its actor if that follows.
    async fn request(&mut self, key: ChildKey, event: ChildEvent) -> ChildAction {
        let action = self.states.apply(key, event);
        if action == ChildAction::Stop {
            self.stop_actor(key).await;
            self.schedule_restarts();
        }
        action
    }

    /// Stops the actor of one child. The caller updates the child's state.
    async fn stop_actor(&mut self, key: ChildKey) {
        let Some(child) = self.children.get_mut(&key) else { return };
        if let Some(live) = &child.live {
            self.by_actor.remove(&live.cell.get_id());
        }
        let stop_max = self.dynamic.map_or(Duration::MAX, |spec| spec.stop_max);
        child.stop(&self.launch.tree, stop_max).await;
    }

    /// Stops one child and forgets it.
    async fn remove_child(&mut self, key: ChildKey) {
        self.stop_actor(key).await;
        self.states.remove(key);
        if let Some(child) = self.children.remove(&key) {
            self.by_id.remove(&child.spec.id);
            self.launch.tree.leave(&child.entry.path);
        }
        self.schedule_restarts();
    }

    /// Shows in the tree which children wait, and until when.
    fn show_waiting(&self) {
        for (key, until) in self.states.waiting() {
            let Some(child) = self.children.get(&key) else { continue };
            let until = chrono::Utc::now() + until.saturating_duration_since(Instant::now());
            child.entry.set(ActorState::Waiting { until });
        }
    }

    /// Sets the timer for the next restart that is due.
    fn schedule_restarts(&mut self) {
        let delay = self.states.next_due().map(|due| due.saturating_duration_since(Instant::now()));
        self.restart_timer = delay.map(|delay| self.cx.send_after(delay, SupervisorCommand::StartDue));
    }
}

impl SupervisedChild {
    /// Starts the child's actor within its deadline.
    async fn start(&mut self, launch: Launch, parent: ActorCell) -> Result<ActorId, StartError> {
        let (tree, entry) = (Arc::clone(&launch.tree), Arc::clone(&self.entry));
        entry.set(ActorState::Starting);
        let start = (self.spec.launch)(launch, parent);
        let live = match self.spec.start_deadline {
            None => start.await?,
            Some(deadline) => timeout(deadline, start).await.unwrap_or_else(|_| {
                let cut = StartCut::TooSlow(deadline);
                tree.crashed(&entry, Crash::new(&entry.path, entry.kind(), &cut.to_string()));
                Err(StartError::new(&entry.path, cut))
            })?,
        };
        let actor = live.cell.get_id();
        self.live = Some(live);
        Ok(actor)
    }

    /// The exit event comes before the actor's last values are dropped; its successor may need what they
    /// hold.
    async fn wait_until_dropped(&mut self, tree: &Tree) {
        let Some(live) = self.live.take() else { return };
        if timeout(KILL_DEADLINE, live.task).await.is_err() {
            let waited = format_duration(KILL_DEADLINE);
            tracing::error!(
                path = %self.entry.path,
                "actor state not dropped within {waited} after its end; restarting anyway"
            );
        }
        if live.stopping.is_some() {
            tree.ended_below(&self.entry.path);
        }
    }

    /// Writes the end of the actor to the tree and the journal. Returns its kind, and the cause with which
    /// the supervisor fails if it has no restart left.
    fn record_exit(&self, tree: &Tree, exit: ChildExit) -> (ExitKind, BudgetExhausted) {
        let message = self.entry.end_incarnation();
        let path = self.entry.path.to_string();
        match exit {
            ChildExit::Normal => {
                self.entry.set(ActorState::Stopped);
                tree.journal().record(&path, EventKind::Stopped { killed: false });
                (ExitKind::Normal, BudgetExhausted { path, cause: "it stopped itself".to_owned() })
            }
            ChildExit::Killed => {
                let cause = "killed".to_owned();
                tree.crashed(&self.entry, Crash { message, ..Crash::new(&path, self.entry.kind(), &cause) });
                (ExitKind::Abnormal, BudgetExhausted { path, cause })
            }
            // The host of an actor records its crash, because it knows the message.
            ChildExit::Failed(error) => match error.downcast::<BudgetExhausted>() {
                Ok(below) => (ExitKind::Abnormal, *below),
                Err(error) => {
                    (ExitKind::Abnormal, BudgetExhausted { path, cause: error_chain(error.as_ref()) })
                }
            },
        }
    }

    /// Stops the child's actor and waits for its end; `stop_max` limits the deadline of its spec.
    async fn stop(&mut self, tree: &Tree, stop_max: Duration) {
        let Some(live) = self.live.take() else {
            // The child waited for a restart, which does not come any more.
            self.entry.set_unless_failed(ActorState::Stopped);
            return;
        };
        self.entry.set_unless_failed(ActorState::Stopping);
        let shutdown = match self.spec.shutdown {
            Shutdown::Deadline(deadline) => Shutdown::Deadline(deadline.min(stop_max)),
            Shutdown::Brutal => Shutdown::Brutal,
        };
        let supervisor = live.stopping.is_some();
        let killed = terminate(live, shutdown).await;
        if killed && supervisor {
            tree.ended_below(&self.entry.path);
        }
        self.entry.end_incarnation();
        if self.entry.set_unless_failed(ActorState::Stopped) {
            tree.journal().record(&self.entry.path, EventKind::Stopped { killed });
        }
    }
}
