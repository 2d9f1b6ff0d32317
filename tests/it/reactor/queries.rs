//! Handlers that are subscribed to.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use forge::prelude::*;
use sqlx::AssertSqlSafe;

/// The rows of any statement, as JSON.
#[forge::query(public)]
pub(super) async fn rows(ctx: &QueryContext, sql: String) -> Result<serde_json::Value> {
    let whole = format!("SELECT coalesce(json_agg(r), '[]') FROM ({sql}) AS r");
    Ok(sqlx::query_scalar(AssertSqlSafe(whole)).fetch_one(ctx.db()).await?)
}

/// The rows of any statement, as somebody who is not above policies.
#[forge::query(public, snapshot)]
pub(super) async fn rows_as_reader(ctx: &QueryContext, sql: String) -> Result<serde_json::Value> {
    sqlx::query("SELECT set_config('role', 'forge_test_reader', true)").execute(ctx.db()).await?;
    ctx.call(Rows { sql }).await.map_err(Into::into)
}

/// The rows of any statement, in a call inside of a call, beside one that fails.
#[forge::query(public)]
pub(super) async fn rows_nested(ctx: &QueryContext, sql: String) -> Result<serde_json::Value> {
    let counted =
        ctx.call(Rows { sql: format!("SELECT count(*) FROM ({sql}) AS r WHERE 1 / (SELECT 0) = 1") }).await;
    assert!(counted.is_err());
    ctx.call(Rows { sql }).await.map_err(Into::into)
}

/// Reads only in a call that fails, and returns whether the call succeeded.
#[forge::query(public)]
pub(super) async fn failing_inside(ctx: &QueryContext) -> Result<bool> {
    Ok(ctx.call(Rows { sql: "SELECT 1 / balance FROM accounts WHERE id = 1".into() }).await.is_ok())
}

/// The sum of all balances.
#[forge::query(public)]
pub(super) async fn sum(ctx: &QueryContext) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT sum(balance)::int8 FROM accounts").fetch_one(ctx.db()).await?)
}

/// All balances.
#[forge::query(public)]
pub(super) async fn list(ctx: &QueryContext) -> Result<Vec<i64>> {
    Ok(sqlx::query_scalar("SELECT balance FROM accounts ORDER BY id").fetch_all(ctx.db()).await?)
}

/// The number of accounts under a hundred names, in the order of a map that is made anew for each run.
#[forge::query(public)]
pub(super) async fn counted_by_name(ctx: &QueryContext) -> Result<HashMap<String, i64>> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM accounts").fetch_one(ctx.db()).await?;
    Ok((0..100).map(|name| (name.to_string(), count)).collect())
}

/// Moves money.
#[forge::mutation(public)]
pub(super) async fn transfer(ctx: &MutationContext, from: i32, to: i32, amount: i64) -> Result<()> {
    for (id, amount) in [(from, -amount), (to, amount)] {
        sqlx::query("UPDATE accounts SET balance = balance + $2 WHERE id = $1")
            .bind(id)
            .bind(amount)
            .execute(ctx.db())
            .await?;
    }
    Ok(())
}

/// Brings money.
#[forge::mutation(public)]
pub(super) async fn deposit(ctx: &MutationContext, id: i32, amount: i64) -> Result<()> {
    sqlx::query("UPDATE accounts SET balance = balance + $2 WHERE id = $1")
        .bind(id)
        .bind(amount)
        .execute(ctx.db())
        .await?;
    Ok(())
}

/// Writes nothing.
#[forge::mutation(public)]
pub(super) async fn idle(_ctx: &MutationContext) -> Result<()> {
    Ok(())
}

/// The caller's notes.
#[forge::query]
pub(super) async fn mine(ctx: &QueryContext) -> Result<Vec<String>> {
    let me: String = ctx.auth().user()?;
    Ok(sqlx::query_scalar("SELECT text FROM notes WHERE owner = $1 ORDER BY text")
        .bind(me)
        .fetch_all(ctx.db())
        .await?)
}

/// Everybody's notes, until a switch makes them private.
#[forge::query]
pub(super) async fn mine_when_private(ctx: &QueryContext) -> Result<Vec<String>> {
    let private: bool = sqlx::query_scalar("SELECT private FROM switch").fetch_one(ctx.db()).await?;
    let owner = if private { Some(ctx.auth().user::<String>()?) } else { None };
    let sql = "SELECT text FROM notes WHERE $1 IS NULL OR owner = $1 ORDER BY text";
    Ok(sqlx::query_scalar(sql).bind(owner).fetch_all(ctx.db()).await?)
}

/// Asks who called in a call inside.
#[forge::query]
pub(super) async fn mine_inside(ctx: &QueryContext) -> Result<Vec<String>> {
    ctx.call(Mine {}).await.map_err(Into::into)
}

/// From where the call came.
#[forge::query(public)]
pub(super) async fn peer(ctx: &QueryContext) -> Result<Option<String>> {
    Ok(ctx.request().ip().map(|ip| ip.to_string()))
}

/// What editors may see.
#[forge::query(role = "editor")]
pub(super) async fn editors(ctx: &QueryContext) -> Result<i64> {
    Ok(sqlx::query_scalar("SELECT count(*) FROM notes").fetch_one(ctx.db()).await?)
}

/// Panics while the switch is on.
#[forge::query(public)]
pub(super) async fn fragile(ctx: &QueryContext) -> Result<String> {
    let private: bool = sqlx::query_scalar("SELECT private FROM switch").fetch_one(ctx.db()).await?;
    assert!(!private, "fragile on purpose");
    Ok("whole".to_owned())
}

/// Takes its time in Postgres.
#[forge::query(public, timeout = "200ms")]
pub(super) async fn slow(ctx: &QueryContext) -> Result<i32> {
    let seconds: f64 = sqlx::query_scalar("SELECT seconds FROM pause").fetch_one(ctx.db()).await?;
    sqlx::query("SELECT pg_sleep($1)").bind(seconds).execute(ctx.db()).await?;
    Ok(1)
}

/// Breaks its own session while the switch is on.
#[forge::query(public)]
pub(super) async fn suicidal(ctx: &QueryContext) -> Result<bool> {
    let sql = "SELECT private AND pg_terminate_backend(pg_backend_pid()) FROM switch";
    Ok(sqlx::query_scalar(sql).fetch_one(ctx.db()).await?)
}

/// A text of some length.
#[forge::query(public)]
pub(super) async fn long(_ctx: &QueryContext, bytes: u32) -> Result<String> {
    Ok("x".repeat(bytes as usize))
}

pub(super) static COUNTED: AtomicU64 = AtomicU64::new(0);

/// Reads no table; counts its own runs.
#[forge::query(public, refresh = "100ms")]
pub(super) async fn counted(_ctx: &QueryContext) -> Result<u64> {
    Ok(COUNTED.fetch_add(1, Ordering::Relaxed))
}

/// Counts rows of types that a session has to look up.
#[forge::query(public)]
pub(super) async fn moods(ctx: &QueryContext) -> Result<usize> {
    Ok(sqlx::query("SELECT * FROM moods").fetch_all(ctx.db()).await?.len())
}
