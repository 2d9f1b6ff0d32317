//! Long jobs, and the jobs behind them: those of other queues get a worker, and those that were claimed ahead
//! another node.

use std::time::Duration;

use forge_tests::{Database, probe, until};
use serde_json::json;

use super::jobs::{LONG, await_history, insert, worker_on};
use super::stage::PATIENCE;

const TEN_MINUTES: Duration = Duration::from_secs(600);

#[tokio::test]
async fn long_jobs_of_one_queue_do_not_keep_another_queue_waiting() {
    let database = Database::create().await;
    let node = worker_on(&database, "concurrency = 4\ndrain_timeout = \"100ms\"").start().await;
    let arguments = json!({ "prefix": "long", "count": 8, "ms": TEN_MINUTES.as_millis() as u32 });
    node.call("jobs.enqueue", arguments, Some(&probe::token("ana"))).await.data();
    let running = "select count(*) from forge_unfinished_jobs where queue = 'work' and status = 'running'";
    until("the long jobs have all but one worker", PATIENCE, || async {
        (database.value::<i64>(running).await == 3).then_some(())
    })
    .await;
    for done in 1..=3 {
        node.call("jobs.enqueue_quick", json!({ "n": done }), Some(&probe::token("ana"))).await.data();
        await_history(&database, &format!("completed: {done}"), PATIENCE).await;
    }
    assert_eq!(database.value::<i64>(running).await, 3, "the worker is kept");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn jobs_that_were_claimed_ahead_leave_a_busy_node() {
    // The begin of a job with one attempt is written on its row.
    leave_a_busy_node(1).await;
}

#[tokio::test]
async fn jobs_of_a_batch_that_wait_behind_a_long_one_leave_a_busy_node() {
    leave_a_busy_node(3).await;
}

/// The jobs behind the long one have so many attempts.
async fn leave_a_busy_node(attempts: u32) {
    let database = Database::create().await;
    let config = "concurrency = 1\nprefetch_max = 200\ndrain_timeout = \"100ms\"";
    let busy = worker_on(&database, config).start().await;
    // Quick jobs first: they widen the window, so that jobs behind the long one are claimed with it.
    let quick = insert("jobs.quick", "'n', n", 600, 1, 60);
    let long = insert("jobs.work", "'key', 'long', 'ms', 600000", 1, 3, 50);
    database.execute(&[quick, long, insert("jobs.once", "'n', n", 100, attempts, 40)].concat()).await;
    let claimed = "select count(*) from forge_unfinished_jobs where name = 'jobs.once' and claim > 0";
    let claimed = until("some wait behind the long one", LONG, || async {
        Some(database.value::<i64>(claimed).await).filter(|count| *count > 0)
    })
    .await;
    let idle = worker_on(&database, config).start().await;
    await_history(&database, "completed: 700", LONG).await;
    let moved = "select count(*) from forge_job_history where name = 'jobs.once' and claim > 1";
    let moved = database.value::<i64>(moved).await;
    println!("{claimed} were seen behind the long job, {moved} were claimed again");
    assert!(moved >= claimed, "{moved} of {claimed}");
    let left = "select name || ' ' || status from forge_unfinished_jobs";
    until("only the long job is left, and the renewal says that it runs", PATIENCE, || async {
        (database.column::<String>(left).await == ["jobs.work running"]).then_some(())
    })
    .await;
    for node in [busy, idle] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}
