//! `[leader]` in forge.toml.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::limits::RETENTION_MAX;
use crate::kernel::time::{days, minutes, secs, serde_duration};
use crate::subsystem::ConfigSection;

/// A shorter lease would be lost by a node that is busy for a moment.
const LEASE_MIN: Duration = secs(1);
/// A longer lease would leave the duties of a frozen leader undone for too long.
const LEASE_MAX: Duration = minutes(1);
/// A term is renewed this many times in the length of a lease, so one renewal may be missed.
const RENEWALS: u32 = 3;
/// A leader stops itself earlier than Postgres frees its lock, by this part of the lease.
const MARGIN_PARTS: u32 = 6;

/// How nodes elect the leaders of duties that one node performs for all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LeaderConfig {
    /// How long a leader may be silent before another node takes over.
    #[serde(with = "serde_duration")]
    pub lease: Duration,
    /// How long ended terms are kept in `forge_leader_history`.
    #[serde(with = "serde_duration")]
    pub retention: Duration,
}

impl Default for LeaderConfig {
    fn default() -> Self {
        Self { lease: secs(3), retention: days(30) }
    }
}

impl ConfigSection for LeaderConfig {
    const NAME: &'static str = "leader";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if !(LEASE_MIN..=LEASE_MAX).contains(&self.lease) {
            broken.push(
                "leader.lease is not between 1s and 1m: a shorter one is lost by a busy node, a longer one \
                 leaves duties undone"
                    .to_owned(),
            );
        }
        if self.retention.is_zero() {
            broken.push("leader.retention is 0: no term would ever be seen in the history".to_owned());
        }
        if self.retention > RETENTION_MAX {
            broken.push("leader.retention is longer than 36500d, a hundred years".to_owned());
        }
        broken
    }
}

impl LeaderConfig {
    /// Between two renewals, and between two tries to be elected.
    pub(super) fn renew_interval(&self) -> Duration {
        self.lease / RENEWALS
    }

    /// How long after a renewal was sent the leader still believes in its term.
    pub(super) fn local_deadline(&self) -> Duration {
        self.lease - self.lease / MARGIN_PARTS
    }
}
