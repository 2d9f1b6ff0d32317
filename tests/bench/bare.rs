//! What Forge is compared with: the same query behind axum and sqlx, without authentication, limits, metrics or traces.

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use forge_tests::Process;
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions};

use crate::stage::CONNECTIONS;

#[derive(Deserialize)]
struct Arguments {
    id: i64,
}

#[derive(Serialize, sqlx::FromRow)]
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
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(ping).connect(database_url).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    let router = Router::new().route("/rpc/probe.one", post(one)).with_state(pool);
    // Small answers want to leave at once, as Forge's do.
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| stream.set_nodelay(true).expect("a fresh socket takes options"));
    Ok(axum::serve(listener, router).await?)
}

async fn one(State(pool): State<PgPool>, Json(arguments): Json<Arguments>) -> Result<Json<Answer>, axum::http::StatusCode> {
    let row = sqlx::query_as("select id, title, done from probe_rows where id = $1").bind(arguments.id).fetch_one(&pool).await;
    row.map(|data| Json(Answer { data })).map_err(|_| axum::http::StatusCode::INTERNAL_SERVER_ERROR)
}

/// Starts it as a process of its own.
pub(crate) async fn start(database_url: &str, ping: bool) -> (Process, std::net::SocketAddr) {
    let mut command = std::process::Command::new(std::env::current_exe().expect("a running program has a path"));
    command.arg("serve-bare").arg(database_url).args(ping.then_some("--ping"));
    let process = Process::spawn(&mut command);
    let line = forge_tests::until("the bare server prints its address", std::time::Duration::from_secs(10), || async {
        process.stdout().line("http://")
    })
    .await;
    let address = line.trim_start_matches("http://").parse().expect("the line is an address");
    (process, address)
}
