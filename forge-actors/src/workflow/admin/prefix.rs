//! The runs that the beginning of an id may mean.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

use super::filter::{WorkflowFilter, WorkflowSearch};
use super::list::{RunRange, list_range};
use super::rows::WorkflowRow;
use crate::db::handle::Db;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;

/// Runs of one answer.
const FOUND_MAX: u16 = 11;
/// Hexadecimal digits of a whole id.
const DIGITS: usize = 32;

/// The first digits of the id of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunPrefix {
    /// The digits, without dashes and in lower case: [`DIGITS_MIN`](Self::DIGITS_MIN) to 32.
    digits: String,
}

impl RunPrefix {
    /// An id begins with the time of its start: six digits stand for 4.7 hours of starts, nine for 4 seconds.
    pub const DIGITS_MIN: usize = 6;

    /// Reads digits, with or without dashes.
    ///
    /// # Errors
    /// `BAD_REQUEST` when they are too few or too many, or no hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        text.parse().map_err(|NoPrefix| Fault::new(Code::BadRequest, NoPrefix.to_string()))
    }

    /// The smallest and the largest id that begins with these digits.
    fn bounds(&self) -> (RunId, RunId) {
        let filled = |digit: char| {
            let text: String = self.digits.chars().chain(std::iter::repeat(digit)).take(DIGITS).collect();
            let number = u128::from_str_radix(&text, 16).expect("there are 32 hexadecimal digits");
            RunId::from_uuid(Uuid::from_u128(number))
        };
        (filled('0'), filled('f'))
    }
}

/// A text that is not the beginning of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the beginning of an id has {} to 32 hexadecimal digits", RunPrefix::DIGITS_MIN)]
pub struct NoPrefix;

impl FromStr for RunPrefix {
    type Err = NoPrefix;

    fn from_str(text: &str) -> Result<Self, NoPrefix> {
        let digits: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_lowercase()).collect();
        let is_prefix = (Self::DIGITS_MIN..=DIGITS).contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        if is_prefix { Ok(Self { digits }) } else { Err(NoPrefix) }
    }
}

impl fmt::Display for RunPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.digits)
    }
}

/// The runs whose ids begin so, newest first, 11 at most.
pub async fn find_by_prefix(db: &Db, prefix: RunPrefix) -> Result<Vec<WorkflowRow>, Fault> {
    let search = WorkflowSearch::new(WorkflowFilter::default())?;
    let (first, last) = prefix.bounds();
    list_range(db, &search, &search.sources(), &RunRange::through(first, last), FOUND_MAX).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_are_read_with_and_without_dashes() {
        for (text, digits) in [
            ("0190ab", "0190ab"),
            ("0190AB12-34", "0190ab1234"),
            ("01900000-0000-7000-8000-000000000001", "01900000000070008000000000000001"),
        ] {
            assert_eq!(text.parse(), Ok(RunPrefix { digits: digits.to_owned() }));
        }
        for wrong in ["", "0190a", "0190ag", "01900000-0000-7000-8000-0000000000011", "a run"] {
            assert_eq!(wrong.parse::<RunPrefix>(), Err(NoPrefix), "{wrong}");
        }
    }

    #[test]
    fn a_prefix_bounds_the_ids_that_begin_with_it() {
        let (first, last) = RunPrefix::parse("0190ab").expect("a prefix").bounds();
        assert_eq!(first.to_string(), "0190ab00-0000-0000-0000-000000000000");
        assert_eq!(last.to_string(), "0190abff-ffff-ffff-ffff-ffffffffffff");
    }
}
