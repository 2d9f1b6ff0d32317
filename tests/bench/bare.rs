//! What Forge is compared with: the same query behind axum and sqlx, without authentication, limits, metrics
//! or traces; the same frame broadcast by axum, without a database.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::ws::{Message, Utf8Bytes, WebSocketUpgrade};
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use forge_tests::Process;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::sync::broadcast;

use crate::stage::CONNECTIONS;

/// Between two broadcasts: the least time between two ticks of Forge's reactor.
const TICK: Duration = Duration::from_millis(5);

#[derive(Deserialize)]
struct Arguments {
    id: i64,
}

#[derive(Serialize)]
struct Row {
    id: i64,
    title: String,
    done: bool,
}

#[derive(Serialize)]
struct Answer {
    data: Row,
}

/// Serves until it is killed. The pool is as large as Forge's for queries.
pub(crate) async fn serve(database_url: &str, ping: bool) -> anyhow::Result<()> {
    let pool = PgPoolOptions::new()
        .max_connections(CONNECTIONS)
        .test_before_acquire(ping)
        .connect(database_url)
        .await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/rpc/probe.one", post(one)).with_state(pool);
    // Small answers want to leave at once, as Forge's do.
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        stream.set_nodelay(true).expect("a fresh socket takes options")
    });
    Ok(axum::serve(listener, router).await?)
}

async fn one(
    State(pool): State<PgPool>,
    Json(arguments): Json<Arguments>,
) -> Result<Json<Answer>, axum::http::StatusCode> {
    let row = sqlx::query_as("select id, title, done from probe_rows where id = $1")
        .bind(arguments.id)
        .fetch_one(&pool)
        .await;
    row.map(|(id, title, done)| Json(Answer { data: Row { id, title, done } }))
        .map_err(|_| axum::http::StatusCode::INTERNAL_SERVER_ERROR)
}

/// What a broadcast consists of.
struct Broadcast {
    frame: Utf8Bytes,
    channel: broadcast::Sender<Utf8Bytes>,
}

/// Serves `/ws`, and sends the frame to everyone every few milliseconds for as long as `/publish` is asked
/// to.
pub(crate) async fn serve_broadcast(frame: String) -> anyhow::Result<()> {
    let shared = Arc::new(Broadcast { frame: frame.into(), channel: broadcast::channel(64).0 });
    let router =
        Router::new().route("/ws", get(upgrade)).route("/publish/{ms}", get(publish)).with_state(shared);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        stream.set_nodelay(true).expect("a fresh socket takes options")
    });
    Ok(axum::serve(listener, router).await?)
}

async fn upgrade(
    State(shared): State<Arc<Broadcast>>,
    upgrade: WebSocketUpgrade,
) -> axum::response::Response {
    upgrade.on_upgrade(async move |mut socket| {
        let mut frames = shared.channel.subscribe();
        loop {
            let sent = match frames.recv().await {
                Ok(frame) => socket.send(Message::Text(frame)).await.is_ok(),
                // Too slow for some of them: the newer ones come.
                Err(broadcast::error::RecvError::Lagged(_)) => true,
                Err(broadcast::error::RecvError::Closed) => false,
            };
            if !sent {
                return;
            }
        }
    })
}

async fn publish(State(shared): State<Arc<Broadcast>>, Path(ms): Path<u64>) -> String {
    let until = Instant::now() + Duration::from_millis(ms);
    let mut ticks = tokio::time::interval(TICK);
    let mut count = 0;
    while Instant::now() < until {
        ticks.tick().await;
        // Nobody listens yet, or all have left.
        let _ = shared.channel.send(shared.frame.clone());
        count += 1;
    }
    count.to_string()
}

/// Starts it as a process of its own.
pub(crate) async fn start(database_url: &str, ping: bool) -> (Process, SocketAddr) {
    let ping = ping.then_some("--ping");
    start_as(["serve-bare", database_url].into_iter().chain(ping)).await
}

/// The same for the broadcast.
pub(crate) async fn start_broadcast(frame: &str) -> (Process, SocketAddr) {
    start_as(["serve-broadcast", frame]).await
}

async fn start_as<'a>(arguments: impl IntoIterator<Item = &'a str>) -> (Process, SocketAddr) {
    let mut command =
        std::process::Command::new(std::env::current_exe().expect("a running program has a path"));
    command.args(arguments);
    let process = Process::spawn(&mut command);
    let line = forge_tests::until(
        "the bare server prints its address",
        std::time::Duration::from_secs(10),
        || async { process.stdout().line("http://") },
    )
    .await;
    let address = line.trim_start_matches("http://").parse().expect("the line is an address");
    (process, address)
}
