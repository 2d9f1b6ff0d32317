use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};

use forge_actors::kernel::printable::is_obeyed;
use forge_actors::kernel::time::secs;
use tracing_subscriber::layer::SubscriberExt;

use crate::boot::{log, secret, security};
use crate::config::environment::Environment;
use crate::config::load::{Flag, Loaded, load};
use crate::config::reference::TEXT;
use crate::terminal::report::Exit;

const STRONG: &str = "[auth]\nsecret = \"9d1c6f5ab2e84407b6f3c0d7e5a91b28\"";

fn loaded(folder: &std::path::Path, text: &str, flags: &[(&'static str, &str)]) -> Loaded {
    let file = folder.join("forge.toml");
    fs::write(&file, text).expect("writes");
    let flags: Vec<_> =
        flags.iter().map(|(key, value)| Flag { flag: "--flag", key, value: (*value).to_owned() }).collect();
    load(Some(&file), Environment::default(), &flags).expect("valid")
}

#[test]
fn the_secret_of_development_is_made_once_and_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = secret::existing_or_new(folder.path()).expect("made");
    let second = secret::existing_or_new(folder.path()).expect("found");
    assert_eq!(first, second);
    assert_eq!(first.expose().len(), 64);
    let path = secret::path(folder.path());
    assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
    let files = fs::read_dir(folder.path().join(secret::STATE_FOLDER)).expect("readable").count();
    assert_eq!(files, 1, "no draft is left");
    fs::write(&path, "short").expect("writes");
    let report = secret::existing_or_new(folder.path()).expect_err("too short to be one");
    assert_eq!(report.exit, Exit::Config);
}

#[test]
fn nodes_that_start_together_share_one_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let made: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..8).map(|_| scope.spawn(|| secret::existing_or_new(folder.path()).expect("made"))).collect();
        threads.into_iter().map(|thread| thread.join().expect("ends")).collect()
    });
    assert!(made.iter().all(|secret| *secret == made[0]));
}

#[test]
fn metrics_are_open_in_development_unless_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let open =
        |text: &str, dev: bool| security::gateway(&loaded(folder.path(), text, &[]), dev).metrics_public;
    assert!(open("", true));
    assert!(!open("", false), "elsewhere they need a token");
    assert!(!open("[gateway]\nmetrics_public = false", true), "what is written wins");
    assert!(open("[gateway]\nmetrics_public = true", false));
}

#[test]
fn in_development_only_the_loopback_is_answered_for_unless_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let hosts =
        |text: &str, dev: bool| security::gateway(&loaded(folder.path(), text, &[]), dev).allowed_hosts;
    assert_eq!(hosts("", true), ["localhost"]);
    assert!(hosts("", false).is_empty(), "elsewhere the configuration decides");
    let own = "[gateway]\nallowed_hosts = [\"shop.test\"]";
    assert_eq!(hosts(own, true), ["shop.test"]);
    assert_eq!(hosts(own, false), ["shop.test"]);
}

#[test]
fn a_node_waits_for_load_balancers_outside_of_development() {
    let folder = tempfile::tempdir().expect("a folder");
    let delay = |text: &str, dev: bool| security::gateway(&loaded(folder.path(), text, &[]), dev).drain_delay;
    assert_eq!(delay("", false), secs(5));
    assert_eq!(delay("", true), secs(0));
    assert_eq!(delay("[gateway]\ndrain_delay = \"3s\"", true), secs(3));
}

#[test]
fn without_a_secret_only_development_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let refused = |text: &str, flags: &[(&'static str, &str)], dev: bool| {
        let report = security::establish(&loaded(folder.path(), text, flags), dev).err().expect("refused");
        assert_eq!(report.exit, Exit::Config);
        report.code
    };
    assert_eq!(refused("", &[], false), "no-secret");
    assert_eq!(refused("[auth]\nsecret = \"short\"", &[], false), "short-secret");
    assert_eq!(refused("[auth]\nsecret = \"short\"", &[], true), "short-secret");
    assert_eq!(refused("", &[("gateway.host", "0.0.0.0")], true), "dev-not-loopback");
    let ready = security::establish(&loaded(folder.path(), "", &[]), true).expect("development");
    let code = ready.dashboard_code.expect("a code");
    assert!(ready.tokens.verify_link(&code).is_ok(), "its own code");
    let weak = "[auth]\nsecret = \"0123456789abcdef0123456789abcdef\"";
    assert_eq!(refused(weak, &[], false), "weak-secret");
    assert!(security::establish(&loaded(folder.path(), weak, &[]), true).is_ok(), "enough for the loopback");
    let mesh = format!("{STRONG}\n[cluster]\nsecret = \"{}\"", "mesh ".repeat(8));
    assert_eq!(refused(&mesh, &[], false), "weak-secret");
    let own = format!("{STRONG}\n[gateway]\nhost = \"0.0.0.0\"");
    let ready = security::establish(&loaded(folder.path(), &own, &[]), false).expect("a secret of one's own");
    assert!(ready.dashboard_code.is_none(), "a link that signs in is printed in development only");
}

/// A copy of the list of all keys has its example secrets, which are public.
#[test]
fn a_copied_reference_is_no_configuration_of_production() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = |text: &str| {
        let report = security::establish(&loaded(folder.path(), text, &[]), false).err().expect("refused");
        assert!(report.to_string().contains("openssl rand -hex 32"), "{report}");
        let text = report.to_string();
        (report.code, text)
    };
    let (code, text) = copy(&TEXT);
    assert!(code == "weak-secret" && text.contains("auth.secret"), "{text}");
    let examples = TEXT.matches("an example with at least 32 bytes").count();
    assert_eq!(examples, 2, "the secrets of tokens and of the mesh");
    let example = "secret = \"${AUTH_SECRET:-an example with at least 32 bytes}\"";
    let own = STRONG.rsplit_once('\n').expect("two lines").1;
    let (code, text) = copy(&TEXT.replace(example, own));
    assert!(code == "weak-secret" && text.contains("cluster.secret"), "{text}");
}

/// What the log writes.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no writer panics").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("no writer panics").clone()).expect("text")
    }
}

const HOSTILE: &str = "ana\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\r\nERROR forged";

fn log_what_strangers_wrote() {
    let span = tracing::info_span!("job", handler = %HOSTILE);
    span.in_scope(|| tracing::error!(subject = %HOSTILE, quoted = HOSTILE, count = 7, "failed: {HOSTILE}"));
}

#[test]
fn lines_of_the_log_do_not_command_the_terminal() {
    for colours in [false, true] {
        let written = Written::default();
        let writer = written.clone();
        let layer = log::pretty(colours, move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, log_what_strangers_wrote);
        let text = written.text();
        assert!(
            !text.contains("\u{1b}[2J") && text.contains(r"ana\u{1b}[2J\u{9b}31m\u{7f}\u{202e}\r"),
            "{text}"
        );
        assert!(colours || !text.contains(|c| is_obeyed(c) && c != '\n'), "{text:?}");
        let events = text.lines().filter(|line| !line.starts_with("    "));
        assert_eq!(events.count(), 1, "what follows a line feed is indented:\n{text}");
        assert!(colours || text.contains("count=7"), "{text}");
    }
}

#[test]
fn json_of_the_log_is_the_same_json() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::registry().with(log::json(move || writer.clone()));
    tracing::subscriber::with_default(subscriber, log_what_strangers_wrote);
    let text = written.text();
    assert!(!text.contains(|c| is_obeyed(c) && c != '\n'), "{text:?}");
    let event: serde_json::Value = serde_json::from_str(&text).expect("one line of JSON");
    assert_eq!((&event["subject"], &event["span"]["handler"]), (&HOSTILE.into(), &HOSTILE.into()));
    assert_eq!(event["message"], format!("failed: {HOSTILE}"));
}

#[test]
fn the_folder_of_the_secret_is_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join(secret::STATE_FOLDER);
    let mode = |path: &std::path::Path| fs::metadata(path).expect("there").permissions().mode() & 0o077;
    // As an older version made them.
    fs::create_dir(&state).expect("made");
    fs::write(state.join("postgres.log"), "a value").expect("writes");
    fs::set_permissions(&state, fs::Permissions::from_mode(0o755)).expect("set");
    fs::set_permissions(state.join("postgres.log"), fs::Permissions::from_mode(0o644)).expect("set");
    secret::existing_or_new(folder.path()).expect("made");
    assert_eq!(mode(&state) & 0o066, 0, "nobody else lists it");
    assert_eq!((mode(&state.join("postgres.log")), mode(&state.join("secret"))), (0, 0));
}
