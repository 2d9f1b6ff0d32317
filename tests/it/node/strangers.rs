//! Clients that the mesh must reject, and that must not delay good nodes: silent connections, garbage, other
//! secrets, other certificates.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use forge_tests::{Database, Node, NodeBuilder, until};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::peers::{await_links, free_port, linked, member, status};
use super::sessions::metric;
use super::stage::PATIENCE;

/// A good node is linked within this time, however many other clients connect.
const JOINED: Duration = Duration::from_secs(2);
const SILENT: usize = 200;
/// Not the secret of the other nodes.
const ANOTHER_SECRET: &str = "1f8e6b40d7c3495ea2b90c54f6713d8a";

/// Hostile clients of a mesh port. They connect again and again until the set is dropped.
fn attack(port: u16) -> JoinSet<()> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut clients = JoinSet::new();
    for _ in 0..SILENT {
        clients.spawn(async move {
            loop {
                // The client stays silent until it is dropped, and connects again.
                if let Ok(stream) = TcpStream::connect(address).await {
                    let _closed = stream.readable().await;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        });
    }
    for number in 0..8u8 {
        clients.spawn(async move {
            loop {
                if let Ok(mut stream) = TcpStream::connect(address).await {
                    // The other side may have closed already.
                    let _closed = stream.write_all(&[number.wrapping_mul(37); 2_000]).await;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    clients
}

#[tokio::test]
async fn neither_silence_nor_garbage_nor_a_wrong_secret_keeps_a_good_node_out() {
    let database = Database::create().await;
    let port = free_port();
    let first = member(&database, "first").arguments(["--mesh-port", &port.to_string()]).start().await;
    let attack = attack(port);
    let stranger = member(&database, "stranger").environment("FORGE_CLUSTER__SECRET", ANOTHER_SECRET);
    let stranger = stranger.start().await;
    let good = member(&database, "good").start().await;
    let took = await_links(&good, &["first"], JOINED).await;
    println!("joined {took:?} after its start, among {} connections", attack.len());
    // Both the rejected node and the node that rejected it report the reason.
    for (node, other) in [(&stranger, "first"), (&first, "stranger")] {
        until("both report the reason", PATIENCE, || async {
            reason(node, other).await.filter(|reason| reason.contains("another secret"))
        })
        .await;
    }
    assert_eq!(linked(&stranger).await, Vec::<String>::new());
    assert_eq!(linked(&first).await, ["good"]);
    drop(attack);
}

/// The reason that `node` reports for the missing link to the node called `name`.
async fn reason(node: &Node, name: &str) -> Option<String> {
    let status = status(node).await;
    let peers = status["peers"].as_array().expect("a list of peers").clone();
    peers
        .iter()
        .find(|peer| peer["name"] == name && peer["linked"] == false)
        .and_then(|peer| peer["error"].as_str())
        .map(str::to_owned)
}

#[tokio::test]
async fn a_node_with_another_secret_is_logged_once_on_both_sides() {
    let database = Database::create().await;
    let mut old = member(&database, "old").start().await;
    let mut young =
        member(&database, "young").environment("FORGE_AUTH__SECRET", ANOTHER_SECRET).start().await;
    for (node, other, side) in [(&mut old, "young", "listener"), (&mut young, "old", "dialer")] {
        let log = node.process().stderr().clone();
        let line =
            until("the missing link is logged", PATIENCE, || async { log.line("mesh handshake rejected") })
                .await;
        assert!(
            line.contains("WARN")
                && line.contains(&format!("peer={other}"))
                && line.contains("another secret"),
            "{line}"
        );
        let failed = format!("forge_mesh_handshakes_failed_total{{side=\"{side}\"}}");
        let so_far = metric(node, &failed).await;
        until("it was tried again", PATIENCE, || async {
            (metric(node, &failed).await >= so_far + 3.0).then_some(())
        })
        .await;
        assert_eq!(log.text().matches("mesh handshake rejected").count(), 1, "{}", log.text());
    }
    assert!(reason(&old, "young").await.is_some_and(|reason| reason.contains("another secret")));
}

/// An authority and the certificates that it signs.
struct Authority<'a>(CertifiedIssuer<'a, KeyPair>);

impl Authority<'_> {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "mesh authority");
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority"))
    }

    /// Writes `certificate.pem`, `key.pem` for `name` and the authority `trusted` into a new folder.
    fn issue(&self, name: &str, trusted: &Self) -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a DNS name");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let write = |file: &str, text: String| std::fs::write(folder.path().join(file), text).expect("write");
        write("certificate.pem", certificate.pem());
        write("key.pem", key.serialize_pem());
        write("authority.pem", trusted.0.as_ref().pem());
        folder
    }
}

fn with_tls(node: NodeBuilder, files: &Path) -> NodeBuilder {
    node.environment("FORGE_CLUSTER__TLS_CERTIFICATE", files.join("certificate.pem"))
        .environment("FORGE_CLUSTER__TLS_KEY", files.join("key.pem"))
        .environment("FORGE_CLUSTER__TLS_AUTHORITY", files.join("authority.pem"))
}

#[tokio::test]
async fn with_certificates_only_nodes_of_the_authority_link() {
    let database = Database::create().await;
    let (ours, theirs) = (Authority::new(), Authority::new());
    let files: Vec<_> = ["first", "second"].iter().map(|name| ours.issue(name, &ours)).collect();
    let first = with_tls(member(&database, "first"), files[0].path()).start().await;
    let second = with_tls(member(&database, "second"), files[1].path()).start().await;
    let took = await_links(&second, &["first"], JOINED).await;
    println!("linked by mutual TLS {took:?} after its start");
    await_links(&first, &["second"], JOINED).await;

    let forged = theirs.issue("forged", &ours);
    let forged = with_tls(member(&database, "forged"), forged.path()).start().await;
    let plain = member(&database, "plain").start().await;
    for node in [&forged, &plain] {
        until("every dial was rejected", PATIENCE, || async {
            let status = status(node).await;
            let peers = status["peers"]
                .as_array()
                .expect("peers")
                .iter()
                .filter(|peer| peer["name"] == "first" || peer["name"] == "second");
            let refused: Vec<_> =
                peers.map(|peer| peer["error"].is_string() && peer["linked"] == false).collect();
            (refused == [true, true]).then_some(())
        })
        .await;
    }
    assert_eq!(linked(&first).await, ["second"]);
    assert_eq!(linked(&second).await, ["first"]);
}

#[tokio::test]
async fn a_certificate_of_another_name_fails_the_start() {
    let database = Database::create().await;
    let authority = Authority::new();
    let files = authority.issue("somebody-else", &authority);
    let (mut process, _home) = with_tls(member(&database, "first"), files.path()).launch();
    let ended = process.ended(PATIENCE).await;
    assert_ne!(ended.code(), 0);
    assert!(ended.stderr.contains("does not name this node, `first`"), "{}", ended.stderr);
}
