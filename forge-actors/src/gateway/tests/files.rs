//! Files of a page: whole, in ranges, without their bodies.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::node::Node;
use crate::kernel::time::hours;

/// Longer than a part, so that it is sent in several.
const BYTES: usize = 200_000;

/// `age` decides whether the file's tag is strong.
fn write(folder: &Path, name: &str, age: Duration) -> String {
    let text: String =
        (0..BYTES).map(|at| char::from(b'a' + u8::try_from(at % 26).expect("a letter"))).collect();
    let path = folder.join(name);
    std::fs::write(&path, &text).expect("write");
    let file = std::fs::File::options().write(true).open(path).expect("open");
    file.set_modified(SystemTime::now() - age).expect("set the time");
    text
}

#[tokio::test]
async fn a_range_of_a_file_is_served() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = write(folder.path(), "old.txt", hours(1));
    write(folder.path(), "new.txt", Duration::ZERO);
    let node = Node::start_site(folder.path(), |_| {}).await;
    let whole = node.get("/old.txt", "").await;
    assert_eq!((whole.status, whole.header("accept-ranges")), (200, Some("bytes")));
    assert_eq!(whole.body, text);
    let tag = whole.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with('"'), "{tag}");

    let check = async |headers: String, status: u16, range: Option<&str>, body: &str| {
        let answer = node.get("/old.txt", &headers).await;
        assert_eq!((answer.status, answer.header("content-range")), (status, range), "{headers}");
        assert!(answer.body == body, "{headers}: {} bytes", answer.body.len());
    };
    check("range: bytes=0-4\r\n".into(), 206, Some("bytes 0-4/200000"), &text[..5]).await;
    check("range: bytes=100-199900\r\n".into(), 206, Some("bytes 100-199900/200000"), &text[100..199_901])
        .await;
    check("range: bytes=-3\r\n".into(), 206, Some("bytes 199997-199999/200000"), &text[BYTES - 3..]).await;
    check("range: bytes=200000-\r\n".into(), 416, Some("bytes */200000"), "").await;
    check("range: bytes=0-1,3-4\r\n".into(), 200, None, &text).await;
    let same = format!("range: bytes=0-4\r\nif-range: {tag}\r\n");
    check(same, 206, Some("bytes 0-4/200000"), &text[..5]).await;
    check("range: bytes=0-4\r\nif-range: \"other\"\r\n".into(), 200, None, &text).await;
    check(format!("range: bytes=0-4\r\nif-none-match: {tag}\r\n"), 304, None, "").await;

    // Another version of the same size may follow within the moment of this one.
    let new = node.get("/new.txt", "").await.header("etag").expect("a tag").to_owned();
    assert!(new.starts_with("W/"), "{new}");
    let answer = node.get("/new.txt", &format!("range: bytes=0-4\r\nif-range: {new}\r\n")).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_head_has_the_length_and_no_body() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "a.txt", hours(1));
    let node = Node::start_site(folder.path(), |_| {}).await;
    for (path, bytes) in [("/a.txt", "200000"), ("/health", "17")] {
        let mut client = node.connect().await;
        client.write(format!("HEAD {path} HTTP/1.1\r\nhost: x\r\nrange: bytes=0-4\r\n\r\n")).await;
        let head = client.receive_head().await;
        assert_eq!((head.status, head.header("content-length")), (200, Some(bytes)), "{path}");
        // What follows is the next answer.
        assert_eq!(client.send("GET /health HTTP/1.1\r\nhost: x\r\n\r\n").await.status, 200);
        let http2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
        let head = http2.head(format!("http://{}{path}", node.address)).send().await.expect("an answer");
        assert_eq!(head.headers()["content-length"], bytes);
        assert_eq!(head.bytes().await.expect("an end"), "");
    }
}

#[tokio::test]
async fn a_file_is_sent_in_parts_over_http2() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = write(folder.path(), "a.txt", hours(1));
    let node = Node::start_site(folder.path(), |_| {}).await;
    let http2 = reqwest::Client::builder().http2_prior_knowledge().no_proxy().build().expect("a client");
    for _ in 0..3 {
        let url = format!("http://{}/a.txt", node.address);
        let answer = http2.get(url).send().await.expect("an answer").text().await.expect("a body");
        assert!(answer == text, "{} bytes", answer.len());
    }
    let big = http2.post(format!("http://{}/rpc/tests.big", node.address));
    let big = big.header("content-type", "application/json").body(r#"{"bytes":1000000}"#).send();
    assert_eq!(big.await.expect("an answer").bytes().await.expect("a body").len(), 1_000_011);
}
