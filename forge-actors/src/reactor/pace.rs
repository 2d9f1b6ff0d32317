//! When to tick, and when to poll. Pure: the time is passed in.

use std::time::{Duration, Instant};

use crate::kernel::backoff::Backoff;

/// Between the attempts of a tick.
const RETRY: Backoff = Backoff::exponential(Duration::from_millis(20), Duration::from_secs(1));

/// The pace of ticks: the first request is met at once, and requests that follow soon after are met
/// together, `tick_min` after the start of the tick before. After a lost tick a backoff takes the place of
/// `tick_min`.
#[derive(Debug)]
pub(super) struct Pace {
    tick_min: Duration,
    /// True when a tick was requested since the last one started.
    requested: bool,
    /// The next tick starts no earlier.
    earliest: Option<Instant>,
    failures: u32,
}

impl Pace {
    pub(super) fn new(tick_min: Duration) -> Self {
        Self { tick_min, requested: false, earliest: None, failures: 0 }
    }

    /// Requests a tick that starts from now on.
    pub(super) fn request(&mut self) {
        self.requested = true;
    }

    /// Starts a tick, if one is requested and may start at `now`. Not called while a tick is under way.
    pub(super) fn start(&mut self, now: Instant) -> bool {
        let starts = self.requested && self.earliest.is_none_or(|earliest| earliest <= now);
        if starts {
            self.requested = false;
            self.earliest = now.checked_add(self.tick_min);
        }
        starts
    }

    /// When the requested tick may start.
    pub(super) fn starts_at(&self) -> Option<Instant> {
        self.earliest.filter(|_| self.requested)
    }

    /// The tick ended well.
    pub(super) fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// The tick was lost, and is requested again. `jitter` is uniform in `0.0..1.0`.
    pub(super) fn failed(&mut self, now: Instant, jitter: f64) {
        self.requested = true;
        self.earliest = now.checked_add(RETRY.delay(self.failures, jitter));
        self.failures += 1;
    }

    /// Ticks lost in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

/// The interval between polls for changes that no hint reported: short while polls find changes, and longer
/// from poll to poll while they find none.
#[derive(Debug)]
pub(super) struct PollInterval {
    min: Duration,
    max: Duration,
    current: Duration,
}

impl PollInterval {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, current: min }
    }

    /// The time until the next poll.
    pub(super) fn current(&self) -> Duration {
        self.current
    }

    /// Adapts the interval to the result of a poll.
    pub(super) fn polled(&mut self, found: bool) {
        self.current = if found { self.min } else { (self.current * 2).min(self.max) };
    }
}
