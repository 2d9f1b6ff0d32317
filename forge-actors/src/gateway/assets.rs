//! Files for browsers: the application's page at `/`, the dashboard at `/_dashboard/`.
//!
//! Calls, `/ws`, `/health` and the like come first; what is left for GET and HEAD is looked up here. A path
//! without a file whose last segment has no dot is a place inside of a page, so `index.html` answers it.
//!
//! A path is taken apart before it is looked up: hidden files, `..` and whatever else could lead out of the
//! folder are nothing here, and a link that leads out is not followed. A file that a bundler named by its
//! content is kept for ever; every other one is asked for again.

use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, LOCATION, VARY,
};

use super::routes::{Response, holds};
use super::rpc::{entity_tag, percent_decode};

/// Where the dashboard is.
const DASHBOARD: &str = "/_dashboard";
/// The file that answers for places inside of a page.
const INDEX: &str = "index.html";
/// Bytes of a file; a larger one is not served, and the log says so.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Bytes of a path.
const PATH_BYTES_MAX: usize = 1024;
/// Scripts of the page only: what a text smuggles in does not run, and nobody frames the page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; img-src 'self' data:; frame-ancestors 'none'; \
     base-uri 'self'; form-action 'self'",
);
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");

/// What a gateway serves to browsers.
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
    /// Path and content, compiled in. A file `x.gz` is `x`, compressed.
    Embedded(&'static [(&'static str, &'static [u8])]),
    /// A folder; read at each request, so that a bundler may write it while the node runs.
    Folder(PathBuf),
}

/// A file that was found.
struct Found {
    bytes: Bytes,
    tag: String,
    compressed: bool,
}

impl Assets {
    /// Answers a path, if there is something for it.
    pub(super) async fn answer(&self, path: &str, request: &HeaderMap) -> Option<Response> {
        match path.strip_prefix(DASHBOARD) {
            Some("") if self.dashboard.is_some() => Some(moved()),
            Some(rest) if rest.starts_with('/') => self.dashboard.as_ref()?.answer(rest, request).await,
            _ => self.site.as_ref()?.answer(path, request).await,
        }
    }
}

impl Site {
    async fn answer(&self, path: &str, request: &HeaderMap) -> Option<Response> {
        let asked = clean(path)?;
        let gzip = accepts_gzip(request);
        if let Some(found) = self.find(&asked, gzip).await {
            return Some(respond(&asked, found, request));
        }
        let is_place = !asked.rsplit('/').next().unwrap_or_default().contains('.');
        let index = if is_place { self.find(INDEX, gzip).await } else { None };
        index.map(|index| respond(INDEX, index, request))
    }

    async fn find(&self, name: &str, gzip: bool) -> Option<Found> {
        if gzip && let Some(found) = self.read(&format!("{name}.gz")).await {
            return Some(Found { compressed: true, ..found });
        }
        self.read(name).await
    }

    async fn read(&self, name: &str) -> Option<Found> {
        match self {
            Self::Embedded(files) => {
                let (_, bytes) = files.iter().find(|(path, _)| *path == name)?;
                Some(Found { bytes: Bytes::from_static(bytes), tag: entity_tag(bytes), compressed: false })
            }
            Self::Folder(folder) => match read_within(folder, name).await {
                Ok(found) => Some(found),
                Err(error) => {
                    let absent = matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
                    );
                    if !absent {
                        tracing::warn!(file = name, %error, "a file is not served");
                    }
                    None
                }
            },
        }
    }
}

/// Reads a file that lies in the folder, also after links are followed.
async fn read_within(folder: &Path, name: &str) -> io::Result<Found> {
    let (root, file) =
        (tokio::fs::canonicalize(folder).await?, tokio::fs::canonicalize(folder.join(name)).await?);
    if !file.starts_with(&root) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the link leads out of the folder"));
    }
    let facts = tokio::fs::metadata(&file).await?;
    if facts.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if facts.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("it has more than {FILE_BYTES_MAX} bytes"),
        ));
    }
    let changed = facts.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let tag = format!("W/\"{:x}-{:x}\"", facts.len(), changed.as_nanos());
    Ok(Found { bytes: tokio::fs::read(&file).await?.into(), tag, compressed: false })
}

/// The path as names of folders and a file; `/` is the index. `None` for what could be anything else.
fn clean(path: &str) -> Option<String> {
    if path.len() > PATH_BYTES_MAX {
        return None;
    }
    let decoded = String::from_utf8(percent_decode(path, false)?.into()).ok()?;
    let name = decoded.strip_prefix('/')?;
    if name.is_empty() {
        return Some(INDEX.to_owned());
    }
    let is_name = |segment: &str| {
        !segment.is_empty()
            && !segment.starts_with('.')
            && !segment.contains(|c: char| c.is_control() || matches!(c, '\\' | ':' | '%'))
    };
    // A place of a page may end with a slash.
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

fn respond(name: &str, found: Found, request: &HeaderMap) -> Response {
    let mut response = Response::default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, if is_named_by_content(name) { IMMUTABLE } else { REVALIDATE });
    headers.insert(ETAG, HeaderValue::from_str(&found.tag).expect("a quoted hash is a header value"));
    if holds(request, &found.tag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    if found.compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *response.body_mut() = found.bytes.into();
    response
}

/// Relative links of the dashboard's page need the slash.
fn moved() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static("/_dashboard/"));
    response
}

/// As Vite names what it bundles: `assets/index-DiwrgTda.js`.
fn is_named_by_content(name: &str) -> bool {
    const HASH_LENGTH: usize = 8;
    let Some(file) = name.strip_prefix("assets/") else { return false };
    let Some((stem, _extension)) = file.rsplit_once('.') else { return false };
    // The hash may hold a hyphen of its own, so it is counted from the end.
    let Some((before, hash)) = stem.len().checked_sub(HASH_LENGTH).and_then(|at| stem.split_at_checked(at))
    else {
        return false;
    };
    before.ends_with('-')
        && hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
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
    fn only_names_below_the_folder_are_looked_up() {
        let check =
            |path: &str, expected: Option<&str>| assert_eq!(clean(path).as_deref(), expected, "{path}");
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
    fn a_name_by_content_is_kept_for_ever() {
        let check = |name: &str, expected: bool| assert_eq!(is_named_by_content(name), expected, "{name}");
        check("assets/index-DiwrgTda.js", true);
        check("assets/index-C5-_x2Qa.css", true);
        check("assets/a-b-DiwrgTda.woff2", true);
        check("index-DiwrgTda.js", false);
        check("assets/index.js", false);
        check("assets/DiwrgTda.js", false);
        check("assets/indexDiwrgTda.js", false);
        check("assets/é-é.js", false);
        check("index.html", false);
    }

    #[test]
    fn compression_is_asked_for() {
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
