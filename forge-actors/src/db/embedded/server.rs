//! Brings an embedded database up and keeps this node's share in it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::process::Child;
use tokio::time::{Instant, sleep, timeout};

use crate::db::error::no_answer;

use super::binaries::{Binaries, SearchPath, fitting};
use super::cluster;
use super::error::EmbeddedError;
use super::folder::{DATABASE, Folder, USER};
use super::obtain::{install_help, obtain};
use super::sharing::{Description, FileLock};
use super::user::ServerUser;

/// After `kill -9` of a server its children and its zombie keep the lock file for a while.
const START_TIMEOUT: Duration = Duration::from_secs(15);
/// A server that runs may have to replay its log before it answers.
const READY_TIMEOUT: Duration = Duration::from_secs(60);
/// The owner may be downloading and creating the cluster.
const OWNER_TIMEOUT: Duration = Duration::from_secs(300);
/// One try to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);
/// Lines of the log in an error.
const LOG_LINES: usize = 5;

/// What happens during a start, for the terminal.
#[derive(Debug, Clone, Copy)]
pub enum Progress<'a> {
    /// No Postgres here: one is being fetched.
    Fetching {
        /// The command that does it.
        command: &'a str,
    },
    /// The fetching program said something.
    Said {
        /// One line.
        line: &'a str,
    },
    /// The cluster is being made, which takes seconds and happens once.
    Creating,
    /// The server is being started.
    Starting,
    /// Another node looks after the server; waiting until it answers.
    Waiting,
    /// Something is not as one might expect.
    Warning {
        /// A sentence.
        text: &'a str,
    },
}

/// This node's share in a running embedded database.
#[derive(Debug)]
pub struct Embedded {
    folder: Folder,
    version: String,
    fresh: bool,
    pid: Pid,
    /// Present when this process started the server.
    child: Option<Child>,
    /// Present in the node that looks after the server.
    owner: Option<FileLock>,
    nodes: FileLock,
}

impl Embedded {
    /// Starts the database of `root` (usually `.forge`), or joins the nodes that use it already.
    pub async fn start(root: &Path, progress: &(dyn Fn(Progress<'_>) + Sync)) -> Result<Self, EmbeddedError> {
        let project = root.parent().map_or_else(|| PathBuf::from("."), Path::to_owned);
        Self::start_with(root, &SearchPath::usual(&project), &ServerUser::choose(), progress).await
    }

    /// [`start`](Self::start) with another idea of where Postgres is and who runs it.
    pub async fn start_with(
        root: &Path,
        search: &SearchPath,
        user: &ServerUser,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Self, EmbeddedError> {
        let folder = Folder::prepare(root, user)?;
        if let Some(text) = &folder.warning {
            progress(Progress::Warning { text });
        }
        let deadline = Instant::now() + OWNER_TIMEOUT;
        let mut told = false;
        loop {
            // Not given while the last node of before is stopping the server.
            if let Some(nodes) = FileLock::try_shared(&folder.nodes_lock())? {
                if let Some(owner) = FileLock::try_exclusive(&folder.owner_lock())? {
                    return Self::own(folder, nodes, owner, search, user, progress).await;
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
                    });
                }
            }
            if Instant::now() >= deadline {
                return Err(EmbeddedError::OwnerStuck { lock: folder.owner_lock(), log: folder.log() });
            }
            if !told {
                told = true;
                progress(Progress::Waiting);
            }
            sleep(POLL).await;
        }
    }

    async fn own(
        folder: Folder,
        nodes: FileLock,
        owner: FileLock,
        search: &SearchPath,
        user: &ServerUser,
        progress: &(dyn Fn(Progress<'_>) + Sync),
    ) -> Result<Self, EmbeddedError> {
        let binaries = choose_binaries(&folder, search, user, progress).await?;
        let fresh = cluster::data_version(&folder).is_none();
        if fresh {
            progress(Progress::Creating);
            cluster::create(&folder, &binaries, user).await?;
        }
        let adopted = cluster::running_pid(&folder);
        let (pid, child) = match adopted {
            Some(pid) => (pid, None),
            None => {
                progress(Progress::Starting);
                spawn_until_it_stays(&folder, &binaries, user).await?
            }
        };
        let mut embedded =
            Self { folder, version: binaries.version, fresh, pid, child, owner: Some(owner), nodes };
        embedded.wait_ready().await?;
        embedded.create_database().await?;
        embedded.describe()?;
        Ok(embedded)
    }

    /// How to connect.
    pub fn options(&self) -> PgConnectOptions {
        self.folder.options()
    }

    /// A URL for psql and for child processes.
    pub fn url(&self) -> String {
        url(&self.folder)
    }

    /// Where the data are.
    pub fn data(&self) -> &Path {
        &self.folder.data
    }

    /// As in `15.18`.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The cluster was made by this start.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// This node looks after the server.
    pub fn is_owner(&self) -> bool {
        self.owner.is_some()
    }

    /// The server's process.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Looks whether the server lives. Where another node looks after it, that is its business, until that
    /// node is gone.
    pub fn check(&mut self) -> Result<(), EmbeddedError> {
        if self.owner.is_none() {
            let Some(owner) = FileLock::try_exclusive(&self.folder.owner_lock())? else { return Ok(()) };
            self.owner = Some(owner);
            let pid = cluster::running_pid(&self.folder)
                .ok_or(EmbeddedError::Gone { reason: "the node that looked after it is gone too".into() })?;
            (self.pid, self.child) = (pid, None);
            tracing::info!(%pid, "this node looks after the embedded database now");
            return self.describe();
        }
        match self.ended() {
            Some(reason) => Err(EmbeddedError::Gone { reason }),
            None => Ok(()),
        }
    }

    /// Leaves; the last node to leave stops the server.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        if self.nodes.try_upgrade()?
            && let Some(pid) = cluster::running_pid(&self.folder)
        {
            let child = self.child.as_mut().filter(|_| pid == self.pid);
            cluster::stop(pid, child).await;
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
            None => (!cluster::is_alive(self.pid))
                .then(|| format!("process {} does not exist any more", self.pid)),
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
        let there = sqlx::query("SELECT FROM pg_database WHERE datname = $1")
            .bind(DATABASE)
            .fetch_optional(&mut connection)
            .await
            .map_err(failed)?;
        if there.is_none() {
            connection.execute("CREATE DATABASE app").await.map_err(failed)?;
        }
        connection.close().await.map_err(failed)
    }

    fn describe(&self) -> Result<(), EmbeddedError> {
        let Folder { socket, data, .. } = self.folder.clone();
        let description =
            Description { socket, data, version: self.version.clone(), pid: self.pid(), url: self.url() };
        description.write(&self.folder.description())
    }
}

/// Those that fit the cluster, or for a new one the preferred ones; fetched when there are none at all.
async fn choose_binaries(
    folder: &Folder,
    search: &SearchPath,
    user: &ServerUser,
    progress: &(dyn Fn(Progress<'_>) + Sync),
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

/// Starts the server again and again while the remains of a killed one hold its lock file.
async fn spawn_until_it_stays(
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
            // Any answer, also "starting up", comes from a server that holds the cluster.
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

/// The socket's folder stands percent-encoded in the place of the host.
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
