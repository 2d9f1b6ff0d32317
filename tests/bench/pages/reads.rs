//! What the page of jobs, the overview and the command line ask a node for, each some times, in rounds over
//! all of them: no read directly repeats itself.

use std::time::Instant;

use forge_tests::{Database, Reply, probe};
use serde_json::{Value, json};

use super::ANSWER_MS_MAX;
use super::rows::{RARE_HANDLER, RARE_QUEUE, RARE_TENANT};
use crate::goal::{Goal, percentile};
use crate::stage::Stage;

const ROUNDS: usize = 25;
/// Rows of the page, as ui/src/jobs/Jobs.svelte asks for them.
const ROWS: u32 = 100;

/// One query, with what it took.
struct PageRead {
    what: String,
    function: &'static str,
    args: Value,
    /// Milliseconds.
    took: Vec<f64>,
}

impl PageRead {
    fn new(what: impl Into<String>, function: &'static str, args: Value) -> Self {
        Self { what: what.into(), function, args, took: Vec::new() }
    }
}

pub(super) async fn run(stage: &Stage) -> anyhow::Result<Vec<Goal>> {
    let token = probe::admin_token();
    let mut reads = lists(&stage.database).await;
    reads.extend(totals());
    reads.extend(details(&stage.database).await);
    for _ in 0..ROUNDS {
        for read in &mut reads {
            let (reply, took) = ask(stage, read.function, &read.args, &token).await;
            anyhow::ensure!(reply.status == 200, "{}: {}", read.what, reply.text);
            read.took.push(took);
        }
    }
    println!("{:<48}  {:>8}  {:>8}  {:>8}", "pages: milliseconds of", "p50", "p95", "max");
    let mut slowest = (0.0, String::new());
    for PageRead { what, mut took, .. } in reads {
        took.sort_by(f64::total_cmp);
        let [p50, p95, max] = [50, 95, 100].map(|percent| percentile(&took, percent));
        println!("{what:<48}  {p50:>8.1}  {p95:>8.1}  {max:>8.1}");
        if p95 > slowest.0 {
            slowest = (p95, what);
        }
    }
    count(stage, &token).await;
    let (p95, what) = slowest;
    Ok(vec![Goal::at_most(format!("slowest answer of a page, p95 ({what})"), p95, " ms", ANSWER_MS_MAX)])
}

/// Milliseconds.
async fn ask(stage: &Stage, function: &str, args: &Value, token: &str) -> (Reply, f64) {
    let began = Instant::now();
    let reply = stage.node.call(function, args.to_owned(), Some(token)).await;
    (reply, began.elapsed().as_secs_f64() * 1_000.0)
}

/// The list with each kind of filter: its first page, and one in the middle of what is finished.
async fn lists(database: &Database) -> Vec<PageRead> {
    let middle = id(
        database,
        "select id from forge_job_history order by id
         offset (select count(*) / 2 from forge_job_history) limit 1",
    )
    .await;
    let some = id(database, "select id from forge_jobs where ready order by id limit 1").await;
    let filters = [
        ("all", json!({})),
        ("pending", json!({ "statuses": ["pending"] })),
        ("retry", json!({ "statuses": ["retry"] })),
        ("claimed or running", json!({ "statuses": ["claimed", "running"] })),
        ("completed", json!({ "statuses": ["completed"] })),
        ("failed or dead letter", json!({ "statuses": ["failed", "dead_letter"] })),
        ("cancelled", json!({ "statuses": ["cancelled"] })),
        ("due", json!({ "wait": "due" })),
        ("scheduled", json!({ "wait": "scheduled" })),
        ("blocked", json!({ "wait": "blocked" })),
        ("queue", json!({ "queue": "mail" })),
        ("queue of few jobs", json!({ "queue": RARE_QUEUE })),
        ("handler", json!({ "handler": "jobs.work" })),
        ("handler of few jobs", json!({ "handler": RARE_HANDLER })),
        ("tenant", json!({ "tenant": "tenant-7" })),
        ("tenant of few jobs", json!({ "tenant": RARE_TENANT })),
        ("argument", json!({ "args": [{ "path": "address.city", "value": "Bonn" }] })),
        ("argument of few jobs", json!({ "args": [{ "path": "user", "value": "7" }] })),
        ("text in errors", json!({ "text": "Provider Answered" })),
        ("text that no job has", json!({ "text": "nowhere to be found" })),
        ("text: part of an id", json!({ "text": &some[24..] })),
        ("text: an id", json!({ "text": some })),
        (
            "queue, status and tenant",
            json!({ "queue": "mail", "statuses": ["failed"], "tenant": "tenant-7" }),
        ),
    ];
    let pages = [("", json!(null)), (", a page far back", json!(middle))];
    let reads = filters.iter().flat_map(|(what, filter)| {
        pages.iter().map(move |(which, before)| {
            let args = json!({ "filter": filter, "before": before, "limit": ROWS });
            PageRead::new(format!("list: {what}{which}"), "forge.jobs", args)
        })
    });
    reads.collect()
}

/// What stands around the list, and on the overview.
fn totals() -> Vec<PageRead> {
    vec![
        PageRead::new("list: 1,000 rows", "forge.jobs", json!({ "limit": 1_000 })),
        PageRead::new("totals by status", "forge.jobTotals", json!({})),
        PageRead::new("queues", "forge.queues", json!({})),
        PageRead::new("waits of all queues", "forge.jobWaits", json!({ "queue": null })),
        PageRead::new("waits of a queue", "forge.jobWaits", json!({ "queue": "mail" })),
        PageRead::new("overview", "forge.overview", json!({})),
    ]
}

/// One job, and why it waits.
async fn details(database: &Database) -> Vec<PageRead> {
    let jobs = [
        (
            "that is due",
            "select id from forge_jobs where ready and node_id is null order by priority, run_at desc
             limit 1",
        ),
        ("that is scheduled", "select id from forge_jobs where not ready and blocked_by is null limit 1"),
        ("that is blocked", "select id from forge_jobs where blocked_by is not null limit 1"),
        ("in a batch lease", "select id from forge_unfinished_jobs where lease_id is not null limit 1"),
        ("that is completed", "select id from forge_job_history where status = 'completed' limit 1"),
        ("that has failed", "select id from forge_job_history where status = 'failed' limit 1"),
    ];
    let mut reads = Vec::new();
    for (which, find) in jobs {
        let args = json!({ "id": id(database, find).await });
        reads.push(PageRead::new(format!("job {which}"), "forge.job", args.clone()));
        reads.push(PageRead::new(format!("why of a job {which}"), "forge.whyJob", args));
    }
    reads
}

async fn id(database: &Database, find: &str) -> String {
    database.value::<uuid::Uuid>(find).await.to_string()
}

/// The count before a bulk reads whole tables. A person asks for it once, so no page waits for it.
async fn count(stage: &Stage, token: &str) {
    for (what, filter) in [("all", json!({})), ("failed", json!({ "statuses": ["failed"] }))] {
        let args = json!({ "filter": filter, "action": "retry" });
        let (reply, took) = ask(stage, "forge.countJobs", &args, token).await;
        let counted = reply.json()["data"]["actionable"].to_string();
        println!("pages: count of a bulk, {what}: {took:.0} ms, status {}, {counted} jobs", reply.status);
    }
}
