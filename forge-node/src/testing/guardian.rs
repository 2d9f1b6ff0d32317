//! The guardian of the private Postgres: a process that stops the server when the tests have ended.
//!
//! The server outlives the process that started it, and no code runs when a test process is killed. So each
//! test process starts a guardian, which is the same program once more, waits for the end of its standard
//! input, and then leaves the server; the last one that leaves stops the server. The input is a pipe whose
//! other end the test process holds, and the kernel closes that when the process ends, however it ends.

use std::env;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use forge_actors::db::embedded::server::Embedded;
use forge_actors::kernel::time::secs;
use tokio::runtime::Builder;

/// The variable of the environment by which a process knows that it is a guardian.
const VARIABLE: &str = "FORGE_TESTING_GUARDIAN";
/// The variable that names the folder of the private Postgres.
const FOLDER_VARIABLE: &str = "FORGE_TESTING_FOLDER";
/// How long the server waits for the next test process: nextest starts one for each test.
const LINGER: Duration = secs(1);

/// True in a guardian.
pub(super) fn is_this_process() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// Starts a guardian, which runs the test called `test` of this program. It guards for as long as the value
/// exists.
pub(super) fn start(test: &str) -> io::Result<Child> {
    let mut command = Command::new(env::current_exe()?);
    command.args([test, "--exact", "--include-ignored", "--nocapture"]).env(VARIABLE, "1");
    // In a group of its own: Ctrl-C and the end of a test runner reach the tests and not the guardian.
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    command.spawn()
}

/// What a guardian does.
pub(super) fn guard() {
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    // Without a server there is nothing to guard; the test process reports why there is none.
    let Ok(server) = runtime.block_on(Embedded::start(&folder(), &|_| {})) else { return };
    // An error of reading means the end of the test process as well.
    let _ended = io::copy(&mut io::stdin(), &mut io::sink());
    std::thread::sleep(LINGER);
    // The only failure is a lock that cannot be used, and a guardian has no log.
    let _stopped = runtime.block_on(server.stop());
}

/// The folder of the private Postgres: one for each user of the machine.
pub(super) fn folder() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The server of root runs as another user, who cannot enter root's home.
    let is_root = rustix::process::geteuid().is_root();
    let cache = || match is_root {
        true => Some(PathBuf::from("/var/cache")),
        false => set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache"))),
    };
    set(FOLDER_VARIABLE).unwrap_or_else(|| cache().unwrap_or_else(env::temp_dir).join("forge/tests"))
}
