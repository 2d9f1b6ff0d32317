//! A network partition: two nodes in network namespaces of their own, and a packet filter between them. Needs
//! root, `ip` and `nft`, which `tests/run` installs; without them the test fails.

use std::process::Command;
use std::time::Duration;

use forge_tests::{Binary, Database, FaultProxy, Node, probe};

use super::peers::{await_links, member};
use super::stage::PATIENCE;

const NOTICED: Duration = Duration::from_secs(10);
const REJOINED: Duration = Duration::from_secs(5);
const MESH_PORT: u16 = 24_001;

/// A network namespace that a pair of virtual interfaces connects to the host. Dropping it deletes it.
struct Namespace {
    name: String,
    subnet: String,
}

fn run(line: &str) -> Result<(), String> {
    let mut words = line.split_whitespace();
    let program = words.next().expect("a program");
    let output = Command::new(program).args(words).output().map_err(|error| format!("{line}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{line}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}

impl Namespace {
    /// # Errors
    /// When this machine cannot make a namespace, with the reason.
    fn create(number: u8) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("only root may make network namespaces".to_owned());
        }
        let tag = uuid::Uuid::new_v4().simple().to_string();
        let (name, cable) = (format!("forge-{}", &tag[..8]), &tag[..8]);
        let subnet = format!("10.{}.{number}", 200 + uuid::Uuid::new_v4().as_u128() % 50);
        let namespace = Self { name, subnet };
        let (name, subnet) = (&namespace.name, &namespace.subnet);
        run("nft --version")?;
        run(&format!("ip netns add {name}"))?;
        run(&format!("ip link add fo{cable} type veth peer name fi{cable} netns {name}"))?;
        run(&format!("ip addr add {subnet}.1/24 dev fo{cable}"))?;
        run(&format!("ip link set fo{cable} up"))?;
        run(&format!("ip netns exec {name} ip addr add {subnet}.2/24 dev fi{cable}"))?;
        run(&format!("ip netns exec {name} ip link set fi{cable} up"))?;
        run(&format!("ip netns exec {name} ip link set lo up"))?;
        Ok(namespace)
    }

    fn outside(&self) -> String {
        format!("{}.1", self.subnet)
    }

    fn inside(&self) -> String {
        format!("{}.2", self.subnet)
    }

    fn exec(&self, line: &str) {
        run(&format!("ip netns exec {} {line}", self.name))
            .expect("root may filter the packets of a namespace");
    }

    /// Drops the packets of the mesh in these directions. All other packets pass.
    fn cut(&self, incoming: bool, outgoing: bool) {
        self.exec("nft add table ip forge");
        for (wanted, hook) in [(incoming, "input"), (outgoing, "output")] {
            if wanted {
                self.exec(&format!(
                    "nft add chain ip forge {hook} {{ type filter hook {hook} priority 0 ; }}"
                ));
                for side in ["dport", "sport"] {
                    self.exec(&format!("nft add rule ip forge {hook} tcp {side} {MESH_PORT} drop"));
                }
            }
        }
    }

    fn heal(&self) {
        self.exec("nft delete table ip forge");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The kernel deletes the interfaces together with the namespace.
        run(&format!("ip netns delete {}", self.name)).ok();
    }
}

async fn start(database: &Database, namespace: &Namespace, name: &str) -> (Node, FaultProxy) {
    // The test's Postgres listens on the loopback of the host only, so a proxy on the host's end of the
    // interface pair makes it reachable from inside.
    let cluster: std::net::SocketAddr = database
        .url()
        .split('@')
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .expect("an address")
        .parse()
        .expect("an address");
    let bridge = FaultProxy::start_on(&format!("{}:0", namespace.outside()), cluster).await;
    let url = database.url_through(bridge.address());
    let host = namespace.inside();
    let node = Node::builder(Binary::Probe)
        .file("forge.toml", probe::CONFIG)
        .through(["ip", "netns", "exec", &namespace.name])
        .database_url(&url)
        .arguments(["--name", name, "--host", &host, "--mesh-port", &MESH_PORT.to_string()])
        .environment("FORGE_CLUSTER__HOST", host.as_str());
    (node.start().await, bridge)
}

#[tokio::test]
async fn dropped_packets_are_noticed_and_healed() {
    let namespace = Namespace::create(1).unwrap_or_else(|reason| panic!("no network namespace: {reason}"));
    let database = Database::create().await;
    let (inside, _bridge) = start(&database, &namespace, "inside").await;
    let outside =
        member(&database, "outside").environment("FORGE_CLUSTER__HOST", namespace.outside()).start().await;
    await_links(&inside, &["outside"], PATIENCE).await;
    for (incoming, outgoing) in [(true, true), (true, false), (false, true)] {
        namespace.cut(incoming, outgoing);
        let (a, b) = tokio::join!(await_links(&inside, &[], NOTICED), await_links(&outside, &[], NOTICED));
        namespace.heal();
        let (c, d) = tokio::join!(
            await_links(&inside, &["outside"], REJOINED),
            await_links(&outside, &["inside"], REJOINED)
        );
        println!(
            "cut (incoming {incoming}, outgoing {outgoing}): noticed after {a:?} and {b:?}, \
             healed after {c:?} and {d:?}"
        );
    }
}
