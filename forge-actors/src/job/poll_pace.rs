//! How often a claimer polls: half as often when its last polls found nothing. Pure.

use std::time::Duration;

/// After so many polls in a row that found nothing, the claimer is idle.
const IDLE_AFTER: u32 = 10;

/// The polls of one claimer.
#[derive(Debug)]
pub(super) struct PollPace {
    interval: Duration,
    /// Polls in a row that found nothing.
    empty: u32,
}

impl PollPace {
    /// Polls every `interval` while there is work.
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, empty: 0 }
    }

    /// A poll has ended.
    pub(super) fn polled(&mut self, has_found: bool) {
        self.empty = if has_found { 0 } else { self.empty.saturating_add(1) };
    }

    /// Until the next poll.
    pub(super) fn next(&self) -> Duration {
        if self.empty < IDLE_AFTER { self.interval } else { 2 * self.interval }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::secs;

    #[test]
    fn polls_that_find_nothing_become_less_frequent_until_one_finds_something() {
        let mut pace = PollPace::new(secs(1));
        for _ in 0..IDLE_AFTER {
            assert_eq!(pace.next(), secs(1));
            pace.polled(false);
        }
        assert_eq!(pace.next(), secs(2));
        pace.polled(true);
        assert_eq!(pace.next(), secs(1));
    }
}
