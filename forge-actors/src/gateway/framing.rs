//! Finds requests of HTTP/1.1 that give their length twice: by `Transfer-Encoding` and by `Content-Length`.
//!
//! A proxy that believes the one and a server that believes the other disagree about where the next request
//! begins, which is how requests are smuggled (RFC 9112 §6.1). hyper believes `Transfer-Encoding`, removes
//! the other header and closes the connection after the response, so a request does not show it any more; the
//! bytes of its head do. They are read here as they come, before hyper reads them:
//!
//! ```text
//!   request line ─▶ fields ─▶ body, by length ───────────────▶ request line …
//!                     │  └──▶ chunk size ⇄ chunk ─▶ trailers ─▶ request line …
//!                     └─ both headers: noted; hyper closes the connection, so the scan ends
//! ```
//! Where this scan and hyper read differently, hyper's reading holds: a request that the scan misses is
//! served as hyper serves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of a line that are kept: the name of a header and a number fit.
const LINE_BYTES_MAX: usize = 128;
/// The first line of a connection that speaks HTTP/2, where lengths are those of frames.
const HTTP2_PREFACE: &[u8] = b"PRI * HTTP/2.0";

/// A request has both headers. Stands in the extensions of the request.
#[derive(Debug, Clone, Copy)]
pub(super) struct AmbiguousLength;

/// What the scan of a connection tells its requests. Written and read by the task of the connection alone.
pub(super) struct FramingVerdict {
    /// Requests of the connection that are served, or were.
    requests: AtomicU64,
    /// The number of the request with both headers.
    ambiguous: AtomicU64,
}

/// Reads the bytes that a client sends, as far as they say where requests begin and end.
pub(super) struct FramingScanner {
    part: RequestPart,
    /// The beginning of the line that is being read.
    line: Vec<u8>,
    is_chunked: bool,
    length: Option<u64>,
    heads: u64,
    verdict: Arc<FramingVerdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestPart {
    RequestLine,
    Fields,
    /// Bytes of the body that are left.
    Body(u64),
    ChunkSize,
    /// Bytes of the chunk that are left.
    Chunk(u64),
    /// The end of the line behind a chunk.
    ChunkEnd,
    Trailers,
    /// Nothing more is to be found on this connection.
    End,
}

impl FramingVerdict {
    pub(super) fn new() -> Self {
        Self { requests: AtomicU64::new(0), ambiguous: AtomicU64::new(u64::MAX) }
    }

    /// True when the length of the next request is ambiguous. Called once for each request, in their order.
    pub(super) fn next_is_ambiguous(&self) -> bool {
        self.requests.fetch_add(1, Relaxed) == self.ambiguous.load(Relaxed)
    }
}

impl FramingScanner {
    pub(super) fn new(verdict: Arc<FramingVerdict>) -> Self {
        Self {
            part: RequestPart::RequestLine,
            line: Vec::new(),
            is_chunked: false,
            length: None,
            heads: 0,
            verdict,
        }
    }

    /// Reads what the client has sent next.
    pub(super) fn scan(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let taken = match self.part {
                RequestPart::End => return,
                RequestPart::Body(left) => {
                    self.skip(bytes, left, RequestPart::Body, RequestPart::RequestLine)
                }
                RequestPart::Chunk(left) => self.skip(bytes, left, RequestPart::Chunk, RequestPart::ChunkEnd),
                RequestPart::RequestLine
                | RequestPart::Fields
                | RequestPart::ChunkSize
                | RequestPart::ChunkEnd
                | RequestPart::Trailers => self.read_line(bytes),
            };
            bytes = &bytes[taken..];
        }
    }

    fn skip(&mut self, bytes: &[u8], left: u64, part: fn(u64) -> RequestPart, next: RequestPart) -> usize {
        let skipped = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let left = left - skipped as u64;
        self.part = if left == 0 { next } else { part(left) };
        skipped
    }

    fn read_line(&mut self, bytes: &[u8]) -> usize {
        let end = bytes.iter().position(|byte| *byte == b'\n');
        let read = &bytes[..end.unwrap_or(bytes.len())];
        let bytes_left = LINE_BYTES_MAX - self.line.len();
        self.line.extend_from_slice(&read[..read.len().min(bytes_left)]);
        let Some(end) = end else { return bytes.len() };
        let line = std::mem::take(&mut self.line);
        self.part = self.after_line(line.strip_suffix(b"\r").unwrap_or(&line));
        self.line = line;
        self.line.clear();
        end + 1
    }

    fn after_line(&mut self, line: &[u8]) -> RequestPart {
        match self.part {
            // hyper skips empty lines in front of a request.
            RequestPart::RequestLine if line.is_empty() => RequestPart::RequestLine,
            RequestPart::RequestLine if line.starts_with(HTTP2_PREFACE) => RequestPart::End,
            RequestPart::RequestLine => {
                (self.is_chunked, self.length) = (false, None);
                RequestPart::Fields
            }
            RequestPart::Fields if line.is_empty() => self.after_head(),
            RequestPart::Fields => {
                self.read_field(line);
                RequestPart::Fields
            }
            RequestPart::ChunkSize => match chunk_size(line) {
                Some(0) => RequestPart::Trailers,
                Some(size) => RequestPart::Chunk(size),
                None => RequestPart::End,
            },
            RequestPart::ChunkEnd => RequestPart::ChunkSize,
            RequestPart::Trailers if line.is_empty() => RequestPart::RequestLine,
            part @ (RequestPart::Trailers
            | RequestPart::Body(_)
            | RequestPart::Chunk(_)
            | RequestPart::End) => part,
        }
    }

    fn read_field(&mut self, line: &[u8]) {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.is_chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let digits = value.get(1..).unwrap_or_default().trim_ascii();
            let digits = std::str::from_utf8(digits).unwrap_or_default();
            self.length = Some(digits.parse().unwrap_or(0));
        }
    }

    fn after_head(&mut self) -> RequestPart {
        let head = self.heads;
        self.heads += 1;
        match (self.is_chunked, self.length) {
            (true, Some(_)) => {
                self.verdict.ambiguous.store(head, Relaxed);
                RequestPart::End
            }
            (true, None) => RequestPart::ChunkSize,
            (false, None | Some(0)) => RequestPart::RequestLine,
            (false, Some(length)) => RequestPart::Body(length),
        }
    }
}

/// The size of a chunk; extensions follow behind a semicolon.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii();
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    const POST: &str = "POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 36\r\n\r\n\
                        transfer-encoding: x\ncontent-length:";
    const CHUNKED: &str = "POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
                           12;a=b\r\ncontent-length: 1\n\r\n2\r\nab\r\n0\r\ncontent-length: 3\r\n\r\n";
    const BOTH: &str =
        "POST /c HTTP/1.1\r\nContent-Length: 5\r\nTRANSFER-ENCODING: chunked\r\n\r\n0\r\n\r\nGET /d";

    /// The number of the first ambiguous request, however the bytes are cut.
    #[track_caller]
    fn check(sent: &[&str], expected: Option<u64>) {
        let sent = sent.concat();
        for size in 1..=sent.len() {
            let verdict = Arc::new(FramingVerdict::new());
            let mut scanner = FramingScanner::new(Arc::clone(&verdict));
            sent.as_bytes().chunks(size).for_each(|bytes| scanner.scan(bytes));
            let found = (0..9).find(|_| verdict.next_is_ambiguous());
            assert_eq!(found, expected, "in parts of {size} bytes: {sent}");
        }
    }

    #[test]
    fn only_a_head_with_both_headers_is_ambiguous() {
        check(&[GET, GET], None);
        check(&[POST, GET, POST], None);
        check(&[CHUNKED, POST, CHUNKED], None);
        check(&[BOTH], Some(0));
        check(&[POST, CHUNKED, "\r\n", GET, BOTH], Some(3));
        check(&["PRI * HTTP/2.0\r\n\r\n", BOTH], None);
        let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "content-length: 7".repeat(50));
        check(&[&long, BOTH], Some(1));
    }
}
