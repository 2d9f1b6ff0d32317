//! Idempotency keys: a mutation that is sent twice happens once, and both callers get the same answer.
//!
//! The key is reserved first in the mutation's own transaction and the answer is stored last, so that key,
//! effect and answer commit together. A second call with the same key waits for the first one: when the first
//! one commits, its answer is replayed; when the first one fails, the second one runs. Failures are therefore
//! not stored. Calls of one node wait for their turn before they take a connection ([`KeyTurns`]), so that a
//! client which repeats a slow call does not take the connections of others; calls of several nodes wait at
//! the primary key, with one connection for each node.
//!
//! A key belongs to one function and one caller; with other arguments it is a `CONFLICT`. The answer of a
//! `public` function is not stored, since it may be a token: a repeat there is `ALREADY_DONE`, which says
//! that the first call is committed. All anonymous callers are one caller, so their keys must be random.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use dashmap::DashMap;
use sha2::{Digest, Sha256};
use sqlx::Row;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::canonical::canonical_args;
use crate::db::handle::Db;
use crate::kernel::commit::{Receipt, Xid};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::time::hours;

/// How long an answer is kept.
const RETENTION: Duration = hours(24);
/// Rows that one statement deletes.
pub(super) const DELETE_MAX: u32 = 10_000;

/// A call that has an idempotency key: who calls what with which arguments, as digests.
pub(super) struct KeyedCall<'a> {
    function: &'a str,
    digest: [u8; 32],
    args_hash: [u8; 32],
}

/// The calls with a key that run on this node: those with the same key take turns.
#[derive(Debug, Default)]
pub(super) struct KeyTurns(Arc<DashMap<[u8; 32], Arc<Semaphore>>>);

/// The turn of one call.
pub(super) struct KeyTurn {
    digest: [u8; 32],
    turns: Arc<DashMap<[u8; 32], Arc<Semaphore>>>,
    /// Taken only when the turn is dropped.
    held: Option<OwnedSemaphorePermit>,
}

impl KeyTurns {
    /// Waits until no other call of this node has the same key.
    pub(super) async fn wait(&self, call: &KeyedCall<'_>) -> KeyTurn {
        let entry = self.0.entry(call.digest).or_insert_with(|| Arc::new(Semaphore::new(1)));
        let waiting = Arc::clone(&entry);
        drop(entry);
        // Dropped with the future when the caller's time is over: it then leaves no entry behind.
        let mut turn = KeyTurn { digest: call.digest, turns: Arc::clone(&self.0), held: None };
        turn.held = Some(waiting.acquire_owned().await.expect("the semaphore is never closed"));
        turn
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Drop for KeyTurn {
    fn drop(&mut self) {
        drop(self.held.take());
        // The map's own handle is the last one when no call has or awaits the turn. New calls take theirs
        // under the lock of the map, as this does.
        self.turns.remove_if(&self.digest, |_, turn| Arc::strong_count(turn) == 1);
    }
}

/// The answer to the first call with the same key, and the receipt of its commit.
pub(super) struct Replay {
    pub(super) answer: Bytes,
    pub(super) receipt: Receipt,
}

impl<'a> KeyedCall<'a> {
    /// The key of a call; `None` when the call has none.
    pub(super) fn of(invocation: &'a Invocation) -> Option<Self> {
        let key = invocation.idempotency_key.as_ref()?.as_str();
        let identity = invocation.caller.identity.as_deref();
        let tenant = identity.and_then(|identity| identity.tenant.as_deref()).unwrap_or_default();
        let subject = identity.map(|identity| identity.subject.as_str()).unwrap_or_default();
        let mut hasher = Sha256::new();
        // An identity with an empty subject must not share the keys of anonymous callers.
        hasher.update([u8::from(identity.is_some())]);
        for part in [&*invocation.name, tenant, subject, key] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let args_hash = Sha256::digest(canonical_args(&invocation.args)).into();
        Some(Self { function: &invocation.name, digest: hasher.finalize().into(), args_hash })
    }

    /// Waits until every other running call with the same key has ended. Returns `None` when this call is the
    /// first one, and otherwise the answer of the first one.
    ///
    /// # Errors
    /// `CONFLICT` when the key was used with other arguments; `ALREADY_DONE` when the answer is not kept.
    pub(super) async fn reserve(&self, db: &Db) -> Result<Option<Replay>, Fault> {
        let reserve = sqlx::query(include_str!("sql/reserve_key.sql"));
        let reserve =
            reserve.bind(self.digest.as_slice()).bind(self.function).bind(self.args_hash.as_slice());
        if reserve.fetch_optional(db).await?.is_some() {
            return Ok(None);
        }
        let found = sqlx::query(include_str!("sql/find_answer.sql"))
            .bind(self.digest.as_slice())
            .fetch_optional(db)
            .await?;
        // The row expired and was deleted between the two statements. The caller's next try is the first
        // call.
        let row = found.ok_or_else(|| {
            Fault::new(Code::Conflict, "the idempotency key has just expired").retry_after(Duration::ZERO)
        })?;
        if row.try_get::<Vec<u8>, _>("args_hash")? != self.args_hash {
            return Err(Fault::new(
                Code::Conflict,
                "the idempotency key was used with other arguments: each call needs a key of its own",
            ));
        }
        let answer: Option<Vec<u8>> = row.try_get("answer")?;
        let already_done = || {
            let message = "this call was made before and is committed; the responses of public functions are \
                           not kept, so it cannot be given again";
            Fault::new(Code::AlreadyDone, message)
                .with_help("read what the call did; use a new key for another call")
        };
        let answer = answer.ok_or_else(already_done)?.into();
        let xid: String = row.try_get("xid")?;
        Ok(Some(Replay { answer, receipt: Receipt { xid: xid.parse().ok().map(Xid), ..Receipt::default() } }))
    }

    /// Stores the answer of the first call.
    pub(super) async fn store(&self, db: &Db, answer: &[u8]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/store_answer.sql"))
            .bind(self.digest.as_slice())
            .bind(answer)
            .execute(db)
            .await?;
        Ok(())
    }
}

/// Deletes answers that are older than the retention, at most [`DELETE_MAX`]. Returns their number.
pub(super) async fn delete_old_keys(db: &Db) -> Result<u64, Fault> {
    let delete = sqlx::query(include_str!("sql/delete_old_keys.sql"));
    let delete = delete.bind(RETENTION.as_secs_f64()).bind(i64::from(DELETE_MAX));
    Ok(delete.execute(db).await?.rows_affected())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::invocation::Caller;

    fn invocation(key: &str) -> Invocation {
        let key = Some(key.parse().expect("a key"));
        Invocation { idempotency_key: key, ..Invocation::new("a.b", &b"{}"[..], Caller::default()) }
    }

    #[tokio::test]
    async fn calls_with_one_key_take_turns_and_leave_nothing() {
        let turns = KeyTurns::default();
        let (one, other) = (invocation("one"), invocation("other"));
        let (one, other) = (KeyedCall::of(&one).expect("keyed"), KeyedCall::of(&other).expect("keyed"));
        let first = turns.wait(&one).await;
        let beside = turns.wait(&other).await;
        let mut second = std::pin::pin!(turns.wait(&one));
        assert!(futures::poll!(&mut second).is_pending());
        {
            let mut cut = std::pin::pin!(turns.wait(&one));
            assert!(futures::poll!(&mut cut).is_pending());
        }
        drop((first, beside));
        drop(second.await);
        assert_eq!(turns.len(), 0);
    }
}
