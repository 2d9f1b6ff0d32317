//! Cron expressions: read, checked and explained. They say nothing of time zones, and know no clock.
//!
//! The attribute `#[forge::cron]` checks an expression while it compiles, and a node reads the same text when
//! it runs. A crate of macros exports only macros, so what both need stands here, below both and without
//! dependencies.
//!
//! The dialect is that of Vixie's cron, which people know from `crontab`: five fields, weekdays from 0
//! (Sunday) to 7 (Sunday as well), and a day that fits *either* the day of the month or the weekday when both
//! are restricted. A sixth field in front is the second.

mod error;
mod expression;
mod field;
mod zone;

pub use error::ExpressionError;
pub use expression::{Expression, TimeOfDay};
pub use zone::{is_zone, zone_names};

#[cfg(test)]
mod tests;
