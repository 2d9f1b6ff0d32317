//! A load generator over raw HTTP/1.1 keep-alive connections: cheap enough to share a small machine with what
//! it measures.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What is asked, how, and for how long.
#[derive(Clone)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// The bytes of one request, made by [`Load::request`].
    pub request: Vec<u8>,
    /// Connections that ask at the same time.
    pub connections: usize,
    /// Each connection asks once in this interval, late or not; latency counts from the moment that was due.
    /// `None`: as fast as the answers come.
    pub pace: Option<Duration>,
    /// How long.
    pub duration: Duration,
    /// The status that is expected; others count as failures.
    pub status: u16,
}

/// What came of it.
#[derive(Default)]
pub struct Measured {
    /// Microseconds of each expected answer, ascending.
    latencies: Vec<u64>,
    /// Answers with another status, and broken connections.
    pub failures: u64,
    /// Wall time.
    pub elapsed: Duration,
}

impl Load {
    /// The bytes of `POST path` with a JSON body.
    pub fn request(path: &str, body: &str, token: Option<&str>) -> Vec<u8> {
        let authorization =
            token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: load\r\ncontent-type: application/json\r\n{authorization}content-length: {length}\r\n\r\n"
        );
        (head + body).into_bytes()
    }

    /// Runs it to its end.
    pub async fn run(self) -> Measured {
        let started = Instant::now();
        let mut workers = JoinSet::new();
        for index in 0..self.connections {
            let load = self.clone();
            // Paced connections take turns within the interval.
            let offset = load.pace.unwrap_or_default() * index as u32 / self.connections as u32;
            workers.spawn(async move { load.ask_repeatedly(started, offset).await });
        }
        let mut measured = Measured::default();
        while let Some(worker) = workers.join_next().await {
            let (latencies, failures) = worker.expect("a worker does not panic");
            measured.latencies.extend(latencies);
            measured.failures += failures;
        }
        measured.latencies.sort_unstable();
        measured.elapsed = started.elapsed();
        measured
    }

    async fn ask_repeatedly(&self, started: Instant, offset: Duration) -> (Vec<u64>, u64) {
        let (mut latencies, mut failures) = (Vec::new(), 0);
        let mut connection = None;
        let mut due = started + offset;
        while due.elapsed() < self.duration && started.elapsed() < self.duration {
            match self.pace {
                Some(interval) => {
                    tokio::time::sleep_until(due.into()).await;
                    due += interval;
                }
                None => due = Instant::now(),
            }
            let asked = self.pace.map_or(due, |interval| due - interval);
            match self.ask(&mut connection).await {
                Ok(status) if status == self.status => latencies.push(asked.elapsed().as_micros() as u64),
                Ok(_) => failures += 1,
                Err(_) => {
                    failures += 1;
                    connection = None;
                    // A server that refuses connections is not asked in a busy loop.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        (latencies, failures)
    }

    async fn ask(&self, connection: &mut Option<HttpConnection>) -> std::io::Result<u16> {
        let connection = match connection {
            Some(open) => open,
            None => connection.insert(HttpConnection::over(TcpStream::connect(self.address).await?)?),
        };
        connection.ask(&self.request).await
    }
}

impl Measured {
    /// Expected answers.
    pub fn answers(&self) -> usize {
        self.latencies.len()
    }

    /// Expected answers a second.
    pub fn rate(&self) -> f64 {
        self.latencies.len() as f64 / self.elapsed.as_secs_f64()
    }

    /// The latency that this share (0.0 to 1.0) of the answers kept below.
    pub fn quantile(&self, share: f64) -> Duration {
        let index = (self.latencies.len() as f64 * share) as usize;
        let micros = self.latencies.get(index.min(self.latencies.len().saturating_sub(1)));
        Duration::from_micros(micros.copied().unwrap_or(u64::MAX / 1_000_000))
    }

    /// The latencies of all expected answers, ascending.
    pub fn latencies(&self) -> impl Iterator<Item = Duration> {
        self.latencies.iter().map(|micros| Duration::from_micros(*micros))
    }

    /// Adds the answers of another run.
    pub fn merge(&mut self, other: Self) {
        self.latencies.extend(other.latencies);
        self.latencies.sort_unstable();
        self.failures += other.failures;
        self.elapsed += other.elapsed;
    }
}

/// One keep-alive connection.
pub struct HttpConnection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl HttpConnection {
    /// Over a stream that is connected.
    pub fn over(stream: TcpStream) -> std::io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// Sends a request made by [`Load::request`], for the status of its answer.
    pub async fn ask(&mut self, request: &[u8]) -> std::io::Result<u16> {
        self.stream.write_all(request).await?;
        self.read_status().await
    }

    /// Waits until the server ends the connection.
    pub async fn ended(mut self) {
        // Whatever comes unasked is dropped, and a reset ends the connection as well.
        let _end = tokio::io::copy(&mut self.stream, &mut tokio::io::sink()).await;
    }

    /// Reads one whole answer. Answers carry a content-length: nothing that is measured streams.
    async fn read_status(&mut self) -> std::io::Result<u16> {
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            let Some(head) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") else {
                continue;
            };
            let text = std::str::from_utf8(&self.buffer[..head]).map_err(std::io::Error::other)?;
            let length = text
                .lines()
                .find_map(content_length)
                .ok_or_else(|| std::io::Error::other("an answer without a content-length"))?;
            let status = text
                .get(9..12)
                .and_then(|status| status.parse().ok())
                .ok_or_else(|| std::io::Error::other("not an HTTP answer"))?;
            while self.buffer.len() < head + 4 + length {
                if self.stream.read_buf(&mut self.buffer).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
            }
            return Ok(status);
        }
    }
}

fn content_length(line: &str) -> Option<usize> {
    let (name, value) = line.split_once(':')?;
    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
}
