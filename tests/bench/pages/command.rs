//! The command line on the same rows: how long each command takes, its start included.

use std::process::Command;
use std::time::Instant;

use anyhow::Context;
use forge_tests::{Binary, Database, probe};

use super::ANSWER_MS_MAX;
use super::rows::{RARE_QUEUE, RARE_TENANT};
use crate::goal::{Goal, percentile};
use crate::stage::Stage;

const ROUNDS: usize = 5;

pub(super) async fn run(stage: &Stage) -> anyhow::Result<Vec<Goal>> {
    let commands = commands(&stage.database).await;
    let start = times(stage, &["--version".to_owned()])?;
    let started = percentile(&start, 50);
    println!("pages: forge-node --version {started:.1} ms");
    let mut slowest: f64 = 0.0;
    for command in commands {
        let took = times(stage, &command)?;
        let [p50, max] = [50, 100].map(|percent| percentile(&took, percent));
        println!("pages: forge-node {}: {p50:.1} ms p50, {max:.1} ms at most", command.join(" "));
        slowest = slowest.max(p50 - started);
    }
    Ok(vec![Goal::at_most("slowest command beyond its start, p50", slowest, " ms", ANSWER_MS_MAX)])
}

async fn commands(database: &Database) -> Vec<Vec<String>> {
    let id = |find: &'static str| async move { database.value::<uuid::Uuid>(find).await.to_string() };
    let due = id(
        "select id from forge_jobs where ready and node_id is null order by priority, run_at desc limit 1",
    )
    .await;
    let failed = id("select id from forge_job_history where status = 'failed' limit 1").await;
    let old = id("select id from forge_job_history order by id offset 1000 limit 1").await;
    let commands: [&[&str]; 11] = [
        &["ls"],
        &["ls", "--limit", "1000", "--json"],
        &["ls", "--before", &old],
        &["ls", "--status", "failed,dead_letter"],
        &["ls", "--wait", "scheduled"],
        &["ls", "--queue", RARE_QUEUE],
        &["ls", "--tenant", RARE_TENANT],
        &["ls", "--text", "nowhere"],
        &["show", &failed],
        &["why", &due],
        &["queues"],
    ];
    let whole = |words: &&[&str]| ["jobs"].iter().chain(*words).map(|word| (*word).to_owned()).collect();
    commands.iter().map(whole).collect()
}

/// Milliseconds, in ascending order.
fn times(stage: &Stage, arguments: &[String]) -> anyhow::Result<Vec<f64>> {
    let mut took = Vec::new();
    for _ in 0..ROUNDS {
        let mut command = Command::new(Binary::Forge.path());
        command
            .args(arguments)
            .env("FORGE_URL", stage.node.client().base())
            .env("FORGE_TOKEN", probe::admin_token());
        let began = Instant::now();
        let output = command.output().context("run forge-node")?;
        took.push(began.elapsed().as_secs_f64() * 1_000.0);
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::ensure!(output.status.success(), "{arguments:?}: {said}");
    }
    took.sort_by(f64::total_cmp);
    Ok(took)
}
