//! How often a claimer polls: half as often when its last polls found nothing; and how often it promotes
//! beside that, because hints or results ask for it. Pure.

use std::time::{Duration, Instant};

use crate::kernel::time::{millis, secs};

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

/// Between a promotion and the next one that hints or results ask for. A job that is delayed by less may
/// start this much late; without the pause, each job that is claimed at once would cost a promotion as well.
const PROMOTION_PAUSE: Duration = millis(100);
/// After a promotion that takes long, as beside an old snapshot, the pause is so many times that.
const SLOW_PROMOTION_PAUSES: u32 = 4;
/// The pause after a promotion that does not end, or fails.
const UNENDED_PAUSE: Duration = secs(2);

/// The promotions that hints and results ask one claimer for.
#[derive(Debug, Default)]
pub(super) struct PromotionPace {
    /// Before this moment none is sent; `None` before the first promotion.
    next: Option<Instant>,
}

impl PromotionPace {
    /// A promotion is sent.
    pub(super) fn sent(&mut self, now: Instant) {
        self.next = Some(now + UNENDED_PAUSE);
    }

    /// The promotion has ended.
    pub(super) fn ended(&mut self, now: Instant, took: Duration) {
        self.next = Some(now + PROMOTION_PAUSE.max(SLOW_PROMOTION_PAUSES * took));
    }

    /// Until the next one may be sent.
    pub(super) fn pause(&self, now: Instant) -> Duration {
        self.next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn promotions_take_a_fifth_of_the_time_at_most_and_are_a_tenth_of_a_second_apart() {
        let (mut pace, now) = (PromotionPace::default(), Instant::now());
        assert_eq!(pace.pause(now), Duration::ZERO);
        pace.sent(now);
        assert!(pace.pause(now + millis(150)) > PROMOTION_PAUSE, "the one that is under way comes first");
        pace.ended(now, millis(1));
        assert_eq!([0, 60, 200].map(|at| pace.pause(now + millis(at))), [100, 40, 0].map(millis));
        pace.ended(now, millis(300));
        assert_eq!(pace.pause(now), millis(1_200));
    }

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
