//! Files for browsers: the application's page at `/`, the dashboard at `/_dashboard/`.
//!
//! Calls, `/ws`, `/health` and the like are routed first; what is left of GET and HEAD is looked up here. A
//! path that names no file and whose last segment has no dot is a route of a single-page application, so
//! `index.html` answers it.
//!
//! A path is checked before it is looked up: hidden files, `..` and whatever else could lead out of the
//! folder answer 404, and a link that leads out of the folder is not followed. A file whose name contains a
//! hash of its content may be cached for ever; every other file is revalidated by its entity tag.
//!
//! A file is sent in parts, of which the response keeps one in memory; it waits for the memory of its first
//! part while other responses use it up.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hyper::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, LOCATION, VARY,
};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use super::byte_range::{Selection, select};
use super::etag;
use super::open_file::{AssetFolder, FilePart, OpenFile};
use super::response::{Response, empty};
use super::response_body::{FRAME_BYTES, ResponseContent};
use crate::kernel::byte_budget::{BudgetClient, BudgetFull};
use crate::kernel::time::secs;

/// Path of the dashboard.
const DASHBOARD: &str = "/_dashboard";
/// The file that answers the routes of a single-page application.
const INDEX: &str = "index.html";
/// Time for which a file waits for memory; then it is answered 503. Pages load many files at once, and a
/// browser does not ask again for one that it was refused.
const MEMORY_WAIT: Duration = secs(5);
/// Bytes of a path; a longer path answers 404.
const PATH_BYTES_MAX: usize = 1024;
/// Only scripts of the page itself run, they connect to the page's own origin only, and no other page may
/// frame it. `'self'` covers the WebSockets of that origin (CSP level 3, scheme-part matching).
const CONTENT_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; \
     img-src 'self' data:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'",
);
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// The files that a gateway serves to browsers.
#[derive(Debug, Default)]
pub struct Assets {
    /// The application's page, at `/`.
    pub site: Option<Site>,
    /// The dashboard, at `/_dashboard/`.
    pub dashboard: Option<Site>,
}

/// The files of one page.
#[derive(Debug, Clone)]
pub enum Site {
    /// Files that are compiled into the binary.
    Embedded(EmbeddedFiles),
    /// A folder; looked into at each request, so that a bundler may write it while the node runs.
    Folder(AssetFolder),
}

/// Files that are compiled into the binary, by path. A file `x.gz` is `x`, compressed.
#[derive(Debug, Clone)]
pub struct EmbeddedFiles(Arc<HashMap<&'static str, EmbeddedFile>>);

#[derive(Debug)]
struct EmbeddedFile {
    bytes: Bytes,
    tag: HeaderValue,
}

/// A name under which a request may find its file.
struct Candidate {
    name: String,
    compressed: bool,
}

/// A file, found.
struct AssetFile {
    candidate: Candidate,
    tag: HeaderValue,
    bytes: AssetBytes,
}

enum AssetBytes {
    Embedded(Bytes),
    Open(Arc<OpenFile>),
}

impl Assets {
    /// The response to a GET or HEAD of `path`; `None` when no file answers it.
    pub(super) async fn serve(
        &self,
        path: &str,
        head: &Parts,
        client: &Arc<BudgetClient<IpAddr>>,
    ) -> Result<Option<Response>, BudgetFull> {
        let (site, path) = match path.strip_prefix(DASHBOARD) {
            Some("") if self.dashboard.is_some() => return Ok(Some(redirect_to_dashboard())),
            Some(rest) if rest.starts_with('/') => (&self.dashboard, rest),
            _ => (&self.site, path),
        };
        let file = match (site, candidates(path, accepts_gzip(&head.headers))) {
            (Some(site), Some(candidates)) => site.find(candidates).await,
            _ => None,
        };
        match file {
            Some(file) => respond(file, head, client).await.map(Some),
            None => Ok(None),
        }
    }
}

impl Site {
    /// A page of files that are compiled in, each a path and its content. The entity tags are computed here,
    /// once.
    pub fn embedded(files: &[(&'static str, &'static [u8])]) -> Self {
        let file =
            |bytes: &'static [u8]| EmbeddedFile { bytes: Bytes::from_static(bytes), tag: etag::of(bytes) };
        Self::Embedded(EmbeddedFiles(Arc::new(
            files.iter().map(|(path, bytes)| (*path, file(bytes))).collect(),
        )))
    }

    /// The files of a folder, which need not exist yet.
    pub fn folder(path: PathBuf) -> Self {
        Self::Folder(AssetFolder::new(path))
    }

    async fn find(&self, candidates: Vec<Candidate>) -> Option<AssetFile> {
        match self {
            Self::Embedded(EmbeddedFiles(files)) => candidates.into_iter().find_map(|candidate| {
                let EmbeddedFile { bytes, tag } = files.get(candidate.path().as_str())?;
                Some(AssetFile { candidate, tag: tag.clone(), bytes: AssetBytes::Embedded(bytes.clone()) })
            }),
            Self::Folder(folder) => {
                let names = candidates.iter().map(Candidate::path).collect();
                let (place, file) = folder.open_first(names).await?;
                let candidate = candidates.into_iter().nth(place)?;
                Some(AssetFile { candidate, tag: file.tag(), bytes: AssetBytes::Open(file) })
            }
        }
    }
}

impl Candidate {
    fn path(&self) -> String {
        if self.compressed { format!("{}.gz", self.name) } else { self.name.clone() }
    }
}

impl AssetFile {
    fn len(&self) -> u64 {
        match &self.bytes {
            AssetBytes::Embedded(bytes) => bytes.len() as u64,
            AssetBytes::Open(file) => file.len(),
        }
    }
}

/// The names under which the file of `path` may lie, the best first.
fn candidates(path: &str, gzip: bool) -> Option<Vec<Candidate>> {
    let name = file_name(path)?;
    let is_route = !name.rsplit('/').next().unwrap_or_default().contains('.');
    let names = [Some(name), is_route.then(|| INDEX.to_owned())];
    let mut candidates = Vec::with_capacity(2 * names.len());
    for name in names.into_iter().flatten() {
        if gzip && !name.ends_with('/') {
            candidates.push(Candidate { name: name.to_owned(), compressed: true });
        }
        candidates.push(Candidate { name, compressed: false });
    }
    Some(candidates)
}

/// The name of the file that `path` asks for; `/` asks for the index. `None` for a path that is anything but
/// names of folders and a file.
fn file_name(path: &str) -> Option<String> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let decoded = percent_decode_str(path).decode_utf8().ok()?;
    let name = decoded.strip_prefix('/')?;
    if name.is_empty() {
        return Some(INDEX.to_owned());
    }
    // A `%` is left where a percent-encoding was not valid, or was encoded twice.
    let is_name = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && !segment.contains(|c: char| c.is_control() || matches!(c, '\\' | ':' | '%'))
    };
    // A route of a single-page application may end with a slash.
    name.strip_suffix('/').unwrap_or(name).split('/').all(is_name).then(|| name.to_owned())
}

fn accepts_gzip(request: &HeaderMap) -> bool {
    let lists = request.get_all(ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
        coding.trim().eq_ignore_ascii_case("gzip")
            && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
    })
}

async fn respond(
    file: AssetFile,
    head: &Parts,
    client: &Arc<BudgetClient<IpAddr>>,
) -> Result<Response, BudgetFull> {
    let bytes = file.len();
    let is_get = head.method == Method::GET;
    let (status, range) = if etag::is_current(&head.headers, &file.tag) {
        (StatusCode::NOT_MODIFIED, None)
    } else {
        match if is_get { select(&head.headers, bytes, &file.tag) } else { Selection::Whole } {
            Selection::Whole => (StatusCode::OK, Some(0..bytes)),
            Selection::Part(range) => (StatusCode::PARTIAL_CONTENT, Some(range)),
            Selection::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, None),
        }
    };
    let mut response = empty(status);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let cached = if has_content_hash(&file.candidate.name) { IMMUTABLE } else { REVALIDATE };
    headers.insert(CACHE_CONTROL, cached);
    if status == StatusCode::RANGE_NOT_SATISFIABLE {
        headers.insert(CACHE_CONTROL, REVALIDATE);
        headers.insert(CONTENT_RANGE, header_value(&format!("bytes */{bytes}")));
    }
    headers.insert(ETAG, file.tag);
    let Some(range) = range else { return Ok(response) };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(&file.candidate.name)));
    if file.candidate.compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if status == StatusCode::PARTIAL_CONTENT {
        let text = format!("bytes {}-{}/{bytes}", range.start, range.end - 1);
        headers.insert(CONTENT_RANGE, header_value(&text));
    }
    if is_get {
        *response.body_mut() = content(file.bytes, range, client).await?;
    } else {
        headers.insert(CONTENT_LENGTH, bytes.into());
    }
    Ok(response)
}

/// The bytes `range` of a file; what is read from a folder waits for its memory.
async fn content(
    bytes: AssetBytes,
    range: Range<u64>,
    client: &Arc<BudgetClient<IpAddr>>,
) -> Result<ResponseContent, BudgetFull> {
    let file = match bytes {
        AssetBytes::Open(file) => file,
        AssetBytes::Embedded(bytes) => {
            let at = |position| usize::try_from(position).expect("the bytes are in memory");
            return Ok(ResponseContent::Static(bytes.slice(at(range.start)..at(range.end))));
        }
    };
    let part = FilePart { file, range };
    if part.len() == 0 {
        return Ok(ResponseContent::Empty);
    }
    let in_memory = usize::try_from(part.len()).unwrap_or(usize::MAX).min(FRAME_BYTES);
    let reserved = timeout(MEMORY_WAIT, client.reserve(in_memory)).await;
    let charge = reserved.unwrap_or_else(|_| Err(client.limit_reached(in_memory)))?;
    Ok(ResponseContent::File(part, charge))
}

fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits and signs are a header value")
}

/// Adds the slash that the relative links of the dashboard's page need.
fn redirect_to_dashboard() -> Response {
    let mut response = empty(StatusCode::PERMANENT_REDIRECT);
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/_dashboard/"));
    response
}

/// The name contains a hash of the file's content, as Vite names its bundles: `assets/index-DiwrgTda.js`.
fn has_content_hash(name: &str) -> bool {
    const HASH_LENGTH: usize = 8;
    let Some(file) = name.strip_prefix("assets/") else { return false };
    let Some((stem, _extension)) = file.rsplit_once('.') else { return false };
    // The hash may hold a hyphen of its own, so it is counted from the end.
    let Some((before, hash)) = stem.len().checked_sub(HASH_LENGTH).and_then(|at| stem.split_at_checked(at))
    else {
        return false;
    };
    // A word in small letters is no hash. Of the hashes, one in some 700 looks like such a word, and is
    // cached as other files are.
    before.ends_with('-')
        && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        && hash.bytes().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_below_the_folder_are_looked_up() {
        let check =
            |path: &str, expected: Option<&str>| assert_eq!(file_name(path).as_deref(), expected, "{path}");
        check("/", Some("index.html"));
        check("/a/b.js", Some("a/b.js"));
        check("/a%20b.js", Some("a b.js"));
        check("/a+b.js", Some("a+b.js"));
        check("/tasks/", Some("tasks/"));
        let elsewhere = [
            "",
            "a",
            "//",
            "/..",
            "/../a",
            "/a/../b",
            "/a/..",
            "/./a",
            "/%2e%2e/a",
            "/..%2fa",
            "/a//b",
            "/.env",
            "/a/.git/config",
            "/a\\b",
            "/c:/a",
            "/%00",
            "/a%0ab",
            "/%",
            "/%zz",
            "/%ff",
            "/%252e%252e/a",
        ];
        for path in elsewhere {
            check(path, None);
        }
        check(&format!("/{}", "a".repeat(PATH_BYTES_MAX)), None);
    }

    #[test]
    fn a_file_with_a_content_hash_is_cached_for_ever() {
        let check = |name: &str, expected: bool| assert_eq!(has_content_hash(name), expected, "{name}");
        check("assets/index-DiwrgTda.js", true);
        check("assets/index-C5-_x2Qa.css", true);
        check("assets/a-b-DiwrgTda.woff2", true);
        check("assets/app-settings.json", false);
        check("index-DiwrgTda.js", false);
        check("assets/index.js", false);
        check("assets/DiwrgTda.js", false);
        check("assets/indexDiwrgTda.js", false);
        check("assets/é-é.js", false);
        check("index.html", false);
    }

    #[test]
    fn a_compressed_file_is_sent_when_it_is_accepted() {
        let check = |list: &'static str, expected: bool| {
            let headers = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static(list))]);
            assert_eq!(accepts_gzip(&headers), expected, "{list}");
        };
        check("gzip, deflate, br", true);
        check("br, GZIP;q=0.5", true);
        check("gzip;q=0, br", false);
        check("br", false);
        assert!(!accepts_gzip(&HeaderMap::new()));
    }
}
