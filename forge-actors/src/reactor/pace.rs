//! When to tick and when to look. Pure: the time is passed in.
//!
//! ```text
//!   resting ──start: somebody asked, and it is not too early──▶ ticking
//!      ▲                                                          │
//!      ├────── ended: not before tick_min after the start ────────┤
//!      └────── failed: asked again, not before the backoff ───────┘
//! ```

use std::time::{Duration, Instant};

use crate::kernel::backoff::Backoff;

/// Between two attempts of a tick.
const RETRY: Backoff = Backoff::exponential(Duration::from_millis(20), Duration::from_secs(1));

/// The rhythm of ticks: the first wish at once, those that come soon after it together.
#[derive(Debug)]
pub(super) struct Pace {
    tick_min: Duration,
    ticking: bool,
    /// Somebody wants a tick that starts from now on.
    asked: bool,
    /// No tick starts before.
    earliest: Option<Instant>,
    failures: u32,
}

impl Pace {
    pub(super) fn new(tick_min: Duration) -> Self {
        Self { tick_min, ticking: false, asked: false, earliest: None, failures: 0 }
    }

    /// Somebody wants a tick.
    pub(super) fn ask(&mut self) {
        self.asked = true;
    }

    /// Starts a tick, if one is wanted and may start now.
    pub(super) fn start(&mut self, now: Instant) -> bool {
        let starts = self.asked && !self.ticking && self.earliest.is_none_or(|earliest| earliest <= now);
        if starts {
            (self.ticking, self.asked, self.earliest) = (true, false, now.checked_add(self.tick_min));
        }
        starts
    }

    /// When [`start`](Self::start) will say yes.
    pub(super) fn wakes_at(&self) -> Option<Instant> {
        self.earliest.filter(|_| self.asked && !self.ticking)
    }

    /// The tick is over.
    pub(super) fn ended(&mut self) {
        (self.ticking, self.failures) = (false, 0);
    }

    /// The tick was lost, and is wanted again. `luck` is uniform in `0.0..1.0`.
    pub(super) fn failed(&mut self, now: Instant, luck: f64) {
        (self.ticking, self.asked) = (false, true);
        self.earliest = now.checked_add(RETRY.delay(self.failures, luck));
        self.failures += 1;
    }

    /// Ticks lost in a row.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn is_ticking(&self) -> bool {
        self.ticking
    }
}

/// The rhythm of looks for changes that nobody announced: quick while there are some, slower and slower while
/// there are none.
#[derive(Debug)]
pub(super) struct Watch {
    min: Duration,
    max: Duration,
    interval: Duration,
}

impl Watch {
    pub(super) fn new(min: Duration, max: Duration) -> Self {
        Self { min, max, interval: min }
    }

    /// How long until the next look.
    pub(super) fn interval(&self) -> Duration {
        self.interval
    }

    /// A look has found something, or not.
    pub(super) fn looked(&mut self, found: bool) {
        self.interval = if found { self.min } else { (self.interval * 2).min(self.max) };
    }
}
