//! A rate limiter: a bucket of tokens that fills at a steady rate.

use std::time::Instant;

/// Limits events to a burst and a steady rate: each event takes a token. The caller passes the rate, so a
/// bucket is small enough to keep one per connection.
#[derive(Debug)]
pub struct TokenBucket {
    tokens: f64,
    filled_at: Instant,
}

impl TokenBucket {
    /// A full bucket: `burst_max` events pass at once.
    pub fn full(burst_max: u32, now: Instant) -> Self {
        Self { tokens: f64::from(burst_max), filled_at: now }
    }

    /// Adds `per_second` tokens for each second that has passed, up to `burst_max`, and takes one. Returns
    /// `false` when none was left: the event is over the limit.
    pub fn take(&mut self, per_second: u32, burst_max: u32, now: Instant) -> bool {
        let filled = now.saturating_duration_since(self.filled_at).as_secs_f64() * f64::from(per_second);
        self.tokens = (self.tokens + filled).min(f64::from(burst_max));
        self.filled_at = now;
        let has_token = self.tokens >= 1.0;
        if has_token {
            self.tokens -= 1.0;
        }
        has_token
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::time::millis;

    #[test]
    fn a_burst_passes_and_then_a_steady_rate() {
        let start = Instant::now();
        let mut bucket = TokenBucket::full(3, start);
        let take = |bucket: &mut TokenBucket, ms| bucket.take(10, 3, start + millis(ms));
        let burst: Vec<_> = (0..4).map(|_| take(&mut bucket, 0)).collect();
        assert_eq!(burst, [true, true, true, false]);
        assert!(!take(&mut bucket, 99));
        assert!(take(&mut bucket, 101));
        assert!(!take(&mut bucket, 101));
        let later: Vec<_> = (0..4).map(|_| take(&mut bucket, 60_000)).collect();
        assert_eq!(later, [true, true, true, false], "unused tokens do not add up beyond the burst");
    }
}
