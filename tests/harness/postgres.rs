//! A Postgres cluster that a test may crash.

use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tempfile::TempDir;

use super::until::until;

const RECOVERY_LIMIT: Duration = Duration::from_secs(30);

/// A private cluster with durable settings; stopped and removed with the value.
pub struct PostgresProcess {
    directory: TempDir,
    binaries: PathBuf,
    owner: Option<Account>,
    port: u16,
}

/// Who runs Postgres when root runs the tests: it refuses to be root.
#[derive(Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl PostgresProcess {
    /// A new cluster, running.
    pub async fn start() -> Self {
        // In the run's own folder: `tests/run` stops what a killed test leaves there.
        let parent = std::env::var_os("FORGE_TEST_SCRATCH").unwrap_or_else(|| "/tmp".into());
        let directory =
            tempfile::Builder::new().prefix("postgres-").tempdir_in(parent).expect("make a directory");
        let cluster = Self {
            directory,
            binaries: postgres_binaries(),
            owner: rustix::process::getuid().is_root().then(account),
            port: free_port(),
        };
        std::fs::set_permissions(cluster.directory.path(), PermissionsExt::from_mode(0o755))
            .expect("open the directory");
        if let Some(owner) = cluster.owner {
            chown(cluster.directory.path(), Some(owner.uid), Some(owner.gid))
                .expect("hand the directory over");
        }
        cluster.initialise();
        cluster.restart().await;
        cluster
    }

    /// Process id of the running server.
    ///
    /// # Panics
    /// When the server does not run.
    pub fn pid(&self) -> u32 {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid")).expect("the server runs");
        file.lines().next().and_then(|pid| pid.parse().ok()).expect("its first line is the process id")
    }

    /// A superuser's URL of its `postgres` database.
    pub fn url(&self) -> String {
        format!("postgres://forge@127.0.0.1:{}/postgres", self.port)
    }

    /// Where it listens.
    pub fn address(&self) -> std::net::SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Where it writes its log.
    pub fn log(&self) -> PathBuf {
        self.directory.path().join("server.log")
    }

    /// Stops it as a crash does: no checkpoint, sessions cut (`pg_ctl stop -m immediate`).
    pub fn crash(&self) {
        self.control(&["stop", "-m", "immediate"]);
    }

    /// Starts it again and waits until it has recovered.
    pub async fn restart(&self) {
        let log = self.log();
        self.control(&["start", "-W", "-l", log.to_str().expect("a UTF-8 path")]);
        let url = self.url();
        until("Postgres accepts connections", RECOVERY_LIMIT, || async {
            PgConnection::connect(&url).await.ok()
        })
        .await;
    }

    /// Makes the next start one of a standby, which takes no writes until it is promoted.
    pub fn make_standby(&self) {
        let file = self.data().join("standby.signal");
        std::fs::write(&file, "").expect("write standby.signal");
        if let Some(owner) = self.owner {
            chown(&file, Some(owner.uid), Some(owner.gid)).expect("hand standby.signal over");
        }
    }

    fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    fn initialise(&self) {
        let data = self.data();
        match std::env::var_os("FORGE_TEST_POSTGRES_TEMPLATE") {
            Some(template) => self.run(self.command("cp").arg("-a").arg(template).arg(&data)),
            None => {
                let initdb = self.binaries.join("initdb");
                let options = ["-U", "forge", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "-D"];
                self.run(self.command(&initdb).args(options).arg(&data));
            }
        }
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{}'\nmax_connections = 200\nshared_buffers = '64MB'\n",
            self.port,
            self.directory.path().display()
        );
        let file = data.join("postgresql.conf");
        let previous = std::fs::read_to_string(&file).expect("initdb writes postgresql.conf");
        std::fs::write(&file, previous + &settings).expect("write postgresql.conf");
    }

    fn control(&self, arguments: &[&str]) {
        self.run(
            self.command(self.binaries.join("pg_ctl")).args(arguments).arg("-s").arg("-D").arg(self.data()),
        );
    }

    fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        if let Some(owner) = self.owner {
            command.uid(owner.uid).gid(owner.gid);
        }
        command.current_dir(self.directory.path());
        command
    }

    fn run(&self, command: &mut Command) {
        // The server inherits these streams, so they must not be pipes that somebody waits on.
        let log = std::fs::File::create(self.directory.path().join("command.log")).expect("make a log");
        let status = command.stdout(log.try_clone().expect("share the log")).stderr(log).status();
        let status = status.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let said = || std::fs::read_to_string(self.directory.path().join("command.log")).unwrap_or_default();
        assert!(status.success(), "{command:?}: {status}\n{}", said());
    }
}

impl Drop for PostgresProcess {
    fn drop(&mut self) {
        if self.data().join("postmaster.pid").exists() {
            self.control(&["stop", "-m", "immediate"]);
        }
    }
}

/// The folder of the server's programs.
pub fn postgres_binaries() -> PathBuf {
    if let Some(folder) = std::env::var_os("FORGE_TEST_POSTGRES_BIN") {
        return folder.into();
    }
    let found = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path().join("bin"));
    found
        .filter(|folder| folder.join("initdb").exists())
        .max()
        .expect("Postgres server binaries; `tests/run` installs them")
}

fn account() -> Account {
    let users = std::fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let find = |name: &str| {
        let fields: Vec<&str> =
            users.lines().find(|line| line.split(':').next() == Some(name))?.split(':').collect();
        Some(Account { uid: fields[2].parse().ok()?, gid: fields[3].parse().ok()? })
    };
    find("postgres").or_else(|| find("nobody")).expect("a user that may run Postgres")
}

/// A port that is free now and that no outgoing connection takes: below the ephemeral range.
pub fn free_port() -> u16 {
    let seed = (uuid::Uuid::new_v4().as_u128() % 10_000) as u16;
    let candidates = (0..1_000).map(|step| 10_000 + (seed + step * 7) % 10_000);
    let mut free = candidates.filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    free.next().expect("one of a thousand ports is free")
}
