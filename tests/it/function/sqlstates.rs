//! Errors of Postgres as callers get them: each has the code of its class, and only bugs are logged as
//! errors.

use forge::prelude::*;
use sqlx::AssertSqlSafe;

use super::stage::Stage;
use crate::store::cluster::execute;

/// Runs statements as they come.
#[forge::mutation(public)]
async fn provoke(ctx: &MutationContext, sql: String) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(ctx.db()).await?;
    Ok(())
}

/// Reads texts of a row as numbers.
#[forge::query(public)]
async fn parse_stored(ctx: &QueryContext, id: i32) -> Result<i32> {
    Ok(sqlx::query_scalar("SELECT name::int4 FROM child WHERE id = $1").bind(id).fetch_one(ctx.db()).await?)
}

/// Adds up what the rows hold.
#[forge::query(public)]
async fn sum_stored(ctx: &QueryContext) -> Result<i32> {
    Ok(sqlx::query_scalar("SELECT (2147483647 + size)::int4 FROM child").fetch_one(ctx.db()).await?)
}

/// Compares texts as they come with a number.
#[forge::query(public)]
async fn parse(ctx: &QueryContext, text: String) -> Result<i32> {
    Ok(sqlx::query_scalar("SELECT $1::text::int4").bind(text).fetch_one(ctx.db()).await?)
}

/// A statement that fails with this SQLSTATE.
fn raise(state: &str) -> String {
    format!("DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '{state}'; END $$")
}

#[tokio::test]
async fn every_error_of_postgres_has_the_code_of_its_class() {
    let stage = Stage::open().await;
    let tables = "CREATE TABLE parent (id int PRIMARY KEY); \
        CREATE TABLE child (id int PRIMARY KEY, parent int NOT NULL REFERENCES parent, size int CHECK (size > 0), name varchar(3))";
    let mut connection = stage.scratch.connect().await;
    execute(&mut connection, tables).await;
    execute(&mut connection, "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1, 1, 'a')").await;
    let check = async |sql: &str, state: &str, code: Code, again: bool| {
        let fault = stage.call(Provoke { sql: sql.to_owned() }).await.expect_err(sql);
        assert_eq!(fault.sqlstate().as_deref(), Some(state), "{sql}: {fault:?}");
        assert_eq!((fault.code(), fault.retry_delay().is_some()), (code, again), "{sql}: {fault:?}");
        assert!(!fault.message().contains("child"), "a client sees no name: {fault:?}");
    };
    // A constant of the statement is the handler's own, and so is a number when no argument is one.
    check("INSERT INTO child VALUES (2147483648, 1)", "22003", Code::Internal, false).await;
    check("SELECT 2147483647 + 1", "22003", Code::Internal, false).await;
    check("SELECT 'x'::int", "22P02", Code::Internal, false).await;
    check("SELECT 'x'::date", "22007", Code::Internal, false).await;
    check("SELECT '2026-02-30'::date", "22008", Code::Internal, false).await;
    // Values and rows that do not fit are the client's.
    check("SELECT ('x' || '')::int", "22P02", Code::BadRequest, false).await;
    check("INSERT INTO child VALUES (2, 1, 1, 'long')", "22001", Code::BadRequest, false).await;
    check("SELECT 'x' ~ '('", "2201B", Code::BadRequest, false).await;
    check("INSERT INTO child VALUES (2, NULL)", "23502", Code::BadRequest, false).await;
    check("INSERT INTO child VALUES (2, 1, -1)", "23514", Code::BadRequest, false).await;
    check("INSERT INTO child VALUES (2, 7)", "23503", Code::Conflict, false).await;
    check("DELETE FROM parent", "23503", Code::Conflict, false).await;
    check("INSERT INTO child VALUES (1, 1)", "23505", Code::Conflict, false).await;
    let raised = [
        ("22P05", Code::BadRequest, false),
        ("23P01", Code::Conflict, false),
        ("44000", Code::BadRequest, false),
        ("54000", Code::BadRequest, false),
        // Races are run again until the tries are used up.
        ("40001", Code::Conflict, true),
        ("40P01", Code::Conflict, true),
        ("55P03", Code::Conflict, true),
        ("57014", Code::Timeout, false),
        // The server's trouble passes.
        ("08006", Code::Unavailable, true),
        ("25P03", Code::Unavailable, true),
        ("53100", Code::Unavailable, true),
        ("53200", Code::Unavailable, true),
        ("53300", Code::Unavailable, true),
        ("57P01", Code::Unavailable, true),
        ("57P05", Code::Unavailable, true),
        ("58030", Code::Unavailable, true),
        // The rest is a bug.
        ("22012", Code::Internal, false),
        ("42501", Code::Internal, false),
        ("P0001", Code::Internal, false),
        ("XX001", Code::Internal, false),
        ("MINE1", Code::Internal, false),
    ];
    for (state, code, again) in raised {
        check(&raise(state), state, code, again).await;
    }
    check("SELECT nothing FROM child", "42703", Code::Internal, false).await;
    let refused = stage.call(Parse { text: "99999999999".into() }).await.expect_err("out of range");
    assert_eq!((refused.code(), refused.sqlstate().as_deref()), (Code::BadRequest, Some("22003")));
    assert!(refused.help().is_some_and(|help| help.contains("validated_type")), "{:?}", refused.help());
    stage.close().await;
}

/// A client whose arguments are right gets no `BAD_REQUEST` when a row is wrong.
#[tokio::test]
async fn a_value_of_a_row_is_no_fault_of_the_client() {
    let stage = Stage::open().await;
    let mut connection = stage.scratch.connect().await;
    execute(&mut connection, "CREATE TABLE child (id int PRIMARY KEY, size int, name text)").await;
    execute(&mut connection, "INSERT INTO child VALUES (1, 1, 'seven')").await;
    let stored = stage.call(ParseStored { id: 1 }).await.expect_err("a text that is no number");
    let summed = stage.call(SumStored {}).await.expect_err("out of range");
    for (fault, state) in [(stored, "22P02"), (summed, "22003")] {
        assert_eq!((fault.code(), fault.sqlstate().as_deref()), (Code::Internal, Some(state)), "{fault:?}");
        assert!(fault.help().is_some_and(|help| help.contains("of a row")), "{:?}", fault.help());
    }
    stage.close().await;
}

/// An enum of the application's schema.
#[forge::forge_enum]
enum Mood {
    Calm,
    Wild,
}

/// Writes an enum.
#[forge::mutation(public)]
async fn feel(ctx: &MutationContext, wild: bool) -> Result<()> {
    let mood = if wild { Mood::Wild } else { Mood::Calm };
    sqlx::query("INSERT INTO moods VALUES ($1)").bind(mood).execute(ctx.db()).await?;
    Ok(())
}

/// Reads by an enum, and reads the enum back.
#[forge::query(public)]
async fn calm(ctx: &QueryContext) -> Result<usize> {
    let query = sqlx::query_scalar("SELECT mood FROM moods WHERE mood = $1").bind(Mood::Calm);
    let moods: Vec<Mood> = query.fetch_all(ctx.db()).await?;
    Ok(moods.len())
}

#[tokio::test]
async fn an_enum_that_is_dropped_and_made_again_breaks_no_call() {
    let stage = Stage::open().await;
    let mut connection = stage.scratch.connect().await;
    execute(
        &mut connection,
        "CREATE TYPE mood AS ENUM ('calm', 'wild'); CREATE TABLE moods (mood mood NOT NULL)",
    )
    .await;
    let mut written = 0;
    for round in 0..3 {
        // Several sessions of each pool learn the number of the type.
        for result in futures::future::join_all((0..6).map(|n| stage.call(Feel { wild: n % 2 == 0 }))).await {
            result.expect("writes");
        }
        written += 3;
        for result in futures::future::join_all((0..6).map(|_| stage.call(Calm {}))).await {
            assert_eq!(result.expect("reads"), written);
        }
        execute(
            &mut connection,
            "BEGIN; ALTER TYPE mood RENAME TO old_mood; CREATE TYPE mood AS ENUM ('calm', 'wild', 'bored'); \
             ALTER TABLE moods ALTER COLUMN mood TYPE mood USING mood::text::mood; DROP TYPE old_mood; COMMIT",
        )
        .await;
        for n in 0..6 {
            assert_eq!(
                stage.call(Calm {}).await.unwrap_or_else(|fault| panic!("{round}, {n}: {fault:?}")),
                written
            );
            stage.call(Feel { wild: true }).await.unwrap_or_else(|fault| panic!("{round}, {n}: {fault:?}"));
        }
    }
    stage.close().await;
}
