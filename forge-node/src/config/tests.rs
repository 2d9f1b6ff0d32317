use std::collections::BTreeSet;

use forge_actors::db::config::DatabaseConfig;
use forge_actors::gateway::config::GatewayConfig;
use forge_actors::kernel::diagnose::Diagnose;
use forge_actors::kernel::time::secs;
use serde_json::Value;

use super::environment::Environment;
use super::error::{ConfigError, Origin};
use super::layer::Layers;
use super::load::{Flag, load, parse};
use super::reference;
use super::section::{Config, LogFormat, Role};
use super::substitute::{SubstitutionError, substitute};

fn read(text: &str, environment: &Environment) -> Result<Config, ConfigError> {
    let mut layers = Layers::default();
    layers.add_file("forge.toml", text, environment)?;
    layers.add_environment(environment)?;
    parse(&layers)
}

fn refused(text: &str) -> (String, String) {
    let error = read(text, &Environment::default()).expect_err(text);
    (error.to_string(), error.help().unwrap_or_default().into_owned())
}

#[test]
fn nothing_written_means_the_defaults() {
    let config = read("", &Environment::default()).expect("defaults are valid");
    assert_eq!(config.section::<GatewayConfig>().port, 8080);
    assert_eq!(config.node.roles, Role::EFFECTIVE);
    assert_eq!(config.log.format, LogFormat::Pretty);
    assert_eq!(config.section::<DatabaseConfig>().url, None);
}

#[test]
fn what_is_wrong_is_named_with_file_line_and_key() {
    let check = |text: &str, message: &str, help: &str| {
        let (said, helped) = refused(text);
        assert!(said.contains(message), "{text}: {said}");
        assert!(helped.contains(help), "{text}: {helped}");
    };
    check(
        "[gateway]\nhost = \"::1\"\nprot = 1",
        "forge.toml:3: unknown key `gateway.prot`",
        "did you mean `gateway.port`?",
    );
    check(
        "[gatway]\nport = 1",
        "forge.toml:1: unknown key `gatway`",
        "did you mean the section `[gateway]`?",
    );
    check("[node]\nport = 1", "forge.toml:2: unknown key `node.port`", "`gateway.port`");
    check(
        "[log]\nqqqqqqqq = 1",
        "forge.toml:2: unknown key `log.qqqqqqqq`",
        "the keys of [log] are format, level",
    );
    check(
        "frobnicate = 1",
        "forge.toml:1: unknown key `frobnicate`",
        "the sections are auth, capture, cluster, crons, database",
    );
    check("gateway = 1", "forge.toml:1: unknown key `gateway`", "write [gateway]");
    check("[auth]\nsecret.value = \"x\"", "forge.toml:2", "");
    check("[gateway]\n\nport = \"x\"", "forge.toml:3: `gateway.port`: invalid type", "");
    check("[gateway]\nport = 70000", "forge.toml:2: `gateway.port`", "");
    check(
        "[database]\nacquire_timeout = \"5\"",
        "forge.toml:2: `database.acquire_timeout`: `5` is not a duration",
        "",
    );
    check(
        "[node]\nroles = [\"gateway\", \"wroker\"]",
        "forge.toml:2: `node.roles`: unknown variant `wroker`",
        "",
    );
    check("[node]\nroles = []", "node.roles is empty", "");
    check(
        "[database]\nacquire_timeout = \"1s\"",
        "database.connect_timeout (2s) is longer than database.acquire_timeout (1s)",
        "",
    );
    check("[gateway\nport = 1", "forge.toml:1: this is not TOML", "");
    check(
        "[auth]\nsecret = \"${NOPE}\"",
        "forge.toml:2: `auth.secret` needs the variable NOPE, which is not set",
        "${NOPE:-default}",
    );
    check("[auth]\n\nsecret = \"${NOPE\"", "forge.toml:3: `auth.secret` holds a broken substitution", "");
}

#[test]
fn texts_are_completed_from_the_environment() {
    let environment = Environment::from([("SET", "x"), ("EMPTY", "")]);
    let check = |text: &str, expected: Result<&str, SubstitutionError>| {
        assert_eq!(substitute(text, &environment), expected.map(str::to_owned), "{text}");
    };
    check("plain", Ok("plain"));
    check("a${SET}b${SET}", Ok("axbx"));
    check("${EMPTY}", Ok(""));
    check("${EMPTY:-y}${NOPE:-}", Ok("y"));
    check("${NOPE:-a:-b}", Ok("a:-b"));
    check("$SET $5 $${SET}", Ok("$SET $5 ${SET}"));
    check("${NOPE}", Err(SubstitutionError::Unset("NOPE".to_owned())));
    check("${SET", Err(SubstitutionError::Malformed("`${SET` has no closing brace".to_owned())));
    check("${1}", Err(SubstitutionError::Malformed("`1` is no name of a variable".to_owned())));
    check("${}", Err(SubstitutionError::Malformed("`` is no name of a variable".to_owned())));
}

#[test]
fn a_completed_text_may_be_a_number_or_a_switch() {
    let environment = Environment::from([("PORT", "9000"), ("OPEN", "true")]);
    let config =
        read("[gateway]\nport = \"${PORT}\"\nmetrics_public = \"${OPEN}\"", &environment).expect("valid");
    assert_eq!(
        (config.section::<GatewayConfig>().port, config.section::<GatewayConfig>().metrics_public),
        (9000, true)
    );
    let error = read("[gateway]\nport = \"${OPEN}\"", &environment).expect_err("no number");
    assert_eq!(error.to_string(), "forge.toml:2: `gateway.port`: `true` is not a whole number");
}

#[test]
fn a_variable_that_names_no_key_is_refused() {
    let refused = |name: &str| {
        Layers::default()
            .add_environment(&Environment::from([(name, "1")]))
            .map_err(|error| (error.to_string(), error.help().unwrap_or_default().into_owned()))
    };
    let (said, help) = refused("FORGE_GATEWAY__PROT").expect_err("a slip");
    assert_eq!(said, "the variable FORGE_GATEWAY__PROT: unknown key `gateway.prot`");
    assert!(help.contains("`gateway.port`"), "{help}");
    assert!(refused("FORGE_GATWAY__PORT").is_err());
    for others in ["FORGE_GATEWAY_PORT", "FORGE_TOKEN", "GATEWAY__PORT"] {
        assert_eq!(refused(others), Ok(()), "{others}");
    }
}

#[test]
fn flags_win_over_variables_over_the_file() {
    let environment = Environment::from([
        ("FORGE_GATEWAY__PORT", "2"),
        ("FORGE_NODE__ROLES", "gateway, worker"),
        ("FORGE_LOG__LEVEL", ""),
    ]);
    let mut layers = Layers::default();
    layers
        .add_file(
            "forge.toml",
            "[gateway]\nport = 1\nheader_timeout = \"3s\"\n[log]\nlevel = \"warn\"",
            &environment,
        )
        .expect("valid");
    layers.add_environment(&environment).expect("valid");
    let config = parse(&layers).expect("valid");
    assert_eq!(config.section::<GatewayConfig>().port, 2);
    assert_eq!(config.section::<GatewayConfig>().header_timeout, secs(3));
    assert_eq!(config.node.roles, [Role::Gateway, Role::Worker]);
    assert_eq!(config.log.level, "warn", "an empty variable is none");
    layers.add_flag("--port", "gateway.port", "3").expect("valid");
    assert_eq!(parse(&layers).expect("valid").section::<GatewayConfig>().port, 3);
    assert_eq!(layers.origin("gateway.port"), Origin::Flag("--port"));
    assert_eq!(layers.origin("log.level").to_string(), "forge.toml:5");
    assert_eq!(layers.origin("node.roles").to_string(), "the variable FORGE_NODE__ROLES");
    assert_eq!(layers.origin("auth.secret"), Origin::Default);
    let error = layers.add_flag("--port", "gateway.port", "x").expect_err("no number");
    assert_eq!(error.to_string(), "--port: `gateway.port`: `x` is not a whole number");
}

#[test]
fn a_folder_brings_its_file_and_its_variables() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("forge.toml");
    std::fs::write(
        &file,
        "[auth]\nsecret = \"${AUTH_SECRET}\"\n[database]\nurl = \"${DB:-postgres://a@b/c}\"",
    )
    .expect("writes");
    std::fs::write(folder.path().join(".env"), "AUTH_SECRET=from-file\nFORGE_GATEWAY__PORT=7\n")
        .expect("writes");
    let loaded = load(Some(&file), Environment::from([("FORGE_GATEWAY__PORT", "8")]), &[]).expect("valid");
    assert_eq!(loaded.config.auth.secret.as_ref().map(|secret| secret.expose()), Some("from-file"));
    assert_eq!(loaded.config.section::<GatewayConfig>().port, 8, "the process wins over .env");
    assert_eq!(loaded.folder, folder.path());
    let flag = Flag { flag: "--database-url", key: "database.url", value: "postgres://x@y/z".to_owned() };
    let loaded =
        load(Some(&file), Environment::from([("DATABASE_URL", "postgres://n@n/n")]), &[flag]).expect("valid");
    assert_eq!(
        loaded.config.section::<DatabaseConfig>().url.map(|url| url.expose().to_owned()).as_deref(),
        Some("postgres://x@y/z")
    );
    let missing =
        load(Some(&folder.path().join("nope.toml")), Environment::default(), &[]).expect_err("not there");
    assert!(matches!(missing, ConfigError::Missing { .. }));
    std::fs::write(folder.path().join(".env"), "SECRET='s3cret\n").expect("writes");
    let broken = load(Some(&file), Environment::default(), &[]).expect_err("broken").to_string();
    assert!(broken.contains(".env") && !broken.contains("s3cret"), "{broken}");
}

#[test]
fn a_secret_does_not_print() {
    let config = read("[auth]\nsecret = \"very-secret\"", &Environment::default()).expect("valid");
    let shown = format!("{config:?} {}", config.to_json());
    assert!(!shown.contains("very-secret"), "{shown}");
}

/// Unknown keys are found by the list of keys in the reference, so it must name every field, and
/// nothing else.
#[test]
fn the_reference_names_every_key_with_its_default() {
    let config =
        read(&reference::TEXT, &Environment::default()).expect("the reference is a valid configuration");
    let as_written = config.to_json();
    let mut fields = BTreeSet::new();
    leaves("", &as_written, &mut fields);
    let keys: BTreeSet<_> = reference::KEYS.keys().map(String::as_str).map(str::to_owned).collect();
    assert_eq!(fields, keys);
    let defaults = Config::default().to_json();
    for key in keys {
        let pointer = format!("/{}", key.replace('.', "/"));
        let (default, written) =
            (defaults.pointer(&pointer).expect("a field"), as_written.pointer(&pointer).expect("a field"));
        assert!(
            default.is_null() || default == written,
            "{key} is {default} by default, and {written} in the reference"
        );
    }
}

/// `reference.toml` is written from the sections, for people who read the sources.
#[test]
fn the_reference_file_is_fresh() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/config/reference.toml");
    if std::env::var_os("FORGE_BLESS").is_some() {
        std::fs::write(&path, reference::TEXT.as_str()).expect("writes");
    }
    let written = std::fs::read_to_string(&path).expect("reference.toml is there");
    assert!(written == *reference::TEXT, "reference.toml is old; FORGE_BLESS=1 writes it anew");
}

fn leaves(prefix: &str, value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                leaves(
                    &if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") },
                    value,
                    found,
                );
            }
        }
        _ => drop(found.insert(prefix.to_owned())),
    }
}

#[test]
fn every_key_of_the_reference_has_a_comment_above_it() {
    let lines: Vec<_> = reference::TEXT.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[1].contains(" = ") && !pair[1].starts_with('#')) {
        assert!(pair[0].starts_with('#'), "`{}` has no comment", pair[1]);
    }
}
