//! Where an embedded database keeps what it needs, below `.forge` of a project.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use sqlx::postgres::PgConnectOptions;

use super::error::EmbeddedError;
use super::user::ServerUser;

/// Longest socket path: 108 bytes on Linux and 104 on macOS, of which Postgres needs one for its end.
const SOCKET_BYTES_MAX: usize = 100;
/// The number in the socket's name; there is no TCP.
const PORT: u16 = 5432;
/// The superuser and owner; local trust, since only those who may enter the socket's folder get that far.
pub(super) const USER: &str = "forge";
/// The database that the application gets.
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
    /// Says that the cluster had to be put elsewhere.
    pub warning: Option<String>,
}

impl Folder {
    /// Makes `root` (usually `.forge`) and decides where the cluster lives: inside it, or in a state folder
    /// when the server's user cannot reach it there.
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
                "the database's user cannot enter {}; the data are in {}",
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

    /// What the server says.
    pub fn log(&self) -> PathBuf {
        self.root.join("postgres.log")
    }

    /// Held by the node that looks after the server.
    pub fn owner_lock(&self) -> PathBuf {
        self.root.join("postgres.lock")
    }

    /// Shared by all nodes that use the server.
    pub fn nodes_lock(&self) -> PathBuf {
        self.root.join("nodes.lock")
    }

    /// Where other processes find the server.
    pub fn description(&self) -> PathBuf {
        self.root.join("db.json")
    }

    /// How to connect.
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

/// Makes a folder that only the server's user may enter, and refuses one that somebody else put there.
pub(super) fn make_private(path: &Path, user: &ServerUser) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => user.own(path),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            let metadata = fs::symlink_metadata(path).map_err(EmbeddedError::file("reading", path))?;
            let own = rustix::process::geteuid().as_raw();
            // Root may take over what it finds; anybody else would use a stranger's folder.
            if metadata.is_dir() && (metadata.uid() == own || own == 0) {
                fs::set_permissions(path, fs::Permissions::from_mode(0o700))
                    .map_err(EmbeddedError::file("closing", path))?;
                return user.own(path);
            }
            Err(EmbeddedError::File {
                doing: "using (it belongs to somebody else)",
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
