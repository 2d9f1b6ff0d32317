//! What holds of runs of workflows whatever has happened to their nodes: each has ended, its journal agrees
//! with what its steps have written, and what was completed is taken back in the reverse order.
//!
//! The steps of the probe's workflows write a row each time they are executed, in transactions of their own
//! (`tests/probe/flows.rs`), so what was executed twice is seen.

use std::cell::RefCell;
use std::time::Duration;

use forge_tests::{Database, Node, NodeBuilder, probe, until};
use serde_json::{Value, json};

use super::peers::member;
use super::stage::PATIENCE;

/// With this variable of the environment, these tests have more runs: 1,000 for each fault instead of tens.
const FULL_SIZE: &str = "FORGE_TEST_FULL_SIZE";

/// Effects of steps and compensations, with the rows of the journal that they belong to.
const EXECUTED: &str = "probe_effects effect
    join forge_workflow_steps step on step.run_id::text = effect.key
        and effect.what = case step.kind when 'compensation' then replace(step.name, 'do ', 'undo ') else step.name end";

/// `small` in the suite, `full` when the full size is asked for.
pub(super) fn size(small: u32, full: u32) -> u32 {
    if std::env::var_os(FULL_SIZE).is_some() { full } else { small }
}

/// A node called `name` with these settings of `[workflows]`, not yet started.
pub(super) fn flow_node(database: &Database, name: &str, workflows: &str) -> NodeBuilder {
    member(database, name).file("forge.toml", format!("{}\n[workflows]\n{workflows}\n", probe::CONFIG))
}

/// Calls a function of the probe's module `flows`, again while the node has more to do than it can: it
/// refuses before it has begun.
pub(super) async fn flow(node: &Node, function: &str, arguments: Value) -> Value {
    let reply = until("the node takes the call", PATIENCE, || async {
        let name = format!("flows.{function}");
        let reply = node.call(&name, arguments.clone(), Some(&probe::token("ana"))).await;
        (reply.code() != "OVERLOADED").then_some(reply)
    });
    reply.await.data()
}

/// Starts sagas of so many steps, of which none fails.
pub(super) async fn start_sagas(node: &Node, count: u32, steps: u32, ms: u32) -> Value {
    flow(node, "start_sagas", json!({ "count": count, "steps": steps, "ms": ms })).await
}

pub(super) async fn count(database: &Database, from: &str) -> i64 {
    database.value(&format!("select count(*) from {from}")).await
}

/// Waits until this query counts so many rows.
pub(super) async fn await_count(database: &Database, from: &str, at_least: i64, limit: Duration) {
    let reached = || async { (count(database, from).await >= at_least).then_some(()) };
    until(&format!("{at_least} of {from}"), limit, reached).await;
}

/// Waits until so many steps of sagas are recorded.
pub(super) async fn await_recorded(database: &Database, at_least: u32, limit: Duration) {
    let recorded = "forge_workflow_steps where kind = 'call' and status = 'completed'";
    await_count(database, recorded, i64::from(at_least), limit).await;
}

/// Waits until a process executes a step.
pub(super) async fn await_executes(database: &Database, node: &mut Node) {
    let pid = node.process().pid();
    await_count(database, &format!("probe_effects where pid = {pid}"), 1, PATIENCE).await;
}

/// Waits until no run is left that has not ended.
pub(super) async fn all_ended(database: &Database, limit: Duration) {
    let left = "select coalesce(string_agg(workflow || ' ' || status || ': ' || n, ', ' order by workflow, status), '')
        from (select workflow, status::text, count(*) as n from forge_workflow_runs group by 1, 2) as counts";
    // Shown when the test fails.
    let seen = RefCell::new(String::new());
    until("all runs have ended", limit, || async {
        let now: String = database.value(left).await;
        if *seen.borrow() != now {
            println!("left: {now}");
        }
        seen.replace(now);
        seen.borrow().is_empty().then_some(())
    })
    .await;
}

/// How many runs of each workflow have ended in which way: `flows.saga completed: 8`.
pub(super) async fn ends(database: &Database) -> Vec<String> {
    let ends = "select workflow || ' ' || status || ': ' || count(*) from forge_workflow_history
        group by workflow, status order by workflow, status::text";
    database.column(ends).await
}

/// Checks the journal of every run against what its steps and compensations have written. The processes that
/// were stopped may write late: a body that was under way goes on when they do.
pub(super) async fn journals_are_right(database: &Database, stopped: &[u32]) {
    let stopped = stopped.iter().map(u32::to_string).chain(["0".to_owned()]).collect::<Vec<_>>().join(", ");
    let broken = [
        (
            "executions of a step after it was recorded",
            format!(
                "{EXECUTED} where step.status = 'completed' and effect.at > step.finished_at
                   and effect.pid not in ({stopped})"
            ),
        ),
        (
            "recorded steps that were not executed",
            "forge_workflow_steps step where status = 'completed' and name similar to '(do|put|tx) %' and not exists (
                 select from probe_effects effect where effect.key = step.run_id::text
                   and effect.what = case step.kind when 'compensation' then replace(step.name, 'do ', 'undo ') else step.name end)"
                .to_owned(),
        ),
        (
            "transactional effects that did not happen exactly once",
            "(select from probe_effects where what similar to '(put|tx|link) %' group by key, what having count(*) <> 1) as twice"
                .to_owned(),
        ),
        (
            "progress that says otherwise than its run",
            "forge_workflow_progress known left join forge_workflow_history run on run.id = known.run_id
             where (known.status::text, known.result::text, known.finished_at, known.failure ->> 'code')
                 is distinct from (run.status::text, run.output::text, run.finished_at, run.error ->> 'code')"
                .to_owned(),
        ),
        (
            "followed runs without progress",
            "forge_workflow_history run where followed and status <> 'continued'
               and not exists (select from forge_workflow_progress known where known.run_id = run.id)"
                .to_owned(),
        ),
        (
            "open steps of completed runs",
            "forge_workflow_steps step join forge_workflow_history run on run.id = step.run_id
             where run.status = 'completed' and step.finished_at is null"
                .to_owned(),
        ),
        (
            "numbers of steps that are given twice",
            "(select from forge_workflow_steps where number is not null group by run_id, number having count(*) > 1) as twice"
                .to_owned(),
        ),
    ];
    for (what, from) in broken {
        assert_eq!(count(database, &from).await, 0, "{what}");
    }
    compensations_are_right(database).await;
}

/// What a run has completed that failed or was cancelled is taken back, the last step first; what other runs
/// have completed stays.
async fn compensations_are_right(database: &Database) {
    let undone = "forge_workflow_steps undone where undone.run_id = run.id and undone.kind = 'compensation'";
    let broken = [
        (
            "compensations of runs that have completed",
            format!("forge_workflow_history run where status = 'completed' and exists (select from {undone})"),
        ),
        (
            "completed steps of other runs that are not taken back",
            format!(
                "forge_workflow_history run join forge_workflow_steps step on step.run_id = run.id
                 where run.status in ('failed', 'cancelled') and step.status = 'completed' and step.name like 'do %'
                   and run.workflow = 'flows.saga' and step.kind = 'call'
                   and not exists (select from {undone} and undone.position = '-' || step.position and undone.status = 'completed')"
            ),
        ),
        (
            "compensations out of order",
            "(select step.number > lag(step.number) over (partition by step.run_id order by undone.number) as is_wrong
              from forge_workflow_steps undone
              join forge_workflow_steps step on step.run_id = undone.run_id and undone.position = '-' || step.position
              where undone.kind = 'compensation') as orders where is_wrong"
                .to_owned(),
        ),
        (
            "compensations that were executed before that of a later step was recorded",
            "forge_workflow_steps undone
             join forge_workflow_steps step on step.run_id = undone.run_id and undone.position = '-' || step.position
             join forge_workflow_steps earlier on earlier.run_id = step.run_id and earlier.number < step.number and earlier.kind = 'call'
             join probe_effects effect on effect.key = step.run_id::text and effect.what = replace(earlier.name, 'do ', 'undo ')
             where undone.kind = 'compensation' and effect.at < undone.finished_at"
                .to_owned(),
        ),
    ];
    for (what, from) in broken {
        assert_eq!(count(database, &from).await, 0, "{what}");
    }
}

/// How many steps were executed more than once; no run has more than `most` of them, one for each fault.
pub(super) async fn repeated(database: &Database, most: i64) -> i64 {
    let repeated = "(select key from probe_effects where what similar to '(do|undo) %' group by key, what having count(*) > 1) as twice";
    let of_run: Option<i64> = database
        .value(&format!("select max(n) from (select count(*) as n from {repeated} group by key) as counts"))
        .await;
    assert!(of_run.unwrap_or(0) <= most, "{of_run:?} steps of one run were executed twice");
    count(database, repeated).await
}
