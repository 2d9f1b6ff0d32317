//! Durations in their text form, and the timestamp type.

use std::time::Duration;

/// A moment in UTC. Times that are stored come from the database's clock, not from this node's.
pub type Timestamp = chrono::DateTime<chrono::Utc>;

/// `count` milliseconds.
pub const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// `count` seconds.
pub const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// `count` minutes.
pub const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

/// `count` hours.
pub const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3_600)
}

/// `count` days of 24 hours.
pub const fn days(count: u64) -> Duration {
    Duration::from_secs(count * 86_400)
}

/// A text that is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a duration: write a whole number and a unit, one of ms, s, m, h, d \
     (for example \"500ms\", \"5s\", \"30m\")"
)]
pub struct DurationError(pub String);

/// Parses `"500ms"`, `"5s"`, `"30m"`, `"2h"`, `"7d"`.
///
/// # Errors
/// [`DurationError`] for every other form and for durations above 2^64 - 1 ms.
///
/// ```
/// # use forge_actors::kernel::time::{parse_duration, minutes};
/// assert_eq!(parse_duration("30m"), Ok(minutes(30)));
/// assert!(parse_duration("30").is_err());
/// ```
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let error = || DurationError(text.to_owned());
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
    let (digits, unit) = text.split_at(split);
    let count: u64 = digits.parse().map_err(|_| error())?;
    let millis_per_unit: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(error()),
    };
    count.checked_mul(millis_per_unit).map(Duration::from_millis).ok_or_else(error)
}

/// Writes a duration in the largest unit that divides it, in the form that [`parse_duration`] reads. Parts
/// below a millisecond are cut off.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)]
        .into_iter()
        .find(|(_, unit)| ms != 0 && ms.is_multiple_of(*unit))
        .map_or_else(|| format!("{ms}ms"), |(name, unit)| format!("{}{name}", ms / unit))
}

/// The duration in milliseconds, to a microsecond: a figure that people read.
///
/// ```
/// # use forge_actors::kernel::time::fractional_millis;
/// assert_eq!(fractional_millis(std::time::Duration::from_nanos(321_739)).to_string(), "0.321");
/// ```
pub fn fractional_millis(duration: Duration) -> f64 {
    duration.as_micros() as f64 / 1_000.0
}

/// Nanoseconds of the monotonic clock that stands still for one kernel tick (1 to 4 ms). Reading it costs a
/// few nanoseconds, a precise one several times that.
pub(crate) fn coarse_ns() -> u64 {
    #[cfg(target_os = "linux")]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::MonotonicCoarse;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    let now = rustix::time::clock_gettime(CLOCK);
    u64::try_from(Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs() as u32).as_nanos())
        .unwrap_or(u64::MAX)
}

/// Durations in configuration files: a field with `#[serde(with = "serde_duration")]` is `"5s"`.
pub mod serde_duration {
    use std::borrow::Cow;
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer, de};

    /// Writes the form that [`deserialize`] reads.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::format_duration(*duration))
    }

    /// Reads `"500ms"`, `"5s"`, `"30m"`, `"2h"`, `"7d"`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        super::parse_duration(&text).map_err(de::Error::custom)
    }
}
