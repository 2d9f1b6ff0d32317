//! Handlers that do what tests need done, written as an application writes them.

use std::sync::atomic::{AtomicUsize, Ordering};

use forge::prelude::*;

#[forge::error]
pub(super) enum LedgerError {
    /// The entry was refused on purpose.
    #[code("REFUSED_ON_PURPOSE", status = 409)]
    Refused { key: String },
}

/// Writes an entry.
#[forge::mutation(public)]
pub(super) async fn put(ctx: &MutationContext, key: String) -> Result<()> {
    sqlx::query("INSERT INTO ledger (key) VALUES ($1)").bind(key).execute(ctx.db()).await?;
    Ok(())
}

/// Writes a key, and answers with a text of this length.
#[forge::mutation(public)]
pub(super) async fn put_and_repeat(ctx: &MutationContext, key: String, bytes: u32) -> Result<String> {
    sqlx::query("INSERT INTO ledger (key) VALUES ($1)").bind(&key).execute(ctx.db()).await?;
    Ok(key.repeat(bytes as usize))
}

/// Writes an entry and fails.
#[forge::mutation(public)]
pub(super) async fn put_and_fail(ctx: &MutationContext, key: String) -> Result<(), LedgerError> {
    ctx.call(Put { key: key.clone() }).await?;
    Err(LedgerError::Refused { key })
}

/// Survives the failure of a call inside of it.
#[forge::mutation(public)]
pub(super) async fn survive(ctx: &MutationContext) -> Result<String> {
    ctx.call(Put { key: "before".into() }).await?;
    let Err(CallError::App(LedgerError::Refused { key })) =
        ctx.call(PutAndFail { key: "inside".into() }).await
    else {
        return Err(Fault::internal("the callee's own error was expected"));
    };
    ctx.call(Put { key: "after".into() }).await?;
    Ok(key)
}

/// Two calls at the same time on one transaction, one of which fails.
#[forge::mutation(public)]
pub(super) async fn join(ctx: &MutationContext) -> Result<bool> {
    let calls = futures::join!(
        ctx.call(Put { key: "a".into() }),
        ctx.call(PutAndFail { key: "b".into() }),
        ctx.call(Put { key: "c".into() }),
    );
    Ok(calls.0.is_ok() && calls.1.is_err() && calls.2.is_ok())
}

/// A query that tries to write.
#[forge::query(public)]
pub(super) async fn write_anyway(ctx: &QueryContext) -> Result<()> {
    sqlx::query("INSERT INTO ledger (key) VALUES ('sneaked')").execute(ctx.db()).await?;
    Ok(())
}

/// A mutation that asks a query to write, and then writes itself.
#[forge::mutation(public)]
pub(super) async fn ask_to_write(ctx: &MutationContext) -> Result<bool> {
    let refused = ctx.call(WriteAnyway {}).await.is_err();
    ctx.call(Put { key: "own".into() }).await?;
    Ok(refused)
}

/// Ignores the error of a statement.
#[forge::mutation(public)]
pub(super) async fn swallow(ctx: &MutationContext) -> Result<()> {
    ctx.call(Put { key: "lost".into() }).await?;
    let ignored = sqlx::query("SELECT 1 / 0").execute(ctx.db()).await;
    assert!(ignored.is_err());
    Ok(())
}

/// Writes and panics.
#[forge::mutation(public)]
pub(super) async fn panic(ctx: &MutationContext) -> Result<()> {
    ctx.call(Put { key: "panicked".into() }).await?;
    panic!("on purpose");
}

/// Panics while it is read.
#[forge::validated_type(check = slice)]
pub(super) struct Sliced(String);

fn slice(text: &str) -> std::result::Result<(), &'static str> {
    if text[..3].is_empty() { Err("is empty") } else { Ok(()) }
}

/// Takes an argument whose reading may panic.
#[forge::mutation(public)]
pub(super) async fn read_sliced(_ctx: &MutationContext, text: Sliced) -> Result<String> {
    Ok(text.to_string())
}

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        assert!(std::thread::panicking(), "dropped half-way");
    }
}

/// Panics when it is dropped at its time limit.
#[forge::mutation(public, timeout = "100ms")]
pub(super) async fn panic_when_cut(ctx: &MutationContext) -> Result<()> {
    let bomb = Bomb;
    ctx.call(Put { key: "cut".into() }).await?;
    tokio::time::sleep(secs(60)).await;
    std::mem::forget(bomb);
    Ok(())
}

/// Blocks its thread for longer than it may, and then writes.
#[forge::mutation(public, timeout = "100ms")]
pub(super) async fn block(ctx: &MutationContext) -> Result<()> {
    ctx.call(Put { key: "blocked".into() }).await?;
    std::thread::sleep(millis(300));
    Ok(())
}

/// Each call is a transaction of its own.
#[forge::action(public)]
pub(super) async fn orchestrate(ctx: &ActionContext) -> Result<String> {
    ctx.call(Put { key: "first".into() }).await?;
    match ctx.call(PutAndFail { key: "second".into() }).await {
        Err(CallError::App(LedgerError::Refused { key })) => Ok(key),
        other => Err(Fault::internal(format!("the callee's own error was expected, not {other:?}"))),
    }
}

/// Reads the counter and writes it back, one higher.
#[forge::mutation(public, isolation = serializable)]
pub(super) async fn count_up(ctx: &MutationContext) -> Result<i64> {
    let value: i64 = sqlx::query_scalar("SELECT value FROM counter").fetch_one(ctx.db()).await?;
    sqlx::query("UPDATE counter SET value = $1").bind(value + 1).execute(ctx.db()).await?;
    Ok(value + 1)
}

/// Locks two rows in the given order.
#[forge::mutation(public)]
pub(super) async fn lock_both(ctx: &MutationContext, first: String, second: String) -> Result<()> {
    for key in [first, second] {
        sqlx::query("UPDATE ledger SET touched = touched + 1 WHERE key = $1")
            .bind(key)
            .execute(ctx.db())
            .await?;
        sqlx::query("SELECT pg_sleep(0.05)").execute(ctx.db()).await?;
    }
    Ok(())
}

/// Counts twice with a pause; one snapshot sees one number.
#[forge::query(public, snapshot)]
pub(super) async fn count_twice(ctx: &QueryContext) -> Result<(i64, i64)> {
    let count = || sqlx::query_scalar("SELECT count(*) FROM ledger").fetch_one(ctx.db());
    let first = count().await?;
    sqlx::query("SELECT pg_sleep(0.2)").execute(ctx.db()).await?;
    Ok((first, count().await?))
}

/// Sleeps in Postgres for longer than it may.
#[forge::query(public, timeout = "200ms")]
pub(super) async fn sleep_reading(ctx: &QueryContext) -> Result<()> {
    sqlx::query("SELECT pg_sleep(600)").execute(ctx.db()).await?;
    Ok(())
}

/// Sleeps in Postgres inside of a transaction that has written.
#[forge::mutation(public, timeout = "200ms")]
pub(super) async fn sleep_writing(ctx: &MutationContext) -> Result<()> {
    ctx.call(Put { key: "slept".into() }).await?;
    sqlx::query("SELECT pg_sleep(600)").execute(ctx.db()).await?;
    Ok(())
}

/// Waits outside of Postgres.
#[forge::action(public, timeout = "60s", concurrency = 1)]
pub(super) async fn wait(ctx: &ActionContext, ms: u64) -> Result<()> {
    tokio::time::sleep(millis(ms).min(ctx.request().remaining())).await;
    Ok(())
}

/// Lets one piece of work of [`compute`] end for each permit that is added.
pub(super) static COMPUTED: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(0);

/// How many pieces of work of [`compute`] have begun.
pub(super) static COMPUTING: AtomicUsize = AtomicUsize::new(0);

/// Computes until the test lets it end.
#[forge::action(public, timeout = "60s")]
pub(super) async fn compute(ctx: &ActionContext) -> Result<bool> {
    let work = || {
        COMPUTING.fetch_add(1, Ordering::Relaxed);
        futures::executor::block_on(COMPUTED.acquire()).map(|permit| permit.forget()).is_ok()
    };
    ctx.blocking(work).await
}

/// Calls itself without end.
#[forge::action(public)]
pub(super) async fn recurse(ctx: &ActionContext) -> Result<()> {
    Ok(ctx.call(Recurse {}).await?)
}

/// Can be called by other handlers only.
#[forge::query(internal)]
pub(super) async fn hidden(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

/// Needs the role `editor`.
#[forge::query(role = "editor")]
pub(super) async fn edited(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

/// Reads whole rows, as many applications do.
#[forge::query(public)]
pub(super) async fn whole_rows(ctx: &QueryContext) -> Result<usize> {
    Ok(sqlx::query("SELECT * FROM ledger").fetch_all(ctx.db()).await?.len())
}

/// Reads whole rows in a snapshot.
#[forge::query(public, snapshot)]
pub(super) async fn whole_rows_at_once(ctx: &QueryContext) -> Result<usize> {
    Ok(sqlx::query("SELECT * FROM ledger").fetch_all(ctx.db()).await?.len())
}

/// Reads whole rows in a transaction that writes.
#[forge::mutation(public)]
pub(super) async fn whole_rows_writing(ctx: &MutationContext, key: String) -> Result<usize> {
    ctx.call(Put { key }).await?;
    Ok(sqlx::query("SELECT * FROM ledger").fetch_all(ctx.db()).await?.len())
}

/// Takes at most 64 bytes of arguments.
#[forge::query(public, input_max = "64B")]
pub(super) async fn small(_ctx: &QueryContext, text: String) -> Result<usize> {
    Ok(text.len())
}
