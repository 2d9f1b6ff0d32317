//! Whether this node wants traffic: named checks, and the drain that overrules them.
//!
//! Whoever owns a part of the node reports on it; `/ready` shows the sum. A check that nobody reported on yet
//! fails, so a node is not ready by accident. Draining is one-way.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

/// State of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What is checked, for example `database`.
    pub name: &'static str,
    /// It holds.
    pub ready: bool,
    /// Why it does not hold. Everyone may read it: no addresses, no SQL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Cow<'static, str>>,
}

/// What `/ready` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// All checks hold and the node is not draining.
    pub ready: bool,
    /// The node is on its way out.
    pub draining: bool,
    /// The checks, in the order they were declared.
    pub checks: Vec<Check>,
}

/// Shared by those who report and those who ask.
#[derive(Debug, Clone)]
pub struct Readiness {
    report: Arc<watch::Sender<Report>>,
}

impl Readiness {
    /// Checks that all fail until they are reported on.
    pub fn new(checks: &[&'static str]) -> Self {
        let checks: Vec<_> = checks
            .iter()
            .map(|name| Check { name, ready: false, reason: Some("is starting".into()) })
            .collect();
        let report = Report { ready: checks.is_empty(), draining: false, checks };
        Self { report: Arc::new(watch::Sender::new(report)) }
    }

    /// The check `name` holds.
    pub fn pass(&self, name: &'static str) {
        self.set(Check { name, ready: true, reason: None });
    }

    /// The check `name` does not hold, and everyone may know why.
    pub fn fail(&self, name: &'static str, reason: impl Into<Cow<'static, str>>) {
        self.set(Check { name, ready: false, reason: Some(reason.into()) });
    }

    /// The node stops: not ready from now on, whatever the checks say.
    pub fn drain(&self) {
        self.report.send_if_modified(|report| {
            report.ready = false;
            !std::mem::replace(&mut report.draining, true)
        });
    }

    /// All checks hold and the node is not draining.
    pub fn is_ready(&self) -> bool {
        self.report.borrow().ready
    }

    /// The state now.
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// Wakes on each change.
    pub fn subscribe(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }

    fn set(&self, check: Check) {
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
