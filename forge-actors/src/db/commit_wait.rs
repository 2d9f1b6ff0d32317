//! Commits that wait for a synchronous standby. With `synchronous_standby_names` set and no such standby
//! connected, the server answers every read, and no commit ends; it says so in no error.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::kernel::time::secs;

/// A commit that has waited for longer shows that no standby confirms it.
const COMMIT_WAIT_MAX: Duration = secs(5);
/// Characters of `synchronous_standby_names` that are shown.
const NAMES_CHARS_MAX: usize = 100;

/// Commits have waited for a synchronous standby for at least 5 s.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitWait {
    /// Since when the oldest of them waits, or was found to wait.
    pub since: Instant,
    /// `synchronous_standby_names` of the server, cut when it is long.
    pub standbys: String,
}

impl CommitWait {
    /// The reason of the readiness check. Everybody reads it, so it names no servers.
    pub const REASON: &str = "commits wait for a synchronous standby";
}

/// What the server says about commits that wait.
#[derive(Debug, Default)]
pub(super) struct WaitingCommits {
    /// `synchronous_standby_names`.
    pub(super) standbys: String,
    /// `pid xact_start` of each session whose commit waits: one statement may commit many times. With it, how
    /// long it may have waited. Sessions of other roles are seen only with `pg_read_all_stats`.
    pub(super) waiting: Vec<(String, Duration)>,
}

/// Since when each commit waits. A commit that the first ping of the node finds has waited before, and is
/// believed to have waited since its statement began. One that a later ping finds has waited since then: its
/// statement may have had much to do before. A commit that a ping does not find any more is forgotten.
#[derive(Debug, Default)]
pub(super) struct CommitWatch(Option<HashMap<String, Instant>>);

impl CommitWatch {
    /// Takes what a ping has found at `now`.
    pub(super) fn found(&mut self, found: WaitingCommits, now: Instant) -> Option<CommitWait> {
        let WaitingCommits { standbys, waiting } = found;
        let known = self.0.take();
        let since = |(commit, waited): (String, Duration)| {
            let since = match &known {
                Some(known) => known.get(&commit).copied(),
                None => now.checked_sub(waited),
            };
            (commit, since.unwrap_or(now))
        };
        let waiting: HashMap<String, Instant> = waiting.into_iter().map(since).collect();
        let since = waiting.values().min().copied();
        self.0 = Some(waiting);
        let since = since?;
        let waited = now.saturating_duration_since(since) >= COMMIT_WAIT_MAX;
        waited.then(|| CommitWait { since, standbys: standbys.chars().take(NAMES_CHARS_MAX).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_commit_that_waits_for_long_shows_and_many_short_ones_do_not() {
        let mut watch = CommitWatch::default();
        let start = Instant::now();
        let mut found = |second: u64, waiting: &[&str]| {
            let waiting = waiting.iter().map(|commit| ((*commit).to_owned(), Duration::ZERO)).collect();
            let commits = WaitingCommits { standbys: "far".to_owned(), waiting };
            watch.found(commits, start + secs(second)).map(|wait| wait.since - start)
        };
        assert_eq!(found(0, &["a"]), None);
        assert_eq!(found(4, &["a", "b"]), None);
        assert_eq!(found(6, &["b", "c"]), None, "a has ended");
        assert_eq!(found(9, &["b"]), Some(secs(4)));
        assert_eq!(found(10, &[]), None);
        assert_eq!(found(11, &["b"]), None, "it is another one");
    }

    #[test]
    fn a_node_that_starts_while_commits_wait_knows_for_how_long() {
        let commits = WaitingCommits {
            standbys: "far".to_owned(),
            waiting: vec![("a".to_owned(), secs(9)), ("b".to_owned(), Duration::ZERO)],
        };
        let (mut watch, now) = (CommitWatch::default(), Instant::now() + secs(10));
        let wait = watch.found(commits, now).expect("a waits");
        assert_eq!(now - wait.since, secs(9));
        let late = WaitingCommits { standbys: "far".to_owned(), waiting: vec![("c".to_owned(), secs(60))] };
        assert_eq!(watch.found(late, now), None, "its statement may have had much to do before");
    }
}
