//! One changing row, 1,000 WebSockets that watch it: what arrives per second, against a bare axum broadcast
//! of the same frame by the same clock, in alternating rounds; how often the query runs; what a client costs
//! in memory.

use std::time::Duration;

use forge_tests::{Load, Measured, Socket, probe};
use serde_json::json;

use crate::bare;
use crate::goal::{Goal, median};
use crate::readers::Readers;
use crate::stage::Stage;

const CLIENTS: usize = 1_000;
/// Clients that come and go before memory is looked at: code, caches and pools are no client's.
const CLIENTS_BEFORE: usize = 50;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_secs(5);
/// For what is under way when a round ends.
const SETTLE: Duration = Duration::from_millis(500);
/// Writers, and the pause of each: together more changes than there are ticks.
const WRITERS: usize = 2;
const WRITER_PACE: Duration = Duration::from_millis(6);
/// Makes the frame about 200 bytes long.
const PADDING: u32 = 80;

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    raise_file_limit()?;
    let own = format!("address_connections_max = {}\n", 2 * CLIENTS);
    let config = format!("{}{own}\n[sessions]\n{own}", probe::CONFIG);
    let mut stage = Stage::with(&config).await;
    stage.database.execute("update probe_rows set title = '100000' where id = 1").await;
    let say = [
        json!({ "type": "hello", "proto": 1 }).to_string(),
        json!({ "type": "sub", "id": 1, "name": "live.wide", "args": { "id": 1, "bytes": PADDING } })
            .to_string(),
    ];
    let frame = sample_frame(&stage).await;
    println!("fanout: frames of {} bytes", frame.len());
    // Two frames each: the welcome, and the first transition.
    drop(Readers::start(stage.address(), CLIENTS_BEFORE, &say, 2).await);
    write(&stage, SETTLE).await;
    let before = stage.node.process().resident_bytes();
    let forge = Readers::start(stage.address(), CLIENTS, &say, 2).await;
    let idle = stage.node.process().resident_bytes();
    let (_bare, address) = bare::start_broadcast(&frame).await;
    let bare = Readers::start(address, CLIENTS, &[], 0).await;
    let (mut rates, mut ratios, mut executions) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let counted = Counted::read(&stage).await?;
        let from = forge.sample()?;
        write(&stage, ROUND).await;
        let ours = forge.sample()?.rate_since(from);
        let (ticks, runs) = Counted::read(&stage).await?.since(counted);
        tokio::time::sleep(SETTLE).await;
        let from = bare.sample()?;
        publish(address, ROUND).await?;
        let theirs = bare.sample()?.rate_since(from);
        tokio::time::sleep(SETTLE).await;
        println!("fanout: {ours:.0} updates/s in {ticks:.0} ticks with {runs:.0} runs; bare {theirs:.0}/s");
        rates.push(ours);
        ratios.push(ours / theirs);
        executions.push(runs / ticks);
    }
    let each = |bytes: u64| bytes.saturating_sub(before) as f64 / CLIENTS as f64 / 1024.0;
    let busy = stage.node.process().resident_bytes();
    println!("fanout: {:.1} KiB a subscriber at rest, {:.1} after the rounds", each(idle), each(busy));
    let (rate, ratio) = (median(rates), median(ratios));
    let throughput = if rate >= 50_000.0 {
        Goal::at_least("fan-out to 1,000 clients", rate, "/s", 50_000.0)
    } else {
        Goal::at_least("fan-out to 1,000 clients, Forge / bare", ratio, "×", 0.6)
    };
    println!("fanout: {rate:.0} updates/s, {ratio:.2} × bare (medians)");
    Ok(vec![
        throughput,
        Goal::at_most("runs of the query per tick", median(executions), "", 1.0),
        Goal::at_most("resident memory of a subscriber", each(busy.max(idle)), " KiB", 20.0),
    ])
}

/// A transition as a client gets it.
async fn sample_frame(stage: &Stage) -> String {
    let (mut socket, _) = Socket::hello(stage.node.client().base(), None).await;
    socket.subscribe(1, "live.wide", json!({ "id": 1, "bytes": PADDING })).await;
    socket.frame_of("transition").await.to_string()
}

async fn write(stage: &Stage, duration: Duration) {
    let request = Load::request("/rpc/live.count", &json!({ "id": 1 }).to_string(), None);
    let load = Load {
        address: stage.address(),
        request,
        connections: WRITERS,
        pace: Some(WRITER_PACE),
        duration,
        status: 200,
    };
    let measured: Measured = load.run().await;
    assert_eq!(measured.failures, 0, "a benchmark that fails measures nothing");
}

async fn publish(address: std::net::SocketAddr, duration: Duration) -> anyhow::Result<()> {
    let http = reqwest::Client::builder().no_proxy().build()?;
    http.get(format!("http://{address}/publish/{}", duration.as_millis()))
        .send()
        .await?
        .error_for_status()?;
    Ok(())
}

/// The node's own counters.
#[derive(Clone, Copy)]
struct Counted {
    ticks: f64,
    runs: f64,
}

impl Counted {
    async fn read(stage: &Stage) -> anyhow::Result<Self> {
        let text = stage.node.client().get("/metrics").await?.text;
        let value = |line: &str| {
            text.lines().find_map(|found| found.strip_prefix(line)?.trim().parse().ok()).unwrap_or_default()
        };
        Ok(Self {
            ticks: value("forge_live_ticks_total{outcome=\"ok\"}"),
            runs: value("forge_live_executions_total{handler=\"live.wide\"}"),
        })
    }

    fn since(self, earlier: Self) -> (f64, f64) {
        (self.ticks - earlier.ticks, self.runs - earlier.runs)
    }
}

/// As many files as the machine allows: each client is one here and one in the node.
pub(crate) fn raise_file_limit() -> anyhow::Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: limit.maximum, maximum: limit.maximum })?;
    Ok(())
}
