//! Results of live queries on slow lines: each arrives once, on one connection, however long it takes.
//!
//! The clients keep the rules of the shipped TypeScript client: they offer frames in parts, ping as often as
//! the node says, and connect again when nothing at all arrives for a while after a ping. All of them run at
//! the same time, and those that have their result stay until the last one has.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;
use forge_tests::probe;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, http};

use crate::goal::Goal;
use crate::stage::Stage;
use crate::throttled::Throttled;

/// Bytes a second that a client reads, and bytes of its result.
const RATES: [u32; 3] = [20_000, 50_000, 200_000];
const SIZES: [u32; 3] = [100_000, 1_000_000, 4_000_000];
const CLIENTS: usize = RATES.len() * SIZES.len();
/// How long a client waits for anything after its ping, as the TypeScript client does.
const PONG_MAX: Duration = Duration::from_secs(10);
const RECONNECT_AFTER: Duration = Duration::from_secs(1);
/// For all results, of which the largest takes 200 s on the slowest line.
const PATIENCE: Duration = Duration::from_secs(450);
/// After the last result, for results that come again.
const STAY: Duration = Duration::from_secs(5);

/// What happens to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineEvent {
    Connected,
    Arrived,
}

/// What has happened to one client.
#[derive(Default, Clone, Copy)]
struct LineCounts {
    connections: usize,
    arrivals: usize,
    /// When the result arrived first.
    took: Option<Duration>,
}

pub(crate) async fn run() -> anyhow::Result<Vec<Goal>> {
    let stage = Stage::set().await;
    let (events, mut happened) = mpsc::unbounded_channel();
    let mut clients = JoinSet::new();
    for (number, (rate, bytes)) in cells().enumerate() {
        let client = SlowClient { address: stage.address(), number, rate, bytes, events: events.clone() };
        clients.spawn(client.run());
    }
    let (began, mut counts) = (Instant::now(), [LineCounts::default(); CLIENTS]);
    let mut end = began + PATIENCE;
    // Clients stay, so that results and connections after the last result are counted too.
    while let Ok(Some((number, event))) = timeout_at(end, happened.recv()).await {
        let client: &mut LineCounts = &mut counts[number];
        match event {
            LineEvent::Connected => client.connections += 1,
            LineEvent::Arrived => {
                client.arrivals += 1;
                client.took.get_or_insert(began.elapsed());
                if counts.iter().all(|client| client.arrivals > 0) {
                    end = end.min(Instant::now() + STAY);
                }
            }
        }
    }
    clients.shutdown().await;
    println!("{:>12}  {:>12}  {:>8}  {:>11}  {:>8}", "line", "result", "arrivals", "connections", "after");
    for ((rate, bytes), LineCounts { connections, arrivals, took }) in cells().zip(counts) {
        let line = format!("{} KB/s", rate / 1_000);
        let result = format!("{} KB", bytes / 1_000);
        let after = took.map_or("never".to_owned(), |took| format!("{:.1} s", took.as_secs_f64()));
        println!("{line:>12}  {result:>12}  {arrivals:>8}  {connections:>11}  {after:>8}");
    }
    let wrong = counts.iter().filter(|client| (client.arrivals, client.connections) != (1, 1)).count();
    Ok(vec![Goal::at_most("results that did not arrive once, on one connection", wrong as f64, "", 0.0)])
}

fn cells() -> impl Iterator<Item = (u32, u32)> {
    RATES.into_iter().flat_map(|rate| SIZES.into_iter().map(move |bytes| (rate, bytes)))
}

/// One client on its line.
struct SlowClient {
    address: SocketAddr,
    number: usize,
    rate: u32,
    bytes: u32,
    events: mpsc::UnboundedSender<(usize, LineEvent)>,
}

impl SlowClient {
    /// Subscribes to one result, on another connection whenever one breaks.
    async fn run(self) {
        loop {
            if let Err(error) = self.connection().await {
                println!("slow client {}: {error}", self.number);
            }
            sleep(RECONNECT_AFTER).await;
        }
    }

    async fn connection(&self) -> anyhow::Result<()> {
        self.happened(LineEvent::Connected);
        let mut request = format!("ws://{}/ws", self.address).into_client_request()?;
        let subprotocols = http::HeaderValue::from_static("forge.v1.parts, forge.v1");
        request.headers_mut().insert("sec-websocket-protocol", subprotocols);
        let line = Throttled::connect(self.address, self.rate).await?;
        let (mut socket, _) = tokio_tungstenite::client_async(request, line).await?;
        send(&mut socket, json!({ "type": "hello", "proto": 1, "token": probe::token("slow") })).await?;
        let (mut parts, mut ping_every) = (String::new(), Duration::ZERO);
        let (mut ping_at, mut broken_at) = (None, Some(Instant::now() + PONG_MAX));
        loop {
            let message = tokio::select! {
                message = socket.next() => message.context("the node ended the connection")??,
                () = reached(ping_at) => {
                    send(&mut socket, json!({ "type": "ping", "id": 1 })).await?;
                    ping_at = Some(Instant::now() + ping_every);
                    broken_at = Some(Instant::now() + PONG_MAX);
                    continue;
                }
                () = reached(broken_at) => anyhow::bail!("nothing arrived within {PONG_MAX:?}"),
            };
            // A page sees texts and the end; pings and pongs of the protocol are its browser's.
            let text = match message {
                Message::Text(text) => text,
                Message::Close(close) => anyhow::bail!("the node closed the connection: {close:?}"),
                _ => continue,
            };
            broken_at = None;
            let frame = match text.split_at_checked(1) {
                Some(("+", part)) => {
                    parts.push_str(part);
                    continue;
                }
                Some(("=", last)) => std::mem::take(&mut parts) + last,
                _ => text.to_string(),
            };
            let frame: Value = serde_json::from_str(&frame)?;
            match frame["type"].as_str() {
                Some("welcome") => {
                    ping_every = Duration::from_millis(frame["pingMs"].as_u64().context("no pingMs")?);
                    ping_at = Some(Instant::now());
                    let arguments = json!({ "id": self.number + 1, "bytes": self.bytes });
                    let subscribe = json!({ "type": "sub", "id": 1, "name": "live.wide", "args": arguments });
                    send(&mut socket, subscribe).await?;
                }
                Some("transition") => {
                    let result = frame["mods"][0]["snapshot"].as_str().context("a result is a text")?;
                    anyhow::ensure!(result.len() > self.bytes as usize, "{} bytes arrived", result.len());
                    self.happened(LineEvent::Arrived);
                }
                Some("fault") => anyhow::bail!("{}", frame["error"]),
                _ => {}
            }
        }
    }

    fn happened(&self, event: LineEvent) {
        // Nobody counts any more when the benchmark ends.
        let _counted = self.events.send((self.number, event));
    }
}

async fn send(socket: &mut WebSocketStream<Throttled>, frame: Value) -> anyhow::Result<()> {
    Ok(socket.send(Message::text(frame.to_string())).await?)
}

async fn reached(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
