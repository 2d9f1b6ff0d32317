//! Lean WebSocket clients, many in one process: they take frames apart by their headers, count them, and look
//! at nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::ensure;
use forge_tests::{Process, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Connections that are being opened at a time.
const OPENING_MAX: usize = 32;
/// Between two lines of the report.
const REPORT_EVERY: Duration = Duration::from_millis(100);
/// For all of them to be there.
const PATIENCE: Duration = Duration::from_secs(120);
/// Everything that a server may send at once fits.
const BUFFER_BYTES: usize = 8 * 1024;

#[derive(Default)]
struct Counters {
    /// Connections that are open.
    there: AtomicUsize,
    frames: AtomicU64,
}

/// What the clients had received at one moment of theirs.
#[derive(Clone, Copy)]
pub(crate) struct Sample {
    at: f64,
    pub(crate) frames: u64,
}

impl Sample {
    /// Frames per second since `earlier`.
    pub(crate) fn rate_since(self, earlier: Self) -> f64 {
        (self.frames - earlier.frames) as f64 / (self.at - earlier.at)
    }
}

/// The other process, as its parent sees it.
pub(crate) struct Readers {
    process: Process,
    count: usize,
}

impl Readers {
    /// Starts them, and waits until each has received `frames` frames.
    pub(crate) async fn start(address: SocketAddr, count: usize, say: &[String], frames: u64) -> Self {
        let mut command =
            std::process::Command::new(std::env::current_exe().expect("a running program has a path"));
        command.arg("read").arg(address.to_string()).arg(count.to_string());
        for frame in say {
            command.arg("--say").arg(frame);
        }
        let readers = Self { process: Process::spawn(&mut command), count };
        until("all clients are there", PATIENCE, || async {
            let (there, sample) = readers.last()?;
            (there == readers.count && sample.frames >= frames * count as u64).then_some(())
        })
        .await;
        readers
    }

    /// What they have received by now.
    pub(crate) fn sample(&self) -> anyhow::Result<Sample> {
        let (there, sample) = self.last().ok_or_else(|| anyhow::anyhow!("the clients say nothing"))?;
        ensure!(
            there == self.count,
            "{} of {} clients are left:\n{}",
            there,
            self.count,
            self.process.stderr().text()
        );
        Ok(sample)
    }

    fn last(&self) -> Option<(usize, Sample)> {
        let text = self.process.stdout().text();
        let mut words = text.lines().next_back()?.split(' ');
        let at = words.next()?.parse().ok()?;
        let there = words.next()?.parse().ok()?;
        Some((there, Sample { at, frames: words.next()?.parse().ok()? }))
    }
}

/// The process: connects, says, reads, reports, until it is killed or a connection ends.
pub(crate) async fn run(address: SocketAddr, count: usize, say: &[String]) -> anyhow::Result<()> {
    super::fanout::raise_file_limit()?;
    let (began, counters) = (Instant::now(), Arc::new(Counters::default()));
    let said: Arc<[u8]> = say.iter().flat_map(|text| masked(text)).collect::<Vec<u8>>().into();
    let mut reading = JoinSet::new();
    let mut opening = JoinSet::new();
    let mut report = tokio::time::interval(REPORT_EVERY);
    let mut opened = 0;
    loop {
        while opened < count && opening.len() < OPENING_MAX {
            opening.spawn(open(address, Arc::clone(&said)));
            opened += 1;
        }
        tokio::select! {
            Some(stream) = opening.join_next() => {
                reading.spawn(read(stream??, Arc::clone(&counters)));
            }
            Some(ended) = reading.join_next() => ended??,
            _ = report.tick() => {
                println!("{} {} {}", began.elapsed().as_secs_f64(), counters.there.load(Relaxed), counters.frames.load(Relaxed));
            }
        }
    }
}

async fn open(address: SocketAddr, said: Arc<[u8]>) -> anyhow::Result<TcpStream> {
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    upgrade(&mut stream, address).await?;
    stream.write_all(&said).await?;
    Ok(stream)
}

/// Makes a WebSocket of a fresh connection.
pub(crate) async fn upgrade(stream: &mut TcpStream, address: SocketAddr) -> anyhow::Result<()> {
    let request = format!(
        "GET /ws HTTP/1.1\r\nhost: {address}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: forge.v1\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    ensure!(head.starts_with(b"HTTP/1.1 101 "), "refused: {}", String::from_utf8_lossy(&head));
    Ok(())
}

/// A client's text frame. Its mask is zero, which changes nothing and is allowed.
fn masked(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len())
        .ok()
        .filter(|length| *length < 126)
        .expect("the frames of a benchmark are short");
    let mut frame = vec![0x81, 0x80 | length, 0, 0, 0, 0];
    frame.extend_from_slice(text.as_bytes());
    frame
}

async fn read(mut stream: TcpStream, counters: Arc<Counters>) -> anyhow::Result<()> {
    let mut buffer = vec![0; BUFFER_BYTES];
    let (mut kept, mut skip) = (0, 0);
    counters.there.fetch_add(1, Relaxed);
    loop {
        let read = stream.read(&mut buffer[kept..]).await?;
        ensure!(read > 0, "the server closed a connection");
        let (mut at, end) = (0, kept + read);
        loop {
            let passed = skip.min(end - at);
            (at, skip) = (at + passed, skip - passed);
            let Some((header, payload, is_text)) = header(&buffer[at..end]) else { break };
            (at, skip) = (at + header, payload);
            if is_text {
                counters.frames.fetch_add(1, Relaxed);
            }
        }
        buffer.copy_within(at..end, 0);
        kept = end - at;
    }
}

/// Lengths of a server's frame's header and payload, and whether it is a text; `None` while the header is not
/// whole.
fn header(bytes: &[u8]) -> Option<(usize, usize, bool)> {
    let is_text = *bytes.first()? == 0x81;
    match bytes.get(1)? {
        126 => Some((4, u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?).into(), is_text)),
        127 => Some((10, u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?) as usize, is_text)),
        short => Some((2, usize::from(*short), is_text)),
    }
}
