//! Leaders that are killed, frozen and cut off: another node leads, epochs rise, and there is one leader in
//! the end.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use forge_actors::test_signals::Step;
use forge_tests::{Binary, Database, Disturbance, FaultProxy, Node, Signal, Signals, probe, until};
use futures::future::join_all;
use sqlx::Row;

use super::peers::member;
use super::sessions::metric;
use super::stage::PATIENCE;

const NAMES: [&str; 3] = ["forge-1", "forge-2", "forge-3"];
/// The limits of the promises, three times as long: the machine may be busy.
const KILLED: Duration = Duration::from_secs(15);
const FROZEN: Duration = Duration::from_secs(30);
/// Renewals that must go by before a leader counts as the one that is left.
const RENEWALS: u32 = 3;
/// The term of `jobs` whose leader is frozen.
const SECOND_TERM: &str = "jobs.2";

/// Leadership → (epoch, name of the node that leads), of those whose leader has not stepped down.
type Leaders = BTreeMap<String, (i64, String)>;

async fn leaders(database: &Database) -> Leaders {
    let rows =
        database.rows("select name, epoch, node_name from forge_leaders where resigned_at is null").await;
    rows.iter().map(|row| (row.get(0), (row.get(1), row.get(2)))).collect()
}

/// Waits until every leadership that `name` had is led by another node, with a higher epoch.
async fn await_successors(database: &Database, name: &str, before: &Leaders, limit: Duration) -> Duration {
    let began = Instant::now();
    until(&format!("others lead what {name} led: {before:?}"), limit, || async {
        let now = leaders(database).await;
        let lost = before.iter().filter(|(_, (_, leader))| leader == name);
        let replaced = |(leadership, (epoch, _)): (&String, &(i64, String))| {
            now.get(leadership).is_some_and(|(newer, leader)| newer > epoch && leader != name)
        };
        let mut lost = lost.peekable();
        assert!(lost.peek().is_some(), "{name} led something");
        lost.all(replaced).then_some(())
    })
    .await;
    began.elapsed()
}

/// The node that leads `maintenance`, which every node stands for.
async fn leader_of(database: &Database) -> (String, Leaders) {
    until("a leader is elected", PATIENCE, || async {
        let leaders = leaders(database).await;
        let (_, name) = leaders.get("maintenance")?.clone();
        Some((name, leaders))
    })
    .await
}

/// How many of `nodes` say that they lead `maintenance`.
async fn leading(nodes: &[Node]) -> usize {
    let metric = "forge_leader_leading{leadership=\"maintenance\"} 1";
    let texts = join_all(nodes.iter().map(|node| node.client().get("/metrics"))).await;
    texts.into_iter().filter(|reply| reply.as_ref().is_ok_and(|reply| reply.text.contains(metric))).count()
}

/// When a session of this database that holds a lock of a leadership was last used.
const LAST_RENEWAL: &str = "select max(state_change)::text from pg_stat_activity join pg_locks using (pid)
    where datname = current_database() and locktype = 'advisory' and application_name like '% leader #%'";

/// One node says that it leads, also after some renewals. No epoch of the history is missing.
async fn one_leader_is_left(database: &Database, nodes: &[Node]) {
    for renewal in 0..RENEWALS {
        until("one node leads", PATIENCE, || async { (leading(nodes).await == 1).then_some(()) }).await;
        let seen: String = database.value(LAST_RENEWAL).await;
        until(&format!("renewal {renewal}"), PATIENCE, || async {
            (database.value::<String>(LAST_RENEWAL).await != seen).then_some(())
        })
        .await;
    }
    let leaders = leaders(database).await;
    assert!(leaders.contains_key("maintenance"), "{leaders:?}");
    let gaps: i64 = database
        .value(
            "select count(*) from forge_leaders l
             where l.epoch - 1 <> (select count(*) from forge_leader_history h where h.name = l.name)",
        )
        .await;
    assert_eq!(gaps, 0, "every term but the present one is in the history");
}

fn position(name: &str) -> usize {
    NAMES.iter().position(|known| *known == name).expect("a node of this test")
}

#[tokio::test]
async fn a_killed_leader_is_replaced() {
    let database = Database::create().await;
    let mut nodes = join_all(NAMES.iter().map(|name| member(&database, name).start())).await;
    let (name, before) = leader_of(&database).await;
    let mut killed = nodes.remove(position(&name));
    killed.process().signal(Signal::KILL);
    let took = await_successors(&database, &name, &before, KILLED).await;
    println!("kill -9: new leaders after {took:?}");
    one_leader_is_left(&database, &nodes).await;
}

#[tokio::test]
async fn a_frozen_leader_is_replaced_and_writes_nothing_when_it_thaws() {
    let database = Database::create().await;
    let mut nodes = join_all(NAMES.iter().map(|name| member(&database, name).start())).await;
    let (name, before) = leader_of(&database).await;
    let frozen = position(&name);
    nodes[frozen].process().signal(Signal::STOP);
    let took = await_successors(&database, &name, &before, FROZEN).await;
    println!("SIGSTOP: new leaders after {took:?}");
    nodes[frozen].process().signal(Signal::CONT);
    nodes[frozen].await_ready(PATIENCE).await;
    one_leader_is_left(&database, &nodes).await;
    let epoch = before["maintenance"].0;
    let ended: String = database
        .value(&format!(
            "select node_name || ' ' || reason from forge_leader_history where name = 'maintenance' and epoch = {epoch}"
        ))
        .await;
    assert_eq!(ended, format!("{name} lost"), "the thawed node did not get its term back");
}

#[tokio::test]
async fn a_leader_that_is_cut_off_from_the_database_is_replaced() {
    let database = Database::create().await;
    let server = database.url().split(['@', '/']).find(|part| part.contains(':') && !part.ends_with(':'));
    let server = server.and_then(|server| server.parse().ok()).expect("the address of the test's server");
    let proxy = FaultProxy::start(server).await;
    let cut_off = Node::builder(Binary::Probe)
        .database_url(&database.url_through(proxy.address()))
        .file("forge.toml", probe::CONFIG)
        .arguments(["--name", NAMES[0]])
        .start()
        .await;
    let (name, before) = leader_of(&database).await;
    assert_eq!(name, NAMES[0], "it was alone");
    let mut nodes = join_all(NAMES[1..].iter().map(|name| member(&database, name).start())).await;
    proxy.set(Disturbance::Stall);
    let took = await_successors(&database, &name, &before, FROZEN).await;
    println!("cut off: new leaders after {took:?}");
    nodes.push(cut_off);
    // Nothing reaches the cut-off node: it stops by its own clock.
    one_leader_is_left(&database, &nodes).await;
    proxy.set(Disturbance::None);
    for node in &mut nodes {
        node.await_ready(PATIENCE).await;
    }
    one_leader_is_left(&database, &nodes).await;
}

#[tokio::test]
async fn a_leader_that_stops_hands_over_at_once() {
    let database = Database::create().await;
    let mut nodes = join_all(NAMES.iter().map(|name| member(&database, name).start())).await;
    let (name, before) = leader_of(&database).await;
    let stopping = nodes.remove(position(&name));
    let (ended, took) =
        tokio::join!(stopping.stop(PATIENCE), await_successors(&database, &name, &before, KILLED));
    assert_eq!(ended.code(), 0, "{}", ended.stderr);
    println!("SIGTERM: new leaders after {took:?}");
    let reasons: Vec<String> =
        database.column("select distinct reason::text from forge_leader_history").await;
    assert_eq!(reasons, ["resigned"]);
    one_leader_is_left(&database, &nodes).await;
}

/// Rows of the history that the leader of `jobs` deletes when it sweeps.
async fn insert_old_history(database: &Database) {
    let insert = "insert into forge_job_history (id, name, queue, priority, status, attempt, attempts_max, claim, args, created_at, finished_at)
        select gen_random_uuid(), 'jobs.quick', 'quick', 50, 'completed', 1, 1, 1, '{}', now() - interval '1 year', now() - interval '1 year'
        from generate_series(1, 10)";
    database.execute(insert).await;
}

async fn history_count(database: &Database) -> i64 {
    database.value("select count(*) from forge_job_history").await
}

/// Ends the session that holds the locks of a node: the node is elected anew, and its duties run at once.
async fn end_term(database: &Database, name: &str) {
    let kill = format!(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and application_name like 'forge {name} leader #%'"
    );
    assert!(database.value::<bool>(&kill).await, "the session of the leader is there");
}

/// Freezes the leader of `jobs` at `step` of its sweep, and lets it go on when another node leads.
async fn frozen_at(step: Step) {
    let database = Database::create().await;
    let signals = Signals::new();
    let hold = signals.hold(step, SECOND_TERM);
    let mut frozen = member(&database, NAMES[0]).signals(&signals).start().await;
    leader_of(&database).await;
    end_term(&database, NAMES[0]).await;
    signals.reached(step, SECOND_TERM, 1).await;
    let before = leaders(&database).await;
    frozen.process().signal(Signal::STOP);
    insert_old_history(&database).await;
    let second = member(&database, NAMES[1]).start().await;
    await_successors(&database, NAMES[0], &before, FROZEN).await;
    until("the new leader has swept", PATIENCE, || async {
        (history_count(&database).await == 0).then_some(())
    })
    .await;
    let after = leaders(&database).await;
    // The new leader sweeps again in ten minutes: a row that goes now was deleted by the old one.
    insert_old_history(&database).await;
    drop(hold);
    frozen.process().signal(Signal::CONT);
    until("the sweep that was frozen has ended", FROZEN, || async {
        let ended = async |outcome| {
            metric(
                &frozen,
                &format!("forge_duty_runs_total{{duty=\"history_expiry\",outcome=\"{outcome}\"}}"),
            )
            .await
        };
        (ended("failed").await + ended("cancelled").await > 0.0).then_some(())
    })
    .await;
    assert_eq!(history_count(&database).await, 10, "an old leader has written");
    assert_eq!(leaders(&database).await, after);
    one_leader_is_left(&database, &[frozen, second]).await;
}

#[tokio::test]
async fn a_leader_frozen_between_its_own_check_and_the_databases_writes_nothing() {
    frozen_at(Step::TermChecked).await;
}

#[tokio::test]
async fn a_leader_frozen_between_the_databases_check_and_its_write_writes_nothing() {
    frozen_at(Step::TermLocked).await;
}
