//! What a call leaves in the database: all of it or nothing.

use forge_actors::kernel::fault::Code;
use forge_actors::kernel::invocation::{Caller, Invocation};
use serde_json::json;

use super::handlers::*;
use super::room::Room;
use crate::store::cluster::execute;

#[tokio::test]
async fn a_failed_mutation_leaves_nothing() {
    let room = Room::open().await;
    let fault = room.call(PutAndFail { key: "x".into() }).await.expect_err("refused");
    assert_eq!((fault.code().name(), fault.code().status()), ("REFUSED_ON_PURPOSE", 409));
    assert_eq!(fault.details(), Some(&json!({ "key": "x" })));
    assert_eq!(fault.message(), "The entry was refused on purpose.");
    assert!(room.keys().await.is_empty());
    room.close().await;
}

#[tokio::test]
async fn a_failed_call_that_the_caller_survives_leaves_nothing_of_itself() {
    let room = Room::open().await;
    assert_eq!(room.call(Survive {}).await.expect("survives"), "inside");
    assert_eq!(room.keys().await, ["after", "before"]);
    room.close().await;
}

#[tokio::test]
async fn calls_joined_on_one_transaction_do_not_mix() {
    let room = Room::open().await;
    assert_eq!(room.call(Join {}).await.expect("joins"), true);
    assert_eq!(room.keys().await, ["a", "c"]);
    room.close().await;
}

#[tokio::test]
async fn postgres_refuses_a_querys_write_wherever_it_runs() {
    let room = Room::open().await;
    assert_eq!(room.call(WriteAnyway {}).await.expect_err("refused").code(), Code::Internal);
    assert_eq!(room.call(AskToWrite {}).await.expect("goes on"), true);
    assert_eq!(room.keys().await, ["own"]);
    room.close().await;
}

#[tokio::test]
async fn an_ignored_error_is_no_commit() {
    let room = Room::open().await;
    // Postgres answers COMMIT of a failed transaction with a silent rollback: Ok would be a lie.
    assert_eq!(room.call(Swallow {}).await.expect_err("not committed").code(), Code::Internal);
    assert!(room.keys().await.is_empty());
    room.close().await;
}

#[tokio::test]
async fn a_panic_rolls_back_and_is_in_the_journal() {
    let room = Room::open().await;
    let fault = room.call(Panic {}).await.expect_err("panicked");
    assert_eq!(fault.code(), Code::Internal);
    assert!(!fault.message().contains("on purpose"));
    assert!(room.keys().await.is_empty());
    let crashes = room.tree.journal().crashes_since(0).entries;
    assert_eq!(
        (crashes[0].path.as_str(), crashes[0].cause.as_str()),
        ("node/functions/handlers.panic", "on purpose")
    );
    assert!(crashes[0].backtrace.as_ref().is_some_and(|trace| trace.contains("handlers")));
    room.call(Put { key: "next".into() }).await.expect("the room goes on");
    room.close().await;
}

#[tokio::test]
async fn a_panic_outside_of_the_handlers_body_ends_one_call_too() {
    let room = Room::open().await;
    let sliced =
        Invocation::new("handlers.read_sliced", "{\"text\": \"\u{20ac}\u{20ac}\"}", Caller::default());
    room.functions.call(sliced).await.expect("three bytes are one euro sign");
    let sliced = Invocation::new("handlers.read_sliced", "{\"text\": \"a\u{20ac}\"}", Caller::default());
    assert_eq!(room.functions.call(sliced).await.expect_err("panicked").code(), Code::Internal);
    assert_eq!(room.call(PanicWhenCut {}).await.expect_err("panicked").code(), Code::Internal);
    assert!(room.keys().await.is_empty());
    let crashes = room.tree.journal().crashes_since(0).entries;
    let paths: Vec<_> = crashes.iter().map(|crash| crash.path.as_str()).collect();
    assert_eq!(paths, ["node/functions/handlers.read_sliced", "node/functions/handlers.panic_when_cut"]);
    room.close().await;
}

#[tokio::test]
async fn an_action_commits_call_by_call() {
    let room = Room::open().await;
    assert_eq!(room.call(Orchestrate {}).await.expect("goes on"), "second");
    assert_eq!(room.keys().await, ["first"]);
    room.close().await;
}

#[tokio::test]
async fn lost_races_are_run_again_and_nothing_is_counted_twice() {
    let room = Room::open().await;
    let calls = futures::future::join_all((0..12).map(|_| room.call(CountUp {}))).await;
    let counted = calls.iter().filter(|call| call.is_ok()).count() as i64;
    for lost in calls.iter().filter_map(|call| call.as_ref().err()) {
        assert_eq!(lost.code(), Code::Conflict);
        assert!(lost.retry_delay().is_some());
    }
    let mut connection = room.scratch.connect().await;
    let value: i64 =
        sqlx::query_scalar("SELECT value FROM counter").fetch_one(&mut connection).await.expect("reads");
    assert_eq!(value, counted);
    // Without retries one of twelve that start together would win.
    assert!(counted > 1, "{counted} of 12");
    room.close().await;
}

#[tokio::test]
async fn a_deadlock_is_run_again() {
    let room = Room::open().await;
    for key in ["a", "b"] {
        room.call(Put { key: key.into() }).await.expect("written");
    }
    let lock = |first: &str, second: &str| room.call(LockBoth { first: first.into(), second: second.into() });
    let (one, other) = futures::join!(lock("a", "b"), lock("b", "a"));
    one.expect("runs");
    other.expect("runs");
    let mut connection = room.scratch.connect().await;
    let touched: Vec<i32> =
        sqlx::query_scalar("SELECT touched FROM ledger").fetch_all(&mut connection).await.expect("reads");
    assert_eq!(touched, [2, 2]);
    room.close().await;
}

#[tokio::test]
async fn a_snapshot_sees_one_moment() {
    let room = Room::open().await;
    let writing = async {
        for key in 0..20 {
            room.call(Put { key: key.to_string() }).await.expect("written");
        }
    };
    let (seen, ()) = futures::join!(room.call(CountTwice {}), writing);
    let seen = seen.expect("reads");
    assert_eq!(seen[0], seen[1]);
    room.close().await;
}

#[tokio::test]
async fn a_schema_that_changes_under_a_running_node_breaks_no_call() {
    let room = Room::open().await;
    let mut connection = room.scratch.connect().await;
    for round in 0..3 {
        // Several sessions of each pool prepare the statement.
        futures::future::join_all((0..6).map(|_| room.call(WholeRows {}))).await;
        futures::future::join_all((0..6).map(|_| room.call(WholeRowsAtOnce {}))).await;
        futures::future::join_all(
            (0..6).map(|n| room.call(WholeRowsWriting { key: format!("{round} before {n}") })),
        )
        .await;
        execute(&mut connection, &format!("ALTER TABLE ledger ADD COLUMN round_{round} text")).await;
        for n in 0..6 {
            room.call(WholeRows {}).await.expect("reads");
            room.call(WholeRowsAtOnce {}).await.expect("reads in a snapshot");
            room.call(WholeRowsWriting { key: format!("{round} after {n}") }).await.expect("writes");
        }
    }
    assert_eq!(room.keys().await.len(), 36);
    room.close().await;
}
