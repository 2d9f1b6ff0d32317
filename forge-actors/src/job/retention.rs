//! How long finished jobs are kept, by handler and final status. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::JobConfig;

/// Finished jobs that are kept for the same time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionClass {
    /// How long they are kept.
    pub kept: Duration,
    /// True: failed jobs and dead letters. False: completed and cancelled jobs.
    pub failed: bool,
    /// Wire names of their handlers; `None`: all that no other class names.
    pub names: Option<Vec<String>>,
}

/// The classes of all finished jobs. `retained`: the handlers that say for how long.
pub(super) fn classes(
    config: &JobConfig,
    retained: impl IntoIterator<Item = (String, Duration)>,
) -> Vec<RetentionClass> {
    let mut by_time: BTreeMap<Duration, Vec<String>> = BTreeMap::new();
    for (name, kept) in retained {
        by_time.entry(kept).or_default().push(name);
    }
    let all = std::iter::once((config.retention, None))
        .chain(by_time.into_iter().map(|(kept, names)| (kept, Some(names))));
    all.flat_map(|(kept, names)| {
        let kept_failed = kept.max(config.retention_failed);
        [
            RetentionClass { kept, failed: false, names: names.clone() },
            RetentionClass { kept: kept_failed, failed: true, names },
        ]
    })
    .collect()
}
