//! The attackers, a process of their own: one kind of attack, again and again, until the process is killed.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::ensure;
use clap::ValueEnum;
use forge_tests::{Http2, HttpConnection, Load, Process, Received, Socket, until};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};

use crate::readers::upgrade;

/// The file of the page that is asked for, and not taken.
pub(super) const FILE: &str = "large.bin";
pub(super) const FILE_BYTES: usize = 15 * 1024 * 1024;

/// The first fragment of a text without and with a byte, fragments that continue it, and a ping. Masks are
/// zero, which changes nothing and is allowed.
const FIRST_EMPTY: &[u8] = &[0x01, 0x80, 0, 0, 0, 0];
const NEXT_EMPTY: &[u8] = &[0x00, 0x80, 0, 0, 0, 0];
const FIRST_TINY: &[u8] = &[0x01, 0x81, 0, 0, 0, 0, b'x'];
const NEXT_TINY: &[u8] = &[0x00, 0x81, 0, 0, 0, 0, b'x'];
const PING: &[u8] = &[0x89, 0x80, 0, 0, 0, 0];
/// Frames of one write.
const FRAMES_OF_A_WRITE: usize = 10_000;

const STREAMS: u32 = 100;
const SUBSCRIBE_EVERY: Duration = Duration::from_millis(250);
const QUERY_MS: u32 = 4_000;
/// Subscriptions of one connection, of the 256 that are allowed.
const SUBSCRIPTIONS: u32 = 250;
/// Sign-ins come from as many addresses, so that no share of one address stops them all.
const SIGN_IN_ADDRESSES: usize = 4;
/// Idle connections that are being opened at a time, and when one that was refused is tried again.
const OPENING_MAX: usize = 32;
const REFUSED_PAUSE: Duration = Duration::from_secs(10);
/// After a connection that was not accepted at all.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

const REPORT_EVERY: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_secs(30);

/// What is done to a node.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// Two WebSockets send a text in empty fragments that never end, before `hello`.
    EmptyFragments,
    /// The same with a byte in each fragment.
    TinyFragments,
    /// Two WebSockets send pings.
    Pings,
    /// One HTTP/2 connection asks for a file on 100 streams and grants no window.
    NoWindow,
    /// 60 readers of a file take 2 KiB a second.
    SlowReaders,
    /// 60 readers of a file take 20 KiB a second, as they may.
    SteadyReaders,
    /// Four subscriptions a second to a query that takes 4 s.
    SlowQueries,
    /// 1,300 sign-ins at a time, again at once when they are refused.
    SignIns,
    /// 10,050 connections of one address that do nothing.
    IdleConnections,
}

impl Attack {
    /// As the command line has it.
    pub(super) fn name(self) -> String {
        self.to_possible_value().expect("every attack has a name").get_name().to_owned()
    }

    fn clients(self) -> usize {
        match self {
            Self::NoWindow | Self::SlowQueries => 1,
            Self::EmptyFragments | Self::TinyFragments | Self::Pings => 2,
            Self::SlowReaders | Self::SteadyReaders => 60,
            Self::SignIns => 1_300,
            Self::IdleConnections => 10_050,
        }
    }
}

#[derive(Default)]
struct Counters {
    connections: AtomicU64,
    /// Connections that the node has ended.
    ended: AtomicU64,
    /// Upgrades, files, subscriptions and calls.
    requests: AtomicU64,
    refused: AtomicU64,
}

/// The other process, as its parent sees it.
pub(super) struct Attackers(Process);

impl Attackers {
    /// Starts them, and waits for the first connection.
    pub(super) async fn start(attack: Attack, address: SocketAddr) -> Self {
        let mut command = std::process::Command::new("nice");
        command.args(["-n", "19"]);
        command.arg(std::env::current_exe().expect("a running program has a path"));
        command.args(["attack", &attack.name(), &address.to_string()]);
        let attackers = Self(Process::spawn(&mut command));
        until("the attack begins", PATIENCE, || async { (attackers.counts()?[0] > 0).then_some(()) }).await;
        attackers
    }

    pub(super) fn connections_ended(&self) -> u64 {
        self.counts().map_or(0, |[_, ended, ..]| ended)
    }

    /// What they have done.
    pub(super) fn report(&mut self) -> anyhow::Result<String> {
        ensure!(!self.0.has_ended(), "the attackers have ended:\n{}", self.0.stderr().text());
        let [connections, ended, requests, refused] = self.counts().unwrap_or_default();
        Ok(format!(
            "{connections} connections, {ended} of them ended by the node; {requests} requests, {refused} refused"
        ))
    }

    fn counts(&self) -> Option<[u64; 4]> {
        let text = self.0.stdout().text();
        let numbers = text.lines().next_back()?.split(' ').map(str::parse);
        numbers.collect::<Result<Vec<_>, _>>().ok()?.try_into().ok()
    }
}

/// The process: attacks and reports, until it is killed.
pub(crate) async fn run(attack: Attack, address: SocketAddr) -> anyhow::Result<()> {
    crate::fanout::raise_file_limit()?;
    let attacker = Attacker {
        attack,
        address,
        counters: Arc::new(Counters::default()),
        opening: Arc::new(Semaphore::new(OPENING_MAX)),
    };
    let mut clients = JoinSet::new();
    for number in 0..attack.clients() {
        let attacker = attacker.clone();
        clients.spawn(async move { attacker.attack_repeatedly(number).await });
    }
    let mut report = interval(REPORT_EVERY);
    loop {
        tokio::select! {
            Some(ended) = clients.join_next() => ended?,
            _ = report.tick() => {
                let Counters { connections, ended, requests, refused } = &*attacker.counters;
                let [connections, ended, requests, refused] =
                    [connections, ended, requests, refused].map(|counter| counter.load(Relaxed));
                println!("{connections} {ended} {requests} {refused}");
            }
        }
    }
}

#[derive(Clone)]
struct Attacker {
    attack: Attack,
    address: SocketAddr,
    counters: Arc<Counters>,
    opening: Arc<Semaphore>,
}

impl Attacker {
    async fn attack_repeatedly(&self, number: usize) {
        loop {
            let Ok(stream) = self.connect(number).await else {
                sleep(CONNECT_PAUSE).await;
                continue;
            };
            self.counters.connections.fetch_add(1, Relaxed);
            // However the node ends a connection, the next one follows.
            if self.attack_once(stream, number).await.is_err() {
                self.counters.ended.fetch_add(1, Relaxed);
            }
        }
    }

    /// A connection from an address that is not the one of the clients that are measured.
    async fn connect(&self, number: usize) -> std::io::Result<TcpStream> {
        let host = match self.attack {
            Attack::SignIns => 2 + number % SIGN_IN_ADDRESSES,
            _ => 2,
        };
        let _opening = self.opening.acquire().await;
        let socket = TcpSocket::new_v4()?;
        socket.bind((Ipv4Addr::new(127, 0, 0, host as u8), 0).into())?;
        // No port waits for packets of a connection that was ended.
        socket.set_zero_linger()?;
        socket.connect(self.address).await
    }

    /// An error is the end of a connection by the node.
    async fn attack_once(&self, stream: TcpStream, number: usize) -> anyhow::Result<()> {
        match self.attack {
            Attack::EmptyFragments => self.flood(stream, FIRST_EMPTY, NEXT_EMPTY).await,
            Attack::TinyFragments => self.flood(stream, FIRST_TINY, NEXT_TINY).await,
            Attack::Pings => self.flood(stream, PING, PING).await,
            Attack::NoWindow => {
                let mut client = Http2::over(stream, 0).await;
                for stream in 0..STREAMS {
                    client.get(2 * stream + 1, &format!("/{FILE}")).await;
                    self.counters.requests.fetch_add(1, Relaxed);
                }
                while client.next().await.is_some() {}
                anyhow::bail!("the connection was ended")
            }
            Attack::SlowReaders => self.read(stream, 1_024, Duration::from_millis(500)).await,
            Attack::SteadyReaders => self.read(stream, 2_048, Duration::from_millis(100)).await,
            Attack::SlowQueries => self.subscribe(stream).await,
            Attack::SignIns => self.sign_in(stream, number).await,
            Attack::IdleConnections => self.idle(stream).await,
        }
    }

    /// Writes `first`, and then `next` until the node takes no more.
    async fn flood(&self, mut stream: TcpStream, first: &[u8], next: &[u8]) -> anyhow::Result<()> {
        self.counters.requests.fetch_add(1, Relaxed);
        upgrade(&mut stream, self.address).await.inspect_err(|_| {
            self.counters.refused.fetch_add(1, Relaxed);
        })?;
        let frames = next.repeat(FRAMES_OF_A_WRITE);
        let (mut reads, mut writes) = stream.split();
        let mut sink = tokio::io::sink();
        let write = async {
            writes.write_all(first).await?;
            loop {
                writes.write_all(&frames).await?;
            }
        };
        // What the node says is read all the time, and its end of the connection does not end the flood.
        let (written, _read): (std::io::Result<()>, _) =
            tokio::join!(write, tokio::io::copy(&mut reads, &mut sink));
        Ok(written?)
    }

    async fn read(&self, mut stream: TcpStream, piece: usize, every: Duration) -> anyhow::Result<()> {
        let request = format!("GET /{FILE} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await?;
        self.counters.requests.fetch_add(1, Relaxed);
        let mut buffer = vec![0; piece];
        let mut pace = interval(every);
        let mut taken = 0;
        while taken < FILE_BYTES {
            pace.tick().await;
            let read = stream.read(&mut buffer).await?;
            ensure!(read > 0, "a reader was cut");
            taken += read;
        }
        Ok(())
    }

    async fn subscribe(&self, stream: TcpStream) -> anyhow::Result<()> {
        let host = self.address.to_string();
        let mut socket =
            Socket::over(stream, &host, &[]).await.map_err(|status| anyhow::anyhow!("answered {status}"))?;
        socket.greet(None).await;
        let mut pace = interval(SUBSCRIBE_EVERY);
        let mut number = 0;
        while number < SUBSCRIPTIONS {
            tokio::select! {
                _ = pace.tick() => {
                    number += 1;
                    let arguments = json!({ "id": 1, "n": number, "ms": QUERY_MS });
                    socket.subscribe(number, "live.slow", arguments).await;
                    self.counters.requests.fetch_add(1, Relaxed);
                }
                received = socket.next() => if let Received::Closed(code) = received {
                    anyhow::bail!("closed with {code:?}");
                },
            }
        }
        Ok(())
    }

    async fn sign_in(&self, stream: TcpStream, number: usize) -> anyhow::Result<()> {
        let guess = json!({ "password": format!("guess {number} of many") }).to_string();
        let request = Load::request("/rpc/probe.sign_in", &guess, None);
        let mut connection = HttpConnection::over(stream)?;
        loop {
            let status = connection.ask(&request).await?;
            self.counters.requests.fetch_add(1, Relaxed);
            if status != 200 {
                self.counters.refused.fetch_add(1, Relaxed);
            }
        }
    }

    async fn idle(&self, stream: TcpStream) -> anyhow::Result<()> {
        let request = format!("GET /health HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        let mut connection = HttpConnection::over(stream)?;
        self.counters.requests.fetch_add(1, Relaxed);
        // A connection that is refused while the request is sent ends by a reset.
        if connection.ask(request.as_bytes()).await.is_ok_and(|status| status == 200) {
            connection.ended().await;
            anyhow::bail!("the connection was ended");
        }
        self.counters.refused.fetch_add(1, Relaxed);
        sleep(REFUSED_PAUSE).await;
        Ok(())
    }
}
