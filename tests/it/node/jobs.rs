//! Jobs on real nodes: killed, stopped, crashed, drained, and their database taken away.

use std::time::Duration;

use forge_actors::job::config::JobConfig;
use forge_actors::test_signals::Step;
use forge_tests::{
    Binary, Client, Database, Ended, Node, NodeBuilder, PostgresProcess, Process, Signal, Signals, probe,
    until,
};
use serde_json::{Value, json};
use sqlx::Executor;

use super::stage::{PATIENCE, probe_on};

/// The longest pause of a rescuer: its interval of 800 ms and its jitter of 400 ms.
const RESCUE: Duration = Duration::from_millis(1_200);
/// How long the jobs take that outlive a killed node.
const WORK: Duration = Duration::from_secs(2);
/// Jobs that one node runs at a time there.
const BATCH: i64 = 200;
/// By how much a batch may take longer than the one that was measured: the machine may be busy.
const MARGIN: Duration = Duration::from_secs(1);
/// The time limit for many jobs on a busy machine.
pub(super) const LONG: Duration = Duration::from_secs(120);

pub(super) fn worker_on(database: &Database, jobs: &str) -> NodeBuilder {
    probe_on(database).file("forge.toml", format!("{}\n[jobs]\n{jobs}\n", probe::CONFIG))
}

async fn enqueue(client: &Client, prefix: &str, count: u32, ms: u32) {
    let arguments = json!({ "prefix": prefix, "count": count, "ms": ms });
    let reply = client.call("jobs.enqueue", arguments, Some(&probe::token("ana"))).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
}

async fn enqueue_one(client: &Client, kind: &str, key: &str) -> String {
    let reply = client
        .call("jobs.enqueue_one", json!({ "kind": kind, "key": key }), Some(&probe::token("ana")))
        .await;
    reply.data().as_str().unwrap_or_else(|| panic!("no id: {}", reply.text)).to_owned()
}

/// A statement that inserts `count` rows of a job as a dispatch does. `argument` makes the only argument,
/// from the number `n` of the row.
pub(super) fn insert(name: &str, argument: &str, count: u32, attempts_max: u32, priority: u32) -> String {
    format!(
        "insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
         select gen_random_uuid(), '{name}', 'work', {priority}, {attempts_max}, true, now(), json_build_object({argument}), true
         from generate_series(1, {count}) n;"
    )
}

async fn count(database: &Database, what: &str, condition: &str) -> i64 {
    database.value(&format!("select count(*) from probe_effects where what = '{what}' and {condition}")).await
}

async fn await_count(database: &Database, what: &str, condition: &str, at_least: i64, limit: Duration) {
    let reached = || async { (count(database, what, condition).await >= at_least).then_some(()) };
    until(&format!("{at_least} times `{what}` where {condition}"), limit, reached).await;
}

/// Counts the history by status: `completed: 3, dead_letter: 1`.
async fn history(database: &Database) -> String {
    let sql = "select coalesce(string_agg(status || ': ' || n, ', ' order by status), '')
        from (select status::text, count(*) as n from forge_job_history group by status) as counts";
    database.value(sql).await
}

pub(super) async fn await_history(database: &Database, expected: &str, limit: Duration) {
    // Shown when the test fails.
    let seen = std::cell::RefCell::new(String::new());
    let reached = || async {
        let now = history(database).await;
        if *seen.borrow() != now {
            println!("the history is `{now}`");
        }
        seen.replace(now);
        (*seen.borrow() == expected).then_some(())
    };
    until(&format!("the history is `{expected}`"), limit, reached).await;
}

pub(super) async fn nothing_is_left(database: &Database) {
    assert_eq!(database.value::<i64>("select count(*) from forge_unfinished_jobs").await, 0, "jobs are left");
}

/// During a deploy a version may have a job's arguments before it that only another version can read.
#[tokio::test]
async fn a_job_that_this_version_cannot_read_waits_for_another_one() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let other = "insert into forge_nodes (id, name, state, roles, version, protocol, seen_at, build)
        values ('00000000-0000-0000-0000-000000000001', 'other', 'active', '{worker}', '9', 1,
                now() + interval '1 day', 'another build')";
    database.execute(other).await;
    database.execute(&insert("jobs.quick", "'n', n, 'added', true", 1, 3, 50)).await;
    until("this build has refused the job", PATIENCE, || async {
        let refused = "select count(*) from forge_jobs where status = 'pending' and attempt = 0
            and cardinality(refused_by) = 1 and last_error like '%added%'";
        (database.value::<i64>(refused).await == 1).then_some(())
    })
    .await;
    assert_eq!(history(&database).await, "", "the job waits");
    // The last node of the other version goes: nobody is left who can read the arguments.
    database.execute("update forge_nodes set state = 'dead', ended_at = now() where name = 'other'").await;
    await_history(&database, "failed: 1", PATIENCE).await;
    nothing_is_left(&database).await;
    drop(node);
}

async fn every_effect_happened_once(database: &Database, jobs: i64) {
    assert_eq!(
        database.value::<i64>("select count(distinct key) from probe_effects where what = 'done'").await,
        jobs,
        "effects are lost"
    );
    assert_eq!(count(database, "done", "true").await, jobs, "effects happened twice");
}

#[tokio::test]
async fn a_job_reads_and_writes_outside_of_its_commit() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    enqueue_one(node.client(), "direct", "a").await;
    await_count(&database, "direct after 0", "key = 'a'", 1, PATIENCE).await;
    await_history(&database, "completed: 1", PATIENCE).await;
    node.stop(PATIENCE).await;
}

#[tokio::test]
async fn a_killed_nodes_jobs_are_run_by_another() {
    let database = Database::create().await;
    let config = "concurrency = 200\nqueue_share = 1.0\nprefetch_max = 0";
    let mut first = worker_on(&database, config).start().await;
    let second = worker_on(&database, config).start().await;
    enqueue(second.client(), "job", 1_000, WORK.as_millis() as u32).await;
    let pid = i64::from(first.process().pid());
    await_count(&database, "begun", &format!("pid = {pid}"), BATCH, LONG).await;
    let running = "select count(*) from forge_unfinished_jobs where status in ('claimed', 'running')";
    assert!(database.value::<i64>(running).await >= BATCH, "they run");
    first.process().signal(Signal::KILL);
    database.execute("create table killed as select clock_timestamp() as at").await;
    await_history(&database, "completed: 1000", LONG).await;
    nothing_is_left(&database).await;
    every_effect_happened_once(&database, 1_000).await;
    // Seconds from the kill until the jobs that the killed node had begun and not ended were begun again.
    let again = format!(
        "with orphans as (select distinct key from probe_effects effect where pid = {pid} and what = 'begun'
             and not exists (select from probe_effects done where done.key = effect.key and done.what = 'done' and done.pid = {pid}))
         select extract(epoch from min(again.at) - (select at from killed))::float8
         from orphans left join probe_effects again on again.key = orphans.key and again.what = 'begun' and again.pid <> {pid}
         group by orphans.key"
    );
    let again: Vec<Option<f64>> = database.column(&again).await;
    let slowest = again.iter().map(|seconds| seconds.expect("every orphan is run again")).fold(0.0, f64::max);
    // An orphan waits for the end of the default lease (10 s), a rescue (1.2 s) and a worker, each of which
    // may have a job to end (2 s): 13.2 s. To that comes what this machine takes to end one batch and to
    // begin another.
    let pace = format!(
        "select extract(epoch from max(at) - min(at))::float8
         from (select at from probe_effects where what = 'begun' and pid = {pid} order by at limit {BATCH}) as first"
    );
    let pace = Duration::from_secs_f64(database.value::<f64>(&pace).await);
    let limit = JobConfig::default().lease + RESCUE + WORK + 2 * (pace + MARGIN);
    println!(
        "{} orphans, the last begun again after {slowest:.1} s of {limit:?}, pace {pace:?}",
        again.len()
    );
    assert!(
        !again.is_empty() && slowest <= limit.as_secs_f64(),
        "an orphan waited {slowest:.1} s, not {limit:?}"
    );
    assert_eq!(second.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_node_that_was_stopped_for_longer_than_its_leases_writes_nothing_late() {
    let database = Database::create().await;
    let config = "concurrency = 200\nqueue_share = 1.0\nprefetch_max = 0";
    let mut zombie = worker_on(&database, config).start().await;
    enqueue(zombie.client(), "job", 200, 6_000).await;
    await_count(&database, "begun", "true", 200, LONG).await;
    zombie.process().signal(Signal::STOP);
    let done_before = count(&database, "done", "true").await;
    let pid = i64::from(zombie.process().pid());
    let other = worker_on(&database, config).start().await;
    // The jobs that the stopped node had begun end on the other one, which gets them when their leases have
    // run out.
    await_history(&database, "completed: 200", LONG).await;
    zombie.process().signal(Signal::CONT);
    // The gauge is zero once the zombie has renewed its leases in vain and dropped its jobs.
    let metrics = zombie.client();
    let held = || async {
        let text = metrics.get("/metrics").await.ok()?.text;
        let line = text.lines().find(|line| line.starts_with("forge_jobs_held "))?.to_owned();
        line.ends_with(" 0").then_some(())
    };
    until("the zombie has let go of its jobs", PATIENCE, held).await;
    assert_eq!(
        count(&database, "done", &format!("pid = {pid}")).await,
        done_before,
        "a late write was accepted"
    );
    every_effect_happened_once(&database, 200).await;
    nothing_is_left(&database).await;
    assert_eq!(history(&database).await, "completed: 200");
    for node in [zombie, other] {
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
    }
}

/// Kills a node with `kill -9` while it is at `step` of its only job, and has another node run what is left.
/// `effects` are those that are there in the end, in their order; `ended` is the claim and the attempt that
/// the job ended in.
async fn killed_at(step: Step, job: (&str, &str), effects: &[&str], ended: ClaimAndAttempt) {
    killed_with(step, job, "", effects, ended.in_batch).await;
    killed_with(step, job, "update forge_jobs set batched = false;", effects, ended.on_row).await;
}

/// Claim and attempt in which a job ends that a batch lease held when its node was killed, and one that
/// its own row held.
struct ClaimAndAttempt {
    in_batch: &'static str,
    on_row: &'static str,
}

async fn killed_with(
    step: Step,
    (name, argument): (&str, &str),
    change: &str,
    effects: &[&str],
    ended: &str,
) {
    let database = Database::create().await;
    let signals = Signals::new();
    let hold = signals.hold(step, name);
    let config = "lease = \"2s\"";
    let mut killed = worker_on(&database, config).signals(&signals).start().await;
    database.execute(&format!("begin; {} {change} commit", insert(name, argument, 1, 2, 50))).await;
    signals.reached(step, name, 1).await;
    killed.process().signal(Signal::KILL);
    killed.process().ended(PATIENCE).await;
    drop(hold);
    let other = worker_on(&database, config).start().await;
    await_history(&database, "completed: 1", LONG).await;
    nothing_is_left(&database).await;
    assert_eq!(database.column::<String>("select what from probe_effects order by at").await, effects);
    let row = "select 'claim ' || claim || ', attempt ' || attempt from forge_job_history";
    assert_eq!(database.value::<String>(row).await, ended);
    assert_eq!(signals.count(step, name), 1, "it was killed there, and nothing else ran there");
    assert_eq!(other.stop(PATIENCE).await.code(), 0);
}

/// A loss spends no attempt; the begin that a row states does.
const AGAIN: ClaimAndAttempt =
    ClaimAndAttempt { in_batch: "claim 2, attempt 1", on_row: "claim 2, attempt 2" };

#[tokio::test]
async fn a_worker_killed_between_an_effect_and_its_result_has_it_happen_twice() {
    // The effect has a transaction of its own: at least once is what is promised.
    let job = ("jobs.direct", "'key', 'a'");
    let effects = ["direct after 0", "direct after 1"];
    killed_at(Step::JobAttemptEnded, job, &effects, AGAIN).await;
}

#[tokio::test]
async fn a_worker_killed_before_its_commit_has_committed_nothing() {
    let job = ("jobs.work", "'key', 'a', 'ms', 0");
    killed_at(Step::JobCommitting, job, &["begun", "begun", "done"], AGAIN).await;
}

#[tokio::test]
async fn a_worker_killed_after_its_commit_leaves_nothing_to_do() {
    let job = ("jobs.work", "'key', 'a', 'ms', 0");
    let once = ClaimAndAttempt { in_batch: "claim 1, attempt 1", on_row: "claim 1, attempt 1" };
    killed_at(Step::JobCommitted, job, &["begun", "done"], once).await;
}

#[tokio::test]
async fn a_job_that_kills_its_process_is_a_dead_letter_in_the_end() {
    let database = Database::create().await;
    let mut deaths = 0;
    let mut node = worker_on(&database, "lease = \"2s\"").start().await;
    enqueue_one(node.client(), "abort", "poison").await;
    // The first loss spends no attempt, since a batch lease held the job. Then each begin is written.
    for _ in 0..3 {
        assert_ne!(node.process().ended(PATIENCE).await.code(), 0);
        deaths += 1;
        node = worker_on(&database, "lease = \"2s\"").start().await;
    }
    enqueue(node.client(), "bystander", 20, 1).await;
    await_history(&database, "completed: 20, dead_letter: 1", PATIENCE).await;
    nothing_is_left(&database).await;
    assert_eq!((deaths, count(&database, "begun", "key = 'poison'").await), (3, 3));
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_killed_node_spends_no_attempt_that_it_had_not_begun() {
    const SEEN_WITHIN: Duration = Duration::from_millis(700);
    /// So many times fifty jobs are there.
    const ROUNDS_MAX: i64 = 40;
    let database = Database::create().await;
    let config = "concurrency = 16\nqueue_share = 1.0\nlease = \"2s\"";
    let mut node = worker_on(&database, config).start().await;
    // Quick jobs first: they widen the window, so that jobs are claimed ahead.
    let quick = insert("jobs.quick", "'n', n", 600, 9, 60);
    database.execute(&[quick, insert("jobs.once", "'n', n", 2_500, 1, 50)].concat()).await;
    // The running jobs wait for this lock. The node has claimed as many jobs beyond them as its pace allows,
    // and gives those back after 1.5 s. When the test has not seen them by `SEEN_WITHIN`, on a busy machine,
    // it frees the lock and tries again with later jobs.
    let mut lock = database.connect().await;
    let held = "select count(*) filter (where status = 'running') = 16 and count(*) filter (where status = 'claimed') >= 16
                from forge_jobs where name = 'jobs.once'";
    let mut rounds = 0;
    loop {
        rounds += 1;
        await_count(&database, "done", "true", rounds * 50, LONG).await;
        lock.execute("begin; lock table probe_effects in exclusive mode").await.expect("lock the effects");
        let full = until("sixteen have begun, and others are claimed", LONG, || async {
            database.value::<bool>(held).await.then_some(())
        });
        if tokio::time::timeout(SEEN_WITHIN, full).await.is_ok() {
            break;
        }
        lock.execute("rollback").await.expect("unlock the effects");
        assert!(rounds < ROUNDS_MAX, "never ran sixteen jobs while others were claimed");
    }
    node.process().signal(Signal::KILL);
    node.process().ended(PATIENCE).await;
    database
        .execute("create table held as select id, status, attempt from forge_jobs where node_id is not null")
        .await;
    lock.execute("rollback").await.expect("unlock the effects");
    let claimed = "select count(*) from held where status = 'claimed' and attempt = 0";
    let claimed = database.value::<i64>(claimed).await;
    println!("{claimed} were claimed and had not begun, in round {rounds}");
    assert!(claimed >= 16, "as many again as run");
    let node = worker_on(&database, config).start().await;
    await_history(&database, "completed: 3084, dead_letter: 16", LONG).await;
    nothing_is_left(&database).await;
    let ended = |was: &str, is: &str| {
        format!(
            "select count(*) from held join forge_job_history job using (id) where held.status = '{was}' and {is}"
        )
    };
    let unharmed = ended("claimed", "job.status = 'completed' and job.attempt = 1 and job.claim >= 2");
    assert_eq!(
        database.value::<i64>(&unharmed).await,
        claimed,
        "what had not begun was run as if nothing had been"
    );
    assert_eq!(
        database.value::<i64>(&ended("running", "job.status = 'dead_letter'")).await,
        16,
        "what had begun has spent its attempt"
    );
    assert_eq!(count(&database, "done", "true").await, 2_484, "and what was done was done once");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_job_that_kills_its_process_takes_no_neighbour_along() {
    let database = Database::create().await;
    let config = "concurrency = 1\nprefetch_max = 200\nlease = \"2s\"";
    let mut node = worker_on(&database, config).start().await;
    // Quick jobs first: they widen the window, so that the poison is claimed together with the jobs behind
    // it. Results that are not written when the poison runs are lost with it, so these jobs have more
    // attempts.
    let quick = insert("jobs.quick", "'n', n", 600, 9, 60);
    let poison = insert("jobs.abort", "'key', 'poison'", 1, 3, 50);
    database.execute(&[quick, poison, insert("jobs.once", "'n', n", 300, 9, 40)].concat()).await;
    // The claimer holds as many jobs as its pace allows: hundreds on an idle machine, some on a busy one.
    let held_count =
        "select count(*) from forge_unfinished_jobs where name = 'jobs.once' and status = 'claimed'";
    let mut held = 0;
    for _ in 0..4 {
        assert_ne!(node.process().ended(LONG).await.code(), 0);
        held = held.max(database.value::<i64>(held_count).await);
        node = worker_on(&database, config).start().await;
    }
    await_history(&database, "completed: 900, dead_letter: 1", LONG).await;
    nothing_is_left(&database).await;
    let prefetched: i64 =
        database.value("select count(*) from forge_job_history where name = 'jobs.once' and claim > 1").await;
    println!("{held} were held with the poison");
    assert!(held > 0 && prefetched >= held, "{held} were held with the poison, {prefetched} claimed again");
    assert_eq!(count(&database, "begun", "key = 'poison'").await, 4, "it had its attempts after the loss");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn what_a_handler_does_after_its_commit_is_not_cut() {
    let database = Database::create().await;
    let node = worker_on(&database, "lease = \"2s\"").start().await;
    for key in ["a", "b", "c"] {
        enqueue_one(node.client(), "linger", key).await;
    }
    await_history(&database, "completed: 3", PATIENCE).await;
    await_count(&database, "lingered", "true", 3, PATIENCE).await;
    let ended = node.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    assert!(
        !ended.stderr.contains("leases lost") && !ended.stdout.contains("leases lost"),
        "{}",
        ended.stderr
    );
}

#[tokio::test]
async fn failed_attempts_are_kept_with_their_errors() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let failures = async |id: &str| {
        let reply = node.call("forge.job", json!({ "id": id }), Some(&probe::admin_token())).await;
        let failures = reply.data()["failedAttempts"].as_array().expect("attempts").to_owned();
        for failure in &failures {
            let error = failure["error"].as_str().expect("an error");
            assert!(error.contains("the probe panics in a job"), "{error}");
        }
        assert!(failures.is_sorted_by_key(|failure| failure["claim"].as_i64()), "{failures:?}");
        failures.iter().map(|failure| failure["attempt"].as_i64().expect("a number")).collect::<Vec<_>>()
    };
    // In a batch lease, then in the last attempt on its own row.
    let batched = enqueue_one(node.client(), "explode", "a").await;
    await_history(&database, "dead_letter: 1", PATIENCE).await;
    assert_eq!(failures(&batched).await, [1, 2]);
    // On its own row.
    database.execute(&insert("jobs.explode", "'key', 'b'", 1, 3, 50).replace(", true\n", ", false\n")).await;
    await_history(&database, "dead_letter: 2", PATIENCE).await;
    let alone: String =
        database.value("select id::text from forge_job_history where args->>'key' = 'b'").await;
    assert_eq!(failures(&alone).await, [1, 2, 3]);
    let reply = node.call("forge.retryJob", json!({ "id": alone }), Some(&probe::admin_token())).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    until("it has failed as often again", PATIENCE, || async {
        let failed = "select count(*) from forge_failed_attempts";
        (database.value::<i64>(failed).await == 8).then_some(())
    })
    .await;
    assert_eq!(failures(&alone).await, [1, 2, 3, 1, 2, 3]);
}

#[tokio::test]
async fn attempts_end_as_they_end() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let last_error = |id: String| {
        let database = &database;
        async move {
            database
                .value::<Option<String>>(&format!(
                    "select last_error from forge_job_history where id = '{id}'"
                ))
                .await
        }
    };
    let panicked = enqueue_one(node.client(), "explode", "a").await;
    await_history(&database, "dead_letter: 1", PATIENCE).await;
    let error = last_error(panicked).await.expect("it says why");
    assert!(error.contains("the probe panics in a job") && error.contains("jobs.rs:"), "{error}");
    assert_eq!(count(&database, "begun", "key = 'a'").await, 2, "two attempts");
    let journalled =
        "select coalesce(sum(occurrences), 0)::int8 from forge_crashes where path = 'node/jobs/jobs.explode'";
    until("both panics are in the journal", PATIENCE, || async {
        (database.value::<i64>(journalled).await == 2).then_some(())
    })
    .await;

    let stalled = enqueue_one(node.client(), "stall", "b").await;
    await_history(&database, "dead_letter: 2", PATIENCE).await;
    let error = last_error(stalled).await.expect("it says why");
    assert!(error.contains("TIMEOUT") && error.contains("500ms"), "{error}");

    let snoozed = enqueue_one(node.client(), "snooze", "c").await;
    await_history(&database, "completed: 1, dead_letter: 2", PATIENCE).await;
    assert_eq!(last_error(snoozed.clone()).await, None);
    let attempt = format!(
        "select attempt || ' of ' || attempts_max || ', claim ' || claim from forge_job_history where id = '{snoozed}'"
    );
    assert_eq!(database.value::<String>(&attempt).await, "1 of 1, claim 4", "a snooze spends no attempt");

    let later = enqueue_one(node.client(), "later", "d").await;
    await_history(&database, "completed: 2, dead_letter: 2", PATIENCE).await;
    let waited = format!(
        "select extract(epoch from at - created_at)::float8 from probe_effects, forge_job_history where key = 'd' and what = 'begun' and id = '{later}'"
    );
    let waited: f64 = database.value(&waited).await;
    assert!((0.3..1.5).contains(&waited), "300 ms, not {waited} s, and not by luck of a poll");

    let failed = node.call("jobs.enqueue_and_fail", json!({ "key": "e" }), Some(&probe::token("ana"))).await;
    assert_eq!(failed.status, 409, "{}", failed.text);
    nothing_is_left(&database).await;
    let called = node.call("jobs.work", json!({ "key": "f", "ms": 1 }), Some(&probe::token("ana"))).await;
    assert_eq!(called.code(), "NOT_FOUND", "a job is not called");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn jobs_outlive_their_database_and_each_effect_happens_once() {
    let cluster = PostgresProcess::start().await;
    let database = Database::create_in(&cluster.url(), None).await;
    let node = worker_on(&database, "concurrency = 10").start().await;
    enqueue(node.client(), "job", 200, 100).await;
    for goal in [20, 80] {
        await_count(&database, "done", "true", goal, LONG).await;
        cluster.crash();
        cluster.restart().await;
    }
    await_history(&database, "completed: 200", LONG).await;
    nothing_is_left(&database).await;
    every_effect_happened_once(&database, 200).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_drain_ends_what_it_can_and_hands_back_the_rest() {
    let database = Database::create().await;
    let node = worker_on(&database, "concurrency = 5\nprefetch_max = 0").start().await;
    enqueue(node.client(), "short", 20, 1_500).await;
    await_count(&database, "begun", "true", 5, PATIENCE).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
    let begun = count(&database, "begun", "true").await;
    assert_eq!(count(&database, "done", "true").await, begun, "what had begun was ended");
    let left = format!("attempt = 0 and status = 'pending' and ready: {}", 20 - begun);
    let waiting = "select 'attempt = 0 and status = ''pending'' and ready: ' || count(*) from forge_jobs where attempt = 0 and status = 'pending' and ready";
    assert_eq!(database.value::<String>(waiting).await, left, "the others wait as if nothing had been");

    database.execute("truncate forge_jobs, forge_job_leases, forge_job_history, probe_effects").await;
    let node =
        worker_on(&database, "concurrency = 5\nqueue_share = 1.0\ndrain_timeout = \"500ms\"").start().await;
    enqueue(node.client(), "long", 8, 60_000).await;
    await_count(&database, "begun", "true", 5, PATIENCE).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
    let returned = "select count(*) from forge_jobs where attempt = 0 and status = 'pending' and ready and node_id is null";
    assert_eq!(database.value::<i64>(returned).await, 8, "the job is not to blame, so no attempt is spent");
    assert_eq!(history(&database).await, "");
}

#[tokio::test]
async fn a_person_sees_jobs_and_does_something_about_them() {
    let database = Database::create().await;
    let mut node = worker_on(&database, "").start().await;
    let dead = enqueue_one(node.client(), "explode", "a").await;
    await_history(&database, "dead_letter: 1", PATIENCE).await;
    let listed: Value =
        serde_json::from_str(&jobs(&node, &["ls", "--status", "dead_letter", "--json"]).await.stdout)
            .expect("JSON");
    assert_eq!(
        (&listed["rows"][0]["id"], &listed["rows"][0]["status"], &listed["rows"][0]["attempt"]),
        (&json!(dead), &json!("dead_letter"), &json!(2))
    );
    let shown = jobs(&node, &["show", &dead]).await.stdout;
    for word in
        ["jobs.explode", "dead_letter", r#"{"key":"a"}"#, "the probe panics in a job", "2 of 2", "ana"]
    {
        assert!(shown.contains(word), "no `{word}` in:\n{shown}");
    }
    assert_eq!(jobs(&node, &["retry", &dead]).await.code(), 0);
    await_count(&database, "begun", "key = 'a'", 4, PATIENCE).await;
    await_history(&database, "dead_letter: 1", PATIENCE).await;

    let running = {
        enqueue(node.client(), "long", 1, 60_000).await;
        await_count(&database, "begun", "key = 'long-0'", 1, PATIENCE).await;
        database.value::<String>("select id::text from forge_unfinished_jobs").await
    };
    assert_eq!(jobs(&node, &["cancel", &running]).await.code(), 0);
    await_history(&database, "cancelled: 1, dead_letter: 1", PATIENCE).await;
    let stderr = node.process().stderr().clone();
    until("its worker has lost the lease", PATIENCE, || async {
        stderr.line("lease lost: the job was cancelled")
    })
    .await;
    assert_eq!(jobs(&node, &["cancel", &running]).await.code(), 1, "it is cancelled already");
    assert_eq!(jobs(&node, &["show", "0193a5b0-0000-7000-8000-000000000000"]).await.code(), 6);
    assert_eq!(jobs(&node, &["ls", "--status", "lost"]).await.code(), 2);
    let audited: Vec<String> = database
        .column("select action || ' ' || target || ' ' || outcome from forge_audit order by at")
        .await;
    assert_eq!(
        audited,
        [format!("retryJob {dead} done"), format!("cancelJob {running} done")],
        "what failed did not happen"
    );
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

async fn jobs(node: &Node, arguments: &[&str]) -> Ended {
    let mut command = std::process::Command::new(Binary::Forge.path());
    command.arg("jobs").args(arguments).args([
        "--url",
        node.client().base(),
        "--token",
        &probe::admin_token(),
        "--color",
        "never",
    ]);
    Process::spawn(&mut command).ended(PATIENCE).await
}

#[tokio::test]
async fn a_repeated_request_is_answered_as_the_first_time() {
    let database = Database::create().await;
    let node = probe_on(&database).start().await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let put = async |key: &str, idempotency_key: &str| {
        let request =
            http.post(format!("{}/rpc/probe.put", node.client().base())).json(&json!({ "key": key }));
        let reply = request
            .bearer_auth(probe::token("ana"))
            .header("idempotency-key", idempotency_key)
            .send()
            .await
            .expect("an answer");
        reply.status().as_u16()
    };
    assert_eq!(put("a", "7f1c").await, 200);
    assert_eq!(put("a", "7f1c").await, 200, "the row is there already, and so is the answer");
    assert_eq!(put("a", "\"7f1c\"").await, 200, "with quotes it is the same key");
    assert_eq!(put("b", "7f1c").await, 409, "another call needs another key");
    assert_eq!(put("a", "other").await, 409, "and without the answer the row is in the way");
    assert_eq!(put("c", "").await, 400);
    let batch = r#"[{"id": 1, "name": "probe.put", "args": {"key": "a"}, "idempotencyKey": "7f1c"}]"#;
    let reply = node.client().post("/rpc", batch, Some(&probe::token("ana"))).await.expect("an answer");
    assert_eq!(reply.json()[0]["data"], Value::Null, "{}", reply.text);
    assert!(reply.json()[0].get("error").is_none(), "{}", reply.text);
    assert_eq!(database.column::<String>("select key from probe_ledger").await, ["a"]);
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_spends_its_own_attempts_only() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    let rows = insert("jobs.work", "'key', 'key ' || n, 'ms', 0", 20, 1, 50);
    // Such a row may come from another version or another program. One transaction, so that one claim takes
    // all rows.
    database
        .execute(&format!(
            "begin; {rows} update forge_jobs set identity = '{{\"sub\": 1}}', priority = 90 where args ->> 'key' = 'key 7'; commit"
        ))
        .await;
    await_history(&database, "completed: 19, dead_letter: 1", LONG).await;
    let error: String =
        database.value("select last_error from forge_job_history where status = 'dead_letter'").await;
    assert!(error.contains("identity"), "{error}");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
