//! The reader of `forge_changes`.

use crate::db::handle::Db;
use crate::kernel::fault::Fault;

use super::state::{ChangeSet, Cursor};
use super::store;

/// Follows the table of changes from poll to poll. A clone has a cursor of its own, which starts where the
/// original stands.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    cursor: Cursor,
}

impl Tail {
    /// A tail that has read nothing: its first poll returns `Everything`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns what was committed since the last poll, as a statement of `db` sees it. In a transaction with
    /// one snapshot this is exactly what the other statements of the transaction see.
    ///
    /// A caller that cannot act on the batch goes on with a clone from before the poll.
    ///
    /// # Errors
    /// When the database cannot be read. The cursor stays, so the next poll returns these changes as well.
    pub async fn read(&mut self, db: &Db) -> Result<ChangeSet, Fault> {
        let polled = store::read_changes(db, self.cursor.since()).await?;
        Ok(self.cursor.advance(polled))
    }
}
