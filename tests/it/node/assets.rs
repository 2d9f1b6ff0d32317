//! Pages: the application's own, from a folder.

use std::path::Path;

use forge_tests::{Database, probe};

use super::stage::probe_on;

const LARGE_BYTES: usize = 17 * 1024 * 1024;

/// Writes a page, and a file beside it that must not be served.
fn write_page(home: &Path) {
    let dist = home.join("web/dist");
    std::fs::create_dir_all(dist.join("assets")).expect("make a directory");
    let write = |name: &str, text: &str| std::fs::write(dist.join(name), text).expect("write a file");
    write("index.html", "<!doctype html>the page");
    write("assets/index-DiwrgTda.js", "the script");
    write("assets/index-DiwrgTda.js.gz", "compressed");
    write("large.bin", &"x".repeat(LARGE_BYTES));
    std::fs::write(home.join("secret.txt"), "a secret").expect("write a file");
    std::os::unix::fs::symlink(home.join("secret.txt"), dist.join("link.txt")).expect("make a link");
}

#[tokio::test]
async fn a_page_is_served_and_calls_come_first() {
    let database = Database::create().await;
    let home = tempfile::tempdir().expect("make a directory");
    write_page(home.path());
    let config = probe::CONFIG.replace("[gateway]", "[gateway]\nassets = \"web/dist\"");
    let node = probe_on(&database).directory(home.path()).file("forge.toml", config).start().await;
    let get = async |path: &str| node.client().get(path).await.expect("the node answers");
    for path in ["/", "/index.html", "/projects/7", "/projects/7/"] {
        let page = get(path).await;
        assert_eq!((page.status, page.text.as_str()), (200, "<!doctype html>the page"), "{path}");
        assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
        assert_eq!(page.headers["cache-control"], "no-cache");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
        let policy = page.headers["content-security-policy"].to_str().expect("a text");
        assert!(
            policy.contains("default-src 'self'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        let connections = policy.split("; ").find(|part| part.starts_with("connect-src "));
        assert_eq!(connections, Some("connect-src 'self'"), "no host but the page's own");
    }
    let script = get("/assets/index-DiwrgTda.js").await;
    assert_eq!(
        (script.text.as_str(), &script.headers["content-type"]),
        ("the script", &"text/javascript; charset=utf-8".parse().expect("a value"))
    );
    assert_eq!(script.headers["cache-control"], "public, max-age=31536000, immutable");
    let base = node.client().base();
    let http = reqwest::Client::builder().no_proxy().build().expect("build the client");
    let asked = |name: &'static str, value: &str| {
        http.get(format!("{base}/assets/index-DiwrgTda.js")).header(name, value.to_owned()).send()
    };
    let compressed = asked("accept-encoding", "gzip").await.expect("the node answers");
    assert_eq!(compressed.headers()["content-encoding"], "gzip");
    assert_eq!(compressed.bytes().await.expect("a body"), "compressed");
    let tag = script.headers["etag"].to_str().expect("a text");
    assert_eq!(asked("if-none-match", tag).await.expect("the node answers").status(), 304);
    let large = http.get(format!("{base}/large.bin")).header("range", "bytes=-5").send().await;
    let large = large.expect("the node answers");
    let range = format!("bytes {}-{}/{LARGE_BYTES}", LARGE_BYTES - 5, LARGE_BYTES - 1);
    assert_eq!(large.status().as_u16(), 206);
    assert_eq!(large.headers()["content-range"], range.as_str());
    assert_eq!(large.bytes().await.expect("a body"), "xxxxx");
    assert_eq!(get("/large.bin").await.text.len(), LARGE_BYTES);
    let nothing = [
        "/missing.js",
        "/link.txt",
        "/assets/../../secret.txt",
        "/..%2f..%2fsecret.txt",
        "/%2e%2e/%2e%2e/secret.txt",
        "/.env",
        "/assets%00",
        "/rpc/a/b",
        "/_dashboard/missing.js",
    ];
    for path in nothing {
        let answer = raw(base, path).await;
        assert!(answer.starts_with("HTTP/1.1 404 "), "{path}: {answer}");
    }
    assert_eq!(get("/health").await.text, r#"{"status":"live"}"#);
    assert_eq!(get("/rpc/live.title?args=%7B%22id%22%3A1%7D").await.text, r#"{"data":null}"#);
    assert_eq!(node.client().post("/projects", "{}", None).await.expect("the node answers").status, 404);
}

/// A request whose path no client library has tidied up.
async fn raw(base: &str, path: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream =
        tokio::net::TcpStream::connect(base.trim_start_matches("http://")).await.expect("the port is open");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("the node reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}
