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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::millis;

    #[test]
    fn a_burst_passes_and_then_a_steady_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(3, start);
        let taken = |bucket: &mut Bucket, ms| bucket.take(10, 3, start + millis(ms));
        let burst: Vec<_> = (0..4).map(|_| taken(&mut bucket, 0)).collect();
        assert_eq!(burst, [true, true, true, false]);
        assert!(!taken(&mut bucket, 99));
        assert!(taken(&mut bucket, 101));
        assert!(!taken(&mut bucket, 101));
        let later: Vec<_> = (0..4).map(|_| taken(&mut bucket, 60_000)).collect();
        assert_eq!(later, [true, true, true, false], "what was not used does not add up");
    }
}
