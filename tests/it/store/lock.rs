//! Advisory locks: they exclude, a drop or a crash frees them, and waiting for one has a limit.

use std::time::{Duration, Instant};

use forge_actors::db::advisory_lock::{AdvisoryLock, LockKey, lock_transaction, try_lock_transaction};
use forge_actors::db::error::DatabaseError;
use forge_actors::db::transaction::TransactionOptions;
use forge_actors::kernel::fault::Code;

use sqlx::postgres::PgConnectOptions;

use super::cluster::{Scratch, until};

const LIMIT: Duration = Duration::from_secs(5);

async fn take(scratch: &Scratch, wait: Duration) -> Result<AdvisoryLock, DatabaseError> {
    AdvisoryLock::acquire(&scratch.database, LockKey::application("test"), wait, |_| {}).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_lock_excludes_and_is_free_after_release_and_after_drop() {
    let scratch = Scratch::new().await;
    let mut held = take(&scratch, Duration::ZERO).await.unwrap();
    assert!(held.is_held().await);
    held.verify(&scratch.database).await.unwrap();
    assert!(matches!(
        take(&scratch, Duration::from_millis(200)).await,
        Err(DatabaseError::LockTimeout { .. })
    ));
    held.release().await.unwrap();
    let dropped = take(&scratch, Duration::ZERO).await.unwrap();
    drop(dropped);
    let started = Instant::now();
    let again = take(&scratch, LIMIT).await.unwrap();
    println!("free {:?} after its guard was dropped", started.elapsed());
    again.release().await.unwrap();
    until("one session is pooled", LIMIT, async || {
        scratch.sessions("application_name LIKE '%locks'").await >= 1
    })
    .await;
    assert_eq!(scratch.sessions("EXISTS (SELECT FROM pg_locks l WHERE l.pid = pg_stat_activity.pid AND l.locktype = 'advisory')").await, 0);
    scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_lock_waits_for_its_limit_only_and_leaves_the_limit_as_it_was() {
    let scratch = Scratch::new().await;
    let key = LockKey::application("test");
    let options = TransactionOptions::new("lock", LIMIT);
    let first = scratch.database.begin(options).await.unwrap();
    lock_transaction(&first.db(), &key, LIMIT).await.unwrap();
    let limit: String =
        sqlx::query_scalar("SELECT current_setting('lock_timeout')").fetch_one(&first.db()).await.unwrap();
    assert_eq!(limit, "0");
    let second = scratch.database.begin(options).await.unwrap();
    assert!(!try_lock_transaction(&second.db(), &key).await.unwrap());
    let started = Instant::now();
    let refused = lock_transaction(&second.db(), &key, Duration::from_millis(200)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Conflict);
    assert!(started.elapsed() < Duration::from_secs(2));
    second.rollback().await;
    first.commit().await.unwrap();
    assert!(
        lock_transaction(&scratch.database.reader(), &key, LIMIT).await.is_err(),
        "outside of a transaction it would hold nothing"
    );
    scratch.drop().await;
}

/// A pgbouncer in transaction mode in front of the test's server. Killed when dropped.
pub(super) struct Pooler {
    child: std::process::Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Pooler {
    /// `tests/run` has installed pgbouncer.
    pub(super) async fn start(scratch: &Scratch) -> Self {
        use std::os::unix::fs::PermissionsExt;
        let program = ["/usr/sbin/pgbouncer", "/usr/bin/pgbouncer"]
            .into_iter()
            .find(|path| std::path::Path::new(path).exists())
            .expect("pgbouncer is installed: `tests/run` does it, or `apt-get install pgbouncer`");
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (upstream, user) = (scratch.options().get_port(), scratch.options().get_username().to_owned());
        let users = folder.path().join("users.txt");
        std::fs::write(&users, format!("\"{user}\" \"\"\n")).unwrap();
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={upstream}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n\
             auth_type = trust\nauth_file = {}\npool_mode = transaction\nignore_startup_parameters = extra_float_digits\n",
            users.display()
        );
        let config = folder.path().join("pgbouncer.ini");
        std::fs::write(&config, text).unwrap();
        let mut command = std::process::Command::new(program);
        command.arg("-q").arg(&config);
        if rustix::process::geteuid().is_root() {
            command.args(["-u", "postgres"]);
        }
        let child = command.stderr(std::process::Stdio::null()).spawn().unwrap();
        until("pgbouncer listens", LIMIT, async || {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await;
        Self { child, port, _folder: folder }
    }

    /// The way to the database of `scratch` through the pooler.
    pub(super) fn options(&self, scratch: &Scratch) -> PgConnectOptions {
        scratch.options().host("127.0.0.1").port(self.port)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        // Fails for a process that ended, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_pooler_is_found_out() {
    let scratch = Scratch::new().await;
    let pooler = Pooler::start(&scratch).await;
    for round in 0..10 {
        let options = pooler.options(&scratch);
        let database = forge_actors::db::database::Database::new(options, Default::default(), "pooled");
        let mut lock =
            AdvisoryLock::acquire(&database, LockKey::application(&format!("round {round}")), LIMIT, |_| {})
                .await
                .unwrap();
        let verdict = lock.verify(&database).await;
        assert!(matches!(verdict, Err(DatabaseError::TransactionPooler { .. })), "{verdict:?}");
        if round == 0 {
            println!("{}", verdict.unwrap_err());
        }
    }
    drop(pooler);
    scratch.drop().await;
}
