//! Stands between a pool and its server: counts requests, and breaks a connection around its COMMIT.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::database::Database;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;

use super::cluster::Scratch;

/// What happens to a COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnCommit {
    Forward,
    /// It reaches the server; its answer reaches nobody.
    SwallowAnswer,
    /// It reaches nobody.
    Cut,
}

pub(super) struct Proxy {
    /// Pools that connect through it.
    pub(super) database: Database,
    /// Packets that clients sent: one each, since a client waits for its answer.
    pub(super) requests: Arc<AtomicU32>,
    _accepting: AbortOnDropHandle<()>,
}

impl Proxy {
    pub(super) async fn start(scratch: &Scratch, on_commit: OnCommit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (upstream, requests) = (scratch.options().get_port(), Arc::new(AtomicU32::new(0)));
        let counter = Arc::clone(&requests);
        let accepting = AbortOnDropHandle::new(tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(("127.0.0.1", upstream)).await.unwrap();
                connections.spawn(pass(client, server, on_commit, Arc::clone(&counter)));
            }
        }));
        let database =
            Database::new(scratch.options().host("127.0.0.1").port(port), DatabaseConfig::default(), "test");
        Self { database, requests, _accepting: accepting }
    }
}

async fn pass(mut client: TcpStream, mut server: TcpStream, on_commit: OnCommit, requests: Arc<AtomicU32>) {
    let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(count @ 1..) = read else { return };
                requests.fetch_add(1, Ordering::Relaxed);
                let commits = up[..count].windows(7).any(|window| window == b"COMMIT\0");
                if commits && on_commit == OnCommit::Cut {
                    return;
                }
                server.write_all(&up[..count]).await.unwrap();
                if commits && on_commit == OnCommit::SwallowAnswer {
                    assert!(server.read(&mut down).await.unwrap() > 0, "the server answers the COMMIT");
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(count @ 1..) = read else { return };
                if client.write_all(&down[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
