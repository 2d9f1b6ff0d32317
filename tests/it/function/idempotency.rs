//! A mutation that is sent twice with one key happens once, and both callers get the same answer.

use std::time::Duration;

use forge::prelude::*;
use forge_actors::kernel::invocation::{Caller, Invocation};

use super::handlers::Put;
use super::stage::{Stage, caller};
use crate::store::cluster::{execute, until};

/// Adds to the counter, slowly enough for other calls to overlap.
#[forge::mutation]
async fn count_slowly(ctx: &MutationContext, by: i64, fails: bool) -> Result<i64> {
    let counted = sqlx::query_scalar("UPDATE counter SET value = value + $1 RETURNING value")
        .bind(by)
        .fetch_one(ctx.db())
        .await?;
    sqlx::query("SELECT pg_sleep(0.05)").execute(ctx.db()).await?;
    if fails { Err(Fault::new(Code::Conflict, "as asked")) } else { Ok(counted) }
}

/// Adds to the counter in a serializable transaction.
#[forge::mutation(isolation = serializable)]
async fn count_strictly(ctx: &MutationContext, by: i64, fails: bool) -> Result<i64> {
    Ok(ctx.call(CountSlowly { by, fails }).await?)
}

/// Adds one to the counter, however long another transaction locks it.
#[forge::mutation(timeout = "2m")]
async fn count_when_free(ctx: &MutationContext) -> Result<i64> {
    let add = "UPDATE counter SET value = value + 1 RETURNING value";
    Ok(sqlx::query_scalar(add).fetch_one(ctx.db()).await?)
}

/// Anyone may count, and gets a secret as the answer.
#[forge::mutation(public)]
async fn count_openly(ctx: &MutationContext) -> Result<String> {
    ctx.call(CountSlowly { by: 1, fails: false }).await?;
    Ok("a token".to_owned())
}

/// An action, which has no transaction and so takes no key.
#[forge::action(public)]
async fn act(ctx: &ActionContext) -> Result<()> {
    ctx.call(Put { key: "acted".into() }).await?;
    Ok(())
}

fn keyed(name: &str, args: &'static str, key: &str, caller: Caller) -> Invocation {
    Invocation {
        idempotency_key: Some(key.parse().expect("a key")),
        ..Invocation::new(name, args.as_bytes(), caller)
    }
}

async fn counter(stage: &Stage) -> i64 {
    sqlx::query_scalar("SELECT value FROM counter")
        .fetch_one(&mut stage.scratch.connect().await)
        .await
        .expect("reads")
}

const ONE: &str = r#"{"by": 1, "fails": false}"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_call_is_answered_and_not_done() {
    let stage = Stage::migrated().await;
    let call =
        |args, key, caller| stage.functions.submit(keyed("idempotency.count_slowly", args, key, caller));
    let (first, receipt) = call(ONE, "a", caller(&[])).await;
    let (again, replayed) = call(ONE, "a", caller(&[])).await;
    assert_eq!((first.expect("counts"), again.expect("is answered")), ("1".into(), "1".into()));
    assert!(
        receipt.xid.is_some() && replayed.xid == receipt.xid,
        "the repeated call learns when it happened"
    );
    let (refused, _) = call(r#"{"by": 2, "fails": false}"#, "a", caller(&[])).await;
    assert_eq!(refused.expect_err("other arguments").code(), Code::Conflict);
    let (strange, _) = call(ONE, "a", caller(&["another"])).await;
    assert_eq!(strange.expect("who calls is the same, whatever the roles"), "1");
    let (fresh, _) = call(ONE, "b", caller(&[])).await;
    assert_eq!(fresh.expect("another key is another call"), "2");
    assert_eq!(counter(&stage).await, 2);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_not_kept() {
    let stage = Stage::migrated().await;
    let call = |args| stage.functions.call(keyed("idempotency.count_slowly", args, "a", caller(&[])));
    for _ in 0..2 {
        assert_eq!(call(r#"{"by": 1, "fails": true}"#).await.expect_err("fails").code(), Code::Conflict);
    }
    assert_eq!(call(ONE).await.expect("the key is free again"), "1");
    assert_eq!(counter(&stage).await, 1);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_duplicates_wait_for_the_first() {
    let stage = Stage::migrated().await;
    for (name, expected) in [("idempotency.count_slowly", 1), ("idempotency.count_strictly", 2)] {
        let calls = (0..10).map(|_| stage.functions.call(keyed(name, ONE, "a", caller(&[]))));
        for answer in futures::future::join_all(calls).await {
            assert_eq!(
                answer.unwrap_or_else(|fault| panic!("{name}: {fault}")),
                expected.to_string(),
                "{name}"
            );
        }
        assert_eq!(counter(&stage).await, expected, "{name}");
    }
    stage.close().await;
}

/// A page that repeats a slow call must not take the connections of others.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_wait_without_a_connection() {
    let stage = Stage::migrated().await;
    let call = |key: &'static str| {
        stage.functions.call(keyed("idempotency.count_when_free", "{}", key, caller(&[])))
    };
    let mut holder = stage.scratch.connect().await;
    execute(&mut holder, "BEGIN; LOCK TABLE counter").await;
    let duplicates = futures::future::join_all((0..40).map(|_| call("a")));
    let others = async {
        until("all calls run, and the first waits for the lock", Duration::from_secs(30), async || {
            stage.functions.in_flight().len() == 40
                && stage.scratch.sessions("wait_event_type = 'Lock'").await > 0
        })
        .await;
        // More calls than the pool has connections wait; another call is served meanwhile.
        assert_eq!(
            stage.call_as(Put { key: "served".into() }, caller(&[])).await.expect("served"),
            json!(null)
        );
        assert_eq!(stage.scratch.sessions("state <> 'idle' AND wait_event_type = 'Lock'").await, 1);
        execute(&mut holder, "COMMIT").await;
    };
    let (answers, ()) = tokio::join!(duplicates, others);
    for answer in answers {
        assert_eq!(answer.expect("is answered"), "1");
    }
    assert_eq!(counter(&stage).await, 1);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_function_happens_once_and_its_answer_is_not_kept() {
    let stage = Stage::migrated().await;
    let call = || stage.functions.call(keyed("idempotency.count_openly", "{}", "a", Caller::default()));
    assert_eq!(call().await.expect("counts"), "\"a token\"");
    assert_eq!(call().await.expect_err("it was made before").code(), Code::AlreadyDone);
    assert_eq!(counter(&stage).await, 1);
    let kept: i64 = sqlx::query_scalar("SELECT count(*) FROM forge_idempotency WHERE answer IS NOT NULL")
        .fetch_one(&mut stage.scratch.connect().await)
        .await
        .expect("reads");
    assert_eq!(kept, 0);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_takes_no_key() {
    let stage = Stage::migrated().await;
    let refused = stage.functions.call(keyed("idempotency.act", "{}", "a", Caller::default())).await;
    assert_eq!(refused.expect_err("an action cannot be undone").code(), Code::BadRequest);
    assert_eq!(stage.keys().await, [""; 0]);
    stage.close().await;
}
