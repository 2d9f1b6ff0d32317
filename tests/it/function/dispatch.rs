//! A dispatched job exists if and only if the mutation that dispatched it committed.

use std::time::Duration;

use forge::prelude::*;
use forge_actors::kernel::invocation::{Caller, Invocation};
use forge_actors::kernel::trace::TraceContext;
use forge_tests::until;
use futures::FutureExt;
use futures::future::join_all;
use serde_json::Value;

use super::handlers::{Put, PutAndFail};
use super::stage::{Stage, caller};
use crate::store::cluster::execute;

/// For dispatches that wait for a lock; long, because the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(30);

/// A job whose rows are inspected; it is never run.
#[forge::job(queue = "mail", priority = 70, attempts = 4, input_max = "64B", alias = "post.send")]
async fn send(_ctx: &JobContext, key: String) -> Result<()> {
    drop(key);
    Ok(())
}

/// Writes and dispatches, and fails when `fails` is set.
#[forge::mutation(public)]
async fn write_and_dispatch(ctx: &MutationContext, key: String, delay_ms: u64, fails: bool) -> Result<JobId> {
    ctx.call(Put { key: key.clone() }).await?;
    let job = ctx.dispatch(Send { key }).after(Duration::from_millis(delay_ms)).await?;
    if fails { Err(Fault::new(Code::Conflict, "after the dispatch, as asked")) } else { Ok(job) }
}

/// Survives the failure of a call that dispatched.
#[forge::mutation(public)]
async fn survive_a_dispatch(ctx: &MutationContext) -> Result<()> {
    let inside = ctx.call(WriteAndDispatch { key: "inside".into(), delay_ms: 0, fails: true }).await;
    assert!(inside.is_err());
    ctx.dispatch(Send { key: "own".into() }).await?;
    Ok(())
}

/// Fails after a call that dispatched has succeeded.
#[forge::mutation(public)]
async fn dispatch_inside_and_fail(ctx: &MutationContext) -> Result<()> {
    ctx.call(WriteAndDispatch { key: "inside".into(), delay_ms: 0, fails: false }).await?;
    ctx.call(PutAndFail { key: "outside".into() }).await?;
    Ok(())
}

/// Has a priority by its name.
#[forge::job(queue = "mail", priority = high, attempts = 2)]
async fn hurry(_ctx: &JobContext) -> Result<()> {
    Ok(())
}

/// Says otherwise than the handler, an hour ago and in an hour.
#[forge::mutation(public)]
async fn dispatch_otherwise(ctx: &MutationContext) -> Result<()> {
    let hour = Duration::from_secs(3_600);
    let urgent = ctx.dispatch(Send { key: "urgent".into() }).priority(Priority::CRITICAL).attempts(0);
    urgent.at(ctx.now() - hour).await?;
    let later = ctx.dispatch(Send { key: "later".into() }).priority(Priority::of(200)).attempts(9);
    later.at(ctx.now() + hour).await?;
    ctx.dispatch(Hurry {}).await?;
    Ok(())
}

/// Dispatches without a transaction of its own.
#[forge::action(public)]
async fn dispatch_from_an_action(ctx: &ActionContext, key: String) -> Result<JobId> {
    ctx.dispatch(Send { key }).await
}

/// Is never run.
#[forge::job(queue = "texts", attempts = 3)]
async fn read_text(_ctx: &JobContext, text: String) -> Result<()> {
    drop(text);
    Ok(())
}

/// Dispatches many jobs without a transaction of its own. Each seventh has a text that is too long for a
/// batch lease.
#[forge::action(public)]
async fn dispatch_many(ctx: &ActionContext, count: usize) -> Result<Vec<JobId>> {
    let text = |number| if number % 7 == 0 { "x".repeat(5_000) } else { format!("{number}") };
    ctx.dispatch_all((0..count).map(|number| ReadText { text: text(number) })).priority(Priority::LOW).await
}

/// `name queue priority attempts_max ready args subject`, one line a job.
async fn rows(stage: &Stage) -> Vec<String> {
    let sql = "SELECT concat_ws(' ', name, queue, priority, attempts_max, ready, args::text, identity ->> 'subject') FROM forge_jobs ORDER BY id";
    sqlx::query_scalar(sql).fetch_all(&mut stage.scratch.connect().await).await.expect("reads")
}

/// The queues that hints named. A call's hint is published before the call is answered.
fn woken(stage: &Stage) -> Vec<String> {
    let hint = stage.queues.next().now_or_never();
    hint.map(|hint| hint.topics.queues().map(|queue| queue.to_string()).collect()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_commits_with_its_mutation() {
    let stage = Stage::migrated().await;
    let trace = TraceContext::new_root();
    let args = br#"{"key": "a", "delayMs": 0, "fails": false}"#.as_slice();
    let invocation =
        Invocation { trace, ..Invocation::new("dispatch.write_and_dispatch", args, caller(&["editor"])) };
    let answer = stage.functions.call(invocation).await.expect("commits");
    assert_eq!(rows(&stage).await, [r#"dispatch.send mail 70 4 t {"key":"a"} ana"#]);
    assert_eq!(woken(&stage), ["mail"]);
    let sql = "SELECT trace FROM forge_jobs WHERE id = $1::uuid";
    let id: String = serde_json::from_slice(&answer).expect("the job's id");
    let stored: String = sqlx::query_scalar(sql)
        .bind(id)
        .fetch_one(&mut stage.scratch.connect().await)
        .await
        .expect("its row");
    assert_eq!(TraceContext::parse(&stored).map(|stored| stored.trace_id), Some(trace.trace_id));
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_is_rolled_back_with_its_mutation() {
    let stage = Stage::migrated().await;
    for _ in 0..20 {
        let failed = stage.call(WriteAndDispatch { key: "a".into(), delay_ms: 0, fails: true }).await;
        assert_eq!(failed.expect_err("fails").code(), Code::Conflict);
    }
    assert!(stage.call(DispatchInsideAndFail {}).await.is_err());
    assert_eq!(rows(&stage).await, [""; 0]);
    assert_eq!(stage.keys().await, [""; 0]);
    assert_eq!(woken(&stage), [""; 0], "no worker is woken for nothing");
    stage.call(SurviveADispatch {}).await.expect("commits");
    assert_eq!(rows(&stage).await, [r#"dispatch.send mail 70 4 t {"key":"own"}"#]);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_may_say_otherwise_than_the_handler() {
    let stage = Stage::migrated().await;
    stage.call(DispatchOtherwise {}).await.expect("commits");
    let written = rows(&stage).await;
    assert_eq!(
        written,
        [
            r#"dispatch.send mail 100 1 t {"key":"urgent"}"#,
            r#"dispatch.send mail 100 9 f {"key":"later"}"#,
            "dispatch.hurry mail 75 2 t {}",
        ]
    );
    let sql = "SELECT round(extract(epoch FROM run_at - created_at) / 60)::int8 FROM forge_jobs ORDER BY id";
    let minutes: Vec<i64> =
        sqlx::query_scalar(sql).fetch_all(&mut stage.scratch.connect().await).await.expect("reads");
    assert_eq!(minutes, [0, 60, 0], "what has passed is now");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_is_not_ready() {
    let stage = Stage::migrated().await;
    stage.call(WriteAndDispatch { key: "a".into(), delay_ms: 60_000, fails: false }).await.expect("commits");
    assert_eq!(rows(&stage).await, [r#"dispatch.send mail 70 4 f {"key":"a"}"#]);
    let sql = "SELECT extract(epoch FROM run_at - created_at)::float8 FROM forge_jobs";
    let delay: f64 =
        sqlx::query_scalar(sql).fetch_one(&mut stage.scratch.connect().await).await.expect("reads");
    assert!((delay - 60.0).abs() < 0.001, "{delay}");
    assert_eq!(woken(&stage), [""; 0], "the polls of claimers learn in time when it is due");
    stage.call(WriteAndDispatch { key: "b".into(), delay_ms: 1_000, fails: false }).await.expect("commits");
    assert_eq!(woken(&stage), ["mail"], "a claimer must learn when it is due");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_dispatches_in_a_transaction_of_its_own() {
    let stage = Stage::migrated().await;
    stage.call_as(DispatchFromAnAction { key: "a".into() }, caller(&[])).await.expect("dispatches");
    assert_eq!(rows(&stage).await, [r#"dispatch.send mail 70 4 t {"key":"a"} ana"#]);
    assert_eq!(woken(&stage), ["mail"]);
    let refused =
        stage.call(DispatchFromAnAction { key: "x".repeat(64) }).await.expect_err("too large for the job");
    assert_eq!(refused.code(), Code::PayloadTooLarge);
    assert!(refused.details().is_some_and(|details| details["bytesMax"].is_u64()), "{refused:?}");
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_dispatches_each_thousand_jobs_in_one_commit() {
    let stage = Stage::migrated().await;
    let dispatched = stage.call_as(DispatchMany { count: 1_400 }, caller(&[])).await.expect("dispatches");
    let dispatched: Vec<String> = serde_json::from_value(dispatched).expect("ids");
    let mut connection = stage.scratch.connect().await;
    let sql = "SELECT id::text FROM forge_jobs ORDER BY id";
    let stored: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("reads");
    assert_eq!(stored, dispatched);
    let sql =
        "SELECT concat_ws(' ', name, queue, priority, attempts_max, ready, batched, identity ->> 'subject',
                   trace IS NOT NULL, run_at = created_at, count(*), count(DISTINCT xmin::text))
               FROM forge_jobs
               GROUP BY name, queue, priority, attempts_max, ready, batched, identity ->> 'subject',
                   trace IS NOT NULL, run_at = created_at
               ORDER BY batched";
    let rows: Vec<String> = sqlx::query_scalar(sql).fetch_all(&mut connection).await.expect("reads");
    assert_eq!(
        rows,
        [
            "dispatch.read_text texts 25 3 t f ana t t 200 2",
            "dispatch.read_text texts 25 3 t t ana t t 1200 2"
        ]
    );
    assert_eq!(woken(&stage), ["texts"]);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_cannot_be_called() {
    let stage = Stage::migrated().await;
    for name in ["dispatch.send", "post.send", "forge.dispatch"] {
        let called = stage
            .functions
            .call(Invocation::new(name, br#"{"key": "a"}"#.as_slice(), Caller::default()))
            .await;
        assert_eq!(called.expect_err(name).code(), Code::NotFound);
    }
    stage.close().await;
}

/// Dispatches that begin at the same time, of which the first two are under way when the others gather; all
/// of them wait until the lock of `held` ends.
async fn dispatch_together(stage: &Stage, keys: impl Iterator<Item = String>) -> Vec<Result<Value, Fault>> {
    let mut held = stage.scratch.connect().await;
    execute(&mut held, "BEGIN; LOCK TABLE forge_jobs IN SHARE MODE").await;
    let dispatches = join_all(keys.map(|key| stage.call(DispatchFromAnAction { key })));
    let release = async {
        until("two writes wait for the lock", PATIENCE, || async {
            (stage.scratch.sessions("wait_event_type = 'Lock'").await == 2).then_some(())
        })
        .await;
        execute(&mut held, "COMMIT").await;
    };
    tokio::join!(dispatches, release).0
}

#[tokio::test(flavor = "multi_thread")]
async fn dispatches_at_the_same_time_share_a_commit() {
    let stage = Stage::migrated().await;
    let dispatched = dispatch_together(&stage, (0..20).map(|number| format!("{number}"))).await;
    let mut ids: Vec<_> =
        dispatched.into_iter().map(|reply| reply.expect("dispatches").to_string()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!((ids.len(), rows(&stage).await.len()), (20, 20));
    let commits = "SELECT count(DISTINCT xmin::text) FROM forge_jobs";
    let commits: i64 =
        sqlx::query_scalar(commits).fetch_one(&mut stage.scratch.connect().await).await.expect("reads");
    // The first one by itself, what had come when the second one was written, and all that gathered behind.
    assert!(commits < 10, "{commits} commits");
    assert_eq!(woken(&stage), ["mail"]);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_dispatch_fails_alone() {
    let stage = Stage::migrated().await;
    let mut connection = stage.scratch.connect().await;
    for rule in [
        "ALTER TABLE forge_jobs ADD CHECK (args ->> 'key' NOT LIKE 'poison%')",
        // A bug in a trigger: nothing in its code says that one of the rows is to blame.
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN RAISE EXCEPTION 'no such column' USING ERRCODE = '42703'; END $$",
        "CREATE TRIGGER buggy BEFORE INSERT ON forge_jobs FOR EACH ROW
         WHEN (new.args ->> 'key' = 'poison-13') EXECUTE FUNCTION fail()",
    ] {
        execute(&mut connection, rule).await;
    }
    let keys =
        (0..20).map(|number| if number % 7 == 6 { format!("poison-{number}") } else { format!("{number}") });
    let dispatched = dispatch_together(&stage, keys).await;
    for (number, reply) in dispatched.into_iter().enumerate() {
        assert_eq!(reply.is_err(), number % 7 == 6, "{number}: {reply:?}");
    }
    assert_eq!(rows(&stage).await.len(), 18);
    stage.close().await;
}

/// Ends the session of a dispatch while it waits for a lock.
async fn dispatch_and_end_the_session<H: Handler>(stage: &Stage, message: H) -> Result<Value, Fault> {
    let mut held = stage.scratch.connect().await;
    execute(&mut held, "BEGIN; LOCK TABLE forge_jobs IN SHARE MODE").await;
    let waits = "wait_event_type = 'Lock'";
    let end = async {
        until("the dispatch waits for the lock", PATIENCE, || async {
            (stage.scratch.sessions(waits).await == 1).then_some(())
        })
        .await;
        // A pooler that has lost its server answers in the same way, also after the commit.
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND {waits}"
        );
        execute(&mut stage.scratch.connect().await, &sql).await;
        execute(&mut held, "COMMIT").await;
    };
    tokio::join!(stage.call(message), end).0
}

#[tokio::test(flavor = "multi_thread")]
async fn many_jobs_whose_session_is_ended_are_inserted_on_another_one() {
    let stage = Stage::migrated().await;
    let dispatched = dispatch_and_end_the_session(&stage, DispatchMany { count: 10 }).await;
    assert_eq!(dispatched.expect("nothing was committed").as_array().map(Vec::len), Some(10));
    assert_eq!(rows(&stage).await.len(), 10);
    // And one that ended while nobody used it.
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    execute(&mut stage.scratch.connect().await, end).await;
    stage.call(DispatchMany { count: 10 }).await.expect("nothing was sent");
    assert_eq!(rows(&stage).await.len(), 20);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_dispatches_leave_connections_to_others_while_the_table_is_locked() {
    let stage = Stage::migrated().await;
    let mut held = stage.scratch.connect().await;
    execute(&mut held, "BEGIN; LOCK TABLE forge_jobs IN SHARE MODE").await;
    let waiting = async || stage.scratch.sessions("wait_event_type = 'Lock'").await;
    let dispatches = join_all((0..6).map(|_| stage.call(DispatchMany { count: 10 })));
    let release = async {
        until("two of them wait for the lock", PATIENCE, || async { (waiting().await == 2).then_some(()) })
            .await;
        // The others wait for their turn for as long as for a connection.
        for _ in 0..100 {
            assert!(waiting().await <= 2);
        }
        execute(&mut held, "COMMIT").await;
    };
    for dispatched in tokio::join!(dispatches, release).0 {
        dispatched.expect("dispatches");
    }
    assert_eq!(rows(&stage).await.len(), 60);
    stage.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dispatch_whose_session_is_ended_has_an_unknown_outcome() {
    let stage = Stage::migrated().await;
    let one = dispatch_and_end_the_session(&stage, DispatchFromAnAction { key: "a".into() }).await;
    assert_eq!(one.expect_err("its session was ended").code(), Code::OutcomeUnknown);
    stage.close().await;
}
