//! `[capture]` in forge.toml.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::time::{days, format_duration, minutes, secs, serde_duration};
use crate::subsystem::ConfigSection;

use super::captures::CaptureSetting;

/// With a shorter retention, a node that pauses for a moment would miss changes and run every live query
/// anew.
const RETENTION_MIN: Duration = secs(10);
/// With a longer retention, the table of changes would become the largest table of the database.
const RETENTION_MAX: Duration = days(1);

/// The longest interval between two sweeps of the compactor, and so the delay with which changed definitions
/// are noticed where no event trigger reports them.
pub const SWEEP_EVERY_MAX: Duration = secs(20);

/// Which tables are captured, and for how long their changes are kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureConfig {
    /// Changes of a model's table are captured unless the model says `reactive = false`; when this is off,
    /// only where it says `reactive`.
    pub default: bool,
    /// How long changes are kept. A node that does not poll for longer runs all of its live queries again.
    #[serde(with = "serde_duration")]
    pub retention: Duration,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self { default: true, retention: minutes(10) }
    }
}

impl ConfigSection for CaptureConfig {
    const NAME: &'static str = "capture";
    const REFERENCE: &'static str = include_str!("reference.toml");

    fn validate(&self) -> Vec<String> {
        if (RETENTION_MIN..=RETENTION_MAX).contains(&self.retention) {
            return Vec::new();
        }
        let given = format_duration(self.retention);
        let min = format_duration(RETENTION_MIN);
        let max = format_duration(RETENTION_MAX);
        vec![format!("capture.retention is {given}; it must lie between {min} and {max}")]
    }
}

impl CaptureConfig {
    /// The settings that follow from the models, given as table and value of `reactive`. Without a value,
    /// `default` decides; when `default` is off, such tables stay as they are.
    pub fn settings<'m>(
        &self,
        models: impl IntoIterator<Item = (&'m str, Option<bool>)>,
    ) -> Vec<CaptureSetting> {
        let setting = |(table, reactive): (&str, Option<bool>)| {
            let on = reactive.or(self.default.then_some(true))?;
            Some(CaptureSetting { table: table.to_owned(), on })
        };
        models.into_iter().filter_map(setting).collect()
    }
}
