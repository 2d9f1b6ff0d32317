//! The cluster on disk and its server process: making the cluster; starting, finding and stopping the server.

use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::folder::{Folder, USER, make_private, private_file};
use super::process::{is_alive, is_in_use, serves};
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
        // A failed statement's values belong to the application's users, and its client gets them. The log
        // keeps what the server says about itself.
        "log_min_messages=log".into(),
        "log_min_error_statement=panic".into(),
        "log_error_verbosity=terse".into(),
        "log_statement=none".into(),
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
    let log = open_log(folder)?;
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

/// Opens the server's log for appending. A log that has grown too large is emptied.
pub(super) fn open_log(folder: &Folder) -> Result<File, EmbeddedError> {
    let path = folder.log();
    let truncate = fs::metadata(&path).is_ok_and(|log| log.len() > LOG_BYTES_MAX);
    let mut options = private_file();
    options.append(!truncate).truncate(truncate);
    options.open(&path).map_err(EmbeddedError::file("opening", &path))
}

/// The server of the cluster, if it runs. A process that the lock file names and that is another program is
/// none.
pub(super) fn running_pid(folder: &Folder) -> Option<Pid> {
    locking_pid(folder).filter(|pid| serves(folder, *pid))
}

/// The process that the cluster's lock file names, whatever it is by now.
fn locking_pid(folder: &Folder) -> Option<Pid> {
    let text = fs::read_to_string(folder.lock()).ok()?;
    Pid::from_raw(text.lines().next()?.trim().parse().ok()?)
}

/// Removes the lock files of a server that is gone, when another program has its process id by now: Postgres
/// would take that program for the server, and refuse to start. The lock files stay while any process works
/// in the cluster. The caller holds the lock of the server's owner, and has found that no server answers.
pub(super) fn remove_stale_lock(folder: &Folder) -> Result<(), EmbeddedError> {
    let Some(pid) = locking_pid(folder).filter(|pid| is_alive(*pid)) else { return Ok(()) };
    if serves(folder, pid) || is_in_use(folder) {
        return Ok(());
    }
    tracing::warn!(%pid, "the lock file of the database names another program: it is removed");
    for path in [folder.lock(), folder.socket_lock()] {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(EmbeddedError::file("removing", &path)(error)),
        }
    }
    Ok(())
}

/// Stops the server with SIGINT; when it does not stop in time, with SIGQUIT, and at last with SIGKILL.
/// Before each signal the process is still the server: its own child, whose process id no other program can
/// have, or a process that serves the cluster.
pub(super) async fn stop(folder: &Folder, pid: Pid, child: Option<&mut Child>) {
    let mut child = child;
    for (signal, limit) in
        [(Signal::INT, STOP_FAST_TIMEOUT), (Signal::QUIT, STOP_NOW_TIMEOUT), (Signal::KILL, STOP_NOW_TIMEOUT)]
    {
        if child.is_none() && !serves(folder, pid) {
            return;
        }
        if let Err(error) = kill_process(pid, signal) {
            tracing::debug!(%pid, %error, "signalling the database server failed");
            return;
        }
        let deadline = Instant::now() + limit;
        while Instant::now() < deadline {
            let ended = match &mut child {
                // `try_wait` also collects the exit status; otherwise the process would stay a zombie.
                Some(child) => !matches!(child.try_wait(), Ok(None)),
                None => !serves(folder, pid),
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
