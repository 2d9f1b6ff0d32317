//! Jobs that are dispatched while the database is away: kept on the node's disk, and dispatched once.

use std::path::{Path, PathBuf};

use forge_actors::test_signals::Step;
use forge_tests::{Database, Node, PostgresProcess, Signal, Signals, probe, until};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Executor};
use tempfile::TempDir;

use super::jobs::{LONG, await_history, nothing_is_left, worker_on};
use super::stage::PATIENCE;

const FOLDER: &str = ".forge/job-buffer";

/// The folder of the jobs of a database.
fn folder(home: &Path, database: &Database) -> PathBuf {
    let url = database.url();
    let address = url.rsplit('@').next().unwrap_or(url);
    home.join(FOLDER).join(address.replace(':', "%3A").replace('/', "%2F"))
}

/// Has an action dispatch jobs with the keys `<prefix>-<n>`. Returns what became of each.
async fn dispatch(node: &Node, prefix: &str, count: usize) -> Vec<Value> {
    let mut outcomes = Vec::new();
    for number in 0..count {
        outcomes.push(dispatch_by(node, "jobs.enqueue_buffered", &format!("{prefix}-{number}")).await);
    }
    outcomes
}

/// Has the action `name` dispatch a job. Returns what became of it.
async fn dispatch_by(node: &Node, name: &str, key: &str) -> Value {
    let reply = node.client().call(name, json!({ "key": key }), Some(&probe::token("ana"))).await;
    match reply.status {
        200 => reply.data()["kind"].clone(),
        _ => json!(reply.text),
    }
}

async fn lose_the_database(postgres: &PostgresProcess, node: &Node) {
    postgres.crash();
    until("the node knows", PATIENCE, || async { node.readiness().await.filter(|status| *status == 503) })
        .await;
}

/// The names of the files that hold jobs, or refused lines.
fn files(folder: &Path, ending: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let names =
        entries.map(|entry| entry.expect("read the folder").file_name().into_string().expect("UTF-8"));
    names.filter(|name| name.ends_with(ending)).collect()
}

#[tokio::test]
async fn jobs_that_are_dispatched_while_the_database_is_away_run_once_when_it_is_back() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let home = tempfile::tempdir().expect("make a directory");
    let folder = folder(home.path(), &database);
    let mut node = worker_on(&database, "").directory(home.path()).start().await;
    assert_eq!(dispatch(&node, "before", 2).await, ["new", "new"]);
    await_history(&database, "completed: 2", PATIENCE).await;
    assert!(files(&folder, "jobs").is_empty(), "nothing was buffered");

    lose_the_database(&postgres, &node).await;
    assert_eq!(dispatch(&node, "killed", 20).await, ["buffered"; 20]);
    // What is acknowledged outlives the process.
    node.process().signal(Signal::KILL);
    node.process().ended(PATIENCE).await;
    postgres.restart().await;
    let node = worker_on(&database, "").directory(home.path()).start().await;
    await_history(&database, "completed: 22", LONG).await;

    lose_the_database(&postgres, &node).await;
    assert_eq!(dispatch(&node, "waited", 130).await, vec!["buffered"; 130], "more than one part of the file");
    postgres.restart().await;
    await_history(&database, "completed: 152", LONG).await;
    assert_eq!(dispatch(&node, "after", 1).await, ["new"]);
    await_history(&database, "completed: 153", LONG).await;
    let often = "select count(*) from (select from probe_effects where what = 'done' group by key having count(*) > 1) as twice";
    assert_eq!(database.value::<i64>(often).await, 0, "each job once");
    nothing_is_left(&database).await;
    let noted = "select count(*) from forge_job_buffers where removed_at is not null";
    until("the file of each process is deleted, and its row says so", PATIENCE, || async {
        (database.value::<i64>(noted).await == 2).then_some(())
    })
    .await;
    assert!(files(&folder, "jobs").is_empty(), "what is dispatched is gone");
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

/// A node that has buffered a job, has dispatched it when the database was back, and was killed before it
/// could delete the file. The job has run, if it was a new one.
struct KilledNode {
    postgres: PostgresProcess,
    database: Database,
    home: TempDir,
}

impl KilledNode {
    /// The job is dispatched by the action `name` during the outage. `before`: the outcome of a dispatch of
    /// the same job before the outage, if there is to be one.
    async fn after_dispatch_by(name: &str, before: Option<&str>) -> Self {
        let postgres = PostgresProcess::start().await;
        let database = Database::create_in(&postgres.url(), None).await;
        let home = tempfile::tempdir().expect("make a directory");
        let signals = Signals::new();
        let mut node = worker_on(&database, "").directory(home.path()).signals(&signals).start().await;
        if let Some(outcome) = before {
            assert_eq!(dispatch_by(&node, name, "a").await, outcome);
            await_history(&database, "completed: 1", PATIENCE).await;
        }
        lose_the_database(&postgres, &node).await;
        assert_eq!(dispatch_by(&node, name, "a").await, "buffered");
        let _hold = signals.hold(Step::JobBufferDispatched, "jobs");
        postgres.restart().await;
        signals.reached(Step::JobBufferDispatched, "jobs", 1).await;
        await_history(&database, "completed: 1", LONG).await;
        // What a lease holds and the history does not have is run again.
        until("no lease holds the job", PATIENCE, || async {
            (database.value::<i64>("select count(*) from forge_job_leases").await == 0).then_some(())
        })
        .await;
        node.process().signal(Signal::KILL);
        node.process().ended(PATIENCE).await;
        assert_eq!(files(&folder(home.path(), &database), "jobs").len(), 1, "its file is left");
        Self { postgres, database, home }
    }

    /// The next node finds the file, and dispatches nothing of it, though no row of a job tells it so.
    async fn dispatch_nothing_again(self) {
        let Self { postgres, database, home } = self;
        database.execute("delete from forge_job_history").await;
        let folder = folder(home.path(), &database);
        let node = worker_on(&database, "").directory(home.path()).start().await;
        until("the file is gone", PATIENCE, || async { files(&folder, "jobs").is_empty().then_some(()) })
            .await;
        let jobs =
            "select (select count(*) from forge_unfinished_jobs) + (select count(*) from forge_job_history)";
        assert_eq!(database.value::<i64>(jobs).await, 0, "dispatched again");
        assert_eq!(database.value::<i64>("select count(*) from probe_effects where what = 'done'").await, 1);
        assert!(files(&folder, "refused").is_empty());
        assert_eq!(node.stop(PATIENCE).await.code(), 0);
        drop(postgres);
    }
}

#[tokio::test]
async fn a_buffered_job_runs_once_although_its_history_is_deleted_before_its_file() {
    let killed = KilledNode::after_dispatch_by("jobs.enqueue_buffered", None).await;
    killed.dispatch_nothing_again().await;
}

#[tokio::test]
async fn a_buffered_job_that_found_another_one_is_not_dispatched_when_that_one_is_forgotten() {
    let killed = KilledNode::after_dispatch_by("jobs.enqueue_buffered_unique", Some("new")).await;
    killed.database.execute("delete from forge_job_keys").await;
    killed.dispatch_nothing_again().await;
}

/// Jobs that a node has buffered, and was killed with, while the database is away.
struct LeftJobs {
    postgres: PostgresProcess,
    database: Database,
    home: TempDir,
    folder: PathBuf,
}

impl LeftJobs {
    async fn of(count: usize) -> Self {
        let postgres = PostgresProcess::start().await;
        let database = Database::create_in(&postgres.url(), None).await;
        let home = tempfile::tempdir().expect("make a directory");
        let folder = folder(home.path(), &database);
        let mut node = worker_on(&database, "").directory(home.path()).start().await;
        lose_the_database(&postgres, &node).await;
        assert_eq!(dispatch(&node, "a", count).await, vec!["buffered"; count]);
        node.process().signal(Signal::KILL);
        node.process().ended(PATIENCE).await;
        Self { postgres, database, home, folder }
    }
}

/// A second process dispatches the same file without holding its lock, as one that was cut off from the disk.
#[tokio::test]
async fn a_dispatch_waits_for_one_that_may_still_commit_and_goes_on_behind_it() {
    let LeftJobs { postgres, database, home, folder } = LeftJobs::of(5).await;
    postgres.restart().await;
    let [name] = &files(&folder, ".jobs")[..] else { panic!("one file") };
    let text = std::fs::read_to_string(folder.join(name)).expect("read the file");
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    let dispatched = lines[0].len() + lines[1].len();
    let mut refused: Value = serde_json::from_str(&lines[2]).expect("a line is JSON");
    refused["job"]["priority"] = json!(1_000);
    lines[2] = format!("{refused}\n");
    lines.insert(4, "no job\n".to_owned());
    std::fs::write(folder.join(name), lines.concat()).expect("write the file");

    let mut other = database.connect().await;
    let file = name.trim_end_matches(".jobs");
    let advance =
        format!("insert into forge_job_buffers (file, dispatched_bytes) values ('{file}', {dispatched})");
    for statement in ["begin", &advance] {
        other.execute(AssertSqlSafe(statement)).await.expect("the statement runs");
    }
    let node = worker_on(&database, "").directory(home.path()).start().await;
    until("the dispatch waits for the other one", PATIENCE, || async {
        let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%forge_job_buffers%'";
        (database.value::<i64>(waiting).await == 1).then_some(())
    })
    .await;
    other.execute("commit").await.expect("the other one commits");
    await_history(&database, "completed: 2", LONG).await;
    until("the file is gone", PATIENCE, || async { files(&folder, "jobs").is_empty().then_some(()) }).await;
    let done = "select key from probe_effects where what = 'done' order by key";
    assert_eq!(
        database.column::<String>(done).await,
        ["a-3", "a-4"],
        "what was behind the other one's lines"
    );
    let aside = std::fs::read_to_string(folder.join(format!("{file}.refused"))).expect("lines are set aside");
    assert_eq!(aside, [&*lines[2], &*lines[4]].concat());
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_full_buffer_refuses_what_it_cannot_keep() {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let node = worker_on(&database, "buffer_bytes_max = 2000").start().await;
    lose_the_database(&postgres, &node).await;
    let outcomes = dispatch(&node, "a", 10).await;
    let kept = outcomes.iter().filter(|outcome| **outcome == "buffered").count();
    assert!((1..9).contains(&kept), "{outcomes:?}");
    let refused = outcomes[9].as_str().expect("a text");
    assert!(refused.contains("UNAVAILABLE") && refused.contains("the buffer of jobs is full"), "{refused}");
    postgres.restart().await;
    await_history(&database, &format!("completed: {kept}"), LONG).await;
    nothing_is_left(&database).await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_line_that_cannot_be_read_is_set_aside() {
    let database = Database::create().await;
    let home = tempfile::tempdir().expect("make a directory");
    let folder = folder(home.path(), &database);
    std::fs::create_dir_all(&folder).expect("make the folder");
    std::fs::write(folder.join("old.jobs"), "{\"of\":\"another version\"}\n{\"cut of").expect("write a file");
    let mut node = worker_on(&database, "").directory(home.path()).start().await;
    until("the file is gone", PATIENCE, || async { files(&folder, "jobs").is_empty().then_some(()) }).await;
    let aside = std::fs::read_to_string(folder.join("old.refused")).expect("the line is kept");
    assert_eq!(aside, "{\"of\":\"another version\"}\n", "without the end that was cut off");
    assert!(node.process().stderr().line("a buffered job is set aside").is_some());
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_file_that_fails_holds_up_no_other_one() {
    let LeftJobs { postgres, database, home, folder } = LeftJobs::of(1).await;
    // Its only line must be set aside, and cannot be. Its name comes first.
    std::fs::write(folder.join("0.jobs"), "{\"of\":\"another version\"}\n").expect("write a file");
    std::fs::create_dir(folder.join("0.refused")).expect("make a directory");
    postgres.restart().await;
    let mut node = worker_on(&database, "").directory(home.path()).start().await;
    await_history(&database, "completed: 1", LONG).await;
    assert!(
        node.process()
            .stderr()
            .line("dispatching a file of buffered jobs failed; the next takeover")
            .is_some()
    );
    std::fs::remove_dir(folder.join("0.refused")).expect("delete the directory");
    until("the next takeover sets the line aside", LONG, || async {
        files(&folder, "jobs").is_empty().then_some(())
    })
    .await;
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
