//! How many frames a client may send: a bucket of tokens that fills steadily.

use std::time::Instant;

/// A token for each frame.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled_at: Instant,
}

impl Bucket {
    /// Full, as it is when nothing was sent for a while.
    pub(super) fn full(burst_max: u32, now: Instant) -> Self {
        Self { tokens: f64::from(burst_max), filled_at: now }
    }

    /// Takes one; `false` when none is left.
    pub(super) fn take(&mut self, per_second: u32, burst_max: u32, now: Instant) -> bool {
        let filled = now.saturating_duration_since(self.filled_at).as_secs_f64() * f64::from(per_second);
        self.tokens = (self.tokens + filled).min(f64::from(burst_max));
        self.filled_at = now;
        let left = self.tokens >= 1.0;
        if left {
            self.tokens -= 1.0;
        }
        left
    }
}
