//! The files and folders of an embedded database, below `.forge` of a project.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
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
        DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(root)
            .map_err(EmbeddedError::file("creating", root))?;
        let root = root.canonicalize().map_err(EmbeddedError::file("resolving", root))?;
        let (home, warning) = if user.can_reach(&root.join("pg")) {
            (root.clone(), None)
        } else {
            let state = PathBuf::from("/var/lib/forge").join(short_hash(&root));
            DirBuilder::new()
                .recursive(true)
                .mode(0o755)
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
