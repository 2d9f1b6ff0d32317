//! Files for browsers: the application's page at `/`, the dashboard at `/_dashboard/`.
//!
//! Calls, `/ws`, `/health` and the like are routed first; what is left of GET and HEAD is looked up here. A
//! path that names no file and whose last segment has no dot is a route of a single-page application, so
//! `index.html` answers it.
//!
//! A path is checked before it is looked up: hidden files, `..` and whatever else could lead out of the
//! folder answer 404, and a link that leads out of the folder is not followed. A file whose name contains a
//! hash of its content may be cached for ever; every other file is revalidated by its entity tag.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap,
    HeaderValue, LOCATION, VARY,
};
use percent_encoding::percent_decode_str;

use super::etag;
use super::response::{Response, empty};

/// Path of the dashboard.
const DASHBOARD: &str = "/_dashboard";
/// The file that answers the routes of a single-page application.
const INDEX: &str = "index.html";
/// Bytes of a file; a larger file is not served, and the log says so.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
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
    /// A folder; read at each request, so that a bundler may write it while the node runs.
    Folder(PathBuf),
}

/// Files that are compiled into the binary, by path. A file `x.gz` is `x`, compressed.
#[derive(Debug, Clone)]
pub struct EmbeddedFiles(Arc<HashMap<&'static str, AssetFile>>);

/// A file, found.
#[derive(Debug, Clone)]
struct AssetFile {
    bytes: Bytes,
    tag: HeaderValue,
    compressed: bool,
}

impl Assets {
    /// The response to a GET or HEAD of `path`; `None` when no file answers it.
    pub(super) async fn serve(&self, path: &str, request: &HeaderMap) -> Option<Response> {
        match path.strip_prefix(DASHBOARD) {
            Some("") if self.dashboard.is_some() => Some(redirect_to_dashboard()),
            Some(rest) if rest.starts_with('/') => self.dashboard.as_ref()?.serve(rest, request).await,
            _ => self.site.as_ref()?.serve(path, request).await,
        }
    }
}

impl Site {
    /// A page of files that are compiled in, each a path and its content. The entity tags are computed here,
    /// once.
    pub fn embedded(files: &[(&'static str, &'static [u8])]) -> Self {
        let file = |bytes: &'static [u8]| AssetFile {
            bytes: Bytes::from_static(bytes),
            tag: etag::of(bytes),
            compressed: false,
        };
        Self::Embedded(EmbeddedFiles(Arc::new(
            files.iter().map(|(path, bytes)| (*path, file(bytes))).collect(),
        )))
    }

    async fn serve(&self, path: &str, request: &HeaderMap) -> Option<Response> {
        let name = file_name(path)?;
        let gzip = accepts_gzip(request);
        if let Some(file) = self.find(&name, gzip).await {
            return Some(respond(&name, file, request));
        }
        let is_route = !name.rsplit('/').next().unwrap_or_default().contains('.');
        let index = if is_route { self.find(INDEX, gzip).await } else { None };
        index.map(|index| respond(INDEX, index, request))
    }

    async fn find(&self, name: &str, gzip: bool) -> Option<AssetFile> {
        if gzip && let Some(file) = self.read(&format!("{name}.gz")).await {
            return Some(AssetFile { compressed: true, ..file });
        }
        self.read(name).await
    }

    async fn read(&self, name: &str) -> Option<AssetFile> {
        match self {
            Self::Embedded(EmbeddedFiles(files)) => files.get(name).cloned(),
            Self::Folder(folder) => match read_within(folder, name).await {
                Ok(file) => Some(file),
                Err(error) => {
                    let absent = matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory
                    );
                    if !absent {
                        tracing::warn!(file = name, %error, "a file cannot be served");
                    }
                    None
                }
            },
        }
    }
}

/// Reads a file that lies in the folder, also when links are followed.
async fn read_within(folder: &Path, name: &str) -> io::Result<AssetFile> {
    let root = tokio::fs::canonicalize(folder).await?;
    let file = tokio::fs::canonicalize(folder.join(name)).await?;
    if !file.starts_with(&root) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "the link leads out of the folder"));
    }
    let metadata = tokio::fs::metadata(&file).await?;
    if metadata.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("the file has more than {FILE_BYTES_MAX} bytes"),
        ));
    }
    let modified = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    let tag = etag::of_file(metadata.len(), modified.as_nanos());
    Ok(AssetFile { bytes: tokio::fs::read(&file).await?.into(), tag, compressed: false })
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

fn respond(name: &str, file: AssetFile, request: &HeaderMap) -> Response {
    let is_current = etag::is_current(request, &file.tag);
    let mut response = empty(if is_current { StatusCode::NOT_MODIFIED } else { StatusCode::OK });
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, if has_content_hash(name) { IMMUTABLE } else { REVALIDATE });
    headers.insert(ETAG, file.tag);
    if is_current {
        return response;
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    if file.compressed {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    *response.body_mut() = file.bytes.into();
    response
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
