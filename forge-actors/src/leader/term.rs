//! [`Term`]: the right to perform the duties of a leadership, for as long as it lasts.

use std::fmt;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::leadership::Leadership;
use super::signals;
use super::store;
use crate::db::database::Database;
use crate::db::transaction::{Transaction, TransactionOptions};
use crate::kernel::fault::Fault;
use crate::kernel::ids::NodeId;
use crate::kernel::time::secs;
use crate::test_signals::{Step, pause_point};

/// Postgres ends a duty's transaction that idles for longer: the next election waits for it.
pub const IDLE_MAX: Duration = secs(3);

/// One term of this node as leader. Terms are equal when leadership, epoch and node are.
#[derive(Debug, Clone)]
pub struct Term {
    /// What is led.
    pub leadership: Leadership,
    /// Grows with every term of the leadership, whichever node leads.
    pub epoch: i64,
    /// This node.
    pub node: NodeId,
    /// The elector moves it with each renewal, and into the past when the term ends.
    deadline: watch::Receiver<Instant>,
}

impl PartialEq for Term {
    fn eq(&self, other: &Self) -> bool {
        (self.leadership, self.epoch, self.node) == (other.leadership, other.epoch, other.node)
    }
}

impl Eq for Term {}

impl fmt::Display for Term {
    /// `leadership.epoch`, for example `jobs.3`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.leadership, self.epoch)
    }
}

/// Why a transaction of a duty did not begin.
#[derive(Debug, thiserror::Error)]
pub enum TermError {
    /// Another node leads, or may lead by now.
    #[error("epoch {epoch} of the leadership `{leadership}` is over: nothing was written")]
    Over {
        /// What was led.
        leadership: Leadership,
        /// The term's number.
        epoch: i64,
    },
    /// The database failed.
    #[error(transparent)]
    Database(#[from] Fault),
}

impl From<TermError> for Fault {
    fn from(error: TermError) -> Self {
        match error {
            TermError::Database(fault) => fault,
            over @ TermError::Over { .. } => Self::internal(over),
        }
    }
}

impl Term {
    pub(super) fn new(
        leadership: Leadership,
        epoch: i64,
        node: NodeId,
        deadline: watch::Receiver<Instant>,
    ) -> Self {
        Self { leadership, epoch, node, deadline }
    }

    /// True until the local deadline, which lies before the moment at which Postgres may free the lock. A
    /// duty that acts outside of the database checks it before each step; the database checks the epoch.
    pub fn is_held(&self) -> bool {
        Instant::now() < *self.deadline.borrow()
    }

    /// Begins a transaction that commits only as a part of this term: the next leader is elected after it has
    /// ended. `label` is shown in `pg_stat_activity`; `statement_timeout` bounds each statement, and with it
    /// how long an election may have to wait.
    ///
    /// # Errors
    /// [`TermError::Over`] when the deadline has passed or the database knows a newer term.
    pub async fn begin(
        &self,
        database: &Database,
        label: &str,
        statement_timeout: Duration,
    ) -> Result<Transaction, TermError> {
        if !self.is_held() {
            return Err(self.refused());
        }
        pause_point(Step::TermChecked, self).await;
        let options = TransactionOptions::new(label, statement_timeout);
        let transaction = database.begin(options).await?;
        if store::lock_term(&transaction.db(), self.leadership, self.epoch, self.node, IDLE_MAX).await? {
            pause_point(Step::TermLocked, self).await;
            return Ok(transaction);
        }
        transaction.rollback().await;
        Err(self.refused())
    }

    fn refused(&self) -> TermError {
        signals::refused(self.leadership);
        TermError::Over { leadership: self.leadership, epoch: self.epoch }
    }
}
