//! Limits of jobs on real nodes.

use forge_tests::{Database, Signal, probe, until};
use serde_json::json;

use super::jobs::{LONG, await_history, nothing_is_left, worker_on};
use super::stage::PATIENCE;

/// The most jobs of one key that ran at a time, by the begins and ends that they wrote down. Attempts of
/// processes that were killed are left out: their ends are missing.
async fn most_at_a_time(database: &Database, killed: &[u32]) -> i64 {
    let killed: Vec<String> = killed.iter().map(u32::to_string).collect();
    let killed = if killed.is_empty() { "0".to_owned() } else { killed.join(", ") };
    let sql = format!(
        "select coalesce(max(running), 0) from (
             select sum(case what when 'begun' then 1 else -1 end)
                    over (partition by split_part(key, '/', 1) order by at, what desc) as running
             from probe_effects where pid not in ({killed})
         ) as counts"
    );
    database.value(&sql).await
}

#[tokio::test]
async fn no_more_jobs_of_a_key_run_than_its_limit_while_nodes_are_killed() {
    let database = Database::create().await;
    let config = "lease = \"2s\"\nconcurrency = 8";
    let mut nodes = Vec::new();
    for _ in 0..3 {
        nodes.push(worker_on(&database, config).start().await);
    }
    for key in 0..6 {
        let arguments = json!({ "key": format!("key-{key}"), "count": 40, "ms": 20 });
        let reply =
            nodes[0].client().call("limits.enqueue_pairs", arguments, Some(&probe::token("ana"))).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    let mut killed = Vec::new();
    for _ in 0..2 {
        let before: i64 = database.value("select count(*) from forge_job_history").await;
        until("further jobs have ended", LONG, || async {
            let now: i64 = database.value("select count(*) from forge_job_history").await;
            (now >= before + 30).then_some(())
        })
        .await;
        let mut victim = nodes.pop().expect("a node is left");
        killed.push(victim.process().pid());
        victim.process().signal(Signal::KILL);
        nodes.insert(0, worker_on(&database, config).start().await);
    }
    await_history(&database, "completed: 240", LONG).await;
    nothing_is_left(&database).await;
    assert_eq!(most_at_a_time(&database, &killed).await, 2, "two of a key run, and never three");
    let twice: i64 = database
        .value("select count(*) from (select from probe_effects where what = 'done' group by key having count(*) > 1) as twice")
        .await;
    assert!(twice <= 32, "only what the killed nodes held ran again: {twice}");
}

#[tokio::test]
async fn jobs_behind_a_limit_keep_no_other_job_of_their_queue_waiting() {
    let database = Database::create().await;
    let node = worker_on(&database, "concurrency = 8").start().await;
    let arguments = json!({ "key": "long", "count": 1_000, "ms": 600_000 });
    let reply = node.client().call("limits.enqueue_pairs", arguments, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    for key in 0..20 {
        let arguments = json!({ "key": format!("short-{key}"), "count": 2, "ms": 0 });
        let reply = node.client().call("limits.enqueue_pairs", arguments, Some(&probe::token("ana"))).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    await_history(&database, "completed: 40", PATIENCE).await;
    let blocked = "select count(*) from forge_unfinished_jobs where blocked_by is not null";
    assert_eq!(database.value::<i64>(blocked).await, 998);
}

#[tokio::test]
async fn the_starts_of_a_rate_limit_are_spread_over_its_time() {
    let database = Database::create().await;
    let nodes = [worker_on(&database, "").start().await, worker_on(&database, "").start().await];
    let arguments = json!({ "key": "paced", "count": 14 });
    let reply = nodes[1].client().call("limits.enqueue_paced", arguments, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    await_history(&database, "completed: 14", LONG).await;
    // A job begins shortly after its claim, which is what the limit counts.
    let most = "select max(n) from (
        select count(*) over (order by at range between current row and interval '1.8 s' following) as n
        from probe_effects where what = 'begun'
    ) as windows";
    assert_eq!(database.value::<i64>(most).await, 5);
    let took: f64 = database
        .value("select extract(epoch from max(at) - min(at))::float8 from probe_effects where what = 'begun'")
        .await;
    assert!(took > 3.8, "fourteen jobs take two times of the limit and a part: {took}");
}

#[tokio::test]
async fn tenants_take_turns_at_a_limit() {
    let database = Database::create().await;
    // Applies the migrations.
    drop(worker_on(&database, "").start().await);
    // A hundred jobs of one tenant wait, then three of another one come.
    let insert = |tenant: &str, count: u32| {
        format!(
            "insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, identity, concurrency_key)
             select gen_random_uuid(), 'limits.pair', 'limits', 50, 3, true, clock_timestamp(),
                    json_build_object('key', '{tenant}', 'number', n, 'ms', 30),
                    json_build_object('subject', 's', 'tenant', '{tenant}'), 'shared'
             from generate_series(1, {count}) n;"
        )
    };
    database.execute(&insert("large", 100)).await;
    database.execute(&insert("small", 3)).await;
    let node = worker_on(&database, "concurrency = 8").start().await;
    await_history(&database, "completed: 103", LONG).await;
    let before = "select count(*) from probe_effects where what = 'begun' and key like 'large/%'
        and at < (select max(at) from probe_effects where what = 'begun' and key like 'small/%')";
    let before: i64 = database.value(before).await;
    assert!(before < 20, "the small tenant waits for a few jobs of the large one, not for {before}");
    drop(node);
}

#[tokio::test]
async fn tenants_take_turns_at_a_rate_limit() {
    let database = Database::create().await;
    // Applies the migrations.
    drop(worker_on(&database, "").start().await);
    let insert = |tenant: &str, count: u32| {
        format!(
            "insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, identity, rate_key)
             select gen_random_uuid(), 'limits.paced', 'limits', 50, 3, true, clock_timestamp(),
                    json_build_object('key', '{tenant}', 'number', n),
                    json_build_object('subject', 's', 'tenant', '{tenant}'), 'shared'
             from generate_series(1, {count}) n;"
        )
    };
    database.execute(&insert("a-large", 100)).await;
    database.execute(&insert("small", 2)).await;
    let node = worker_on(&database, "concurrency = 8").start().await;
    let small = "select count(*) from probe_effects where what = 'begun' and key like 'small/%'";
    until("both jobs of the small tenant have run", LONG, || async {
        (database.value::<i64>(small).await == 2).then_some(())
    })
    .await;
    let large = "select count(*) from probe_effects where what = 'begun' and key like 'a-large/%'";
    let large: i64 = database.value(large).await;
    assert!(large < 20, "the small tenant waits for a few jobs of the large one, not for {large}");
    drop(node);
}

#[tokio::test]
async fn a_queue_that_no_handler_names_is_found_by_a_poll() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let arguments = json!({ "key": "elsewhere", "queue": "of-customer-7" });
    let reply = node.client().call("limits.enqueue_elsewhere", arguments, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    await_history(&database, "completed: 1", PATIENCE).await;
    let wrong = json!({ "key": "elsewhere", "queue": "Of Customer 7" });
    let reply = node.client().call("limits.enqueue_elsewhere", wrong, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 500, "{}", reply.text);
}

#[tokio::test]
async fn a_job_with_a_capability_waits_for_a_node_that_has_it() {
    let database = Database::create().await;
    let without = worker_on(&database, "").start().await;
    for key in ["a", "b"] {
        let arguments = json!({ "key": key });
        let reply =
            without.client().call("limits.enqueue_rendering", arguments, Some(&probe::token("ana"))).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    // A job behind them in the queue runs: the node has looked at the queue.
    let arguments = json!({ "key": "pair", "count": 1, "ms": 0 });
    let reply = without.client().call("limits.enqueue_pairs", arguments, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    await_history(&database, "completed: 1", PATIENCE).await;
    let with = worker_on(&database, "").environment("FORGE_NODE__CAPABILITIES", "gpu").start().await;
    await_history(&database, "completed: 3", PATIENCE).await;
    let elsewhere = "select count(distinct pid) from probe_effects where key in ('a', 'b')";
    assert_eq!(database.value::<i64>(elsewhere).await, 1);
    drop(with);
}

#[tokio::test]
async fn jobs_take_no_more_of_a_node_than_it_has() {
    let database = Database::create().await;
    let without = worker_on(&database, "").start().await;
    let arguments = json!({ "count": 12, "ms": 50 });
    let reply = without.client().call("limits.enqueue_heavy", arguments, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    // A job behind them in the queue runs: the node has looked at the queue.
    let arguments = json!({ "key": "pair", "count": 1, "ms": 0 });
    let reply = without.client().call("limits.enqueue_pairs", arguments, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    await_history(&database, "completed: 1", PATIENCE).await;
    let with = worker_on(&database, "").environment("FORGE_NODE__RESOURCES", "memory=2560MiB").start().await;
    await_history(&database, "completed: 13", LONG).await;
    database.execute("delete from probe_effects where key like 'pair%'").await;
    assert_eq!(most_at_a_time(&database, &[]).await, 2, "two fit, and two do run");
    drop(with);
}

#[tokio::test]
async fn blocked_jobs_run_when_nothing_limits_them_any_more() {
    let database = Database::create().await;
    // Applies the migrations.
    drop(worker_on(&database, "").start().await);
    let blocked = |name: &str, keys: &str, key: &str, args: &str| {
        format!(
            "insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, due_at, blocked_by, args, {keys})
             values (gen_random_uuid(), '{name}', 'limits', 50, 3, false, '9999-12-31', now(), '{key}', '{args}', '{key}');"
        )
    };
    let pair = r#"{"key": "a", "number": 1, "ms": 0}"#;
    let statements = [
        // A version before had a limit for this handler, or another kind of limit.
        blocked("jobs.quick", "concurrency_key", "c1", r#"{"n": 1}"#),
        blocked("limits.paced", "concurrency_key", "c2", r#"{"key": "b", "number": 1}"#),
        blocked("limits.pair", "rate_key", "r1", pair),
        // A handler that no node has shares the key, and is first.
        blocked("old.gone", "concurrency_key", "c3", "{}").replace(", 50, 3", ", 99, 3"),
        blocked("limits.pair", "concurrency_key", "c3", pair),
    ];
    database.execute(&statements.concat()).await;
    let node = worker_on(&database, "").start().await;
    await_history(&database, "completed: 4", PATIENCE).await;
    drop(node);
}
