//! Unblocks jobs that wait for a limit.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use sqlx::Row;

use super::limited::{LOCK_TRIES, LockedKeys, keys_vanish, lock_keys};
use super::{JobStore, LOCK_LIMIT, end};
use crate::db::handle::Db;
use crate::db::transaction::TransactionOptions;
use crate::job::limits::{HandlerLimits, LimitKind, LimitTable, OpenKey};
use crate::kernel::fault::Fault;

/// Jobs of one key that are unblocked together.
const UNBLOCK_MAX: u32 = 1_000;
/// Keys that one sweep looks at.
const SWEEP_MAX: i32 = 500;

/// A key of which jobs are unblocked.
struct KeyToUnblock<'a> {
    key: &'a str,
    kind: LimitKind,
    /// Jobs at most.
    count: u32,
    /// The tenant after which the turns start.
    after: Option<String>,
}

/// What a sweep has found.
pub(in crate::job) struct SweptKeys {
    /// Keys that seem to let further jobs pass.
    pub(in crate::job) open: BTreeMap<String, OpenKey>,
    /// Where the next sweep goes on: after this key, or at the beginning.
    pub(in crate::job) next: String,
}

impl JobStore {
    /// Unblocks as many jobs of these keys as their limits let pass. Returns their queues.
    pub(in crate::job) async fn unblock(
        &self,
        keys: &BTreeMap<String, OpenKey>,
        limits: &LimitTable,
        names: &[String],
    ) -> Result<BTreeSet<Arc<str>>, Fault> {
        let mut known: BTreeMap<&str, (&OpenKey, HandlerLimits)> = keys
            .iter()
            .filter(|(_, open)| names.contains(&open.handler))
            .map(|(key, open)| (key.as_str(), (open, limits.of_handler(&open.handler))))
            .collect();
        if known.is_empty() {
            return Ok(BTreeSet::new());
        }
        // Most keys never reach their limit, and to lock one costs as much as to run a job. A claim that
        // blocks jobs at this moment looks at the key again when it has committed.
        let find = sqlx::query_scalar(include_str!("../sql/find_blocked_keys.sql"))
            .bind(known.keys().copied().collect::<Vec<_>>());
        let blocking: HashSet<String> = find.fetch_all(&self.database.jobs()).await?.into_iter().collect();
        known.retain(|key, _| blocking.contains(*key));
        if known.is_empty() {
            return Ok(BTreeSet::new());
        }
        for _ in 0..LOCK_TRIES {
            if let Some(queues) = self.unblock_locked(&known, names).await? {
                return Ok(queues);
            }
            self.insert_keys(known.keys().copied()).await?;
        }
        Err(keys_vanish())
    }

    /// `None` when keys have no row, and nothing was done.
    async fn unblock_locked(
        &self,
        known: &BTreeMap<&str, (&OpenKey, HandlerLimits)>,
        names: &[String],
    ) -> Result<Option<BTreeSet<Arc<str>>>, Fault> {
        let tx = self.database.begin_of_jobs(TransactionOptions::new("forge.jobs", LOCK_LIMIT)).await?;
        let db = tx.db();
        let unblocked = async {
            let has_rates = known.values().any(|(open, _)| open.kind == LimitKind::Rate);
            let keys: Vec<&str> = known.keys().copied().collect();
            let Some(locked) = lock_keys(&db, &keys, has_rates).await? else { return Ok(None) };
            let unblocked = count_unblocked(&db, known, names).await?;
            let open = known.iter().filter_map(|(key, (open, limits))| {
                let count = left(open.kind, *limits, &locked, key, unblocked.get(*key).copied());
                let last_tenant = || locked.states.get(*key)?.last_tenant.clone();
                let after = open.tenant.clone().or_else(last_tenant);
                let count = count.min(UNBLOCK_MAX);
                (count > 0).then_some(KeyToUnblock { key, kind: open.kind, count, after })
            });
            write(&db, open.collect(), names).await.map(Some)
        };
        let unblocked = unblocked.await;
        end(tx, unblocked).await
    }

    /// Finds keys of blocked jobs that seem to let further ones pass, from the one after `after` on. `names`:
    /// the handlers that this node can run.
    pub(in crate::job) async fn list_open_keys(
        &self,
        after: &str,
        limits: &LimitTable,
        names: &[String],
    ) -> Result<SweptKeys, Fault> {
        let rows = sqlx::query(include_str!("../sql/list_blocked_keys.sql"))
            .bind(after)
            .bind(SWEEP_MAX)
            .bind(names)
            .fetch_all(&self.database.reader())
            .await?;
        let mut swept = SweptKeys { open: BTreeMap::new(), next: String::new() };
        if rows.len() >= SWEEP_MAX.unsigned_abs() as usize
            && let Some(last) = rows.last()
        {
            swept.next = last.try_get("key")?;
        }
        for row in rows {
            let Some(handler) = row.try_get::<Option<String>, _>("name")? else { continue };
            let kind = if row.try_get("is_rate")? { LimitKind::Rate } else { LimitKind::Concurrency };
            let ready: i64 = row.try_get("ready")?;
            let limit_override: Option<i32> = row.try_get("limit_override")?;
            let limit = limit_override.map(i32::unsigned_abs).or(limits.of_handler(&handler).concurrency);
            let is_full = kind == LimitKind::Concurrency && limit.is_some_and(|limit| ready >= limit.into());
            if !is_full {
                swept.open.insert(row.try_get("key")?, OpenKey { kind, handler, tenant: None });
            }
        }
        Ok(swept)
    }
}

/// How many further jobs of a key may become ready. A handler that has no such limit any more lets all pass.
fn left(
    kind: LimitKind,
    limits: HandlerLimits,
    locked: &LockedKeys,
    key: &str,
    unblocked: Option<u32>,
) -> u32 {
    let Some(state) = locked.states.get(key) else { return 0 };
    match kind {
        LimitKind::Concurrency => {
            let limit = state.limit_override.or(limits.concurrency);
            limit.map_or(u32::MAX, |limit| limit.saturating_sub(unblocked.unwrap_or_default()))
        }
        LimitKind::Rate => match limits.rate {
            Some(rate) => state.rate_left(rate, locked.now),
            None => state.limit_override.unwrap_or(u32::MAX),
        },
    }
}

/// How many jobs of each key of a concurrency limit are held or may be claimed.
async fn count_unblocked(
    db: &Db,
    keys: &BTreeMap<&str, (&OpenKey, HandlerLimits)>,
    names: &[String],
) -> Result<HashMap<String, u32>, Fault> {
    let of_concurrency = keys.iter().filter(|(_, (open, _))| open.kind == LimitKind::Concurrency);
    let keys: Vec<&str> = of_concurrency.map(|(key, _)| *key).collect();
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let count = sqlx::query(include_str!("../sql/count_unblocked_by_key.sql"));
    let rows = count.bind(keys).bind(names).fetch_all(db).await?;
    let count = |row: &sqlx::postgres::PgRow| {
        let count: i64 = row.try_get("count")?;
        Ok((row.try_get("key")?, u32::try_from(count).unwrap_or(u32::MAX)))
    };
    Ok(rows.iter().map(count).collect::<sqlx::Result<_>>()?)
}

/// Unblocks jobs, and notes whose turn it was. Returns the queues of the jobs.
async fn write(db: &Db, open: Vec<KeyToUnblock<'_>>, names: &[String]) -> Result<BTreeSet<Arc<str>>, Fault> {
    if open.is_empty() {
        return Ok(BTreeSet::new());
    }
    let rows = sqlx::query(include_str!("../sql/unblock_jobs.sql"))
        .bind(open.iter().map(|open| open.key).collect::<Vec<_>>())
        .bind(open.iter().map(|open| open.count.cast_signed()).collect::<Vec<_>>())
        .bind(open.iter().map(|open| open.after.as_deref()).collect::<Vec<_>>())
        .bind(names)
        .fetch_all(db)
        .await?;
    let mut queues = BTreeSet::new();
    let mut last: HashMap<String, (i64, String)> = HashMap::new();
    for row in rows {
        queues.insert(Arc::from(row.try_get::<&str, _>("queue")?));
        let turn = (row.try_get("place")?, row.try_get("tenant")?);
        let last = last.entry(row.try_get("key")?).or_insert((0, String::new()));
        if turn.0 >= last.0 {
            *last = turn;
        }
    }
    sqlx::query(include_str!("../sql/note_unblocked_keys.sql"))
        .bind(open.iter().map(|open| open.key).collect::<Vec<_>>())
        .bind(
            open.iter().map(|open| last.get(open.key).map(|(_, tenant)| tenant.as_str())).collect::<Vec<_>>(),
        )
        .bind(open.iter().map(|open| open.kind == LimitKind::Rate).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(queues)
}
