//! The embedded Postgres of a folder: made once, shared by nodes, started again after a crash, fetched where
//! there is none.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use forge_actors::db::config::DatabaseConfig;
use forge_actors::db::database::Database;
use forge_actors::db::embedded::actor::{Handover, Postgres};
use forge_actors::db::embedded::binaries::SearchPath;
use forge_actors::db::embedded::error::EmbeddedError;
use forge_actors::db::embedded::progress::EmbeddedProgress;
use forge_actors::db::embedded::server::Embedded;
use forge_actors::db::embedded::user::ServerUser;
use forge_actors::db::monitor::Monitor;
use forge_actors::db::transaction::TransactionOptions;
use forge_actors::kernel::fault::Code;
use forge_actors::supervise::{ChildSpec, Root, Strategy, SupervisorSpec, Tree};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::cluster::until;

const LIMIT: Duration = Duration::from_secs(30);
const ROOT: &str = "FORGE_TEST_EMBEDDED_ROOT";

/// A project folder that the server's user can enter.
fn project() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::Builder::new().prefix("forge-embedded").tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let root = folder.path().join(".forge");
    (folder, root)
}

async fn start(root: &Path) -> Embedded {
    Embedded::start(root, None, &|_| {}).await.unwrap()
}

async fn connect(embedded: &Embedded) -> PgConnection {
    embedded.options().connect().await.unwrap()
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_is_made_once_and_keeps_its_data() {
    let (_folder, root) = project();
    let first = start(&root).await;
    assert!(first.is_fresh() && first.is_owner());
    let mut connection = connect(&first).await;
    sqlx::raw_sql("CREATE TABLE t (id int); INSERT INTO t VALUES (7)")
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    if rustix::process::geteuid().is_root() {
        let owner = std::fs::metadata(format!("/proc/{}", first.pid())).unwrap().uid();
        assert_ne!(owner, 0, "the server does not run as root");
        assert_eq!(std::fs::metadata(first.data()).unwrap().mode() & 0o777, 0o700);
    }
    let pid = first.pid();
    first.stop().await.unwrap();
    assert!(!is_alive(pid), "the last node stops the server");
    let second = start(&root).await;
    assert!(!second.is_fresh());
    let mut connection = PgConnection::connect(&second.url()).await.unwrap();
    assert_eq!(sqlx::query_scalar::<_, i32>("SELECT id FROM t").fetch_one(&mut connection).await.unwrap(), 7);
    drop(connection);
    second.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_are_private_and_the_log_holds_no_values() {
    let (_folder, root) = project();
    let embedded = start(&root).await;
    let mut connection = connect(&embedded).await;
    let fails = [
        "CREATE TABLE t (email text PRIMARY KEY, age int CHECK (age > 0))",
        "INSERT INTO t VALUES ('ana@secret', 1)",
        "INSERT INTO t VALUES ('ana@secret', 2)",
        "INSERT INTO t VALUES ('bob@secret', -1)",
        "SELECT 'bob@secret'::int",
        "DO $$ BEGIN RAISE EXCEPTION 'eve@secret'; END $$",
        "DO $$ BEGIN RAISE WARNING 'eve@secret'; END $$",
    ];
    let mut failed = 0;
    for statement in fails {
        failed += usize::from(sqlx::raw_sql(statement).execute(&mut connection).await.is_err());
    }
    assert_eq!(failed, 4);
    connection.close().await.unwrap();
    let log = std::fs::read_to_string(root.join("postgres.log")).unwrap();
    assert!(log.contains("ready to accept connections"), "it still says what the server does:\n{log}");
    assert!(!log.contains("@secret"), "{log}");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&root).unwrap() {
        let path = entry.unwrap().path();
        let mode = std::fs::symlink_metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{} {mode:o}", path.display());
        names.push(path.file_name().unwrap().to_string_lossy().into_owned());
    }
    for name in ["db.json", "nodes.lock", "pg", "postgres.lock", "postgres.log", "run"] {
        assert!(names.iter().any(|found| found == name), "no {name}: {names:?}");
    }
    assert_eq!(std::fs::metadata(&root).unwrap().mode() & 0o066, 0);
    embedded.stop().await.unwrap();
}

/// Tasks that write one row after the other, until they are stopped.
struct RowWriters {
    tasks: Vec<JoinHandle<Vec<i32>>>,
    counts: Arc<WriteCounts>,
    stop: CancellationToken,
}

#[derive(Debug, Default)]
struct WriteCounts {
    next_id: AtomicI32,
    acknowledged: AtomicU32,
    unavailable: AtomicU32,
    unknown: AtomicU32,
}

impl RowWriters {
    fn start(database: &Database, count: usize) -> Self {
        let (counts, stop) = (Arc::<WriteCounts>::default(), CancellationToken::new());
        let writer = || tokio::spawn(write(database.clone(), counts.clone(), stop.clone()));
        Self { tasks: std::iter::repeat_with(writer).take(count).collect(), counts, stop }
    }

    /// Waits until this many more writes are acknowledged.
    async fn await_more(&self, count: u32) {
        let acknowledged = || self.counts.acknowledged.load(Ordering::Relaxed);
        let goal = acknowledged() + count;
        until("writes are acknowledged", LIMIT, async || acknowledged() >= goal).await;
    }

    /// The ids whose writes were acknowledged.
    async fn stop(self) -> (Vec<i32>, Arc<WriteCounts>) {
        self.stop.cancel();
        let mut acknowledged = Vec::new();
        for task in self.tasks {
            acknowledged.extend(task.await.unwrap());
        }
        (acknowledged, self.counts)
    }
}

async fn write(database: Database, counts: Arc<WriteCounts>, stop: CancellationToken) -> Vec<i32> {
    let mut acknowledged = Vec::new();
    while !stop.is_cancelled() {
        let id = counts.next_id.fetch_add(1, Ordering::Relaxed);
        let outcome = async {
            let transaction = database.begin(TransactionOptions::new("write", LIMIT)).await?;
            sqlx::query("INSERT INTO t VALUES ($1)").bind(id).execute(&transaction.db()).await?;
            transaction.commit().await
        };
        let count = match outcome.await.map_err(|fault| fault.code()) {
            Ok(_) => {
                acknowledged.push(id);
                &counts.acknowledged
            }
            Err(Code::OutcomeUnknown) => &counts.unknown,
            Err(Code::Unavailable) => &counts.unavailable,
            Err(other) => panic!("{other}"),
        };
        count.fetch_add(1, Ordering::Relaxed);
        // An outage answers at once; a loop without a pause would only count its own turns.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_started_again_by_its_actor_and_no_acknowledged_write_is_lost() {
    let (_folder, root) = project();
    let embedded = start(&root).await;
    let mut connection = connect(&embedded).await;
    sqlx::raw_sql("CREATE TABLE t (id int PRIMARY KEY)").execute(&mut connection).await.unwrap();
    drop(connection);
    let database = Database::new(embedded.options(), DatabaseConfig::default(), "test");
    let pid = embedded.pid();
    let keeper = Postgres { root: root.clone(), watchdog: None, handover: Handover::new(embedded) };
    let (postgres, _address) = ChildSpec::actor("postgres", move || keeper.clone());
    let spec = SupervisorSpec::new(Strategy::OneForOne, vec![postgres, Monitor::child(database.clone())]);
    let tree = Root::start("database", spec, Arc::new(Tree::default())).await.unwrap();

    let writers = RowWriters::start(&database, 8);
    writers.await_more(100).await;
    let mut state = database.state();
    signal(pid, Signal::KILL);
    let killed = Instant::now();
    tokio::time::timeout(LIMIT, state.wait_for(|state| !state.is_up())).await.unwrap().unwrap();
    let noticed = killed.elapsed();
    tokio::time::timeout(LIMIT, state.wait_for(|state| state.is_up())).await.unwrap().unwrap();
    let back = killed.elapsed();
    writers.await_more(100).await;
    let (acknowledged, counts) = writers.stop().await;
    let there: Vec<i32> =
        sqlx::query_scalar("SELECT id FROM t ORDER BY id").fetch_all(&database.reader()).await.unwrap();
    let lost = acknowledged.iter().filter(|id| there.binary_search(id).is_err()).count();
    println!(
        "noticed after {noticed:?}, back after {back:?}; {} acknowledged, {lost} lost, {counts:?}",
        acknowledged.len(),
    );
    assert_eq!(lost, 0);
    assert!(counts.unavailable.load(Ordering::Relaxed) > 0, "no write met the outage");
    database.close().await;
    tree.stop(LIMIT).await.unwrap();
}

/// Another process that uses the database of `root`. Killed when dropped.
struct Node {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Node {
    fn start(root: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "store::embedded::a_node_as_a_process", "--nocapture"]).env(ROOT, root);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (stdin, lines) = (child.stdin.take(), BufReader::new(child.stdout.take().unwrap()).lines());
        Self { child, stdin, lines }
    }

    /// The next word that the process says about itself: `owner <pid>` or `follower <pid>`.
    fn says(&mut self) -> (bool, i32) {
        loop {
            let line = self.lines.next().expect("the process ended").unwrap();
            // The test harness writes its own words on the same line.
            if let Some((_, said)) = line.split_once("node: ") {
                let (role, pid) = said.split_once(' ').unwrap();
                return (role == "owner", pid.parse().unwrap());
            }
        }
    }

    fn stop(mut self) {
        drop(self.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // Fails for a process that ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs in a process of its own, for the tests below; without its variable there is nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_as_a_process() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let mut embedded = start(Path::new(&root)).await;
    let say = |embedded: &Embedded| {
        println!("node: {} {}", if embedded.is_owner() { "owner" } else { "follower" }, embedded.pid());
        std::io::stdout().flush().unwrap();
    };
    say(&embedded);
    let mut input = tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new()));
    let mut ticks = tokio::time::interval(Duration::from_millis(50));
    loop {
        tokio::select! {
            _ = &mut input => break,
            _ = ticks.tick() => {}
        }
        let before = (embedded.is_owner(), embedded.pid());
        if embedded.check().is_err() {
            drop(embedded);
            embedded = start(Path::new(&root)).await;
        }
        if before != (embedded.is_owner(), embedded.pid()) {
            say(&embedded);
        }
    }
    embedded.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_share_a_server_that_survives_their_deaths_and_stops_with_the_last() {
    let (_folder, root) = project();
    let mut first = Node::start(&root);
    let (owner, server) = first.says();
    assert!(owner);
    let mut second = Node::start(&root);
    assert_eq!(second.says(), (false, server), "the second uses the server of the first");
    drop(first);
    assert_eq!(
        second.says(),
        (true, server),
        "it takes over after kill -9 of the first, and adopts the server"
    );
    let mut third = Node::start(&root);
    assert_eq!(third.says(), (false, server));
    signal(server, Signal::KILL);
    let (owner, restarted) = second.says();
    assert!(owner && restarted != server, "a killed server is started again");
    second.stop();
    assert_eq!(third.says(), (true, restarted), "an owner that leaves in order hands over");
    assert!(is_alive(restarted));
    third.stop();
    assert!(!is_alive(restarted), "the last one stops it");
    let mut again = Node::start(&root);
    let (_, server) = again.says();
    drop(again);
    assert!(is_alive(server), "without a watchdog, kill -9 of the only node leaves the server running");
    let adopting = start(&root).await;
    assert!(adopting.is_owner() && adopting.pid() == server, "the next start adopts it");
    adopting.stop().await.unwrap();
    assert!(!is_alive(server));
}

/// A program that is called like the server and is none, as a user of the server's. Killed when dropped.
struct Namesake(Child);

impl Namesake {
    fn start(folder: &Path, data: &Path) -> Self {
        let program = folder.join("postgres");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut command = Command::new(program);
        let owner = std::fs::metadata(data).unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::process::CommandExt::uid(&mut command, owner.uid());
        }
        Self(command.arg("600").spawn().unwrap())
    }

    fn pid(&self) -> i32 {
        self.0.id().try_into().unwrap()
    }
}

impl Drop for Namesake {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_lock_file_that_names_another_program_is_no_server() {
    let (folder, root) = project();
    let embedded = start(&root).await;
    let (data, pid) = (embedded.data().to_owned(), embedded.pid());
    let lock = std::fs::read_to_string(data.join("postmaster.pid")).unwrap();
    embedded.stop().await.unwrap();
    let namesake = Namesake::start(folder.path(), &data);
    // The lock file of a server that was killed, whose process id another program has by now.
    let stale = lock.replacen(&pid.to_string(), &namesake.pid().to_string(), 1);
    std::fs::write(data.join("postmaster.pid"), stale).unwrap();
    let owner = std::fs::metadata(&data).unwrap();
    std::os::unix::fs::chown(data.join("postmaster.pid"), Some(owner.uid()), Some(owner.gid())).unwrap();

    let again = start(&root).await;
    assert_ne!(again.pid(), namesake.pid(), "the other program is not adopted");
    connect(&again).await.close().await.unwrap();
    again.stop().await.unwrap();
    assert!(is_alive(namesake.pid()), "the other program is sent no signal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_without_postgres_fetches_one() {
    let (folder, root) = project();
    let cache = folder.path().join("cache");
    let search = SearchPath {
        forced: None,
        path: Vec::new(),
        project: folder.path().to_owned(),
        cache,
        system: Vec::new(),
    };
    let commands = std::sync::Mutex::new(Vec::new());
    let progress = |progress: EmbeddedProgress<'_>| {
        if let EmbeddedProgress::Fetching { command } = progress {
            commands.lock().unwrap().push(command.to_owned());
        }
    };
    let embedded =
        Embedded::start_with(&root, &search, &ServerUser::choose(), None, &progress).await.unwrap();
    println!("{:?} brought Postgres {}", commands.lock().unwrap(), embedded.version());
    let mut connection = connect(&embedded).await;
    assert_eq!(sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&mut connection).await.unwrap(), 1);
    drop(connection);
    embedded.stop().await.unwrap();
    // The cluster is of that version now, and the system's may be another.
    let forced = SearchPath { forced: Some(PathBuf::from("/nowhere")), ..search };
    let refused = Embedded::start_with(&root, &forced, &ServerUser::choose(), None, &|_| {}).await;
    assert!(matches!(refused, Err(EmbeddedError::NoBinaries { .. })), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_of_another_version_is_refused_in_words() {
    let (_folder, root) = project();
    let embedded = start(&root).await;
    let data = embedded.data().to_owned();
    embedded.stop().await.unwrap();
    std::fs::write(data.join("PG_VERSION"), "13\n").unwrap();
    let refused = Embedded::start(&root, None, &|_| {}).await;
    assert!(matches!(refused, Err(EmbeddedError::OtherVersion { data: 13, .. })), "{refused:?}");
}
