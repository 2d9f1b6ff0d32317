//! Batch leases on real nodes: who claims in them, and what becomes of a job that its node loses hold of.

use forge_tests::{Database, probe, until};
use serde_json::json;

use super::jobs::{LONG, insert, worker_on};
use super::peers::status;
use super::stage::PATIENCE;

const CONFIG: &str = "concurrency = 2\nqueue_share = 1.0\nlease = \"2s\"\ndrain_timeout = \"100ms\"";

/// Two jobs that run for ten minutes, claimed together.
fn long_jobs() -> String {
    insert("jobs.work", "'key', 'key ' || n, 'ms', 600000", 2, 5, 50)
}

async fn await_begins(database: &Database, count: i64) {
    let begun = "select count(*) from probe_effects where what = 'begun'";
    until(&format!("{count} attempts have begun"), LONG, || async {
        (database.value::<i64>(begun).await == count).then_some(())
    })
    .await;
}

/// A node that claims in batches, and then is killed, needs others that rescue them.
#[tokio::test]
async fn beside_a_worker_that_rescues_no_batches_jobs_are_claimed_on_their_rows() {
    let older = "insert into forge_nodes (id, name, state, roles, version, protocol, seen_at)
        values ('00000000-0000-0000-0000-000000000001', 'older', 'active', '{worker}', '0', 1,
                now() + interval '1 day')";
    for (others, leases, on_rows) in [(older, 0, 2), ("select", 1, 0)] {
        let database = Database::create().await;
        // Creates the tables: a node decides at its first claim.
        assert_eq!(worker_on(&database, CONFIG).start().await.stop(PATIENCE).await.code(), 0);
        database.execute(others).await;
        let node = worker_on(&database, CONFIG).start().await;
        database.execute(&long_jobs()).await;
        await_begins(&database, 2).await;
        let held = "select count(*) from forge_jobs where status = 'running' and node_id is not null";
        assert_eq!(database.value::<i64>("select count(*) from forge_job_leases").await, leases, "{others}");
        assert_eq!(database.value::<i64>(held).await, on_rows, "{others}");
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
        let waits = "select count(*) from forge_jobs where node_id is null and attempt = 0 and losses = 0";
        assert_eq!(database.value::<i64>(waits).await, 2, "they were returned and spent nothing: {others}");
    }
}

#[tokio::test]
async fn a_job_of_a_killed_worker_runs_again_while_its_lease_is_kept_for_another() {
    let database = Database::create().await;
    let node = worker_on(&database, CONFIG).start().await;
    database.execute(&long_jobs()).await;
    await_begins(&database, 2).await;
    let lease = database.value::<String>("select id::text from forge_job_leases").await;
    // The worker does not end by itself: after its drain it is killed, and drops its job.
    let id = status(&node).await["node"].as_str().expect("an id").to_owned();
    let restart = json!({ "node": id, "path": "node/jobs/workers/worker-1" });
    let restarted = node.call("forge.restartActor", restart, Some(&probe::admin_token())).await;
    assert_eq!(restarted.status, 200, "{}", restarted.text);
    await_begins(&database, 3).await;
    let row = "select losses || ' loss, attempt ' || attempt || ' ' || status from forge_jobs";
    assert_eq!(database.value::<String>(row).await, "1 loss, attempt 1 running");
    let held =
        format!("select cardinality(jobs) - cardinality(gone) from forge_job_leases where id = '{lease}'");
    assert_eq!(database.value::<i32>(&held).await, 1, "the other job is still held by the lease");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
