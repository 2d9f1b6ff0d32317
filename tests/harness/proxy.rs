//! A TCP proxy that disturbs what passes through it.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// What happens to the connections, the present ones and those to come.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Disturbance {
    /// Nothing.
    None,
    /// Every piece of data waits this long, in both directions.
    Delay(Duration),
    /// Data are accepted and go nowhere.
    Stall,
    /// What the client sends goes nowhere; what the server sends passes.
    StallUpstream,
    /// What the server sends goes nowhere; what the client sends passes.
    StallDownstream,
    /// Connections end with a reset.
    Reset,
    /// A connection is reset once its client has sent this many bytes; they are forwarded.
    CutAfter(u64),
    /// A connection is reset as soon as a `COMMIT` was forwarded; the server's answer to it is lost.
    CutAfterCommit,
}

/// A proxy in front of one address; connections die with the value.
pub struct FaultProxy {
    address: SocketAddr,
    disturbance: watch::Sender<Disturbance>,
    acceptor: JoinHandle<()>,
}

impl FaultProxy {
    /// Listens on a loopback port and forwards to `target`.
    pub async fn start(target: SocketAddr) -> Self {
        Self::start_on("127.0.0.1:0", target).await
    }

    /// Listens on `address` and forwards to `target`.
    pub async fn start_on(address: &str, target: SocketAddr) -> Self {
        let listener =
            TcpListener::bind(address).await.unwrap_or_else(|error| panic!("listen on {address}: {error}"));
        let address = listener.local_addr().expect("a bound socket has an address");
        let (disturbance, changes) = watch::channel(Disturbance::None);
        let acceptor = tokio::spawn(accept(listener, target, changes));
        Self { address, disturbance, acceptor }
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Changes what happens, at once.
    pub fn set(&self, disturbance: Disturbance) {
        self.disturbance.send_replace(disturbance);
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

async fn accept(listener: TcpListener, target: SocketAddr, changes: watch::Receiver<Disturbance>) {
    // The set owns the connections: aborting this task ends them.
    let mut connections = JoinSet::new();
    loop {
        let (client, _) = listener.accept().await.expect("accept on a loopback socket");
        connections.spawn(serve(client, target, changes.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(client: TcpStream, target: SocketAddr, mut changes: watch::Receiver<Disturbance>) {
    let Ok(server) = TcpStream::connect(target).await else { return reset(&client) };
    let mut link = Link { client, server, sent: 0 };
    loop {
        let disturbance = *changes.borrow_and_update();
        let step = tokio::select! {
            _ = changes.changed() => Step::Continue,
            step = link.step(disturbance) => step,
        };
        match step {
            Step::Continue => {}
            Step::Close => return,
            Step::Reset => {
                // The server is closed in order: it has received everything that the client has sent.
                return reset(&link.client);
            }
        }
    }
}

struct Link {
    client: TcpStream,
    server: TcpStream,
    sent: u64,
}

enum Step {
    Continue,
    Close,
    Reset,
}

impl Link {
    /// Moves one piece of data. Cancelled only while it waits to read, so no byte is lost when the
    /// disturbance changes.
    async fn step(&mut self, disturbance: Disturbance) -> Step {
        match disturbance {
            Disturbance::Stall => return std::future::pending().await,
            Disturbance::Reset => return Step::Reset,
            Disturbance::None
            | Disturbance::StallUpstream
            | Disturbance::StallDownstream
            | Disturbance::Delay(_)
            | Disturbance::CutAfter(_)
            | Disturbance::CutAfterCommit => {}
        }
        let (up, down) =
            (disturbance != Disturbance::StallUpstream, disturbance != Disturbance::StallDownstream);
        let ready = tokio::select! {
            ready = self.client.readable(), if up => ready.map(|()| true),
            ready = self.server.readable(), if down => ready.map(|()| false),
        };
        let Ok(upstream) = ready else { return Step::Close };
        if let Disturbance::Delay(delay) = disturbance {
            tokio::time::sleep(delay).await;
        }
        self.forward(upstream, disturbance).await.unwrap_or(Step::Close)
    }

    async fn forward(&mut self, upstream: bool, disturbance: Disturbance) -> std::io::Result<Step> {
        let (from, to) = if upstream {
            (&mut self.client, &mut self.server)
        } else {
            (&mut self.server, &mut self.client)
        };
        let mut buffer = [0; 16 * 1024];
        let length = match from.try_read(&mut buffer) {
            Ok(0) => return Ok(Step::Close),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(Step::Continue),
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..length]).await?;
        if !upstream {
            return Ok(Step::Continue);
        }
        self.sent += length as u64;
        let cut = match disturbance {
            Disturbance::CutAfter(limit) => self.sent >= limit,
            Disturbance::CutAfterCommit => {
                // The word ends in the protocol's zero or in a semicolon; `READ COMMITTED` is no commit.
                let commits = buffer[..length]
                    .windows(7)
                    .any(|word| word[..6].eq_ignore_ascii_case(b"commit") && !word[6].is_ascii_alphabetic());
                if commits {
                    // The server has taken the COMMIT once it answers; its answer is what gets lost.
                    let _ = self.server.read(&mut buffer).await?;
                }
                commits
            }
            Disturbance::None
            | Disturbance::Delay(_)
            | Disturbance::Stall
            | Disturbance::StallUpstream
            | Disturbance::StallDownstream
            | Disturbance::Reset => false,
        };
        Ok(if cut { Step::Reset } else { Step::Continue })
    }
}

/// Makes the kernel answer with RST instead of FIN when the socket closes.
fn reset(stream: &TcpStream) {
    // Fails only on a socket that is closed already.
    let _ = stream.set_zero_linger();
}
