//! The oldest transaction of the database that holds vacuum back. As long as it is open, vacuum removes no
//! row version that it may still see, and the cursor of changes stays behind it.

use std::time::Duration;

use crate::kernel::printable::escape;

/// Characters of a name that are shown.
const NAME_CHARS_MAX: usize = 100;

/// The oldest transaction that holds vacuum back.
#[derive(Debug, Clone, PartialEq)]
pub struct LongTransaction {
    /// The server process; 0 for a prepared transaction, which has none.
    pub pid: i32,
    /// Its `application_name`, or what it was prepared as.
    pub name: String,
    /// How long it has been open.
    pub age: Duration,
}

impl LongTransaction {
    /// A row of `sql/find_oldest_transaction.sql`.
    pub(super) fn of_row((pid, name, seconds): (i32, String, f64)) -> Self {
        let age = Duration::try_from_secs_f64(seconds).unwrap_or_default();
        Self { pid, name: escape(&name, NAME_CHARS_MAX), age }
    }

    /// True when `before` was an earlier moment of the same transaction.
    pub(super) fn continues(&self, before: &Self) -> bool {
        before.pid == self.pid && before.name == self.name && before.age < self.age
    }
}
