//! Live queries for tests, and the mutations that change their answers.

use forge::prelude::*;

/// An account.
#[forge::data]
#[derive(Debug)]
pub struct Account {
    /// Its number.
    pub id: i64,
    /// Its balance.
    pub balance: i64,
}

/// The title of a row, for everybody.
#[forge::query(public)]
pub async fn title(ctx: &QueryContext, id: i64) -> Result<Option<String>> {
    Ok(sqlx::query_scalar("select title from probe_rows where id = $1")
        .bind(id)
        .fetch_optional(ctx.db())
        .await?)
}

/// The title of a row followed by padding: a large answer that changes with a small row.
#[forge::query(public)]
pub async fn wide(ctx: &QueryContext, id: i64, bytes: u32) -> Result<String> {
    let title: String =
        sqlx::query_scalar("select title from probe_rows where id = $1").bind(id).fetch_one(ctx.db()).await?;
    Ok(title + &" ".repeat(bytes as usize))
}

/// The title of a row, after a sleep in Postgres. Another `n` makes another query.
#[forge::query(public)]
pub async fn slow(ctx: &QueryContext, id: i64, n: u32, ms: u32) -> Result<String> {
    let title: String = sqlx::query_scalar("select title from probe_rows, pg_sleep($2) where id = $1")
        .bind(id)
        .bind(f64::from(ms) / 1_000.0)
        .fetch_one(ctx.db())
        .await?;
    Ok(format!("{n}: {title}"))
}

/// The title of a row and the caller's subject: an answer for one caller.
#[forge::query]
pub async fn mine(ctx: &QueryContext, id: i64) -> Result<String> {
    let title: String =
        sqlx::query_scalar("select title from probe_rows where id = $1").bind(id).fetch_one(ctx.db()).await?;
    Ok(format!("{} for {}", title, ctx.auth().identity()?.subject))
}

/// Sets the title of a row, and inserts the row when it does not exist.
#[forge::mutation(public)]
pub async fn retitle(ctx: &MutationContext, id: i64, title: String) -> Result<()> {
    let upsert =
        "insert into probe_rows values ($1, $2, false) on conflict (id) do update set title = excluded.title";
    sqlx::query(upsert).bind(id).bind(title).execute(ctx.db()).await?;
    Ok(())
}

/// Adds one to the number in the title of a row.
#[forge::mutation(public)]
pub async fn count(ctx: &MutationContext, id: i64) -> Result<()> {
    sqlx::query("update probe_rows set title = (title::bigint + 1)::text where id = $1")
        .bind(id)
        .execute(ctx.db())
        .await?;
    Ok(())
}

/// Every account.
#[forge::query]
pub async fn accounts(ctx: &QueryContext) -> Result<Vec<Account>> {
    Ok(sqlx::query_as("select id, balance from probe_accounts order by id").fetch_all(ctx.db()).await?)
}

/// The sum of all balances.
#[forge::query]
pub async fn total(ctx: &QueryContext) -> Result<i64> {
    Ok(sqlx::query_scalar("select coalesce(sum(balance), 0)::bigint from probe_accounts")
        .fetch_one(ctx.db())
        .await?)
}
