//! One row that the database refuses holds up no other one.

use forge_tests::{Database, Node, probe, until};
use serde_json::{Value, json};

use super::jobs::{LONG, await_history, insert, nothing_is_left, worker_on};
use super::sessions::metric;
use super::stage::PATIENCE;

const QUICK: u32 = 99;

/// Has every job claimed on its own row: only there is a begin written, and a lease renewed for one job.
const ON_ROWS: &str = "update forge_jobs set batched = false;";

/// Ninety-nine quick jobs, and `poison` among them; one claim takes them all.
fn jobs_with(poison: &str) -> String {
    format!("begin; {} {poison} commit", insert("jobs.quick", "'n', n", QUICK, 1, 50))
}

/// The quick job that the tests' constraints know.
fn poison() -> String {
    insert("jobs.quick", "'n', -7", 1, 3, 60)
}

async fn last_error(database: &Database) -> String {
    database.value("select last_error from forge_job_history where status <> 'completed'").await
}

async fn stop(node: Node) {
    assert_eq!(node.stop(PATIENCE).await.code(), 0);
}

#[tokio::test]
async fn a_snooze_for_ever_is_a_snooze_for_a_hundred_years() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database.execute(&jobs_with(&insert("jobs.snooze_for_ever", "'n', 1", 1, 1, 60))).await;
    await_history(&database, "completed: 99", LONG).await;
    let snoozed = "select name from forge_jobs where status = 'pending' and attempt = 0 and run_at > now() + interval '99 years'";
    until("the other one waits", PATIENCE, || async {
        (database.column::<String>(snoozed).await == ["jobs.snooze_for_ever"]).then_some(())
    })
    .await;
    stop(node).await;
}

#[tokio::test]
async fn a_result_that_the_database_refuses_is_a_failure_that_says_so() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database
        .execute("alter table forge_job_history add constraint picky check (status <> 'completed' or args ->> 'n' <> '-7')")
        .await;
    database.execute(&jobs_with(&poison())).await;
    await_history(&database, "completed: 99, failed: 1", LONG).await;
    nothing_is_left(&database).await;
    let error = last_error(&database).await;
    assert!(error.contains("refused the result `completed`") && error.contains("picky"), "{error}");
    stop(node).await;
}

#[tokio::test]
async fn a_job_about_which_nothing_can_be_written_holds_up_no_other() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database.execute("alter table forge_job_history add constraint picky check (args ->> 'n' <> '-7')").await;
    database.execute(&jobs_with(&poison())).await;
    await_history(&database, "completed: 99", LONG).await;
    let job = until("the job waits with its reason", PATIENCE, || async { waiting_jobs(&node).await.pop() });
    let job = job.await;
    assert_eq!((&job["status"], &job["attempt"]), (&json!("pending"), &json!(0)), "{job}");
    let reason = job["lastError"].as_str().unwrap_or_default();
    assert!(reason.contains("refused the result") && reason.contains("picky"), "{job}");
    let waits = "select run_at > now() + interval '5 s' from forge_jobs";
    assert!(database.value::<bool>(waits).await, "it is not run again at once");
    database.execute("alter table forge_job_history drop constraint picky").await;
    let retried = node.call("forge.retryJob", json!({ "id": job["id"] }), Some(&probe::admin_token())).await;
    assert_eq!(retried.status, 200, "{}", retried.text);
    await_history(&database, "completed: 100", LONG).await;
    nothing_is_left(&database).await;
    let ended = node.stop(PATIENCE).await;
    assert_eq!(ended.code(), 0);
    assert!(ended.stderr.contains("result refused by the database"), "{}", ended.stderr);
}

/// The jobs that are not finished and have an error, as an administrator lists them.
async fn waiting_jobs(node: &Node) -> Vec<Value> {
    let all = json!({ "filter": null, "limit": 200 });
    let listed = node.call("forge.jobs", all, Some(&probe::admin_token())).await;
    let rows =
        listed.data()["rows"].as_array().cloned().unwrap_or_else(|| panic!("no list: {}", listed.text));
    rows.into_iter().filter(|row| row["finishedAt"].is_null() && !row["lastError"].is_null()).collect()
}

#[tokio::test]
async fn a_job_whose_status_cannot_be_changed_says_why() {
    let database = Database::create().await;
    let node = worker_on(&database, "lease = \"2s\"").start().await;
    database
        .execute(
            "create function keep() returns trigger language plpgsql as $$ begin
                 raise exception 'status is kept';
             end $$;
             create trigger keep_row before delete on forge_jobs for each row
                 when (old.args ->> 'n' = '-7') execute function keep();
             create trigger keep_status before update on forge_jobs for each row
                 when (old.args ->> 'n' = '-7' and old.status = 'running' and new.status <> 'running')
                 execute function keep()",
        )
        .await;
    database.execute(&jobs_with(&poison())).await;
    await_history(&database, "completed: 99", LONG).await;
    let job = until("the job has its reason", PATIENCE, || async { waiting_jobs(&node).await.pop() });
    let job = job.await;
    let reason = job["lastError"].as_str().unwrap_or_default();
    assert!(job["status"] == "running" && reason.contains("status is kept"), "{job}");
    let rests = "select lease_until > now() + interval '5 s' from forge_jobs";
    assert!(database.value::<bool>(rests).await, "the rescuer leaves it alone for longer than a lease");
    stop(node).await;
}

#[tokio::test]
async fn an_error_text_that_the_encoding_lacks_is_written_in_ascii() {
    let database = Database::create_in_encoding("LATIN1").await;
    let node = worker_on(&database, "").start().await;
    database.execute(&jobs_with(&insert("jobs.exclaim", "'n', 1", 1, 2, 60))).await;
    await_history(&database, "completed: 99, dead_letter: 1", LONG).await;
    nothing_is_left(&database).await;
    let error = last_error(&database).await;
    assert!(error.contains("\\u{2713} in job 1"), "{error}");
    assert_eq!(
        database.value::<i32>("select attempt from forge_job_history where name = 'jobs.exclaim'").await,
        2,
        "it had all of its attempts"
    );
    let crashes = "select cause from forge_crashes where path = 'node/jobs/jobs.exclaim'";
    let cause = until("its crash is recorded", PATIENCE, || async {
        database.column::<String>(crashes).await.into_iter().next()
    })
    .await;
    assert!(cause.contains("\\u{2713}") && cause.contains("the database refused"), "{cause}");
    stop(node).await;
}

#[tokio::test]
async fn a_begin_that_the_database_refuses_is_a_failure_that_says_so() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database
        .execute(
            "alter table forge_jobs add constraint picky check (status <> 'running' or args ->> 'n' <> '-7')",
        )
        .await;
    database.execute(&jobs_with(&format!("{}{ON_ROWS}", poison()))).await;
    await_history(&database, "completed: 99, failed: 1", LONG).await;
    nothing_is_left(&database).await;
    let error = last_error(&database).await;
    assert!(error.contains("refused the begin") && error.contains("picky"), "{error}");
    stop(node).await;
}

#[tokio::test]
async fn a_lease_that_cannot_be_renewed_costs_no_other_job_its_lease() {
    let database = Database::create().await;
    let node = worker_on(&database, "lease = \"2s\"").start().await;
    database
        .execute(
            "create function refuse() returns trigger language plpgsql as $$ begin
                 raise exception 'no renewal' using errcode = 'check_violation';
             end $$;
             create trigger refuse before update on forge_jobs for each row
                 when (new.args ->> 'key' = 'job 7' and old.status = 'running' and new.status = 'running')
                 execute function refuse()",
        )
        .await;
    let work = insert("jobs.work", "'key', 'job ' || n, 'ms', 5000", 8, 20, 50);
    database.execute(&format!("begin; {work} {ON_ROWS} commit")).await;
    let ended = "select count(*) from forge_job_history where status = 'completed' and claim = 1";
    until("the others end in their first attempt", LONG, || async {
        (database.value::<i64>(ended).await == 7).then_some(())
    })
    .await;
    stop(node).await;
}

#[tokio::test]
async fn a_crash_that_the_database_refuses_keeps_no_other_from_being_recorded() {
    let database = Database::create().await;
    let node = worker_on(&database, "").start().await;
    database
        .execute(
            "alter table forge_crashes add constraint picky check (path <> 'node/functions/probe.panic')",
        )
        .await;
    let token = probe::token("ana");
    assert_eq!(node.call("probe.panic", json!({}), Some(&token)).await.status, 500);
    let args = json!({ "key": "a" });
    assert_eq!(node.call("probe.put_and_panic", args, Some(&token)).await.status, 500);
    until("the other crash is recorded", PATIENCE, || async {
        let paths = database.column::<String>("select distinct path from forge_crashes").await;
        (paths == ["node/functions/probe.put_and_panic"]).then_some(())
    })
    .await;
    until("the refused crash is counted", PATIENCE, || async {
        (metric(&node, "forge_crashes_lost_total").await == 1.0).then_some(())
    })
    .await;
    stop(node).await;
}
