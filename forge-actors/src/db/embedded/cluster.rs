//! The cluster on disk and its server process: making the cluster; starting, finding and stopping the server.

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::folder::{Folder, USER, make_private};
use super::user::ServerUser;

/// A start truncates a log that is larger.
const LOG_BYTES_MAX: u64 = 10 * 1024 * 1024;
/// Time for the server to stop after SIGINT ("fast"), before SIGQUIT ("immediate", which recovers at the next
/// start).
const STOP_FAST_TIMEOUT: Duration = Duration::from_secs(10);
const STOP_NOW_TIMEOUT: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);

/// The server's settings. All others keep Postgres' defaults, `fsync = on` above all.
fn settings(folder: &Folder) -> Vec<String> {
    let mut settings = vec![
        "listen_addresses=".into(),
        format!("unix_socket_directories={}", folder.socket.display()),
        "unix_socket_permissions=0700".into(),
        "port=5432".into(),
        "max_connections=200".into(),
        "shared_buffers=64MB".into(),
        "logging_collector=off".into(),
        "log_destination=stderr".into(),
        "log_line_prefix=%m [%p] %a ".into(),
        "timezone=UTC".into(),
    ];
    // After a crash Postgres first syncs every file of the cluster one by one, which takes seconds. On Linux
    // one call does it.
    if cfg!(target_os = "linux") {
        settings.push("recovery_init_sync_method=syncfs".into());
    }
    settings
}

/// The major version that made the cluster; `None` when there is none yet.
pub(super) fn data_version(folder: &Folder) -> Option<u32> {
    fs::read_to_string(folder.data.join("PG_VERSION")).ok()?.trim().parse().ok()
}

/// Makes the cluster. `initdb` runs in another folder, which is renamed at the end, so that an interrupted
/// `initdb` leaves no incomplete folder under the cluster's name.
pub(super) async fn create(
    folder: &Folder,
    binaries: &Binaries,
    user: &ServerUser,
) -> Result<(), EmbeddedError> {
    let fresh = folder.data.with_extension("new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(EmbeddedError::file("removing", &fresh))?;
    }
    let mut result = Ok(());
    // Not every system has C.UTF-8; C has the same sort order.
    for locale in ["C.UTF-8", "C"] {
        make_private(&fresh, user)?;
        result = initdb(&fresh, locale, binaries, user).await;
        if result.is_ok() {
            break;
        }
        fs::remove_dir_all(&fresh).map_err(EmbeddedError::file("removing", &fresh))?;
    }
    result?;
    fs::rename(&fresh, &folder.data).map_err(EmbeddedError::file("renaming", &fresh))
}

async fn initdb(
    data: &Path,
    locale: &str,
    binaries: &Binaries,
    user: &ServerUser,
) -> Result<(), EmbeddedError> {
    let program = binaries.folder.join("initdb");
    let mut command = Command::new(&program);
    command
        .arg("-D")
        .arg(data)
        .args(["-U", USER, "--auth=trust", "--encoding=UTF8"])
        .arg(format!("--locale={locale}"));
    command.stdin(Stdio::null()).current_dir("/").kill_on_drop(true);
    user.apply(&mut command);
    let failed = |output: String| EmbeddedError::Program { program: program.display().to_string(), output };
    let output = command.output().await.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().replace('\n', "; ")))
}

/// Starts the server in a process group of its own. Success means only that the process exists.
pub(super) fn spawn(folder: &Folder, binaries: &Binaries, user: &ServerUser) -> Result<Child, EmbeddedError> {
    let path = folder.log();
    let truncate = fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX);
    let log = OpenOptions::new()
        .create(true)
        .append(!truncate)
        .write(true)
        .truncate(truncate)
        .open(&path)
        .map_err(EmbeddedError::file("opening", &path))?;
    let program = binaries.folder.join("postgres");
    let mut command = Command::new(&program);
    command.arg("-D").arg(&folder.data);
    for setting in settings(folder) {
        command.arg("-c").arg(setting);
    }
    // Ctrl-C reaches every process of the terminal's group. The server is in a group of its own, because the
    // node decides when its database stops.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).current_dir("/").process_group(0);
    user.apply(&mut command);
    command.spawn().map_err(|error| EmbeddedError::Program {
        program: program.display().to_string(),
        output: error.to_string(),
    })
}

/// The process that the cluster's lock file names, if it exists and is a Postgres server.
pub(super) fn running_pid(folder: &Folder) -> Option<Pid> {
    let text = fs::read_to_string(folder.data.join("postmaster.pid")).ok()?;
    let pid = Pid::from_raw(text.lines().next()?.trim().parse().ok()?)?;
    (is_alive(pid) && is_postgres(pid)).then_some(pid)
}

/// True when the process exists and is no zombie.
pub(super) fn is_alive(pid: Pid) -> bool {
    let exists = !matches!(test_kill_process(pid), Err(rustix::io::Errno::SRCH));
    // The state follows the name, which stands in parentheses and may contain any character.
    let status = fs::read_to_string(format!("/proc/{pid}/stat"));
    let is_zombie = status
        .is_ok_and(|status| status.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')));
    exists && !is_zombie
}

/// True when the process is called `postgres`: a stale lock file may name a process id that another program
/// has by now. Without /proc every process passes.
fn is_postgres(pid: Pid) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).map_or(true, |name| name.trim().starts_with("postgres"))
}

/// Stops the server with SIGINT; when it does not stop in time, with SIGQUIT, and at last with SIGKILL.
pub(super) async fn stop(pid: Pid, child: Option<&mut Child>) {
    let mut child = child;
    for (signal, limit) in
        [(Signal::INT, STOP_FAST_TIMEOUT), (Signal::QUIT, STOP_NOW_TIMEOUT), (Signal::KILL, STOP_NOW_TIMEOUT)]
    {
        if let Err(error) = kill_process(pid, signal) {
            tracing::debug!(%pid, %error, "signalling the database server failed");
            return;
        }
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let ended = match &mut child {
                // `try_wait` also collects the exit status; otherwise the process would stay a zombie.
                Some(child) => !matches!(child.try_wait(), Ok(None)),
                None => !is_alive(pid),
            };
            if ended {
                return;
            }
            sleep(POLL).await;
        }
        tracing::warn!(%pid, ?signal, "database server did not stop in time; sending a stronger signal");
    }
}

/// The last lines of the server's log.
pub(super) fn log_tail(folder: &Folder, lines: usize) -> Vec<String> {
    let text = fs::read(folder.log()).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(8 * 1024)..]);
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].iter().map(|line| (*line).to_owned()).collect()
}
