//! Which pings the monitor leaves out. Pure.

/// While nobody uses the database, each ping of so many is sent.
const IDLE_PINGS: u32 = 5;

/// The pings of one monitor.
#[derive(Debug, Default)]
pub(super) struct PingPace {
    /// Pings that were left out since the last one that was sent; `None` before the first one.
    left_out: Option<u32>,
}

impl PingPace {
    /// Whether the next ping is to be sent. `is_used`: the database was used since the last one, or it is not
    /// well.
    pub(super) fn is_due(&mut self, is_used: bool) -> bool {
        let left_out = self.left_out.map_or(IDLE_PINGS, |left_out| left_out + 1);
        let is_due = is_used || left_out >= IDLE_PINGS;
        self.left_out = Some(if is_due { 0 } else { left_out });
        is_due
    }

    /// A ping was sent although none was due.
    pub(super) fn sent(&mut self) {
        self.left_out = Some(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_nobody_uses_is_pinged_a_fifth_as_often() {
        let mut pace = PingPace::default();
        let mut pings = |used: [bool; 12]| used.map(|is_used| u8::from(pace.is_due(is_used)));
        assert_eq!(pings([false; 12]), [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0]);
        assert_eq!(pings([true; 12]), [1; 12]);
        let once = std::array::from_fn(|at| at == 2);
        assert_eq!(pings(once), [0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0]);
        pace.sent();
        assert!(!pace.is_due(false));
    }
}
