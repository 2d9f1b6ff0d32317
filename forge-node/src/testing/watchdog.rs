//! A test program as the watchdog of the embedded Postgres: it stops the server when the tests have ended.
//!
//! The server outlives the process that started it, and no code runs when a test process ends or is killed.
//! So each test process has a watchdog, which is the same program once more.

use std::env;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use forge_actors::db::embedded::watchdog::{WatchdogProgram, watch};
use tokio::runtime::Builder;

/// The variable of the environment by which a process knows that it is a watchdog.
const VARIABLE: &str = "FORGE_TESTING_WATCHDOG";
/// The variable that names the folder of the embedded Postgres.
const FOLDER_VARIABLE: &str = "FORGE_TESTING_FOLDER";

/// True in a watchdog.
pub(super) fn is_this_process() -> bool {
    env::var_os(VARIABLE).is_some()
}

/// The watchdog of this process, which runs the test called `test` of this program. To the test runner in
/// it, the paths behind the arguments are names of further tests, which it does not have.
pub(super) fn program(test: &str) -> io::Result<WatchdogProgram> {
    let arguments = [test, "--exact", "--include-ignored", "--nocapture"].map(OsString::from).into();
    Ok(WatchdogProgram { program: env::current_exe()?, arguments, variable: Some(VARIABLE) })
}

/// What a watchdog does.
pub(super) fn run() {
    let arguments: Vec<OsString> = env::args_os().collect();
    let [.., root, data] = arguments.as_slice() else { return };
    let Ok(runtime) = Builder::new_current_thread().enable_all().build() else { return };
    // The only failure is a lock that cannot be used, because the folder is gone with its server.
    let _stopped = runtime.block_on(watch(Path::new(root), Path::new(data)));
}

/// The folder of the embedded Postgres: one for each user of the machine.
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
