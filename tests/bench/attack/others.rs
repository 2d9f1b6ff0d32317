//! Clients that do nothing wrong, and how long they wait: calls, pages that open, changes that arrive.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Context;
use forge_tests::{Client, Load, Measured, Socket, probe};
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::goal::percentile;
use crate::stage::Stage;

const CALLS_PER_SECOND: u32 = 200;
const CALLERS: u32 = 8;
/// Between two pages that open, and between two changes.
const PAGE_EVERY: Duration = Duration::from_millis(100);
const CHANGE_EVERY: Duration = Duration::from_millis(100);
/// What takes longer counts as refused.
const PATIENCE: Duration = Duration::from_secs(20);
/// The row that changes; pages show the others.
const CHANGING: u32 = 1;
const ROWS: u32 = 1_000;

/// The clients of one node.
#[derive(Clone)]
pub(super) struct Others {
    address: SocketAddr,
    base: String,
    call: Vec<u8>,
}

/// Milliseconds.
#[derive(Default)]
pub(super) struct Latencies(Vec<f64>);

/// What the clients saw.
pub(super) struct Seen {
    pub(super) calls: Latencies,
    /// From the connection of a page to the result of its query.
    pub(super) first_snapshots: Latencies,
    /// From the begin of a mutation to its change at another client.
    pub(super) updates: Latencies,
    /// Calls, pages and changes that failed.
    pub(super) refused: u64,
}

impl Others {
    pub(super) fn new(stage: &Stage) -> Self {
        Self { address: stage.address(), base: stage.node.client().base().to_owned(), call: stage.one() }
    }

    /// Uses the node for `duration`.
    pub(super) async fn watch(&self, duration: Duration) -> anyhow::Result<Seen> {
        let end = Instant::now() + duration;
        let calls = Load {
            address: self.address,
            request: self.call.clone(),
            connections: CALLERS as usize,
            pace: Some(Duration::from_secs(1) * CALLERS / CALLS_PER_SECOND),
            duration,
            status: 200,
        };
        let calls = tokio::spawn(timeout(duration + PATIENCE, calls.run()));
        let pages = tokio::spawn(self.clone().open_pages(end));
        let changes = tokio::spawn(self.clone().make_changes(end));
        let calls = calls.await?.context("the calls of other clients are never answered")?;
        let (pages, changes) = (pages.await?, changes.await?);
        let refused = calls.failures + pages.failures + changes.failures;
        Ok(Seen {
            calls: Latencies::of(&calls),
            first_snapshots: pages.latencies,
            updates: changes.latencies,
            refused,
        })
    }

    async fn open_pages(self, end: Instant) -> Attempts {
        let mut attempts = Attempts::default();
        let mut pace = paced(PAGE_EVERY);
        for page in 0_u32.. {
            pace.tick().await;
            if Instant::now() >= end {
                break;
            }
            let base = self.base.clone();
            attempts
                .make(async move { ((), first_snapshot(&base, CHANGING + 1 + page % (ROWS - 1)).await) })
                .await;
        }
        attempts
    }

    async fn make_changes(self, end: Instant) -> Attempts {
        let mut attempts = Attempts::default();
        let client = Client::new(self.base);
        let mut watching = None;
        let mut pace = paced(CHANGE_EVERY);
        loop {
            pace.tick().await;
            if Instant::now() >= end {
                return attempts;
            }
            watching = attempts.make(update(client.clone(), watching)).await;
        }
    }
}

fn paced(every: Duration) -> tokio::time::Interval {
    let mut pace = interval(every);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

async fn first_snapshot(base: &str, row: u32) -> Duration {
    let began = Instant::now();
    let (mut socket, _) = Socket::hello(base, Some(&probe::token(&format!("visitor {}", row % 10)))).await;
    socket.subscribe(1, "live.title", json!({ "id": row })).await;
    let frame = socket.frame_of("transition").await;
    assert!(frame["mods"][0]["snapshot"].is_string(), "{frame}");
    began.elapsed()
}

/// Changes the row that `watching` watches; a first time it begins to watch.
async fn update(client: Client, watching: Option<Socket>) -> (Socket, Duration) {
    let mut socket = match watching {
        Some(socket) => socket,
        None => {
            let (mut socket, _) = Socket::hello(client.base(), Some(&probe::token("watcher"))).await;
            socket.subscribe(1, "live.title", json!({ "id": CHANGING })).await;
            socket.frame_of("transition").await;
            socket
        }
    };
    let title = uuid::Uuid::new_v4().to_string();
    let began = Instant::now();
    let delivered = async {
        loop {
            let frame = socket.frame_of("transition").await;
            if frame["mods"][0]["snapshot"] == title.as_str() {
                return began.elapsed();
            }
        }
    };
    let arguments = json!({ "id": CHANGING, "title": title });
    let token = probe::token("writer");
    let (took, reply) = tokio::join!(delivered, client.call("live.retitle", arguments, Some(&token)));
    reply.data();
    (socket, took)
}

/// What is tried again and again, and may fail.
#[derive(Default)]
struct Attempts {
    latencies: Latencies,
    failures: u64,
}

impl Attempts {
    /// Makes one. A failure is a panic of `attempt`, which prints its reason, or takes too long.
    async fn make<T: Send + 'static>(
        &mut self,
        attempt: impl Future<Output = (T, Duration)> + Send + 'static,
    ) -> Option<T> {
        let attempt = tokio::spawn(timeout(PATIENCE, attempt));
        let Ok(Ok((value, took))) = attempt.await else {
            self.failures += 1;
            return None;
        };
        self.latencies.0.push(took.as_secs_f64() * 1_000.0);
        Some(value)
    }
}

impl Latencies {
    fn of(measured: &Measured) -> Self {
        Self(measured.latencies().map(|latency| latency.as_secs_f64() * 1_000.0).collect())
    }

    /// Infinite when nothing was answered.
    pub(super) fn percentile(&self, percent: usize) -> f64 {
        if self.0.is_empty() {
            return f64::INFINITY;
        }
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        percentile(&sorted, percent)
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99] = [50, 99].map(|percent| self.percentile(percent));
        write!(f, "p50 {p50:.1} p99 {p99:.1} of {}", self.0.len())
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { calls, first_snapshots, updates, refused } = self;
        write!(
            f,
            "ms: calls {calls}; first snapshots {first_snapshots}; updates {updates}; {refused} refused"
        )
    }
}
