//! Other clients of the node, which see none of these rows: how soon a change reaches them, while nobody
//! looks at the dashboard and while its pages are open.

use forge_tests::{Socket, probe};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::goal::{Goal, percentile};
use crate::live;
use crate::stage::Stage;

const ROUNDS: usize = 3;

pub(super) async fn run(stage: &Stage) -> Vec<Goal> {
    let latencies = || live::latencies(&stage.node, &stage.node);
    let (mut quiet, mut beside) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let before = latencies().await;
        let pages = open_pages(stage).await;
        let meanwhile = latencies().await;
        drop(pages);
        if round > 0 {
            // The round before them warms pools, plans and caches.
            quiet.extend(before);
            beside.extend(meanwhile);
        }
    }
    for (when, took) in
        [("without a dashboard", &mut quiet), ("beside the overview and the jobs", &mut beside)]
    {
        took.sort_by(f64::total_cmp);
        let [p50, p99, max] = [50, 99, 100].map(|percent| percentile(took, percent));
        println!("pages: others' updates {when}: {p50:.1} ms p50, {p99:.1} ms p99, {max:.1} ms at most");
    }
    let ratio = percentile(&beside, 99) / percentile(&quiet, 99);
    vec![Goal::at_most(
        "others' updates, p99, with the overview and the jobs open / without",
        ratio,
        "×",
        1.2,
    )]
}

/// The queries of the pages, as a browser subscribes to them: the overview, and the jobs with its side.
/// Dropping the value closes the pages.
async fn open_pages(stage: &Stage) -> JoinSet<()> {
    let overview = vec![("forge.overview", json!({})), ("forge.leaders", json!({}))];
    let jobs = vec![
        ("forge.overview", json!({})),
        ("forge.jobs", json!({ "filter": {}, "before": null, "limit": 100 })),
        ("forge.queues", json!({})),
        ("forge.jobTotals", json!({})),
        ("forge.jobWaits", json!({ "queue": null })),
    ];
    let mut pages = JoinSet::new();
    for queries in [overview, jobs] {
        let mut page = open(stage, queries).await;
        pages.spawn(async move {
            loop {
                page.frame().await;
            }
        });
    }
    pages
}

/// A page whose queries have answered.
async fn open(stage: &Stage, queries: Vec<(&'static str, Value)>) -> Socket {
    let token = probe::admin_token();
    let (mut page, _) = Socket::hello(stage.node.client().base(), Some(&token)).await;
    for (id, (name, args)) in (1..).zip(&queries) {
        page.subscribe(id, name, args.to_owned()).await;
    }
    let mut answered = std::collections::BTreeSet::new();
    while answered.len() < queries.len() {
        let frame = page.frame_of("transition").await;
        answered.extend(
            frame["mods"].as_array().into_iter().flatten().filter_map(|change| change["id"].as_u64()),
        );
    }
    page
}
