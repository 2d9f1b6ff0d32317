//! The reader of changes.

use crate::db::handle::Db;
use crate::kernel::fault::Fault;

use super::state::{Batch, Cursor};
use super::store;

/// Follows what is committed, from look to look. A clone follows on its own from where it was cloned.
#[derive(Debug, Clone, Default)]
pub struct Tail {
    cursor: Cursor,
}

impl Tail {
    /// One that has seen nothing: its first look says `Everything`.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was committed since the last look, as a statement of `db` sees it: in a transaction with one
    /// snapshot, exactly what its other statements see. After a fault the next look tells what this one would
    /// have told; a caller that fails after it goes on with a clone from before.
    pub async fn read(&mut self, db: &Db) -> Result<Batch, Fault> {
        let look = store::read_changes(db, self.cursor.since()).await?;
        Ok(self.cursor.advance(look))
    }
}
