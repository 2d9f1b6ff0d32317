//! Nodes whose clocks are wrong. The clocks of one machine agree. So the sessions of one node find a function
//! before the server's own, of the same name and with another time; or a library answers a node in the place
//! of the kernel (libfaketime).

use std::path::PathBuf;
use std::time::Duration;

use forge_tests::{Binary, Database, Node, NodeBuilder, Signal, probe, until};
use serde_json::json;

use super::crons;
use super::peers::member;
use super::sessions::metric;
use super::stage::PATIENCE;

/// Makes the database's clock be ahead for nodes that look into the schema `wrong`.
async fn shift(database: &Database, by: &str) {
    database
        .execute(&format!(
            "create or replace function wrong.clock_timestamp() returns timestamptz language sql
             as $$ select pg_catalog.clock_timestamp() + interval '{by}' $$"
        ))
        .await;
}

fn member_with_wrong_clock(database: &Database, name: &str) -> NodeBuilder {
    let url = database.url();
    let separator = if url.contains('?') { '&' } else { '?' };
    let path = "options=-c%20search_path%3Dpublic%2Cwrong%2Cpg_catalog";
    Node::builder(Binary::Probe)
        .database_url(&format!("{url}{separator}{path}"))
        .file("forge.toml", probe::CONFIG)
        .arguments(["--name", name])
}

/// Status and reason of the check `clock`.
async fn clock_check(node: &Node) -> Option<(u16, Option<String>)> {
    let reply = node.client().get("/ready").await.ok()?;
    let checks = reply.json()["checks"].as_array().cloned()?;
    let check = checks.into_iter().find(|check| check["name"] == "clock")?;
    Some((reply.status, check["reason"].as_str().map(str::to_owned)))
}

async fn await_clock(node: &Node, status: u16, reason: Option<&str>) {
    until(&format!("the check says {status} and {reason:?}"), PATIENCE, || async {
        let (found, text) = clock_check(node).await?;
        let fits = match (&text, reason) {
            (Some(text), Some(reason)) => text.contains(reason),
            (None, None) => true,
            _ => false,
        };
        (found == status && fits).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_clock_is_wrong_says_so_and_leaves_the_traffic_to_those_with_the_right_time() {
    let database = Database::create().await;
    database.execute("create schema wrong").await;
    shift(&database, "1 minute").await;
    let mut wrong = member_with_wrong_clock(&database, "wrong").start().await;
    // Alone it may have the right time, and the database the wrong one.
    let text = "this machine's clock is 1m behind the database's";
    await_clock(&wrong, 200, Some(text)).await;
    let offset = metric(&wrong, "forge_clock_offset_seconds").await;
    assert!((59.0..61.0).contains(&offset), "{offset}");
    let right = member(&database, "right").start().await;
    await_clock(&wrong, 503, Some(text)).await;
    await_clock(&right, 200, None).await;
    shift(&database, "0 minutes").await;
    wrong.await_ready(PATIENCE).await;
    await_clock(&wrong, 200, None).await;
    let ended = wrong.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    for line in ["clocks differ: this machine's clock is 1m behind", "clock agrees with the database's again"]
    {
        assert_eq!(ended.stderr.matches(line).count(), 1, "{line}: {}", ended.stderr);
    }
    assert_eq!(right.stop(PATIENCE).await.code(), 0);
}

/// libfaketime, from Debian's package of this name, which `tests/run` installs.
fn faketime() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").expect("a folder of libraries");
    let mut files =
        folders.filter_map(|folder| Some(folder.ok()?.path().join("faketime/libfaketimeMT.so.1")));
    files.find(|file| file.exists()).expect("libfaketime is installed")
}

/// A worker whose machine has another time than the others: `+7200`, or `+0 x2` for a clock at double speed,
/// which includes the monotonic one.
fn worker_at(database: &Database, name: &str, time: &str) -> NodeBuilder {
    let monotonic = if time.contains('x') { "0" } else { "1" };
    member(database, name)
        .arguments(["--roles", "worker"])
        .environment("LD_PRELOAD", faketime())
        .environment("FAKETIME", time)
        .environment("FAKETIME_DONT_FAKE_MONOTONIC", monotonic)
}

const CLOCKS: [(&str, &str); 3] = [("ahead", "+7200"), ("behind", "-7200"), ("fast", "+0 x2")];
/// Jobs that run for longer than a lease without its renewal, more than two nodes have workers for.
const LONG_JOBS: u32 = 60;
const LONG_MS: u32 = 12_000;
const DELAYED: usize = 30;

#[tokio::test]
async fn jobs_leases_and_crons_keep_the_databases_time_on_nodes_with_wrong_clocks() {
    let database = crons::database().await;
    let right = member(&database, "right").arguments(["--roles", "gateway"]).start().await;
    // They are not awaited to be ready, which nodes with wrong clocks are not.
    let mut workers = CLOCKS.map(|(name, time)| (name, worker_at(&database, name, time).launch()));
    for (name, (process, _)) in &workers[..2] {
        let text = format!("clocks differ: this machine's clock is 2h {name}");
        until(&text, PATIENCE, || async { process.stderr().line(&text) }).await;
    }
    crons::schedule(&right, "second", "* * * * * *", "allow", 60, 0).await;
    crons::await_times(&database, 3).await;
    let long = json!({ "prefix": "long", "count": LONG_JOBS, "ms": LONG_MS });
    assert_eq!(right.call("jobs.enqueue", long, Some(&probe::token("ana"))).await.status, 200);
    // Each of them waits for 300 ms.
    for number in 0..DELAYED {
        let later = json!({ "kind": "later", "key": format!("later-{number}") });
        assert_eq!(right.call("jobs.enqueue_one", later, Some(&probe::token("ana"))).await.status, 200);
    }
    // The leader is frozen, and killed when another one leads; as often as there are workers.
    let mut epoch = 0;
    for _ in 0..CLOCKS.len() {
        let (leader, led) = crons::await_leader(&database, epoch).await;
        epoch = led;
        crons::await_times(&database, 3).await;
        let (name, (process, home)) =
            workers.iter_mut().find(|(name, _)| *name == leader).expect("only the workers lead crons");
        process.signal(Signal::STOP);
        crons::await_leader(&database, led).await;
        process.signal(Signal::KILL);
        let time = CLOCKS.iter().find(|clock| clock.0 == *name).expect("its clock").1;
        (*process, *home) = worker_at(&database, name, time).launch();
    }
    let all = LONG_JOBS as i64 + DELAYED as i64;
    until("all jobs are done", Duration::from_secs(240), || async {
        let done = "select count(*) from probe_effects where what = 'done'";
        (database.value::<i64>(done).await == all).then_some(())
    })
    .await;
    let twice = "select count(*) from
        (select from probe_effects where what = 'done' group by key having count(*) > 1) twice";
    assert_eq!(database.value::<i64>(twice).await, 0);
    let early = "select count(*) from probe_effects effect
        join forge_job_history job on job.args ->> 'key' = effect.key
        where effect.key like 'later-%' and effect.at < job.created_at + interval '300 milliseconds'";
    assert_eq!(database.value::<i64>(early).await, 0, "no job ran before its time");
    crons::finish(&right, &database, "second").await;
    crons::each_second_ran_once(&database).await;
}
