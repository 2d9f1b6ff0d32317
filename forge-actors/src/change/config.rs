//! `[capture]` in forge.toml.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::kernel::time::{days, format_duration, minutes, secs, serde_duration};

use super::captures::Wanted;

/// Shorter, and a node that pauses for a moment would find its changes gone.
const RETENTION_MIN: Duration = secs(10);
/// Longer, and the table of changes is the largest of the database.
const RETENTION_MAX: Duration = days(1);

/// Between two looks of the compactor at most: how late changed definitions are noticed where no event
/// trigger reports them.
pub const SWEEP_EVERY_MAX: Duration = secs(10);

/// What is captured, and for how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CaptureConfig {
    /// Changes of a model's table are captured unless the model says `reactive = false`; when this is off,
    /// only where it says `reactive`.
    pub default: bool,
    /// How long changes are kept. A node that does not look for longer runs all of its live queries again.
    #[serde(with = "serde_duration")]
    pub retention: Duration,
}

impl Default for CaptureConfig {
    fn default() -> Self {
        Self { default: true, retention: minutes(10) }
    }
}

impl CaptureConfig {
    /// What models ask for, by table: `reactive`, `reactive = false`, or neither. Tables that nothing is said
    /// of stay as they are.
    pub fn wanted<'m>(&self, models: impl IntoIterator<Item = (&'m str, Option<bool>)>) -> Vec<Wanted> {
        let asked = |(table, reactive): (&str, Option<bool>)| {
            let on = reactive.or(self.default.then_some(true))?;
            Some(Wanted { table: table.to_owned(), on })
        };
        models.into_iter().filter_map(asked).collect()
    }

    /// Rules beyond types; one sentence per broken rule.
    pub fn validate(&self) -> Vec<String> {
        let kept = (RETENTION_MIN..=RETENTION_MAX).contains(&self.retention);
        let broken = (!kept).then(|| {
            let (given, min, max) = (
                format_duration(self.retention),
                format_duration(RETENTION_MIN),
                format_duration(RETENTION_MAX),
            );
            format!("capture.retention is {given}; it must lie between {min} and {max}")
        });
        broken.into_iter().collect()
    }
}
