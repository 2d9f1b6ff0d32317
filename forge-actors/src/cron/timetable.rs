//! A cron expression on the clock of a time zone: which instants it names.
//!
//! The expression is matched on *local* time, as people read it from a wall. Where the clock is set forward a
//! part of the local day does not exist, where it is set back a part of it comes twice. Two rules say what
//! that means, and which of them holds depends on what the expression says:
//!
//! - With a named minute and hour (`30 2 * * *`) it says *when*. It runs exactly once for each local time
//!   that it names: for one that does not exist, at the first instant after the gap; for one that comes
//!   twice, at the first of the two. Times that fall on one instant in this way are one run.
//! - With a `*` or a step in the minute or the hour (`*/30 * * * *`) it says *how often*. It runs at every
//!   instant whose local time fits: not in what does not exist, and in both halves of what comes twice.
//!
//! These are the rules of Vixie's cron. The crate `cron` loses the run of a gap and doubles that of an
//! overlap.

use chrono::{
    Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Timelike, Utc,
};
use chrono_tz::{GapInfo, Tz};
use forge_cron::{Expression, ExpressionError, TimeOfDay, zone_names};

use crate::kernel::fault::{Fault, FieldError};
use crate::kernel::similar::nearest;
use crate::kernel::time::Timestamp;

/// How far the next time is looked for: the 29th of February of a given weekday comes after 40 years at the
/// latest.
const SEARCH: TimeDelta = TimeDelta::days(50 * 366);
/// The offset of a zone changes at most once within this time.
const STEP: TimeDelta = TimeDelta::days(1);
const SECOND: TimeDelta = TimeDelta::seconds(1);

/// An expression and its zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timetable {
    expression: Expression,
    zone: Tz,
}

/// Why there is no timetable, or no next time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimetableError {
    /// The expression is none.
    #[error("{0}")]
    Expression(#[from] ExpressionError),
    /// The zone is none.
    #[error("there is no time zone `{name}`{}", hint(*near))]
    Zone {
        /// As it was written.
        name: String,
        /// A zone of a similar name.
        near: Option<&'static str>,
    },
    /// The expression names no time that is near enough to be found.
    #[error("the schedule has no time within 50 years of {after}")]
    TooFar {
        /// Where the search began.
        after: Timestamp,
    },
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

impl From<TimetableError> for Fault {
    /// The schedule came from a caller, who can read what is wrong with it.
    fn from(error: TimetableError) -> Self {
        let field = match &error {
            TimetableError::Expression(_) | TimetableError::TooFar { .. } => "expression",
            TimetableError::Zone { .. } => "timezone",
        };
        Self::validation(vec![FieldError::new(field, "schedule", error.to_string())])
    }
}

impl Timetable {
    /// Reads an expression and the name of a zone.
    ///
    /// # Errors
    /// Says which of both is wrong, and where.
    ///
    /// ```
    /// # use forge_actors::cron::Timetable;
    /// let mornings = Timetable::parse("0 9 * * MON-FRI", "Europe/Berlin").expect("a schedule");
    /// let after = "2026-03-27T12:00:00Z".parse().expect("a time");
    /// // The clocks were set forward on Sunday.
    /// assert_eq!(mornings.next_after(after).expect("a time").to_rfc3339(), "2026-03-30T07:00:00+00:00");
    /// ```
    pub fn parse(expression: &str, zone: &str) -> Result<Self, TimetableError> {
        let expression = Expression::parse(expression)?;
        let zone = zone
            .parse()
            .map_err(|_| TimetableError::Zone { name: zone.to_owned(), near: nearest(zone, zone_names()) })?;
        Ok(Self { expression, zone })
    }

    /// The first time after `after`.
    ///
    /// # Errors
    /// [`TimetableError::TooFar`] when there is none within 50 years.
    pub fn next_after(&self, after: Timestamp) -> Result<Timestamp, TimetableError> {
        let next =
            if self.expression.is_fixed() { self.next_fixed(after) } else { self.next_repeated(after) };
        next.ok_or(TimetableError::TooFar { after })
    }

    /// The next `count` times after `after`; fewer where the search ends.
    pub fn upcoming(&self, after: Timestamp, count: usize) -> Vec<Timestamp> {
        let next = |from: &Timestamp| self.next_after(*from).ok();
        std::iter::successors(next(&after), next).take(count).collect()
    }

    /// What the clock of the zone shows at `at`.
    pub fn local(&self, at: Timestamp) -> NaiveDateTime {
        at.with_timezone(&self.zone).naive_local()
    }

    /// The same for people, with the zone's abbreviation of that time: `2026-03-30 09:00:00 CEST`.
    pub fn local_text(&self, at: Timestamp) -> String {
        at.with_timezone(&self.zone).format("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    /// Each fitting local time is one instant.
    fn next_fixed(&self, after: Timestamp) -> Option<Timestamp> {
        let mut local = whole_second(self.local(after));
        let end = local.checked_add_signed(SEARCH)?;
        loop {
            local = self.next_local(local + SECOND, end)?;
            // Local times that have passed may come once more, where the clock was set back.
            let at = self.instant(local)?;
            if at > after {
                return Some(at);
            }
        }
    }

    /// The instant of a local time: the first one of two, and the end of the gap for a time that does not
    /// exist.
    fn instant(&self, local: NaiveDateTime) -> Option<Timestamp> {
        let found = self.zone.from_local_datetime(&local).earliest();
        let found = found.or_else(|| GapInfo::new(&local, &self.zone).and_then(|gap| gap.end));
        Some(found?.with_timezone(&Utc))
    }

    /// Each instant whose local time fits. Between two changes of the offset, local time runs as UTC does.
    fn next_repeated(&self, after: Timestamp) -> Option<Timestamp> {
        let mut from = Utc.from_utc_datetime(&whole_second(after.naive_utc())) + SECOND;
        let end = from.checked_add_signed(SEARCH)?;
        while from < end {
            let offset = self.offset(from);
            let until = self.change_within(from, from.checked_add_signed(STEP)?);
            let (first, last) = (from.naive_utc() + offset, until.naive_utc() + offset);
            if let Some(local) = self.next_local(first, last) {
                return Some(Utc.from_utc_datetime(&(local - offset)));
            }
            from = until;
        }
        None
    }

    /// Local time minus UTC.
    fn offset(&self, at: Timestamp) -> TimeDelta {
        self.local(at) - at.naive_utc()
    }

    /// The first instant after `from` with another offset, or `until` when there is none before.
    fn change_within(&self, from: Timestamp, until: Timestamp) -> Timestamp {
        let offset = self.offset(from);
        if self.offset(until) == offset {
            return until;
        }
        let (mut same, mut other) = (from, until);
        while other - same > SECOND {
            let middle = same + TimeDelta::seconds((other - same).num_seconds() / 2);
            if self.offset(middle) == offset {
                same = middle;
            } else {
                other = middle;
            }
        }
        other
    }

    /// The first fitting local time from `from` on and before `until`.
    fn next_local(&self, from: NaiveDateTime, until: NaiveDateTime) -> Option<NaiveDateTime> {
        let (mut date, mut time) = (from.date(), time_of_day(from.time()));
        while date.and_time(NaiveTime::MIN) < until {
            if self.fits(date)
                && let Some((hour, minute, second)) = self.expression.time_from(time)
            {
                let found = date.and_hms_opt(hour.into(), minute.into(), second.into())?;
                return (found < until).then_some(found);
            }
            (date, time) = (self.next_date(date)?, (0, 0, 0));
        }
        None
    }

    fn fits(&self, date: NaiveDate) -> bool {
        let weekday = small(date.weekday().num_days_from_sunday());
        self.expression.fits_day(small(date.month()), small(date.day()), weekday)
    }

    /// The day after `date`; the first of the next month, where the month of `date` does not fit.
    fn next_date(&self, date: NaiveDate) -> Option<NaiveDate> {
        if self.expression.fits_month(small(date.month())) {
            return date.checked_add_days(Days::new(1));
        }
        date.with_day(1)?.checked_add_months(Months::new(1))
    }
}

fn whole_second(time: NaiveDateTime) -> NaiveDateTime {
    time.with_nanosecond(0).unwrap_or(time)
}

fn time_of_day(time: NaiveTime) -> TimeOfDay {
    (small(time.hour()), small(time.minute()), small(time.second()))
}

/// A part of a date or of a time of day, all of which are small.
fn small(part: u32) -> u8 {
    u8::try_from(part).unwrap_or(u8::MAX)
}
