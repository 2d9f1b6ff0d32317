//! Starts an embedded database, or joins the nodes that use it already.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::db::error::no_answer;
use crate::kernel::error_chain::error_chain;

use super::binaries::{Binaries, SearchPath, fitting};
use super::cluster;
use super::error::EmbeddedError;
use super::folder::{DATABASE, Folder, USER};
use super::obtain::{install_help, obtain};
use super::process::serves;
use super::progress::EmbeddedProgress;
use super::sharing::{Description, FileLock};
use super::user::ServerUser;
use super::watchdog::{WatchdogProcess, WatchdogProgram};

/// Time for the server to take the cluster. After `kill -9` of a server, its children and its zombie keep the
/// lock file for a while.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// Time for a running server to answer: it may have to replay its write-ahead log first.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// Time for the node that owns the server to get it ready: it may be downloading Postgres and creating the
/// cluster.
const OWNER_TIMEOUT: Duration = Duration::from_secs(300);
/// Time for one connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);
/// Lines of the server's log in an error.
const LOG_LINES: usize = 5;

/// A running embedded database, as one of the nodes that use it.
#[derive(Debug)]
pub struct Embedded {
    folder: Folder,
    version: String,
    fresh: bool,
    pid: Pid,
    /// Present when this process started the server.
    child: Option<Child>,
    /// The lock of the node that owns the server; absent in the other nodes.
    owner: Option<FileLock>,
    /// The lock that all nodes share.
    nodes: FileLock,
    /// Absent in a process that has no program for one.
    watchdog: Option<WatchdogProcess>,
}

impl Embedded {
    /// Starts the database of `root` (usually `.forge`), or joins the nodes that use it already. Without a
    /// `watchdog` the server goes on when this process is killed.
    ///
    /// # Errors
    /// When Postgres is neither found nor fetched, the server does not start, or a file cannot be used.
    pub async fn start(
        root: &Path,
        watchdog: Option<&WatchdogProgram>,
        progress: &(dyn Fn(EmbeddedProgress<'_>) + Sync),
    ) -> Result<Self, EmbeddedError> {
        let project = root.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
        let (search, user) = (SearchPath::usual(&project), ServerUser::choose());
        Self::start_with(root, &search, &user, watchdog, progress).await
    }

    /// [`start`](Self::start) with a given search path for Postgres and a given user for the server.
    ///
    /// # Errors
    /// Those of [`start`](Self::start).
    pub async fn start_with(
        root: &Path,
        search: &SearchPath,
        user: &ServerUser,
        watchdog: Option<&WatchdogProgram>,
        progress: &(dyn Fn(EmbeddedProgress<'_>) + Sync),
    ) -> Result<Self, EmbeddedError> {
        let folder = Folder::prepare(root, user)?;
        if let Some(text) = &folder.warning {
            progress(EmbeddedProgress::Warning { text });
        }
        // Before the server is there, so that none is left when this start is cut short.
        let watchdog = watchdog.and_then(|program| match program.start(&folder) {
            Ok(watchdog) => Some(watchdog),
            Err(error) => {
                let text = format!("when this process is killed, Postgres goes on: {}", error_chain(&error));
                progress(EmbeddedProgress::Warning { text: &text });
                None
            }
        });
        let deadline = Instant::now() + OWNER_TIMEOUT;
        let mut reported_waiting = false;
        loop {
            // The lock is not available while the last node that used the server is stopping it.
            if let Some(nodes) = FileLock::try_shared(&folder.nodes_lock())? {
                if let Some(owner) = FileLock::try_exclusive(&folder.owner_lock())? {
                    let embedded = Self::become_owner(folder, nodes, owner, search, user, progress).await?;
                    return Ok(Self { watchdog, ..embedded });
                }
                if let Some(description) = Description::read(&folder.description())
                    && let Some(pid) = cluster::running_pid(&folder)
                    && connect(&folder.options()).await.is_ok()
                {
                    return Ok(Self {
                        folder,
                        version: description.version,
                        fresh: false,
                        pid,
                        child: None,
                        owner: None,
                        nodes,
                        watchdog,
                    });
                }
            }
            if Instant::now() >= deadline {
                return Err(EmbeddedError::OwnerStuck { lock: folder.owner_lock(), log: folder.log() });
            }
            if !reported_waiting {
                reported_waiting = true;
                progress(EmbeddedProgress::Waiting);
            }
            sleep(POLL).await;
        }
    }

    async fn become_owner(
        folder: Folder,
        nodes: FileLock,
        owner: FileLock,
        search: &SearchPath,
        user: &ServerUser,
        progress: &(dyn Fn(EmbeddedProgress<'_>) + Sync),
    ) -> Result<Self, EmbeddedError> {
        let binaries = choose_binaries(&folder, search, user, progress).await?;
        let fresh = cluster::data_version(&folder).is_none();
        if fresh {
            progress(EmbeddedProgress::Creating);
            cluster::create(&folder, &binaries, user).await?;
        }
        let adopted = cluster::running_pid(&folder);
        let (pid, child) = match adopted {
            Some(pid) => (pid, None),
            None => {
                progress(EmbeddedProgress::Starting);
                if !answers(&folder.options().database("postgres")).await {
                    cluster::remove_stale_lock(&folder)?;
                }
                spawn_until_running(&folder, &binaries, user).await?
            }
        };
        let mut embedded = Self {
            folder,
            version: binaries.version,
            fresh,
            pid,
            child,
            owner: Some(owner),
            nodes,
            watchdog: None,
        };
        embedded.wait_ready().await?;
        embedded.create_database().await?;
        embedded.write_description()?;
        Ok(embedded)
    }

    /// The options that connect to the database.
    pub fn options(&self) -> PgConnectOptions {
        self.folder.options()
    }

    /// A URL for psql and for child processes.
    pub fn url(&self) -> String {
        url(&self.folder)
    }

    /// The folder of the cluster.
    pub fn data(&self) -> &Path {
        &self.folder.data
    }

    /// The server's version, such as `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// True when this start made the cluster.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// True when this node owns the server.
    pub fn is_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// The process id of the server.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Checks that the server runs. A node that does not own the server checks only whether the owner is
    /// gone, and then becomes the owner.
    ///
    /// # Errors
    /// `Gone` when the server has ended.
    pub fn check(&mut self) -> Result<(), EmbeddedError> {
        if self.owner.is_none() {
            let Some(owner) = FileLock::try_exclusive(&self.folder.owner_lock())? else { return Ok(()) };
            self.owner = Some(owner);
            let pid = cluster::running_pid(&self.folder)
                .ok_or(EmbeddedError::Gone { reason: "the node that owned the server is gone too".into() })?;
            (self.pid, self.child) = (pid, None);
            tracing::info!(%pid, "took over the embedded database: the node that owned it is gone");
            return self.write_description();
        }
        match self.ended() {
            Some(reason) => Err(EmbeddedError::Gone { reason }),
            None => Ok(()),
        }
    }

    /// Leaves the nodes that use the server. The last node to leave stops the server.
    ///
    /// # Errors
    /// When the lock that the nodes share cannot be used.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        if self.nodes.try_upgrade()?
            && let Some(pid) = cluster::running_pid(&self.folder)
        {
            let child = self.child.as_mut().filter(|_| pid == self.pid);
            cluster::stop(&self.folder, pid, child).await;
        }
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.send_stop().await;
        }
        Ok(())
    }

    fn ended(&mut self) -> Option<String> {
        match &mut self.child {
            Some(child) => match child.try_wait() {
                Ok(None) => None,
                Ok(Some(status)) => Some(status.to_string()),
                Err(error) => Some(error.to_string()),
            },
            None => (!serves(&self.folder, self.pid))
                .then(|| format!("process {} is not the server any more", self.pid)),
        }
    }

    async fn wait_ready(&mut self) -> Result<(), EmbeddedError> {
        let options = self.folder.options().database("postgres");
        let deadline = Instant::now() + READY_TIMEOUT;
        loop {
            let error = match connect(&options).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let reason = self.ended().or_else(|| (Instant::now() >= deadline).then(|| error.to_string()));
            if let Some(reason) = reason {
                return Err(no_start(&self.folder, reason));
            }
            sleep(POLL).await;
        }
    }

    async fn create_database(&self) -> Result<(), EmbeddedError> {
        let failed = |source| EmbeddedError::Statement { doing: "creating the database `app`", source };
        let mut connection = self.folder.options().database("postgres").connect().await.map_err(failed)?;
        let existing = sqlx::query("SELECT FROM pg_database WHERE datname = $1")
            .bind(DATABASE)
            .fetch_optional(&mut connection)
            .await
            .map_err(failed)?;
        if existing.is_none() {
            connection.execute("CREATE DATABASE app").await.map_err(failed)?;
        }
        connection.close().await.map_err(failed)
    }

    fn write_description(&self) -> Result<(), EmbeddedError> {
        let Folder { socket, data, .. } = self.folder.clone();
        let description =
            Description { socket, data, version: self.version.clone(), pid: self.pid(), url: self.url() };
        description.write(&self.folder.description())
    }
}

/// The binaries of the version that made the cluster; for a new cluster, the preferred ones. Postgres is
/// fetched when this machine has none.
async fn choose_binaries(
    folder: &Folder,
    search: &SearchPath,
    user: &ServerUser,
    progress: &(dyn Fn(EmbeddedProgress<'_>) + Sync),
) -> Result<Binaries, EmbeddedError> {
    let (mut found, mut tried) = search.find(user).await;
    if found.is_empty() && search.forced.is_none() {
        match obtain(&search.cache, progress).await {
            Ok(()) => {
                let (fetched, passed_over) = search.find(user).await;
                found = fetched;
                tried.extend(passed_over);
            }
            Err(attempts) => tried.extend(attempts),
        }
    }
    if found.is_empty() {
        if let Some(forced) = &search.forced {
            tried.push(format!(
                "FORGE_POSTGRES_BIN names {}, where there is no usable Postgres",
                forced.display()
            ));
        }
        return Err(EmbeddedError::NoBinaries { tried, help: install_help() });
    }
    let Some(data) = cluster::data_version(folder) else { return Ok(found.swap_remove(0)) };
    let mut majors: Vec<u32> = found.iter().map(|binaries| binaries.major).collect();
    majors.sort_unstable();
    majors.dedup();
    fitting(found, data).ok_or_else(|| EmbeddedError::OtherVersion {
        folder: folder.data.clone(),
        data,
        found: majors,
    })
}

/// Starts the server until it holds the cluster: the first starts fail while the processes of a killed server
/// still hold its lock file.
async fn spawn_until_running(
    folder: &Folder,
    binaries: &Binaries,
    user: &ServerUser,
) -> Result<(Pid, Option<Child>), EmbeddedError> {
    let deadline = Instant::now() + START_TIMEOUT;
    let options = folder.options().database("postgres");
    loop {
        let mut child = cluster::spawn(folder, binaries, user)?;
        let status = loop {
            match child.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => break status.to_string(),
                Err(error) => break error.to_string(),
            }
            // A server that answers, be it with "starting up", holds the cluster.
            let own = child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
            if let Some(own) = own
                && cluster::running_pid(folder) == Some(own)
                && answers(&options).await
            {
                return Ok((own, Some(child)));
            }
            sleep(POLL).await;
        };
        if Instant::now() >= deadline {
            return Err(no_start(folder, status));
        }
        sleep(2 * POLL).await;
    }
}

async fn answers(options: &PgConnectOptions) -> bool {
    match connect(options).await {
        Ok(()) => true,
        Err(error) => matches!(error, sqlx::Error::Database(_)),
    }
}

async fn connect(options: &PgConnectOptions) -> sqlx::Result<()> {
    let connecting = async { options.connect().await?.close().await };
    timeout(CONNECT_TIMEOUT, connecting).await.unwrap_or_else(|_| Err(no_answer(CONNECT_TIMEOUT)))
}

fn no_start(folder: &Folder, reason: String) -> EmbeddedError {
    EmbeddedError::NoStart { reason, log: cluster::log_tail(folder, LOG_LINES), path: folder.log() }
}

/// A URL for psql, in which the socket's folder stands percent-encoded in the place of the host.
fn url(folder: &Folder) -> String {
    let host: String = folder
        .socket
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => char::from(*byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect();
    format!("postgres://{USER}@{host}:5432/{DATABASE}")
}
