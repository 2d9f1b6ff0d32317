//! Whether this node wants traffic: one check for each subsystem that has one, and the drain that overrules
//! them.
//!
//! A check holds while the subsystem's actors run and its health says so. The watcher brings the checks up to
//! date whenever the journal of actors has an entry or a health changes. An actor that begins to drain leaves
//! no entry before it ends, so the watcher also compares by itself every half second. A check that was not
//! compared yet fails: a node is never ready by accident. Draining is one-way.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, select_all};
use serde::Serialize;
use tokio::sync::watch;

use super::entry::{ActorNote, Health, HealthVerdict, ReadinessRule};
use super::path::{ActorPath, NODE};
use crate::kernel::time::millis;
use crate::supervise::{ActorError, ActorState, ChildSpec, Tree};

/// Between two comparisons that nothing caused.
const COMPARE_EVERY: Duration = millis(500);

/// State of one readiness check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessCheck {
    /// Name of the check, for example `database`.
    pub name: &'static str,
    /// True while the check passes.
    pub ready: bool,
    /// Why the check fails, or what is wrong although it passes. `/ready` is public, so a reason contains no
    /// addresses and no SQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
}

/// The answer of `/ready`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessReport {
    /// True while all checks pass and the node is not draining.
    pub ready: bool,
    /// True once the node has begun to shut down.
    pub draining: bool,
    /// The checks, in the order in which they were declared.
    pub checks: Vec<ReadinessCheck>,
}

/// The readiness of one node. Clones share the same checks.
#[derive(Debug, Clone)]
pub struct Readiness {
    report: Arc<watch::Sender<ReadinessReport>>,
}

impl Readiness {
    /// Declares `checks`; each fails until it is reported.
    pub fn new(checks: &[&'static str]) -> Self {
        let checks: Vec<_> = checks
            .iter()
            .map(|name| ReadinessCheck { name, ready: false, reason: Some("is starting".into()) })
            .collect();
        let report = ReadinessReport { ready: checks.is_empty(), draining: false, checks };
        Self { report: Arc::new(watch::Sender::new(report)) }
    }

    /// Reports that the check `name` passes.
    pub fn pass(&self, name: &'static str) {
        self.set(ReadinessCheck { name, ready: true, reason: None });
    }

    /// Reports that the check `name` passes, and what is wrong all the same.
    pub fn remark(&self, name: &'static str, reason: impl Into<Cow<'static, str>>) {
        self.set(ReadinessCheck { name, ready: true, reason: Some(reason.into()) });
    }

    /// Reports that the check `name` fails. The reason is shown to everyone who reads `/ready`.
    pub fn fail(&self, name: &'static str, reason: impl Into<Cow<'static, str>>) {
        self.set(ReadinessCheck { name, ready: false, reason: Some(reason.into()) });
    }

    /// Reports that the node shuts down. From now on the node is not ready, whatever its checks say.
    pub fn drain(&self) {
        self.report.send_if_modified(|report| {
            report.ready = false;
            !std::mem::replace(&mut report.draining, true)
        });
    }

    /// True while all checks pass and the node is not draining.
    pub fn is_ready(&self) -> bool {
        self.report.borrow().ready
    }

    /// The current report.
    pub fn report(&self) -> ReadinessReport {
        self.report.borrow().clone()
    }

    /// A receiver that is woken by each change of the report.
    pub fn subscribe(&self) -> watch::Receiver<ReadinessReport> {
        self.report.subscribe()
    }

    fn set(&self, check: ReadinessCheck) {
        self.report.send_if_modified(|report| {
            match report.checks.iter_mut().find(|known| known.name == check.name) {
                Some(known) if *known == check => return false,
                Some(known) => *known = check,
                None => report.checks.push(check),
            }
            report.ready = !report.draining && report.checks.iter().all(|check| check.ready);
            true
        });
    }
}

/// The child of the root that keeps `/ready` up to date. It starts last, so it stops first.
static READINESS: ActorPath = NODE.child("readiness");

/// The note of the watcher, which belongs to no subsystem.
pub static READINESS_NOTE: ActorNote = ActorNote::new(&READINESS, "keeps `/ready` up to date");

/// Keeps the checks up to date.
#[derive(Clone)]
pub struct ReadinessWatcher {
    tree: Arc<Tree>,
    readiness: Readiness,
    conditions: Arc<[Condition]>,
}

/// When a check holds: its actors run, and its health says nothing against it.
struct Condition {
    check: ReadinessRule,
    health: Vec<Box<dyn Health>>,
}

impl ReadinessWatcher {
    pub(crate) fn new(
        tree: Arc<Tree>,
        readiness: Readiness,
        checks: impl IntoIterator<Item = (ReadinessRule, Vec<Box<dyn Health>>)>,
    ) -> Self {
        let conditions = checks.into_iter().map(|(check, health)| Condition { check, health }).collect();
        Self { tree, readiness, conditions }
    }

    /// The child of the root that watches.
    pub(crate) fn child(self) -> ChildSpec {
        ChildSpec::task(READINESS.id(), move || self.clone().watch())
    }

    /// Brings every check up to date.
    pub fn compare(&self) {
        let runs = |path: &str| self.tree.get(path).is_some_and(|actor| actor.state == ActorState::Running);
        for Condition { check, health } in self.conditions.iter() {
            if !check.actors.iter().all(|path| runs(&path.to_string())) {
                self.readiness.fail(check.name, "is not running");
                continue;
            }
            match verdict(health) {
                HealthVerdict::Broken(reason) => self.readiness.fail(check.name, reason),
                HealthVerdict::Remark(reason) => self.readiness.remark(check.name, reason),
                HealthVerdict::Well => self.readiness.pass(check.name),
            }
        }
    }

    /// Brings the checks up to date whenever something may have changed, for as long as it is polled.
    async fn watch(self) -> Result<(), ActorError> {
        let healths = self.conditions.iter().flat_map(|condition| &condition.health);
        let mut healths: Vec<_> = healths.map(|health| health.clone_box()).collect();
        loop {
            // Read before the comparison, so that an entry written during it wakes the next one.
            let seen = self.tree.journal().events_last();
            self.compare();
            let changes: Vec<_> = healths.iter_mut().map(|health| health.changed()).collect();
            tokio::select! {
                _ = self.tree.journal().events_after(seen) => {}
                () = any(changes) => {}
                () = tokio::time::sleep(COMPARE_EVERY) => {}
            }
        }
    }
}

/// The worst of the verdicts; the first of several that are equally bad.
fn verdict(conditions: &[Box<dyn Health>]) -> HealthVerdict {
    let mut worst = HealthVerdict::Well;
    for condition in conditions {
        match condition.now() {
            HealthVerdict::Broken(reason) => return HealthVerdict::Broken(reason),
            remark if worst == HealthVerdict::Well => worst = remark,
            HealthVerdict::Well | HealthVerdict::Remark(_) => {}
        }
    }
    worst
}

/// Ends with the first of `changes`; never when there are none.
async fn any(changes: Vec<BoxFuture<'_, ()>>) {
    if changes.is_empty() {
        return std::future::pending().await;
    }
    select_all(changes).await;
}
