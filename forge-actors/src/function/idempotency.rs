//! Idempotency keys: a mutation that is sent twice happens once, and both callers get the same answer.
//!
//! The key is reserved first in the mutation's own transaction and the answer is stored last, so that key,
//! effect and answer commit together. A second call with the same key waits for the first one at the primary
//! key: when the first one commits, its answer is replayed; when the first one fails, the second one runs.
//! Failures are therefore not stored.
//!
//! A key belongs to one function and one caller; with other arguments it is a `CONFLICT`. The answer of a
//! `public` function is not stored, since it may be a token: a repeat there is a `CONFLICT` as well, and the
//! mutation still happens once. All anonymous callers are one caller, so their keys must be random.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::Row;

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
    /// `CONFLICT` when the key was used with other arguments, or for a call whose answer is not kept.
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
        let not_kept = "this call was made before; the answers of public functions are not kept, so it \
                        cannot be given again";
        let answer = answer.ok_or_else(|| Fault::new(Code::Conflict, not_kept))?.into();
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
