//! A whole expression, and which days and times of day fit it.

use crate::error::ExpressionError;
use crate::field::{FIELDS, Field, Part, Values};

/// Bytes of an expression at most. The longest that says something is far shorter.
const TEXT_BYTES_MAX: usize = 256;

/// Nicknames and what they stand for.
const NICKNAMES: &[(&str, &str)] = &[
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// A time on the clock's face: hour, minute, second.
pub type TimeOfDay = (u8, u8, u8);

/// A cron expression. It is a statement about the clock on a wall; where that wall stands is not its subject.
///
/// ```
/// use forge_cron::Expression;
///
/// let mornings = Expression::parse("0 9 * * MON-FRI").expect("an expression");
/// assert!(mornings.fits_day(11, 27, 5) && !mornings.fits_day(11, 28, 6));
/// assert_eq!(mornings.time_from((0, 0, 0)), Some((9, 0, 0)));
/// assert!(Expression::parse("61 9 * * *").is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expression {
    seconds: u64,
    minutes: u64,
    hours: u64,
    days: u64,
    months: u64,
    weekdays: u64,
    /// A day fits the day of the month or the weekday, and not both.
    either_day: bool,
    is_fixed: bool,
}

impl Expression {
    /// Reads five fields (minute, hour, day of the month, month, weekday), six with the second in front, or a
    /// nickname such as `@daily`.
    ///
    /// # Errors
    /// Says which part is wrong and how. A date that no year has, the 30th of February, is wrong too.
    pub fn parse(text: &str) -> Result<Self, ExpressionError> {
        let whole = Part::whole(text);
        if text.len() > TEXT_BYTES_MAX {
            return Err(whole.error(format!("the expression is longer than {TEXT_BYTES_MAX} bytes")));
        }
        if text.trim_start().starts_with('@') {
            return Self::nickname(whole);
        }
        let parts: Vec<_> =
            whole.split(char::is_whitespace).into_iter().filter(|part| !part.as_str().is_empty()).collect();
        let first = match parts.len() {
            5 => 1,
            6 => 0,
            count => {
                let message = format!(
                    "an expression has 5 fields (minute, hour, day of the month, month, weekday), or 6 with \
                     the second in front; this one has {count}"
                );
                return Err(whole.error(message));
            }
        };
        let fields = FIELDS[first..].iter().zip(&parts);
        let mut values = vec![Values { set: 1, is_any: false, is_repeated: false }; first];
        for (field, part) in fields {
            values.push(field.parse(*part)?);
        }
        let [second, minute, hour, day, month, weekday] = values[..] else {
            return Err(whole.error("an expression has 5 or 6 fields"));
        };
        let expression = Self {
            seconds: second.set,
            minutes: minute.set,
            hours: hour.set,
            days: day.set,
            months: month.set,
            weekdays: weekday.set,
            either_day: !day.is_any && !weekday.is_any,
            is_fixed: !minute.is_repeated && !hour.is_repeated,
        };
        if !expression.comes() {
            let [.., day, month, _] = parts[..] else { return Err(whole.error("no such date")) };
            let message =
                format!("this never comes: no month of `{}` has a day of `{}`", month.as_str(), day.as_str());
            return Err(ExpressionError::new(text, day.span().start..month.span().end, message));
        }
        Ok(expression)
    }

    fn nickname(text: Part<'_>) -> Result<Self, ExpressionError> {
        let word = text.as_str().trim();
        let known = NICKNAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word));
        let Some((_, meaning)) = known else {
            let names: Vec<_> = NICKNAMES.iter().map(|(name, _)| *name).collect();
            return Err(text.error(format!("`{word}` is no nickname: there are {}", names.join(", "))));
        };
        Self::parse(meaning)
    }

    /// True when some year has such a date.
    fn comes(&self) -> bool {
        // Every weekday comes in every month, and in a cycle of 400 years on every date.
        self.either_day
            || (1..=12).any(|month| has(self.months, month) && smallest(self.days, 1) <= Some(longest(month)))
    }

    /// True when the minute and the hour are named, as in `30 2 * * *`: the expression says *when* it comes.
    /// With a `*` or a step in one of them it says *how often*.
    pub fn is_fixed(&self) -> bool {
        self.is_fixed
    }

    /// True when a month fits, 1 is January.
    pub fn fits_month(&self, month: u8) -> bool {
        has(self.months, month)
    }

    /// True when a date fits; the weekday 0 is Sunday.
    pub fn fits_day(&self, month: u8, day: u8, weekday: u8) -> bool {
        let (day, weekday) = (has(self.days, day), has(self.weekdays, weekday));
        self.fits_month(month) && if self.either_day { day || weekday } else { day && weekday }
    }

    /// The first fitting time of day that is not before `from`.
    pub fn time_from(&self, (hour, minute, second): TimeOfDay) -> Option<TimeOfDay> {
        let earliest = |set| smallest(set, 0).unwrap_or_default();
        if has(self.hours, hour) {
            if has(self.minutes, minute)
                && let Some(second) = smallest(self.seconds, second)
            {
                return Some((hour, minute, second));
            }
            if let Some(minute) = smallest(self.minutes, minute + 1) {
                return Some((hour, minute, earliest(self.seconds)));
            }
        }
        let hour = smallest(self.hours, hour + 1)?;
        Some((hour, earliest(self.minutes), earliest(self.seconds)))
    }
}

fn has(set: u64, value: u8) -> bool {
    set & (1 << value) != 0
}

/// The smallest value of a set that is not below `from`, which is below 64.
fn smallest(set: u64, from: u8) -> Option<u8> {
    let rest = set & (u64::MAX << from);
    u8::try_from(rest.trailing_zeros()).ok().filter(|_| rest != 0)
}

/// Days of a month in the year in which it has most.
fn longest(month: u8) -> u8 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

const _: () = assert!(all_fit(&FIELDS), "the values of every field are bits of one number");

const fn all_fit(fields: &[Field; 6]) -> bool {
    let mut index = 0;
    while index < fields.len() {
        if fields[index].all() == 0 || fields[index].max > 62 {
            return false;
        }
        index += 1;
    }
    true
}
