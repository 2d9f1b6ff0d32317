//! How far this machine's clock is from the database's, which all nodes share.

use std::time::Duration;

use crate::kernel::time::{Timestamp, format_duration, millis, secs};

/// A larger difference is a warning, and may take a node out of service, however small `auth.leeway` is.
pub const CLOCK_DIFFERENCE_MAX: Duration = secs(2);

/// The difference of two clocks, as one reading found it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockDifference {
    /// Database's clock minus this machine's, in milliseconds, taken in the middle of the round trip.
    pub offset_ms: i64,
    /// Least difference that the round trip cannot explain.
    pub certain: Duration,
}

impl ClockDifference {
    /// The database read its clock between two readings of this machine's.
    pub fn between(before: Timestamp, database: Timestamp, after: Timestamp) -> Self {
        let middle = before + (after - before) / 2;
        let (ahead, behind) = (database - after, before - database);
        Self {
            offset_ms: (database - middle).num_milliseconds(),
            // Negative where the database's time lies between the two.
            certain: ahead.to_std().unwrap_or_default().max(behind.to_std().unwrap_or_default()),
        }
    }

    /// A sentence without its end: `this machine's clock is 3s behind the database's`.
    pub fn describe(self) -> String {
        let side = if self.offset_ms > 0 { "behind" } else { "ahead of" };
        let by = format_duration(millis((self.offset_ms.unsigned_abs() + 50) / 100 * 100));
        format!("this machine's clock is {by} {side} the database's")
    }

    /// The sentence for operators, with what follows and what helps.
    pub fn warning(self) -> String {
        format!(
            "{}: valid tokens may be refused and expired ones accepted; synchronise this machine's clock \
             (NTP)",
            self.describe()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_timestamp_millis(1_800_000_000_000 + ms).expect("a time of this century")
    }

    #[test]
    fn only_what_lies_outside_of_the_reading_is_certain() {
        let check = |database, offset_ms, certain| {
            let found = ClockDifference::between(at(0), at(database), at(100));
            assert_eq!(found, ClockDifference { offset_ms, certain: millis(certain) }, "{database}");
        };
        check(50, 0, 0);
        check(100, 50, 0);
        check(3_100, 3_050, 3_000);
        check(-3_000, -3_050, 3_000);
        let behind = ClockDifference::between(at(0), at(60_010), at(20));
        assert_eq!(behind.describe(), "this machine's clock is 1m behind the database's");
        let ahead = ClockDifference::between(at(0), at(-2_500), at(0));
        assert_eq!(ahead.describe(), "this machine's clock is 2500ms ahead of the database's");
    }
}
