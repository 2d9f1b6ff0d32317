//! Idempotency keys: a mutation that is sent twice happens once, and both are answered alike.
//!
//! The key is reserved first in the mutation's own transaction and its answer is stored last, so that key,
//! effect and answer commit together. A call with the same key that comes meanwhile waits for the first one
//! at the primary key: when that commits its answer is replayed, when it fails the waiting one runs. Failures
//! are therefore not stored. A key belongs to one function and one caller; with other arguments it is a
//! `CONFLICT`. Of a `public` function the answer is not kept, since it may be a token: there a repeat is a
//! `CONFLICT` as well, and still happens once. Anonymous callers are one caller: their keys must be random.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use sqlx::Row;

use crate::db::database::Database;
use crate::db::handle::Db;
use crate::kernel::commit::{Receipt, Xid};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::kernel::time::hours;

/// How long an answer is kept.
const RETENTION: Duration = hours(24);
/// Rows that one deletion takes; the rest waits for the next one.
const DELETE_MAX: i64 = 10_000;

/// The key of one call.
pub(super) struct Key<'a> {
    function: &'a str,
    digest: [u8; 32],
    args_hash: [u8; 32],
}

/// What the first call with the same key was answered, and what it committed.
pub(super) struct Replay {
    pub(super) answer: Bytes,
    pub(super) receipt: Receipt,
}

impl<'a> Key<'a> {
    /// The key of a call that has one.
    pub(super) fn of(invocation: &'a Invocation) -> Option<Self> {
        let key = invocation.idempotency_key.as_ref()?.as_str();
        let identity = invocation.caller.identity.as_deref();
        let tenant = identity.and_then(|identity| identity.tenant.as_deref()).unwrap_or_default();
        let subject = identity.map(|identity| identity.subject.as_str()).unwrap_or_default();
        let mut hasher = Sha256::new();
        // Whether there is an identity is part of it: nobody can be named so that they share the keys of the
        // anonymous.
        hasher.update([u8::from(identity.is_some())]);
        for part in [&*invocation.name, tenant, subject, key] {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        let args_hash = hash_of(&invocation.args);
        Some(Self { function: &invocation.name, digest: hasher.finalize().into(), args_hash })
    }

    /// Makes this call the first with its key, once every other one that is under way has ended; or answers
    /// what the first one got.
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
        // Deleted between the two statements, because it was a day old: whoever sends it again is the first.
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
        let made = "this call was made before; the answers of public functions are not kept, so it cannot be given again";
        let answer = answer.ok_or_else(|| Fault::new(Code::Conflict, made))?.into();
        let xid: String = row.try_get("xid")?;
        Ok(Some(Replay { answer, receipt: Receipt { xid: xid.parse().ok().map(Xid), ..Receipt::default() } }))
    }

    /// Keeps the answer of the first call.
    pub(super) async fn store(&self, db: &Db, answer: &[u8]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/store_answer.sql"))
            .bind(self.digest.as_slice())
            .bind(answer)
            .execute(db)
            .await?;
        Ok(())
    }
}

/// Of equal arguments it is equal, however they are spaced and ordered.
fn hash_of(args: &[u8]) -> [u8; 32] {
    let canonical = serde_json::from_slice::<BTreeMap<String, serde_json::Value>>(args)
        .and_then(|args| serde_json::to_vec(&args));
    // What is no object is refused when it is read, and then nothing is kept.
    Sha256::digest(canonical.as_deref().unwrap_or(args)).into()
}

/// Deletes answers that are old.
pub(super) async fn expire(database: &Database) -> Result<(), Fault> {
    let delete = sqlx::query(include_str!("sql/delete_old_keys.sql"));
    delete.bind(RETENTION.as_secs_f64()).bind(DELETE_MAX).execute(&database.writer()).await?;
    Ok(())
}
