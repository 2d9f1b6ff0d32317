//! Nodes that are killed while they run jobs: what is lost, what is done twice, and how soon the jobs of a
//! killed node run again. Counts, and no ratios.

use std::time::{Duration, Instant};

use forge_tests::{Binary, Database, Node, PostgresProcess, Signal, probe, until};
use serde_json::json;

use crate::goal::Goal;

/// How many jobs, over how many keys with a limit of two.
const KEYS: u32 = 200;
const NODES: usize = 3;
const PATIENCE: Duration = Duration::from_secs(1_800);

pub(crate) async fn run(jobs: u32, seconds: u64) -> anyhow::Result<Vec<Goal>> {
    let postgres = PostgresProcess::start().await;
    let database = Database::create_in(&postgres.url(), None).await;
    let config = format!("{}\n[jobs]\nconcurrency = 32\n", probe::CONFIG);
    let start =
        || Node::builder(Binary::Probe).database(&database).file("forge.toml", config.clone()).start();
    let mut nodes = vec![start().await];
    for _ in 1..NODES {
        nodes.push(start().await);
    }
    enqueue(&database, &nodes[0], jobs).await;
    let (mut killed, began) = (Vec::new(), Instant::now());
    while began.elapsed() < Duration::from_secs(seconds) {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let mut victim = nodes.remove(usize::from(uuid::Uuid::now_v7().as_bytes()[15]) % nodes.len());
        killed.push(victim.process().pid().to_string());
        victim.process().signal(Signal::KILL);
        database
            .execute(&format!(
                "insert into probe_effects (key, what, pid) values ('kill', 'killed', {})",
                victim.process().pid()
            ))
            .await;
        nodes.push(start().await);
    }
    let left = "select exists (select from forge_jobs) or exists (select from forge_unfinished_jobs)";
    let none = || async { (!database.value::<bool>(left).await).then_some(()) };
    until("no job is left", PATIENCE, none).await;
    let figures = figures(&database, jobs, &killed).await;
    println!(
        "storm: {jobs} jobs, {} nodes killed in {seconds} s, all done after {:.0} s",
        killed.len(),
        began.elapsed().as_secs_f64()
    );
    Ok(figures)
}

/// Half of the jobs have a limit, and are dispatched; the others commit their effect with their end.
async fn enqueue(database: &Database, node: &Node, jobs: u32) {
    let token = probe::token("bench");
    let plain = format!(
        "insert into forge_jobs (id, name, queue, priority, attempts_max, ready, run_at, args, batched)
         select gen_random_uuid(), 'jobs.work', 'work', 50, 20, true, now(), json_build_object('key', 'plain-' || n, 'ms', 20), true
         from generate_series(1, {}) n",
        jobs / 2
    );
    database.execute(&plain).await;
    for key in 0..KEYS {
        let limited = json!({ "key": format!("key-{key}"), "count": jobs / 2 / KEYS, "ms": 20 });
        node.call("limits.enqueue_pairs", limited, Some(&token)).await.data();
    }
}

async fn figures(database: &Database, jobs: u32, killed: &[String]) -> Vec<Goal> {
    let killed = if killed.is_empty() { "0".to_owned() } else { killed.join(", ") };
    let done: i64 = database.value("select count(*) from forge_job_history where status = 'completed'").await;
    let twice: i64 = database
        .value("select count(*) from (select from probe_effects where what = 'done' and key like 'plain-%' group by key having count(*) > 1) as twice")
        .await;
    let most: i64 = database
        .value(&format!(
            "select coalesce(max(running), 0) from (
                 select sum(case what when 'begun' then 1 else -1 end)
                        over (partition by split_part(key, '/', 1) order by at, what desc) as running
                 from probe_effects where key like 'key-%' and pid not in ({killed})
             ) as counts"
        ))
        .await;
    // From the kill to the next begin of each job that the killed process had begun and not ended.
    let again: Option<f64> = database
        .value(&format!(
            "select max(extract(epoch from again.at - kill.at))::float8
             from probe_effects kill
             join probe_effects lost on lost.pid = kill.pid and lost.what = 'begun'
             cross join lateral (
                 select min(at) as at from probe_effects next
                 where next.key = lost.key and next.what = 'begun' and next.at > lost.at
             ) as again
             where kill.what = 'killed' and lost.pid in ({killed})
               and not exists (select from probe_effects ended where ended.key = lost.key and ended.pid = lost.pid and ended.what = 'done')"
        ))
        .await;
    vec![
        Goal::at_most("jobs lost", f64::from(jobs) - done as f64, "", 0.0),
        Goal::at_most("effects that were committed twice", twice as f64, "", 0.0),
        Goal::at_most("jobs of a key that ran at a time, of 2", most as f64, "", 2.0),
        Goal::at_most(
            "from a kill to the last of its jobs that runs again",
            again.unwrap_or_default(),
            " s",
            12.0,
        ),
    ]
}
