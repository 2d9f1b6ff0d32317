//! The conformance application: handlers that fail, panic, block or write on demand. It uses only Forge's
//! public API.
//!
//! The tests of nodes and the benchmarks run it as the program `probe`.

use std::time::Duration;

use forge::prelude::*;
use forge_actors::app::token::{TokenRules, Tokens};

/// Signs the tokens of every probe.
pub const SECRET: &str = "e41b7d0c95a24f3f8c6612d9a07be358";

/// The probe's `forge.toml`.
pub const CONFIG: &str = r#"
[auth]
secret = "e41b7d0c95a24f3f8c6612d9a07be358"

[gateway]
metrics_public = true
drain_delay = "0ms"
"#;

pub mod blocking;
pub mod crons;
pub mod families;
pub mod flows;
pub mod jobs;
pub mod limits;
pub mod live;
pub mod reports;
pub mod runs;

forge::app! { name = "probe", migrations = "migrations" }

/// A token for `subject` that is good for an hour.
pub fn token(subject: &str) -> String {
    token_with(subject, &[])
}

/// A token with the role `admin`.
pub fn admin_token() -> String {
    token_with("admin", &["admin"])
}

/// A token for `subject` that is good for `ttl`.
pub fn short_token(subject: &str, ttl: Duration) -> String {
    issue(subject, &[], ttl)
}

fn token_with(subject: &str, roles: &[&str]) -> String {
    issue(subject, roles, hours(1))
}

fn issue(subject: &str, roles: &[&str], ttl: Duration) -> String {
    let rules = TokenRules { issuer: None, audience: None, leeway: Duration::ZERO };
    let tokens = Tokens::new(SECRET.as_bytes(), rules).expect("the secret is long enough");
    tokens.issue(subject, roles, None, ttl).expect("claims of plain texts can be signed")
}

/// A row to read.
#[forge::data]
#[derive(Debug)]
pub struct Row {
    /// Its number.
    pub id: i64,
    /// A text.
    pub title: String,
    /// A flag.
    pub done: bool,
}

/// One row by its number.
#[forge::query]
pub async fn one(ctx: &QueryContext, id: i64) -> Result<Row> {
    Ok(sqlx::query_as("select id, title, done from probe_rows where id = $1")
        .bind(id)
        .fetch_one(ctx.db())
        .await?)
}

/// Writes a key into the ledger.
#[forge::mutation]
pub async fn put(ctx: &MutationContext, key: String) -> Result<()> {
    sqlx::query("insert into probe_ledger (key) values ($1)").bind(key).execute(ctx.db()).await?;
    Ok(())
}

/// Writes a key into the effects, once per call.
#[forge::mutation]
pub async fn append(ctx: &MutationContext, key: String) -> Result<()> {
    sqlx::query("insert into probe_effects (key, what, pid) values ($1, 'appended', 0)")
        .bind(key)
        .execute(ctx.db())
        .await?;
    Ok(())
}

/// Writes both halves of a key, and sleeps in Postgres between them.
#[forge::mutation(timeout = "10s")]
pub async fn put_halves(ctx: &MutationContext, key: String, pause_ms: u32) -> Result<()> {
    for half in ["left", "right"] {
        sqlx::query("insert into probe_halves (key, half) values ($1, $2)")
            .bind(&key)
            .bind(half)
            .execute(ctx.db())
            .await?;
        sqlx::query("select pg_sleep($1)").bind(f64::from(pause_ms) / 1_000.0).execute(ctx.db()).await?;
    }
    Ok(())
}

/// Writes a key and panics.
#[forge::mutation]
pub async fn put_and_panic(ctx: &MutationContext, key: String) -> Result<()> {
    sqlx::query("insert into probe_ledger (key) values ($1)").bind(key).execute(ctx.db()).await?;
    panic!("the probe panics after its write, as asked");
}

/// Panics.
#[forge::query]
pub async fn panic(_ctx: &QueryContext) -> Result<()> {
    panic!("the probe panics, as asked");
}

/// Sleeps in Postgres, with a time limit of one second.
#[forge::query(timeout = "1s")]
pub async fn pg_sleep(ctx: &QueryContext, ms: u32) -> Result<()> {
    sqlx::query("select pg_sleep($1)").bind(f64::from(ms) / 1_000.0).execute(ctx.db()).await?;
    Ok(())
}

/// Sleeps in Postgres without a short time limit.
#[forge::query(timeout = "30s")]
pub async fn long_query(ctx: &QueryContext, ms: u32) -> Result<()> {
    sqlx::query("select pg_sleep($1)").bind(f64::from(ms) / 1_000.0).execute(ctx.db()).await?;
    Ok(())
}

/// The same as [`pg_sleep`], in a transaction that has written.
#[forge::mutation(timeout = "1s")]
pub async fn put_and_sleep(ctx: &MutationContext, key: String, ms: u32) -> Result<()> {
    sqlx::query("insert into probe_ledger (key) values ($1)").bind(key).execute(ctx.db()).await?;
    sqlx::query("select pg_sleep($1)").bind(f64::from(ms) / 1_000.0).execute(ctx.db()).await?;
    Ok(())
}

/// Writes a key into the effects and then sleeps in the node.
#[forge::action(timeout = "30s")]
pub async fn sleep(ctx: &ActionContext, key: String, ms: u64) -> Result<()> {
    ctx.call(Append { key }).await?;
    tokio::time::sleep(Duration::from_millis(ms)).await;
    Ok(())
}

/// Whether a password is that of a user, none of whom exists: it takes as long as for one who does.
#[forge::action(public)]
pub async fn sign_in(ctx: &ActionContext, password: String) -> Result<bool> {
    password::verify(ctx, &password, None).await
}

/// Runs a statement that Postgres refuses.
#[forge::query]
pub async fn bad_sql(ctx: &QueryContext) -> Result<()> {
    sqlx::query("select probe_no_such_column from probe_rows").execute(ctx.db()).await?;
    Ok(())
}

/// Writes from a query.
#[forge::query]
pub async fn write_in_query(ctx: &QueryContext) -> Result<()> {
    sqlx::query("insert into probe_ledger (key) values ('from a query')").execute(ctx.db()).await?;
    Ok(())
}

/// Moves an amount between two accounts; races are lost and repeated.
#[forge::mutation(isolation = serializable)]
pub async fn transfer(ctx: &MutationContext, from: i64, to: i64, amount: i64) -> Result<()> {
    for (account, change) in [(from, -amount), (to, amount)] {
        let balance: i64 = sqlx::query_scalar("select balance from probe_accounts where id = $1")
            .bind(account)
            .fetch_one(ctx.db())
            .await?;
        let update = sqlx::query("update probe_accounts set balance = $2 where id = $1");
        update.bind(account).bind(balance + change).execute(ctx.db()).await?;
    }
    Ok(())
}
