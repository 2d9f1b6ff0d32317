//! Starts that are refused: a sentence, what helps, an exit code; and no node.

use forge_tests::{Binary, Database, Ended, Node, NodeBuilder, probe};

use super::stage::{PATIENCE, probe_on};

#[tokio::test]
async fn an_unknown_key_is_named_with_its_place_and_its_likely_meaning() {
    let database = Database::create().await;
    let ended =
        refused(Node::builder(Binary::Probe).database(&database).file("forge.toml", "[gateway]\nprot = 1\n"))
            .await;
    check(&ended, 3, &["forge.toml:2", "`gateway.prot`", "`gateway.port`"]);
}

#[tokio::test]
async fn a_value_of_a_wrong_type_is_named_with_its_place() {
    let database = Database::create().await;
    let config = format!("{}\n[database]\nwrite_connections_max = \"many\"\n", probe::CONFIG);
    let place = format!("forge.toml:{}:", config.lines().count());
    let ended = refused(Node::builder(Binary::Probe).database(&database).file("forge.toml", config)).await;
    check(&ended, 3, &[&place, "write_connections_max"]);
}

#[tokio::test]
async fn a_node_without_a_secret_does_not_start() {
    let database = Database::create().await;
    let ended = refused(Node::builder(Binary::Probe).database(&database).file("forge.toml", "")).await;
    check(&ended, 3, &["secret"]);
}

#[tokio::test]
async fn a_node_with_an_example_secret_does_not_start() {
    let database = Database::create().await;
    let reference = include_str!("../../../forge-node/src/config/reference.toml");
    let ended = refused(Node::builder(Binary::Probe).database(&database).file("forge.toml", reference)).await;
    check(&ended, 3, &["weak-secret", "auth.secret", "openssl rand -hex 32"]);
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let database = Database::create().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bind a port");
    let port = taken.local_addr().expect("a bound socket has an address").port();
    let ended = refused(probe_on(&database).port(port)).await;
    assert_ne!(ended.code(), 0);
    check(&ended, ended.code(), &[&port.to_string(), "in use"]);
}

#[tokio::test]
async fn a_wrong_database_url_is_named_without_its_password() {
    let with = |url: &str| {
        Node::builder(Binary::Probe)
            .file("forge.toml", format!("{}\n[database]\nstart_timeout = \"1s\"\n", probe::CONFIG))
            .database_url(url)
    };
    for (url, code, words) in [
        ("mysql://ana:hunter2@127.0.0.1/shop", 3, ["postgres://", "***"]),
        ("postgres://ana:hunter2@127.0.0.1:1/shop", 4, ["127.0.0.1:1", "pg_isready"]),
        ("postgres://ana:hunter2@no-such-host.invalid/shop", 4, ["no-such-host.invalid", "help"]),
    ] {
        let ended = refused(with(url)).await;
        check(&ended, code, &words);
        assert!(!ended.stderr.contains("hunter2"), "{url}: the password is printed:\n{}", ended.stderr);
    }
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_named() {
    let database = Database::create().await;
    let url = format!("{}_of_nobody", database.url());
    let ended =
        refused(Node::builder(Binary::Probe).file("forge.toml", probe::CONFIG).database_url(&url)).await;
    check(&ended, 4, &["_of_nobody", "createdb"]);
}

async fn refused(node: NodeBuilder) -> Ended {
    let (mut process, _home) = node.launch();
    process.ended(PATIENCE).await
}

#[track_caller]
fn check(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code(), code, "{}", ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "the error lacks `{word}`:\n{}", ended.stderr);
    }
    for word in ["panicked", "RUST_BACKTRACE", ".rs:"] {
        assert!(!ended.stderr.contains(word), "the error is no sentence, it has `{word}`:\n{}", ended.stderr);
    }
}
