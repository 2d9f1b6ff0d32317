//! Pause and limit of queues on real nodes.

use forge_tests::{Client, Database, probe, until};
use serde_json::{Value, json};

use super::jobs::{LONG, await_history, nothing_is_left, worker_on};
use super::stage::PATIENCE;

async fn command(client: &Client, function: &str, arguments: Value) -> (u16, Value) {
    let reply = client.call(function, arguments, Some(&probe::admin_token())).await;
    let body: Value =
        serde_json::from_str(&reply.text).unwrap_or_else(|error| panic!("{error}: {}", reply.text));
    (reply.status, body)
}

async fn enqueue(client: &Client, prefix: &str, count: u32, ms: u32) {
    let arguments = json!({ "prefix": prefix, "count": count, "ms": ms });
    let reply = client.call("jobs.enqueue", arguments, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

#[tokio::test]
async fn a_paused_queue_waits_while_the_others_run() {
    let database = Database::create().await;
    let nodes = [worker_on(&database, "").start().await, worker_on(&database, "").start().await];
    let client = nodes[0].client();
    // Runs on while its queue is paused.
    enqueue(client, "long", 1, 1_500).await;
    let running = "select count(*) from probe_effects where what = 'begun'";
    until("it runs", PATIENCE, || async { (database.value::<i64>(running).await == 1).then_some(()) }).await;
    let (status, row) = command(client, "forge.pauseQueue", json!({ "queue": "work" })).await;
    assert_eq!((status, &row["data"]["pausedBy"]), (200, &json!("admin")), "{row}");
    enqueue(client, "short", 40, 0).await;
    for done in 1..=3 {
        let reply =
            nodes[1].call("jobs.enqueue_quick", json!({ "n": done }), Some(&probe::token("ana"))).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    await_history(&database, "completed: 4", LONG).await;
    assert_eq!(database.value::<i64>(running).await, 1, "the running job ended, and none of its queue began");

    let (status, refused) = command(client, "forge.pauseQueue", json!({ "queue": "work" })).await;
    assert_eq!((status, &refused["error"]["code"]), (409, &json!("CONFLICT")), "{refused}");
    let (status, refused) = command(client, "forge.pauseQueue", json!({ "queue": "wrok" })).await;
    assert_eq!((status, &refused["error"]["code"]), (404, &json!("NOT_FOUND")), "{refused}");
    assert!(refused["error"]["details"]["queues"].as_array().is_some_and(|all| all.contains(&json!("work"))));

    let (status, row) = command(client, "forge.resumeQueue", json!({ "queue": "work" })).await;
    assert_eq!((status, &row["data"]["pausedAt"]), (200, &Value::Null), "{row}");
    await_history(&database, "completed: 44", LONG).await;
    nothing_is_left(&database).await;
    let audited: Vec<String> = database
        .column("select action || ' ' || target || ' ' || outcome from forge_audit order by at")
        .await;
    assert_eq!(audited, ["pauseQueue work done", "resumeQueue work done"], "what failed did not happen");
}

#[tokio::test]
async fn nodes_hold_no_more_jobs_of_a_queue_than_its_limit() {
    let database = Database::create().await;
    let nodes = [worker_on(&database, "").start().await, worker_on(&database, "").start().await];
    let client = nodes[0].client();
    // The claimers know the queue as one without a limit.
    enqueue(client, "before", 4, 0).await;
    await_history(&database, "completed: 4", PATIENCE).await;
    database.execute("delete from probe_effects").await;
    let (status, row) =
        command(client, "forge.limitQueue", json!({ "queue": "work", "concurrencyMax": 3 })).await;
    assert_eq!((status, &row["data"]["concurrencyMax"]), (200, &json!(3)), "{row}");
    enqueue(client, "after", 60, 30).await;
    await_history(&database, "completed: 64", LONG).await;
    nothing_is_left(&database).await;
    let most = "select max(running) from (
        select sum(case what when 'begun' then 1 else -1 end) over (order by at, what desc) as running
        from probe_effects
    ) as counts";
    assert_eq!(database.value::<i64>(most).await, 3, "all slots are used, over both nodes, and no more");
    let served = "select count(distinct pid) from probe_effects";
    println!("{} nodes ran them", database.value::<i64>(served).await);
    for refused in [0, 1_000_001] {
        let arguments = json!({ "queue": "work", "concurrencyMax": refused });
        assert_eq!(command(client, "forge.limitQueue", arguments).await.0, 400);
    }
    let (status, row) = command(client, "forge.limitQueue", json!({ "queue": "work" })).await;
    assert_eq!((status, &row["data"]["concurrencyMax"]), (200, &Value::Null), "{row}");
    enqueue(client, "again", 10, 0).await;
    await_history(&database, "completed: 74", PATIENCE).await;
}
