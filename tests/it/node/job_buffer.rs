//! Jobs that are dispatched while the database is away: kept on the node's disk, and dispatched once.

use std::path::{Path, PathBuf};

use forge_tests::{Database, Node, PostgresProcess, Signal, probe, until};
use serde_json::{Value, json};

use super::jobs::{LONG, await_history, nothing_is_left, worker_on};
use super::stage::PATIENCE;

const FOLDER: &str = ".forge/job-buffer";

/// The folder of the jobs of a database.
fn folder(home: &Path, database: &Database) -> PathBuf {
    let url = database.url();
    let address = url.rsplit('@').next().unwrap_or(url);
    let name = address.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' });
    home.join(FOLDER).join(name.collect::<String>())
}

/// Has an action dispatch jobs with the keys `<prefix>-<n>`. Returns what became of each.
async fn dispatch(node: &Node, prefix: &str, count: usize) -> Vec<Value> {
    let mut outcomes = Vec::new();
    for number in 0..count {
        let arguments = json!({ "key": format!("{prefix}-{number}") });
        let reply = node.client().call("jobs.enqueue_buffered", arguments, Some(&probe::token("ana"))).await;
        outcomes.push(match reply.status {
            200 => reply.data()["kind"].clone(),
            _ => json!(reply.text),
        });
    }
    outcomes
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
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
    // The file of the process that was killed is gone, that of the other one is empty.
    let left = files(&folder, "jobs");
    let bytes = |name: &String| std::fs::metadata(folder.join(name)).expect("it is there").len();
    assert_eq!(left.iter().map(bytes).collect::<Vec<_>>(), [0]);
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
    assert!(node.process().stderr().line("a buffered job is unreadable").is_some());
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}
