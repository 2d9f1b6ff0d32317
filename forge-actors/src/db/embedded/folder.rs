//! The files and folders of an embedded database, below `.forge` of a project. Only their owner may read
//! them: the log, the secret and the cluster tell what the application's users entrusted to it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;

use super::error::EmbeddedError;
use super::user::ServerUser;

/// Longest socket path. The systems allow 108 bytes (Linux) and 104 (macOS), with a zero byte at the end.
const SOCKET_BYTES_MAX: usize = 100;
/// The port number in the socket's name; the server listens on no TCP port.
const PORT: u16 = 5432;
/// The superuser and owner of the database. Logins need no password, because only the server's user and root
/// can enter the socket's folder.
pub(super) const USER: &str = "forge";
/// Folders in `.forge` that belong to the server's user: the cluster, an unfinished one, the socket's.
const SERVER_FOLDERS: [&str; 3] = ["pg", "pg.new", "run"];
/// The application's database.
pub(super) const DATABASE: &str = "app";

/// The paths of one embedded database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    /// `.forge` itself: locks, log, `db.json`.
    pub root: PathBuf,
    /// The cluster.
    pub data: PathBuf,
    /// The socket's folder.
    pub socket: PathBuf,
    /// A sentence, when the cluster had to be put outside of `root`.
    pub warning: Option<String>,
}

impl Folder {
    /// Makes `root` (usually `.forge`) and chooses the cluster's folder: inside of `root`, or below
    /// /var/lib/forge when the server's user cannot enter `root`.
    ///
    /// # Errors
    /// When a folder cannot be made, or the path of the socket would be too long.
    pub fn prepare(root: &Path, user: &ServerUser) -> Result<Self, EmbeddedError> {
        make_state_folder(root).map_err(EmbeddedError::file("making private", root))?;
        let root = root.canonicalize().map_err(EmbeddedError::file("resolving", root))?;
        let (home, warning) = if user.can_reach(&root.join("pg")) {
            (root.clone(), None)
        } else {
            let state = PathBuf::from("/var/lib/forge").join(short_hash(&root));
            DirBuilder::new()
                .recursive(true)
                .mode(0o711)
                .create(&state)
                .map_err(EmbeddedError::file("creating", &state))?;
            let warning = format!(
                "the database's user cannot enter {}; the database is kept in {}",
                root.display(),
                state.display()
            );
            (state, Some(warning))
        };
        let socket = home.join("run");
        let socket = if fits(&socket) {
            socket
        } else {
            PathBuf::from("/tmp").join(format!("forge-{}", short_hash(&root)))
        };
        if !fits(&socket) {
            return Err(EmbeddedError::SocketPath { path: socket });
        }
        make_private(&socket, user)?;
        Ok(Self { data: home.join("pg"), socket, warning, root })
    }

    /// The paths of a database that was prepared before, for a process that does not connect to it.
    pub(super) fn existing(root: &Path, data: &Path) -> Self {
        let (root, data) = (root.to_owned(), data.to_owned());
        Self { socket: data.with_file_name("run"), data, warning: None, root }
    }

    /// The server's log.
    pub fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// The lock file of the cluster's server.
    pub(super) fn lock(&self) -> PathBuf {
        self.data.join("postmaster.pid")
    }

    /// The lock file of the server's socket.
    pub(super) fn socket_lock(&self) -> PathBuf {
        self.socket.join(format!(".s.PGSQL.{PORT}.lock"))
    }

    /// The lock of the node that owns the server.
    pub fn owner_lock(&self) -> PathBuf {
        self.root.join("postgres.lock")
    }

    /// The lock that all nodes that use the server share.
    pub fn nodes_lock(&self) -> PathBuf {
        self.root.join("nodes.lock")
    }

    /// The lock of the one watchdog that waits for the last node to be gone.
    pub fn watchdog_lock(&self) -> PathBuf {
        self.root.join("watchdog.lock")
    }

    /// `db.json`, in which other processes find the server.
    pub fn description(&self) -> PathBuf {
        self.root.join("db.json")
    }

    /// The options that connect to the application's database.
    pub fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .port(PORT)
            .username(USER)
            .database(DATABASE)
    }
}

/// Makes the folder in which Forge keeps its files (`.forge`), or takes the rights of other users from an
/// existing one and from all that is in it but the cluster, which Postgres protects itself.
///
/// Root's can be passed through, though not listed: the server then runs as another user.
///
/// # Errors
/// When the folder cannot be made, or belongs to another user.
pub fn make_state_folder(path: &Path) -> io::Result<()> {
    let mode = if rustix::process::geteuid().is_root() { 0o711 } else { 0o700 };
    DirBuilder::new().recursive(true).mode(mode).create(path)?;
    tighten(path, mode)?;
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (kind, path) = (entry.file_type()?, entry.path());
            let is_servers = SERVER_FOLDERS.iter().any(|name| path.ends_with(name));
            if kind.is_symlink() || is_servers {
                continue;
            }
            match tighten(&path, 0o700) {
                // Another node writes its files beside their places, and renames them.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                result => result?,
            }
            if kind.is_dir() {
                folders.push(path);
            }
        }
    }
    Ok(())
}

/// Takes every right that is not in `mode`.
fn tighten(path: &Path, mode: u32) -> io::Result<()> {
    let current = fs::metadata(path)?.permissions().mode();
    if current & 0o777 & !mode == 0 {
        return Ok(());
    }
    fs::set_permissions(path, fs::Permissions::from_mode(current & mode))
}

/// A new file that only its owner may read and write, or the existing one.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).write(true).mode(0o600);
    options
}

fn fits(socket: &Path) -> bool {
    socket.join(format!(".s.PGSQL.{PORT}")).as_os_str().len() < SOCKET_BYTES_MAX
}

/// Makes a folder that only the server's user may enter. An existing folder that belongs to another user is
/// refused.
pub(super) fn make_private(path: &Path, user: &ServerUser) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => user.make_owner(path),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).map_err(EmbeddedError::file("reading", path))?;
            let own = rustix::process::geteuid().as_raw();
            // Root may use any folder. Another process would put its data into a folder that another user
            // controls.
            if metadata.is_dir() && (metadata.uid() == own || own == 0) {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                    .map_err(EmbeddedError::file("restricting the mode of", path))?;
                return user.make_owner(path);
            }
            Err(EmbeddedError::File {
                doing: "using (it belongs to another user)",
                path: path.to_owned(),
                source: error,
            })
        }
        Err(error) => Err(EmbeddedError::file("creating", path)(error)),
    }
}

fn short_hash(path: &Path) -> String {
    Sha256::digest(path.as_os_str().as_encoded_bytes())
        .iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
