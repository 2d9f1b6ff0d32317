//! A supervisor's children and everything it does with them.
//!
//! [`Slots`] decides, this file acts: it starts, stops, waits, writes the journal and the tree. A supervisor
//! that is asked to stop while it starts somebody cuts that start; the stop itself then arrives at its port.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures::future::join_all;
use ractor::{ActorCell, ActorId};
use tokio::time::timeout;

use super::actor::{Context, Timer, chain};
use super::address::Reply;
use super::dynamic::ChildError;
use super::journal::{Crash, EventKind};
use super::launch::{Launch, Launched, StartCut, StartError, terminate};
use super::spec::{ChildSpec, KILL_DEADLINE, Restart, Shutdown, SpecError, Strategy};
use super::state::{ExitKind, Key, Slots, Verdict};
use super::supervisor::{Exit, GaveUp, Kind, Order};
use super::tree::{ActorState, Entry, Tree};

pub(super) struct Crew {
    launch: Launch,
    cell: ActorCell,
    cx: Context<Order>,
    last_word: Option<Arc<OnceLock<GaveUp>>>,
    /// Set for a dynamic supervisor: its limit, and the time in which all its children stop.
    dynamic: Option<(usize, Duration)>,
    strategy: Strategy,
    slots: Slots,
    children: BTreeMap<Key, Child>,
    by_id: HashMap<String, Key>,
    by_actor: HashMap<ActorId, Key>,
    /// Fires when the next waiting child is due.
    wake: Option<Timer>,
}

struct Child {
    spec: ChildSpec,
    entry: Arc<Entry>,
    live: Option<Launched>,
}

impl Crew {
    pub(super) fn new(
        kind: &Kind,
        launch: Launch,
        cell: ActorCell,
        cx: Context<Order>,
        last_word: Option<Arc<OnceLock<GaveUp>>>,
    ) -> Self {
        let (strategy, budget, backoff, dynamic) = match kind {
            Kind::Fixed(spec) => (spec.strategy, spec.budget, spec.backoff, None),
            Kind::Dynamic(spec) => {
                (Strategy::OneForOne, spec.budget, spec.backoff, Some((spec.children_max, spec.stop_max)))
            }
        };
        let slots = Slots::new(strategy, budget, backoff);
        launch.entry.supervises(strategy, slots.log());
        let (children, by_id, by_actor) = Default::default();
        Self { launch, cell, cx, last_word, dynamic, strategy, slots, children, by_id, by_actor, wake: None }
    }

    /// Starts all children in order; when one fails, those before it stop in reverse.
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

    /// Stops all children: in reverse order, or at the same time when they are dynamic.
    pub(super) async fn stop_all(&mut self) {
        self.wake = None;
        self.by_actor.clear();
        if let Some((_, stop_max)) = self.dynamic {
            let tree = Arc::clone(&self.launch.tree);
            join_all(self.children.values_mut().map(|child| child.stop(&tree, stop_max))).await;
            return;
        }
        for child in self.children.values_mut().rev() {
            child.stop(&self.launch.tree, Duration::MAX).await;
        }
    }

    /// A child ended by itself.
    pub(super) async fn exited(&mut self, cell: &ActorCell, exit: Exit) -> Result<(), GaveUp> {
        let Some(key) = self.by_actor.remove(&cell.get_id()) else { return Ok(()) };
        let Some(child) = self.children.get_mut(&key) else { return Ok(()) };
        let tree = &self.launch.tree;
        if let Some(live) = child.live.take() {
            // The event comes before the last drops of the actor; its successor may need what it still holds.
            if timeout(KILL_DEADLINE, live.task).await.is_err() {
                tracing::error!(path = %child.entry.path, "an actor that ended is still being dropped");
            }
            if live.stopping.is_some() {
                tree.ended_below(&child.entry.path);
            }
        }
        let message = child.entry.retire();
        let path = child.entry.path.to_string();
        let (kind, gave_up) = match exit {
            Exit::Normal => {
                child.entry.set(ActorState::Stopped);
                tree.journal().record(&path, EventKind::Stopped { killed: false });
                (ExitKind::Normal, GaveUp { path, cause: "it stopped itself".to_owned() })
            }
            Exit::Killed => {
                let cause = "killed".to_owned();
                tree.crashed(
                    &child.entry,
                    Crash { message, ..Crash::new(&path, child.entry.kind(), &cause) },
                );
                (ExitKind::Abnormal, GaveUp { path, cause })
            }
            // Hosts record their crashes themselves, where the message is known.
            Exit::Failed(error) => match error.downcast::<GaveUp>() {
                Ok(below) => (ExitKind::Abnormal, *below),
                Err(error) => (ExitKind::Abnormal, GaveUp { path, cause: chain(error.as_ref()) }),
            },
        };
        self.follow(key, kind, gave_up).await
    }

    /// Starts the children whose delay is over, in order.
    pub(super) async fn start_due(&mut self) -> Result<(), GaveUp> {
        while let Some(key) = self.slots.due(Instant::now()) {
            if let Some(child) = self.children.get(&key) {
                child.entry.restarting();
            }
            let began = Instant::now();
            let started = self.start(key).await;
            self.slots.spent_starting(began.elapsed());
            match started {
                Ok(()) => {}
                Err(_) if self.launch.stopping.is_cancelled() => return Ok(()),
                Err(error) => {
                    let cause = chain(error.source.as_ref());
                    self.follow(key, ExitKind::Abnormal, GaveUp { path: error.path, cause }).await?;
                }
            }
        }
        self.arm();
        Ok(())
    }

    pub(super) async fn start_child(
        &mut self,
        spec: ChildSpec,
        reply: Reply<Result<(), ChildError>>,
    ) -> Result<(), GaveUp> {
        if reply.is_closed() {
            return Ok(());
        }
        let children_max = self.dynamic.map_or(0, |(children_max, _)| children_max);
        if self.by_id.contains_key(&spec.id) {
            reply.send(Err(SpecError::DuplicateId { id: spec.id }.into()));
        } else if self.children.len() >= children_max {
            reply.send(Err(ChildError::Full { children_max }));
        } else {
            let key = self.add(spec);
            let started = self.start(key).await;
            let failed = started.is_err();
            // A caller who has given up does not know that the child runs.
            let heard = reply.send(started.map_err(ChildError::Start));
            if failed || !heard {
                self.vanish(key).await;
            }
        }
        Ok(())
    }

    pub(super) async fn stop_child(
        &mut self,
        id: &str,
        reply: Reply<Result<(), ChildError>>,
    ) -> Result<(), GaveUp> {
        let known = self.by_id.get(id).copied();
        match known {
            Some(key) if self.dynamic.is_some() => self.vanish(key).await,
            Some(key) => {
                self.halt(key).await;
                self.slots.stopped(key);
                self.arm();
            }
            None => {}
        }
        reply.send(known.map(|_| ()).ok_or_else(|| ChildError::Unknown { id: id.to_owned() }));
        Ok(())
    }

    /// Stops the child; the start follows as an order of its own. The supervision port comes first, so the
    /// last event of the child, which holds its state if it was killed, is read and dropped in between.
    pub(super) async fn restart_child(
        &mut self,
        id: &str,
        reply: Reply<Result<(), ChildError>>,
    ) -> Result<(), GaveUp> {
        if let Some(key) = self.by_id.get(id).copied() {
            if self.children.get(&key).is_some_and(|child| child.spec.restart == Restart::Temporary) {
                reply.send(Err(ChildError::Temporary { id: id.to_owned() }));
                return Ok(());
            }
            self.halt(key).await;
            self.slots.stopped(key);
            self.arm();
        }
        // Refused only when the supervisor's own mailbox is full; the caller then gets no reply, and the
        // child stays stopped.
        let sent = self.cx.address().cast(Order::StartAgain { id: id.to_owned(), reply });
        sent.unwrap_or_else(
            |error| tracing::error!(path = self.cx.path(), id, %error, "a child stays stopped"),
        );
        Ok(())
    }

    pub(super) async fn start_again(
        &mut self,
        id: &str,
        reply: Reply<Result<(), ChildError>>,
    ) -> Result<(), GaveUp> {
        let Some(key) = self.by_id.get(id).copied() else {
            reply.send(Err(ChildError::Unknown { id: id.to_owned() }));
            return Ok(());
        };
        let Some(child) = self.children.get(&key) else { return Ok(()) };
        // Two requests may have met: the first start serves both.
        if child.live.is_some() {
            reply.send(Ok(()));
            return Ok(());
        }
        child.entry.restarting();
        match self.start(key).await {
            Ok(()) => {
                reply.send(Ok(()));
            }
            Err(error) => {
                let gave_up = GaveUp { path: error.path.clone(), cause: chain(error.source.as_ref()) };
                reply.send(Err(error.into()));
                self.follow(key, ExitKind::Abnormal, gave_up).await?;
            }
        }
        Ok(())
    }

    pub(super) fn list(&self, reply: Reply<Vec<String>>) -> Result<(), GaveUp> {
        reply.send(self.children.values().map(|child| child.spec.id.clone()).collect());
        Ok(())
    }

    fn add(&mut self, spec: ChildSpec) -> Key {
        let key = self.slots.add(spec.restart);
        let entry = self.launch.tree.enter(&format!("{}/{}", self.cx.path(), spec.id));
        self.by_id.insert(spec.id.clone(), key);
        self.children.insert(key, Child { spec, entry, live: None });
        key
    }

    async fn start(&mut self, key: Key) -> Result<(), StartError> {
        let Some(child) = self.children.get_mut(&key) else { return Ok(()) };
        let (tree, entry) = (Arc::clone(&self.launch.tree), Arc::clone(&child.entry));
        entry.set(ActorState::Starting);
        let launch = Launch {
            tree: Arc::clone(&tree),
            entry: Arc::clone(&entry),
            stopping: self.launch.stopping.child_token(),
        };
        let start = (child.spec.launch)(launch, self.cell.clone());
        let started = match child.spec.start_deadline {
            None => start.await,
            Some(deadline) => timeout(deadline, start).await.unwrap_or_else(|_| {
                let cut = StartCut::TooSlow(deadline);
                tree.crashed(&entry, Crash::new(&entry.path, entry.kind(), &cut.to_string()));
                Err(StartError::new(&entry.path, cut))
            }),
        };
        match started {
            Ok(live) => {
                self.by_actor.insert(live.cell.get_id(), key);
                child.live = Some(live);
                self.slots.started(key, Instant::now());
                Ok(())
            }
            Err(error) => {
                entry.retire();
                entry.set_unless_failed(ActorState::Stopped);
                Err(error)
            }
        }
    }

    /// Does what the state decides about an exit. `gave_up` is what this supervisor says if it has to fail
    /// for it.
    async fn follow(&mut self, key: Key, exit: ExitKind, gave_up: GaveUp) -> Result<(), GaveUp> {
        let now = Instant::now();
        let verdict = self.slots.exited(key, exit, now, fastrand::f64());
        self.launch.entry.supervises(self.strategy, self.slots.log());
        match verdict {
            Verdict::Ended if self.dynamic.is_some() => self.vanish(key).await,
            Verdict::Ended => {}
            Verdict::GiveUp => return Err(self.give_up(gave_up).await),
            Verdict::Restart { stop, until } => {
                if let Some(child) = self.children.get(&key) {
                    self.launch
                        .tree
                        .journal()
                        .record(&child.entry.path, EventKind::Restarting { after: until - now });
                }
                for key in stop {
                    self.halt(key).await;
                }
                self.show_waiting();
                self.arm();
            }
        }
        Ok(())
    }

    async fn give_up(&mut self, gave_up: GaveUp) -> GaveUp {
        let (entry, journal) = (&self.launch.entry, self.launch.tree.journal());
        tracing::error!(path = %entry.path, last = %gave_up.path, cause = %gave_up.cause, "restart budget exhausted");
        journal.record(&entry.path, EventKind::BudgetExhausted);
        self.stop_all().await;
        let (entry, journal) = (&self.launch.entry, self.launch.tree.journal());
        entry.fail(&gave_up.to_string());
        match &self.last_word {
            Some(last_word) => {
                journal.record(&entry.path, EventKind::GaveUp);
                // Set once: a root gives up once.
                let _ = last_word.set(gave_up.clone());
            }
            None => journal.record(&entry.path, EventKind::Escalated),
        }
        gave_up
    }

    /// Stops one child; its slot's phase is the caller's business.
    async fn halt(&mut self, key: Key) {
        let Some(child) = self.children.get_mut(&key) else { return };
        if let Some(live) = &child.live {
            self.by_actor.remove(&live.cell.get_id());
        }
        let stop_max = self.dynamic.map_or(Duration::MAX, |(_, stop_max)| stop_max);
        child.stop(&self.launch.tree, stop_max).await;
    }

    /// Stops one child and forgets it.
    async fn vanish(&mut self, key: Key) {
        self.halt(key).await;
        self.slots.remove(key);
        if let Some(child) = self.children.remove(&key) {
            self.by_id.remove(&child.spec.id);
            self.launch.tree.leave(&child.entry.path);
        }
        self.arm();
    }

    fn show_waiting(&self) {
        for (key, until) in self.slots.waiting() {
            let Some(child) = self.children.get(&key) else { continue };
            let until = chrono::Utc::now() + until.saturating_duration_since(Instant::now());
            child.entry.set(ActorState::Waiting { until });
        }
    }

    fn arm(&mut self) {
        let due = self.slots.next_due();
        self.wake =
            due.map(|due| self.cx.send_after(due.saturating_duration_since(Instant::now()), Order::StartDue));
    }
}

impl Child {
    async fn stop(&mut self, tree: &Tree, stop_max: Duration) {
        let Some(live) = self.live.take() else {
            // It waited for its restart; nobody restarts it now.
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
        self.entry.retire();
        if self.entry.set_unless_failed(ActorState::Stopped) {
            tree.journal().record(&self.entry.path, EventKind::Stopped { killed });
        }
    }
}
