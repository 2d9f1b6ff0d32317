//! `[workflows]` in forge.toml.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::limits::RETENTION_MAX;
use crate::kernel::time::{days, format_duration, secs, serde_duration};
use crate::subsystem::ConfigSection;

/// The shortest lease. It is renewed twice a second.
const LEASE_MIN: Duration = secs(2);
/// The longest lease: runs of a node that is cut off wait for so long.
const LEASE_MAX: Duration = days(1);
/// The largest `workflows.active_max`.
const ACTIVE_MAX_BOUND: u32 = 100_000;
/// The largest `workflows.steps_max`.
const STEPS_MAX_BOUND: u32 = 100_000;

/// How a node with the role `worker` runs workflows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkflowConfig {
    /// Runs that are active at the same time on this node: they execute steps, and are in memory. Runs that
    /// only wait are rows and do not count. Further ones wait in the table, new ones and woken ones alike.
    pub active_max: u32,
    /// Attempts at steps that execute at the same time on this node. Further ones wait in order. Those that
    /// are mutations take at most half of `database.write_connections_max`, and queries half of
    /// `database.read_connections_max`, so that calls keep the other half.
    pub steps_max: u32,
    /// Part of `active_max` and of `steps_max` that one workflow may take where a binary has several, more
    /// than 0 and at most 1, so that runs of a workflow whose steps hang leave places to the others. One run
    /// takes at most half of its workflow's steps.
    pub workflow_share: f64,
    /// How often a node asks the database for runs that are due. It is notified of them besides.
    #[serde(with = "serde_duration")]
    pub poll_interval: Duration,
    /// How long a node may fail to renew its lease before other nodes take its runs over. A node whose
    /// process is gone, so that Postgres has no session of it, loses them within seconds.
    #[serde(with = "serde_duration")]
    pub lease: Duration,
    /// How long a stopping node waits until the steps that are under way have ended.
    #[serde(with = "serde_duration")]
    pub drain_timeout: Duration,
    /// How long runs that have ended are kept with their journal, unless their workflow says otherwise.
    #[serde(with = "serde_duration")]
    pub retention: Duration,
    /// How long events are kept for runs that wait later.
    #[serde(with = "serde_duration")]
    pub event_retention: Duration,
}

impl Default for WorkflowConfig {
    fn default() -> Self {
        Self {
            active_max: 1_000,
            steps_max: 256,
            workflow_share: 0.5,
            poll_interval: secs(2),
            lease: secs(10),
            drain_timeout: secs(20),
            retention: days(7),
            event_retention: days(30),
        }
    }
}

impl ConfigSection for WorkflowConfig {
    const NAME: &'static str = "workflows";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if !(1..=ACTIVE_MAX_BOUND).contains(&self.active_max) {
            broken.push(format!(
                "workflows.active_max is {}; it must be between 1 and {ACTIVE_MAX_BOUND} (to run \
                 no workflows on a node, leave `worker` out of node.roles)",
                self.active_max
            ));
        }
        if !(1..=STEPS_MAX_BOUND).contains(&self.steps_max) {
            broken.push(format!(
                "workflows.steps_max is {}; it must be between 1 and {STEPS_MAX_BOUND}",
                self.steps_max
            ));
        }
        if !(self.workflow_share > 0.0 && self.workflow_share <= 1.0) {
            let share = self.workflow_share;
            broken.push(format!("workflows.workflow_share is {share}; it must be more than 0 and at most 1"));
        }
        if self.lease < LEASE_MIN {
            broken.push(
                "workflows.lease is shorter than 2s: a node that is busy for a moment would lose its runs"
                    .to_owned(),
            );
        }
        if self.lease > LEASE_MAX {
            broken.push(
                "workflows.lease is longer than 1d: the runs of a lost node would wait for so long"
                    .to_owned(),
            );
        }
        if self.poll_interval.is_zero() {
            broken.push("workflows.poll_interval is 0: the claimer would poll without a pause".to_owned());
        }
        for (key, value) in [("retention", self.retention), ("event_retention", self.event_retention)] {
            if value > RETENTION_MAX {
                broken.push(format!(
                    "workflows.{key} is {}; it may be {} at most",
                    format_duration(value),
                    format_duration(RETENTION_MAX)
                ));
            }
        }
        broken
    }
}
