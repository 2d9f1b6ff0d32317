//! What a call leaves in the database: all of it or nothing.

use forge_actors::kernel::fault::Code;
use forge_actors::kernel::invocation::{Caller, Invocation};
use serde_json::json;

use super::handlers::*;
use super::stage::Stage;
use crate::store::cluster::execute;

#[tokio::test]
async fn a_failed_mutation_leaves_nothing() {
    let stage = Stage::open().await;
    let fault = stage.call(PutAndFail { key: "x".into() }).await.expect_err("refused");
    assert_eq!((fault.code().name(), fault.code().status()), ("REFUSED_ON_PURPOSE", 409));
    assert_eq!(fault.details(), Some(&json!({ "key": "x" })));
    assert_eq!(fault.message(), "The entry was refused on purpose.");
    assert!(stage.keys().await.is_empty());
    stage.close().await;
}

#[tokio::test]
async fn a_failed_call_that_the_caller_survives_leaves_nothing_of_itself() {
    let stage = Stage::open().await;
    assert_eq!(stage.call(Survive {}).await.expect("survives"), "inside");
    assert_eq!(stage.keys().await, ["after", "before"]);
    stage.close().await;
}

#[tokio::test]
async fn calls_joined_on_one_transaction_do_not_mix() {
    let stage = Stage::open().await;
    assert_eq!(stage.call(Join {}).await.expect("joins"), true);
    assert_eq!(stage.keys().await, ["a", "c"]);
    stage.close().await;
}

#[tokio::test]
async fn postgres_refuses_a_querys_write_wherever_it_runs() {
    let stage = Stage::open().await;
    assert_eq!(stage.call(WriteAnyway {}).await.expect_err("refused").code(), Code::Internal);
    assert_eq!(stage.call(AskToWrite {}).await.expect("goes on"), true);
    assert_eq!(stage.keys().await, ["own"]);
    stage.close().await;
}

#[tokio::test]
async fn an_ignored_error_is_no_commit() {
    let stage = Stage::open().await;
    // Postgres answers COMMIT of a failed transaction with a silent rollback, so `Ok` would be wrong.
    assert_eq!(stage.call(Swallow {}).await.expect_err("not committed").code(), Code::Internal);
    assert!(stage.keys().await.is_empty());
    stage.close().await;
}

#[tokio::test]
async fn a_panic_rolls_back_and_is_in_the_journal() {
    let stage = Stage::open().await;
    let fault = stage.call(Panic {}).await.expect_err("panicked");
    assert_eq!(fault.code(), Code::Internal);
    assert!(!fault.message().contains("on purpose"));
    assert!(stage.keys().await.is_empty());
    let crashes = stage.tree.journal().crashes_since(0).entries;
    assert_eq!(
        (crashes[0].path.as_str(), crashes[0].cause.as_str()),
        ("node/functions/handlers.panic", "on purpose")
    );
    assert!(crashes[0].backtrace.as_ref().is_some_and(|trace| trace.contains("handlers")));
    stage.call(Put { key: "next".into() }).await.expect("the subsystem goes on");
    stage.close().await;
}

#[tokio::test]
async fn a_panic_outside_of_the_handlers_body_ends_one_call_too() {
    let stage = Stage::open().await;
    let sliced =
        Invocation::new("handlers.read_sliced", "{\"text\": \"\u{20ac}\u{20ac}\"}", Caller::default());
    stage.functions.call(sliced).await.expect("three bytes are one euro sign");
    let sliced = Invocation::new("handlers.read_sliced", "{\"text\": \"a\u{20ac}\"}", Caller::default());
    assert_eq!(stage.functions.call(sliced).await.expect_err("panicked").code(), Code::Internal);
    assert_eq!(stage.call(PanicWhenCut {}).await.expect_err("panicked").code(), Code::Internal);
    assert!(stage.keys().await.is_empty());
    let crashes = stage.tree.journal().crashes_since(0).entries;
    let paths: Vec<_> = crashes.iter().map(|crash| crash.path.as_str()).collect();
    assert_eq!(paths, ["node/functions/handlers.read_sliced", "node/functions/handlers.panic_when_cut"]);
    stage.close().await;
}

#[tokio::test]
async fn an_action_commits_call_by_call() {
    let stage = Stage::open().await;
    assert_eq!(stage.call(Orchestrate {}).await.expect("goes on"), "second");
    assert_eq!(stage.keys().await, ["first"]);
    stage.close().await;
}

#[tokio::test]
async fn lost_races_are_run_again_and_nothing_is_counted_twice() {
    let stage = Stage::open().await;
    let calls = futures::future::join_all((0..12).map(|_| stage.call(CountUp {}))).await;
    let counted = calls.iter().filter(|call| call.is_ok()).count() as i64;
    for lost in calls.iter().filter_map(|call| call.as_ref().err()) {
        assert_eq!(lost.code(), Code::Conflict);
        assert!(lost.retry_delay().is_some());
    }
    let mut connection = stage.scratch.connect().await;
    let value: i64 =
        sqlx::query_scalar("SELECT value FROM counter").fetch_one(&mut connection).await.expect("reads");
    assert_eq!(value, counted);
    // Without retries one of twelve mutations that start together would succeed.
    assert!(counted > 1, "{counted} of 12");
    stage.close().await;
}

#[tokio::test]
async fn a_deadlock_is_run_again() {
    let stage = Stage::open().await;
    for key in ["a", "b"] {
        stage.call(Put { key: key.into() }).await.expect("written");
    }
    let lock =
        |first: &str, second: &str| stage.call(LockBoth { first: first.into(), second: second.into() });
    let (one, other) = futures::join!(lock("a", "b"), lock("b", "a"));
    one.expect("runs");
    other.expect("runs");
    let mut connection = stage.scratch.connect().await;
    let touched: Vec<i32> =
        sqlx::query_scalar("SELECT touched FROM ledger").fetch_all(&mut connection).await.expect("reads");
    assert_eq!(touched, [2, 2]);
    stage.close().await;
}

#[tokio::test]
async fn a_snapshot_sees_one_moment() {
    let stage = Stage::open().await;
    let writing = async {
        for key in 0..20 {
            stage.call(Put { key: key.to_string() }).await.expect("written");
        }
    };
    let (seen, ()) = futures::join!(stage.call(CountTwice {}), writing);
    let seen = seen.expect("reads");
    assert_eq!(seen[0], seen[1]);
    stage.close().await;
}

#[tokio::test]
async fn a_schema_that_changes_under_a_running_node_breaks_no_call() {
    let stage = Stage::open().await;
    let mut connection = stage.scratch.connect().await;
    for round in 0..3 {
        // Several sessions of each pool prepare the statement.
        futures::future::join_all((0..6).map(|_| stage.call(WholeRows {}))).await;
        futures::future::join_all((0..6).map(|_| stage.call(WholeRowsAtOnce {}))).await;
        futures::future::join_all(
            (0..6).map(|n| stage.call(WholeRowsWriting { key: format!("{round} before {n}") })),
        )
        .await;
        execute(&mut connection, &format!("ALTER TABLE ledger ADD COLUMN round_{round} text")).await;
        for n in 0..6 {
            stage.call(WholeRows {}).await.expect("reads");
            stage.call(WholeRowsAtOnce {}).await.expect("reads in a snapshot");
            stage.call(WholeRowsWriting { key: format!("{round} after {n}") }).await.expect("writes");
        }
    }
    assert_eq!(stage.keys().await.len(), 36);
    stage.close().await;
}
