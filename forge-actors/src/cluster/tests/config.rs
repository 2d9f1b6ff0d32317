use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::cluster::config::ClusterConfig;
use crate::kernel::secret::SecretText;
use crate::kernel::time::secs;
use crate::subsystem::ConfigSection;

#[test]
fn broken_rules_are_named() {
    let check = |change: fn(&mut ClusterConfig), name: Option<&str>, expected: &str| {
        let mut config = ClusterConfig::default();
        change(&mut config);
        let broken: Vec<_> = config.validate().into_iter().chain(config.validate_name(name)).collect();
        let broken = broken.join("\n");
        assert!(
            if expected.is_empty() { broken.is_empty() } else { broken.contains(expected) },
            "{expected}: {broken}"
        );
    };
    check(|_| {}, None, "");
    check(
        |config| config.dead_after = secs(5),
        None,
        "cluster.dead_after (5s) is less than three times cluster.heartbeat (2s)",
    );
    check(|config| config.host = Ipv4Addr::UNSPECIFIED.into(), None, "cluster.advertise");
    check(
        |config| config.secret = Some(SecretText::new("short")),
        None,
        "cluster.secret is shorter than 32 bytes",
    );
    check(|config| config.tls_key = Some(PathBuf::from("k")), None, "set together or not at all");
    let with_tls = |config: &mut ClusterConfig| {
        (config.tls_certificate, config.tls_key, config.tls_authority) =
            (Some("c".into()), Some("k".into()), Some("a".into()));
    };
    check(with_tls, None, "node.name must be the name in that certificate");
    check(with_tls, Some("forge-1"), "");
}

#[test]
fn the_advertised_addresses_can_be_dialled() {
    let bound: SocketAddr = "0.0.0.0:24001".parse().expect("an address");
    let check = |advertise: Option<&str>, mesh: &str, http: &str| {
        let config = ClusterConfig { advertise: advertise.map(str::to_owned), ..ClusterConfig::default() };
        assert_eq!(
            (config.advertised(bound).as_str(), config.http_address(bound).as_str()),
            (mesh, http),
            "{advertise:?}"
        );
    };
    check(None, "0.0.0.0:24001", "0.0.0.0:24001");
    check(Some("10.0.0.7"), "10.0.0.7:24001", "10.0.0.7:24001");
    check(Some("10.0.0.7:99"), "10.0.0.7:99", "10.0.0.7:24001");
    check(Some("forge-1.internal"), "forge-1.internal:24001", "forge-1.internal:24001");
    check(Some("forge-1.internal:99"), "forge-1.internal:99", "forge-1.internal:24001");
    check(Some("fd00::7"), "[fd00::7]:24001", "[fd00::7]:24001");
    check(Some("[fd00::7]:99"), "[fd00::7]:99", "[fd00::7]:24001");
}
