//! Jobs that wait for jobs, on real nodes.

use std::time::Instant;

use forge_actors::db::advisory_lock::LockKey;
use forge_actors::test_signals::Step;
use forge_tests::{Client, Database, Signal, Signals, Socket, probe, until};
use serde_json::{Value, json};
use sqlx::postgres::PgConnection;

use super::job_results::{await_job, await_status};
use super::jobs::{LONG, await_history, nothing_is_left, worker_on};
use super::stage::PATIENCE;

/// The last job of a batch, whose only member has the id that ends with 2.
const WAITING_FINALE: &str = r#"
    insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, waits_for_jobs, due_at)
    values ('01900000-0000-7000-8000-000000000001', 'families.finale', 'work', 50, 3, false, '9999-12-31', '{"key":"a"}', true, now());
    insert into forge_job_dependencies (waiter_id, number, job_id, name, kind)
    values ('01900000-0000-7000-8000-000000000001', 0, '01900000-0000-7000-8000-000000000002', 'families.child', 'member')
"#;

/// Dispatches a family of jobs, and follows the one at its end.
async fn start(client: &Client, function: &str, arguments: Value) -> (Value, Socket) {
    let ana = probe::token("ana");
    let reply = client.call(&format!("families.{function}"), arguments, Some(&ana)).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let job = reply.data().clone();
    let (mut socket, _) = Socket::hello(client.base(), Some(&ana)).await;
    socket.subscribe(1, "forge.jobStatus", json!({ "id": job })).await;
    (job, socket)
}

async fn ended(socket: &mut Socket) -> Value {
    await_job(socket, |job| !job["finishedAt"].is_null() && job.get("finishedAt").is_some()).await
}

async fn notes(database: &Database, what: &str) -> i64 {
    database.value(&format!("select count(*) from probe_effects where what = '{what}'")).await
}

/// Holds leaderships, so that no node leads them, until the session is dropped.
async fn hold_leaderships(database: &Database, names: &[&str]) -> PgConnection {
    let mut session = database.connect().await;
    for name in names {
        let lock = sqlx::query("select pg_advisory_lock($1)")
            .bind(LockKey::forge(&format!("leader/{name}")).number());
        lock.execute(&mut session).await.expect("a lock that is free");
    }
    session
}

#[tokio::test]
async fn a_parent_waits_for_its_children_without_a_worker() {
    let database = Database::create().await;
    // One worker: a parent that kept it would wait for ever.
    let node = worker_on(&database, "concurrency = 1\nqueue_share = 1.0").start().await;
    let (parent, mut socket) =
        start(node.client(), "start_parent", json!({ "key": "a", "children": 40, "ms": 0 })).await;
    assert_eq!(ended(&mut socket).await["result"], json!(820));
    assert_eq!(notes(&database, "child").await, 40, "each child once");
    assert_eq!(notes(&database, "parent").await, 2, "before the wait and after it");
    let attempts =
        "select attempt || ' of ' || attempts_max from forge_job_history where name = 'families.parent'";
    assert_eq!(database.value::<String>(attempts).await, "1 of 2", "the wait has spent none");
    nothing_is_left(&database).await;
    let shown = node.client().call("forge.job", json!({ "id": parent }), Some(&probe::admin_token())).await;
    assert_eq!(shown.data()["waited"], json!({ "completed": 40, "failed": 0, "cancelled": 0, "open": 0 }));
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_job_waits_twice_and_reads_what_each_child_returned() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let (_, mut socket) = start(node.client(), "start_mixed", json!({ "key": "a" })).await;
    let result = ended(&mut socket).await["result"].clone();
    let expected = "7 1 9; 3 completed, 1 failed, 3 of one handler; the child fails, as asked";
    assert_eq!(result, json!(expected));
    assert_eq!(notes(&database, "first wait over").await, 2, "what is before the second wait runs again");
    for commits in [false, true] {
        let arguments = json!({ "key": "b", "commits": commits });
        let (_, mut socket) = start(node.client(), "start_forgetful", arguments).await;
        assert_eq!(ended(&mut socket).await["status"], "failed", "another attempt would not help");
    }
    let errors: Vec<String> =
        database.column("select last_error from forge_job_history where name = 'families.forgetful'").await;
    let says = |error: &String| error.contains("1 children that it has not waited for");
    assert!(errors.len() == 2 && errors.iter().all(says), "{errors:?}");
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_batch_ends_with_its_last_job_also_when_members_failed() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let batch = json!({ "key": "a", "count": 30, "fails": 30 });
    let (_, mut socket) = start(node.client(), "start_batch", batch).await;
    assert_eq!(ended(&mut socket).await["result"], json!("29 completed, 1 failed, sum 435"));
    assert_eq!(notes(&database, "finale").await, 1);
    let (_, mut socket) =
        start(node.client(), "start_batch", json!({ "key": "b", "count": 0, "fails": 0 })).await;
    assert_eq!(ended(&mut socket).await["result"], json!("0 completed, 0 failed, sum 0"), "an empty batch");
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_failed_job_of_a_chain_ends_the_rest_and_a_retry_brings_it_back() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let (last, mut socket) = start(node.client(), "start_chain", json!({ "key": "a" })).await;
    let cancelled = await_status(&mut socket, "cancelled").await;
    assert_eq!(cancelled["failure"]["code"], "CANCELLED", "{cancelled}");
    await_history(&database, "cancelled: 1, completed: 1, dead_letter: 1", PATIENCE).await;
    let reason =
        format!("select last_error from forge_job_history where id = '{}'", last.as_str().unwrap_or(""));
    let reason: String = database.value(&reason).await;
    assert!(
        reason.starts_with("the job before it in its chain, families.link ")
            && reason.ends_with("ended as dead_letter"),
        "{reason}"
    );
    database.execute("insert into probe_effects (key, what, pid) values ('a', 'mended', 0)").await;
    let failed: String =
        database.value("select id::text from forge_job_history where status = 'dead_letter'").await;
    let retried =
        node.client().call("forge.retryJob", json!({ "id": failed }), Some(&probe::admin_token())).await;
    assert_eq!(retried.status, 200, "{}", retried.text);
    assert_eq!(await_status(&mut socket, "completed").await["result"], json!("123"));
    await_history(&database, "completed: 3", PATIENCE).await;
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_later_job_of_a_chain_that_is_retried_alone_says_what_it_waits_for() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let (last, mut socket) = start(node.client(), "start_chain", json!({ "key": "a" })).await;
    await_status(&mut socket, "cancelled").await;
    let admin = |function: &'static str, id: Value| {
        let client = node.client();
        async move { client.call(function, json!({ "id": id }), Some(&probe::admin_token())).await }
    };
    let retried = admin("forge.retryJob", last.clone()).await;
    assert_eq!(
        (retried.status, &retried.data()["job"]["status"]),
        (200, &json!("pending")),
        "{}",
        retried.text
    );
    let failed: String =
        database.value("select id::text from forge_job_history where status = 'dead_letter'").await;
    let why = admin("forge.whyJob", last.clone()).await;
    let expected = format!(
        "The job before it in its chain, families.link {failed}, has ended as dead_letter: retry that one."
    );
    assert_eq!(why.data()["sentence"], json!(expected), "{}", why.text);
    let again = admin("forge.retryJob", last).await;
    assert_eq!(again.code(), "CONFLICT", "{}", again.text);
    database.execute("insert into probe_effects (key, what, pid) values ('a', 'mended', 0)").await;
    assert_eq!(admin("forge.retryJob", json!(failed)).await.status, 200);
    assert_eq!(await_status(&mut socket, "completed").await["result"], json!("123"));
    await_history(&database, "completed: 3", PATIENCE).await;
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_job_of_a_chain_may_have_children() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let (last, mut socket) = start(node.client(), "start_chain_of_parents", json!({ "key": "a" })).await;
    assert_eq!(ended(&mut socket).await["result"], json!(6));
    let shown = node.client().call("forge.job", json!({ "id": last }), Some(&probe::admin_token())).await;
    assert_eq!(shown.data()["waited"]["completed"], 4, "the job before it, and its children");
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn children_that_wait_end_with_their_parent() {
    let database = Database::create().await;
    let node = worker_on(&database, "concurrency = 2\nqueue_share = 1.0\nprefetch_max = 0").start().await;
    let long = json!({ "key": "a", "children": 12, "ms": 1_500 });
    let (parent, mut socket) = start(node.client(), "start_parent", long).await;
    until("two children run", PATIENCE, || async {
        let running = "select count(*) from forge_unfinished_jobs where name = 'families.child' and node_id is not null";
        (database.value::<i64>(running).await == 2).then_some(())
    })
    .await;
    let ana = probe::token("ana");
    let cancelled = node.client().call("forge.cancelMyJob", json!({ "id": parent }), Some(&ana)).await;
    assert_eq!(cancelled.data()["status"], "cancelled", "{}", cancelled.text);
    await_status(&mut socket, "cancelled").await;
    await_history(&database, "cancelled: 11, completed: 2", PATIENCE).await;
    let reason: Vec<String> = database
        .column("select distinct split_part(last_error, ' ', 4) from forge_job_history where name = 'families.child' and status = 'cancelled'")
        .await;
    assert_eq!(reason, ["parent"], "cancelled with its parent");
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_node_killed_before_it_has_woken_a_parent_leaves_that_to_the_leader() {
    let database = Database::create().await;
    let signals = Signals::new();
    let hold = signals.hold(Step::JobsSettling, "jobs");
    let mut killed = worker_on(&database, "lease = \"2s\"").signals(&signals).start().await;
    let (parent, _) =
        start(killed.client(), "start_parent", json!({ "key": "a", "children": 1, "ms": 0 })).await;
    signals.reached(Step::JobsSettling, "jobs", 1).await;
    await_history(&database, "completed: 1", PATIENCE).await;
    killed.process().signal(Signal::KILL);
    killed.process().ended(PATIENCE).await;
    let waits = "select waits_for_jobs from forge_jobs where name = 'families.parent'";
    assert!(database.value::<bool>(waits).await, "its only child has ended, and its end is not recorded");
    drop(hold);
    let other = worker_on(&database, "lease = \"2s\"").start().await;
    let began = Instant::now();
    await_history(&database, "completed: 2", LONG).await;
    println!("woken {:?} after the start of another node", began.elapsed());
    let result =
        format!("select result::text from forge_job_history where id = '{}'", parent.as_str().unwrap_or(""));
    assert_eq!(database.value::<String>(&result).await, "1");
    nothing_is_left(&database).await;
    assert_eq!(other.stop(PATIENCE).await.code(), 0);
}

/// A node of the version before, which settles nothing, may lead `jobs` during an upgrade.
#[tokio::test]
async fn an_end_that_was_missed_is_recorded_while_another_node_leads_jobs() {
    let database = Database::create().await;
    let _leads = hold_leaderships(&database, &["jobs"]).await;
    let node = worker_on(&database, "").start().await;
    // The child has ended on a node that was killed before it has recorded that, or that knows of no waiters.
    let ended = "insert into forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, created_at)
        values ('01900000-0000-7000-8000-000000000002', 'families.child', 'children', 50, 'completed', 1, 3, 1, '{}', now())";
    database.execute(&format!("{WAITING_FINALE}; {ended}")).await;
    await_history(&database, "completed: 2", LONG).await;
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_rescue_that_ends_a_job_wakes_the_one_that_waits_for_it() {
    let database = Database::create().await;
    // No node settles what others have missed.
    let _leads = hold_leaderships(&database, &["jobs", "job_ends"]).await;
    let node = worker_on(&database, "").start().await;
    let lost = "insert into forge_jobs (id, name, queue, priority, status, attempt, attempts_max, claim, ready, run_at, args, awaited, node_id, lease_until)
        values ('01900000-0000-7000-8000-000000000002', 'families.child', 'children', 50, 'running', 3, 3, 3, true, now(), '{}', true,
                gen_random_uuid(), now() - interval '1 s')";
    database.execute(&format!("{WAITING_FINALE}; {lost}")).await;
    await_history(&database, "completed: 1, dead_letter: 1", LONG).await;
    assert_eq!(notes(&database, "finale").await, 1);
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn families_survive_the_death_of_nodes() {
    let database = Database::create().await;
    let config = "lease = \"2s\"\nconcurrency = 8";
    let mut first = worker_on(&database, config).start().await;
    let others = [worker_on(&database, config).start().await, worker_on(&database, config).start().await];
    let client = others[0].client();
    for family in 0..6 {
        let key = format!("f{family}");
        let arguments = json!({ "key": key, "children": 40, "ms": 30 });
        let reply = client.call("families.start_parent", arguments, Some(&probe::token("ana"))).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
    }
    until("a third of the children has run", LONG, || async {
        (notes(&database, "child").await >= 80).then_some(())
    })
    .await;
    first.process().signal(Signal::KILL);
    first.process().ended(PATIENCE).await;
    await_history(&database, "completed: 246", LONG).await;
    nothing_is_left(&database).await;
    assert_eq!(notes(&database, "child").await, 240, "each child once");
    let results =
        "select string_agg(distinct result::text, ' ') from forge_job_history where name = 'families.parent'";
    assert_eq!(database.value::<String>(results).await, "820");
    for node in others {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}
