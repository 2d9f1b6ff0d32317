//! How many sessions of the write pool one function may hold: not all of them.
//!
//! A mutation that waits for a lock holds its session meanwhile. With the whole pool, one row that is locked
//! would end every mutation of the node. Those of one function wait here, in order, before they wait in the
//! pool.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::db::config::DatabaseConfig;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::time::secs;

/// The part of the pool that is left to other functions: one session in this many, and at least one.
const LEFT_TO_OTHERS: usize = 4;

/// The sessions of each function.
pub(super) struct TransactionShares {
    functions: HashMap<String, Arc<Semaphore>>,
    /// Time for a session, as in the pool.
    acquire_timeout: Duration,
}

impl TransactionShares {
    pub(super) fn new<'a>(config: &DatabaseConfig, functions: impl Iterator<Item = &'a str>) -> Self {
        let share = share_of(config.write_connections_max);
        let functions = functions.map(|name| (name.to_owned(), Arc::new(Semaphore::new(share)))).collect();
        Self { functions, acquire_timeout: config.acquire_timeout }
    }

    /// Waits until `function` holds fewer sessions than it may. `None` for a function that is not in the
    /// catalog.
    ///
    /// # Errors
    /// `OVERLOADED` when its transactions hold all of them for longer than a session is waited for.
    pub(super) async fn enter(&self, function: &str) -> Result<Option<OwnedSemaphorePermit>, Fault> {
        let Some(sessions) = self.functions.get(function) else { return Ok(None) };
        match tokio::time::timeout(self.acquire_timeout, Arc::clone(sessions).acquire_owned()).await {
            Ok(permit) => permit.map(Some).map_err(Fault::internal),
            Err(_) => {
                let message = format!("`{function}` is at its limit of database connections");
                let help = "try again after `retryAfterMs`, or raise `database.write_connections_max`";
                Err(Fault::new(Code::Overloaded, message).with_help(help).retry_after(secs(1)))
            }
        }
    }
}

/// A pool of one session has none to leave.
fn share_of(sessions: usize) -> usize {
    (sessions - (sessions / LEFT_TO_OTHERS).max(1).min(sessions)).clamp(1, Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_sessions_are_left_to_others() {
        for (sessions, share) in [(0, 1), (1, 1), (2, 1), (4, 3), (16, 12), (100, 75)] {
            assert_eq!(share_of(sessions), share, "{sessions} sessions");
        }
    }

    #[tokio::test]
    async fn a_function_with_its_share_is_refused_and_others_are_not() {
        let config = DatabaseConfig {
            write_connections_max: 2,
            acquire_timeout: Duration::from_millis(10),
            ..DatabaseConfig::default()
        };
        let shares = TransactionShares::new(&config, ["a", "b"].into_iter());
        let held = shares.enter("a").await.expect("a session");
        assert_eq!(shares.enter("a").await.expect_err("one session").code(), Code::Overloaded);
        assert!(shares.enter("b").await.is_ok());
        drop(held);
        assert!(shares.enter("a").await.is_ok());
    }
}
