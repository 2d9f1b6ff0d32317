//! Exponential backoff with jitter. Pure: the caller supplies the attempt and the random number.
//!
//! Equal jitter: half of the exponential delay is kept, the other half is drawn, so that restarts of many
//! children spread and none of them comes at once (AWS Architecture Blog, "Exponential Backoff And Jitter").

use std::time::Duration;

/// The delay before repeat `n`: `base · 2ⁿ`, at most `max`, jittered downwards by up to half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Delay before the first repeat, without jitter.
    pub base: Duration,
    /// Largest delay, without jitter.
    pub max: Duration,
}

impl Backoff {
    /// A backoff that starts at `base` and doubles up to `max`.
    pub const fn exponential(base: Duration, max: Duration) -> Self {
        Self { base, max }
    }

    /// The delay before repeat `attempt` (0 is the first), without jitter.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 1u32.checked_shl(attempt).unwrap_or(u32::MAX);
        self.base.checked_mul(factor).map_or(self.max, |delay| delay.min(self.max))
    }

    /// The delay before repeat `attempt`; `random` is uniform in `0.0..1.0`.
    pub fn delay(&self, attempt: u32, random: f64) -> Duration {
        let ceiling = self.ceiling(attempt);
        ceiling / 2 + (ceiling / 2).mul_f64(random.clamp(0.0, 1.0))
    }

    /// [`delay`](Self::delay) with a random number that is drawn here.
    pub fn jittered(&self, attempt: u32) -> Duration {
        self.delay(attempt, fastrand::f64())
    }
}
