//! Stops the server when no node uses it any more, also after the last node was killed.
//!
//! Each process that uses the server has a watchdog: a process of its own, which outlives it. The process
//! sends a stop message through a pipe when it leaves in order. Where the pipe ends without a stop message,
//! its watchdog waits until no node holds the nodes' lock, leaves the next node a moment to come back, and
//! stops the server. One watchdog at a time waits for that; further ones end.
//!
//! ```text
//!   Idle ──stop──▶ ends
//!    │ └──pipe ended──▶ Waiting ──nobody holds the nodes' lock──▶ Grace ──still nobody──▶ stops the server
//!    │                   │   ▲                                      │
//!    │                   │   └──────────────a node came─────────────┘
//!    │                   └──the server has stopped already──▶ ends
//!    └──pipe ended, and another watchdog is Waiting──▶ ends
//! ```

use std::ffi::OsString;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::sleep;

use super::cluster;
use super::error::EmbeddedError;
use super::folder::Folder;
use super::sharing::FileLock;

/// Time in which a node that was killed may be started again before its server is stopped.
const GRACE: Duration = Duration::from_secs(5);
/// What a process that leaves in order writes to its watchdog.
const STOP: u8 = b'.';

/// A program that calls [`watch`] with the paths that it finds behind `arguments`.
#[derive(Debug, Clone)]
pub struct WatchdogProgram {
    /// The program.
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
    /// A variable that is set in its environment.
    pub variable: Option<&'static str>,
}

/// The watchdog of this process. When this is dropped without a stop message, it is as if the process were
/// killed.
#[derive(Debug)]
pub(super) struct WatchdogProcess {
    /// Collects the exit status; otherwise the process would stay a zombie.
    _process: Child,
    pipe: ChildStdin,
}

impl WatchdogProgram {
    /// Starts a watchdog in a process group of its own, so that neither Ctrl-C nor the end of this process
    /// ends it.
    pub(super) fn start(&self, folder: &Folder) -> Result<WatchdogProcess, EmbeddedError> {
        let failed =
            |output: String| EmbeddedError::Program { program: self.program.display().to_string(), output };
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg(&folder.root).arg(&folder.data);
        command.envs(self.variable.map(|name| (name, "1")));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(cluster::open_log(folder)?);
        command.current_dir("/").process_group(0);
        let mut process = command.spawn().map_err(|error| failed(error.to_string()))?;
        let pipe = process.stdin.take().ok_or_else(|| failed("it has no standard input".into()))?;
        Ok(WatchdogProcess { _process: process, pipe })
    }
}

impl WatchdogProcess {
    /// Ends the watchdog, because this process leaves in order.
    pub(super) async fn send_stop(mut self) {
        // It fails when the watchdog is gone, and then there is nobody to tell.
        let _ = self.pipe.write_all(&[STOP]).await;
    }
}

/// Is the watchdog of the process at the other end of standard input, for the cluster in `data` and the locks
/// in `root`. Returns true when it has stopped the server.
///
/// # Errors
/// When a lock cannot be used, for example because the folder is gone.
pub async fn watch(root: &Path, data: &Path) -> Result<bool, EmbeddedError> {
    let stop = blocking(|| io::stdin().read(&mut [0])).await;
    if stop.is_ok_and(|bytes| bytes > 0) {
        return Ok(false);
    }
    let folder = Folder::existing(root, data);
    let Some(waiting) = FileLock::try_exclusive(&folder.watchdog_lock())? else { return Ok(false) };
    loop {
        let path = folder.nodes_lock();
        let unused = blocking(move || FileLock::wait_exclusive(&path)).await?;
        if cluster::running_pid(&folder).is_none() {
            // In this order: a node that starts from here on needs a watchdog that can wait.
            drop((waiting, unused));
            return Ok(false);
        }
        drop(unused);
        sleep(GRACE).await;
        if let Some(unused) = FileLock::try_exclusive(&folder.nodes_lock())? {
            if let Some(pid) = cluster::running_pid(&folder) {
                cluster::stop(&folder, pid, None).await;
            }
            drop((waiting, unused));
            return Ok(true);
        }
    }
}

/// Waits in a thread of its own for what has no asynchronous form.
async fn blocking<T: Send + 'static>(wait: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(wait).await.expect("waiting does not panic")
}
