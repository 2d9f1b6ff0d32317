//! Limits of calls: who may call, the size of arguments, time limits, concurrency.

use std::sync::atomic::Ordering;
use std::time::Duration;

use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::transaction::TransactionOptions;
use forge_actors::function::config::FunctionConfig;
use forge_actors::kernel::fault::{Code, Fault};
use forge_actors::kernel::invocation::{Caller, Invocation};
use forge_tests::until;

use super::handlers::*;
use super::stage::{Stage, caller};
use crate::store::cluster::Scratch;

fn code<T: std::fmt::Debug>(result: Result<T, Fault>) -> Code {
    result.expect_err("refused").code()
}

#[tokio::test]
async fn access_is_checked_before_arguments_are_read() {
    let stage = Stage::open().await;
    assert_eq!(code(stage.call(Edited {}).await), Code::Unauthenticated);
    assert_eq!(code(stage.call_as(Edited {}, caller(&["reader"])).await), Code::PermissionDenied);
    stage.call_as(Edited {}, caller(&["editor"])).await.expect("may");
    let unreadable = Invocation::new("handlers.edited", "{", Caller::default());
    assert_eq!(code(stage.functions.call(unreadable).await), Code::Unauthenticated);
    stage.close().await;
}

#[tokio::test]
async fn what_is_internal_or_unknown_does_not_exist() {
    let stage = Stage::open().await;
    let hidden = stage.call_as(Hidden {}, caller(&["admin"])).await.expect_err("refused");
    let unknown = stage
        .functions
        .call(Invocation::new("handlers.hiddem", "{}", caller(&["admin"])))
        .await
        .expect_err("refused");
    assert_eq!(hidden.code(), Code::NotFound);
    assert_eq!(hidden.message().replace("hidden", "hiddem"), unknown.message());
    stage.close().await;
}

#[tokio::test]
async fn arguments_have_a_size() {
    let stage = Stage::open().await;
    stage.call(Small { text: "x".repeat(20) }).await.expect("fits");
    let refused = stage.call(Small { text: "x".repeat(100) }).await.expect_err("too large");
    assert_eq!(refused.code(), Code::PayloadTooLarge);
    assert!(refused.details().is_some_and(|details| details["bytesMax"].is_u64()), "{refused:?}");
    stage.close().await;
}

#[tokio::test]
async fn a_time_limit_ends_the_statement_in_postgres() {
    let stage = Stage::open().await;
    assert_eq!(code(stage.call(SleepReading {}).await), Code::Timeout);
    assert_eq!(code(stage.call(SleepWriting {}).await), Code::Timeout);
    until("no statement of a cut call runs", Duration::from_secs(5), || async {
        (stage.scratch.sessions("query LIKE '%pg_sleep%' AND state = 'active'").await == 0).then_some(())
    })
    .await;
    assert!(stage.keys().await.is_empty());
    stage.close().await;
}

#[tokio::test]
async fn a_time_limit_holds_while_a_call_waits_for_a_connection() {
    let config = DatabaseConfig {
        write_connections_max: 1,
        acquire_timeout: Duration::from_secs(2),
        ..DatabaseConfig::default()
    };
    let stage = Stage::over(Scratch::with(config).await, FunctionConfig::default()).await;
    let options = TransactionOptions::new("holds the only connection", Duration::from_secs(60));
    let holder = stage.scratch.database.begin(options).await.expect("begins");
    let (short, patient) = futures::join!(stage.call(SleepWriting {}), stage.call(Put { key: "x".into() }));
    assert_eq!(code(short), Code::Timeout);
    // The database answers; all connections of the pool are in use.
    assert_eq!(code(patient), Code::Overloaded);
    holder.rollback().await;
    stage.call(Put { key: "y".into() }).await.expect("the connection is free again");
    stage.close().await;
}

#[tokio::test]
async fn a_handler_that_blocks_its_thread_is_late_and_commits_nothing() {
    let stage = Stage::open().await;
    assert_eq!(code(stage.call(Block {}).await), Code::Timeout);
    assert!(stage.keys().await.is_empty());
    stage.close().await;
}

/// Waits until a statement of the stage is in this state.
async fn statements(stage: &Stage, condition: &str) {
    until("a statement is under way", Duration::from_secs(5), || async {
        (stage.scratch.sessions(condition).await > 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_caller_who_leaves_ends_its_query_and_not_its_mutation() {
    let stage = Stage::open().await;
    tokio::select! {
        answered = stage.call(CountTwice {}) => panic!("answered before the caller left: {answered:?}"),
        () = statements(&stage, "query LIKE '%pg_sleep%' AND state = 'active'") => {}
    }
    until("the query was cancelled", Duration::from_secs(5), || async {
        (stage.functions.in_flight().is_empty()).then_some(())
    })
    .await;
    let mut connection = stage.scratch.connect().await;
    let mut lock = sqlx::Connection::begin(&mut connection).await.expect("begins");
    sqlx::query("LOCK TABLE ledger").execute(&mut *lock).await.expect("locks");
    tokio::select! {
        answered = stage.call(Put { key: "kept".into() }) => panic!("the table is locked: {answered:?}"),
        () = statements(&stage, "wait_event_type = 'Lock'") => {}
    }
    lock.commit().await.expect("unlocks");
    until("the mutation went on", Duration::from_secs(5), || async {
        (stage.keys().await == ["kept"]).then_some(())
    })
    .await;
    stage.close().await;
}

#[tokio::test]
async fn a_handlers_own_limit_refuses_the_next_call() {
    let stage = Stage::open().await;
    let (first, second) = futures::join!(stage.call(Wait { ms: 200 }), stage.call(Wait { ms: 0 }));
    first.expect("runs");
    let refused = second.expect_err("one at a time");
    assert_eq!(refused.code(), Code::Overloaded);
    assert!(refused.retry_delay().is_some());
    stage.close().await;
}

#[tokio::test]
async fn a_full_node_refuses_and_its_own_calls_go_on() {
    let stage = Stage::with(FunctionConfig { calls_max: 1, ..FunctionConfig::default() }).await;
    // The action holds the node's only place while its calls run.
    let (action, refused) = futures::join!(stage.call(Orchestrate {}), stage.call(Put { key: "x".into() }));
    action.expect("nested calls take no second place");
    assert_eq!(code(refused), Code::Overloaded);
    stage.close().await;
}

#[tokio::test]
async fn a_mutation_whose_result_is_too_large_writes_nothing() {
    let stage = Stage::with(FunctionConfig { result_bytes_max: 100, ..FunctionConfig::default() }).await;
    let refused = stage.call(PutAndRepeat { key: "a".into(), bytes: 99 }).await;
    assert_eq!(code(refused), Code::PayloadTooLarge);
    stage.call(PutAndRepeat { key: "b".into(), bytes: 98 }).await.expect("it fits");
    assert_eq!(stage.keys().await, ["b"]);
    stage.close().await;
}

/// Waits until this many calls run.
async fn running(stage: &Stage, calls: usize) {
    until("the calls run", Duration::from_secs(5), || async {
        (stage.functions.in_flight().len() == calls).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_call_that_waits_for_a_core_holds_no_place() {
    let stage = Stage::with(FunctionConfig { calls_max: 1, ..FunctionConfig::default() }).await;
    let (computed, other) = futures::join!(stage.call(Compute {}), async {
        until("the work has begun", Duration::from_secs(5), || async {
            (COMPUTING.load(Ordering::Relaxed) == 1).then_some(())
        })
        .await;
        let other = stage.call(CountUp {}).await;
        COMPUTED.add_permits(1);
        other
    });
    computed.expect("the work ended");
    other.expect("the node's only place is free meanwhile");
    stage.close().await;
}

#[tokio::test]
async fn no_function_and_no_caller_takes_every_place() {
    let config =
        FunctionConfig { calls_max: 4, function_share: 0.5, caller_share: 0.5, ..FunctionConfig::default() };
    let stage = Stage::with(config).await;
    let compute = |ip: [u8; 4]| {
        let caller = Caller { ip: Some(ip.into()), ..Caller::default() };
        stage.call_as(Compute {}, caller)
    };
    let (first, second, ()) = futures::join!(compute([10, 0, 0, 1]), compute([10, 0, 0, 1]), async {
        running(&stage, 2).await;
        let function = compute([10, 0, 0, 2]).await.expect_err("the function has its share");
        assert!(function.code() == Code::Overloaded && function.message().contains("handlers.compute"));
        let same = Caller { ip: Some([10, 0, 0, 1].into()), ..Caller::default() };
        let refused = stage.call_as(CountUp {}, same).await.expect_err("the caller has its share");
        assert!(refused.code() == Code::Overloaded && refused.message().contains("this caller"));
        assert!(refused.retry_delay().is_some());
        stage.call_as(CountUp {}, caller(&[])).await.expect("another caller, another function");
        COMPUTED.add_permits(2);
    });
    first.expect("runs");
    second.expect("runs");
    stage.close().await;
}

#[tokio::test]
async fn mutations_that_wait_for_a_lock_leave_a_connection_to_others() {
    let config = DatabaseConfig {
        write_connections_max: 2,
        acquire_timeout: Duration::from_secs(10),
        ..DatabaseConfig::default()
    };
    let stage = Stage::over(Scratch::with(config).await, FunctionConfig::default()).await;
    let mut connection = stage.scratch.connect().await;
    let mut lock = sqlx::Connection::begin(&mut connection).await.expect("begins");
    sqlx::query("LOCK TABLE ledger").execute(&mut *lock).await.expect("locks");
    let put = |key: &str| stage.call(Put { key: key.into() });
    let (first, second, ()) = futures::join!(put("a"), put("b"), async {
        statements(&stage, "wait_event_type = 'Lock'").await;
        stage.call(CountUp {}).await.expect("another function has a connection");
        lock.commit().await.expect("unlocks");
    });
    first.expect("the table is unlocked");
    second.expect("it was its turn");
    stage.close().await;
}

#[tokio::test]
async fn endless_recursion_is_cut() {
    let stage = Stage::open().await;
    assert_eq!(code(stage.call(Recurse {}).await), Code::Internal);
    stage.close().await;
}

#[tokio::test]
async fn a_drain_lets_calls_end_and_cancels_what_does_not() {
    let config = FunctionConfig { drain_timeout: Duration::from_millis(300), ..FunctionConfig::default() };
    let stage = Stage::with(config).await;
    let functions = stage.functions.clone();
    let call = |ms: u64| {
        let functions = functions.clone();
        async move {
            functions
                .call(Invocation::new("handlers.wait", format!("{{\"ms\":{ms}}}"), Caller::default()))
                .await
        }
    };
    let long = tokio::spawn(call(60_000));
    until("the call runs", Duration::from_secs(5), || async {
        (!stage.functions.in_flight().is_empty()).then_some(())
    })
    .await;
    stage.close().await;
    assert_eq!(code(long.await.expect("not panicked")), Code::Unavailable);
    assert_eq!(code(call(0).await), Code::Unavailable);
}
