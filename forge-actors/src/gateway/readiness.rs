//! Readiness of this node for traffic: named checks, and the drain that overrules them.
//!
//! The owner of each part of the node reports the state of its check, and `/ready` shows all of them. A check
//! that was never reported fails, so a node is not ready by accident. A drain cannot be undone.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

/// State of one readiness check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadinessCheck {
    /// Name of the check, for example `database`.
    pub name: &'static str,
    /// True while the check passes.
    pub ready: bool,
    /// Why the check fails. `/ready` is public, so a reason contains no addresses and no SQL.
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
