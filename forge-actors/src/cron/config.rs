//! `[crons]` in forge.toml.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::limits::RETENTION_MAX;
use crate::kernel::time::{days, minutes, secs, serde_duration};
use crate::subsystem::ConfigSection;

/// A longer interval would let the first times of a new schedule count as missed.
const POLL_MAX: Duration = secs(5);
/// A shorter one would delete runs that a person still looks at.
const RETENTION_MIN: Duration = minutes(1);

/// How the leader of `crons` runs schedules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CronConfig {
    /// How often the leader looks for schedules that were created, changed or resumed, and for runs that have
    /// ended, while no time is due.
    #[serde(with = "serde_duration")]
    pub poll_interval: Duration,
    /// How long runs are kept, also those that were skipped.
    #[serde(with = "serde_duration")]
    pub retention: Duration,
}

impl Default for CronConfig {
    fn default() -> Self {
        Self { poll_interval: secs(5), retention: days(7) }
    }
}

impl ConfigSection for CronConfig {
    const NAME: &'static str = "crons";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        let mut broken = Vec::new();
        if self.poll_interval.is_zero() || self.poll_interval > POLL_MAX {
            broken.push(
                "crons.poll_interval is not between 1ms and 5s: the first times of a new schedule would be \
                 missed"
                    .to_owned(),
            );
        }
        if self.retention < RETENTION_MIN {
            broken.push("crons.retention is shorter than 1m: nobody would see what ran".to_owned());
        }
        if self.retention > RETENTION_MAX {
            broken.push("crons.retention is longer than 36500d, a hundred years".to_owned());
        }
        broken
    }
}
