//! Waiting for a database: what a person must mend fails at once, the rest after its patience.

use std::time::Duration;

use forge_actors::db::config::{DatabaseConfig, DatabaseUrl};
use forge_actors::db::database::Database;
use forge_actors::db::error::DatabaseError;
use forge_actors::db::monitor::wait_for;

use super::cluster::Scratch;

fn config(patience: Duration) -> DatabaseConfig {
    DatabaseConfig { start_timeout: patience, ..DatabaseConfig::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_person_can_mend_fails_at_once_and_the_rest_after_patience() {
    let scratch = Scratch::new().await;
    let port = scratch.options().get_port();
    let check = async |url: String| {
        let database = Database::new(
            DatabaseUrl::new(url).options().unwrap(),
            config(Duration::from_millis(600)),
            "test",
        );
        let tries = std::cell::Cell::new(0);
        let outcome = wait_for(&database, |_| tries.set(tries.get() + 1)).await;
        (outcome, tries.get())
    };
    let (good, tries) = check(format!("postgres://forge@127.0.0.1:{port}/{}", scratch.name)).await;
    assert!(good.is_ok() && tries == 0);
    let (missing, tries) = check(format!("postgres://forge@127.0.0.1:{port}/no_such_database")).await;
    assert!(matches!(missing, Err(DatabaseError::NoSuchDatabase { .. })) && tries == 0, "{missing:?}");
    let (refused, tries) = check(format!("postgres://nobody_known@127.0.0.1:{port}/{}", scratch.name)).await;
    assert!(matches!(refused, Err(DatabaseError::Refused { .. })) && tries == 0, "{refused:?}");
    let (away, tries) = check("postgres://forge@127.0.0.1:1/app".into()).await;
    assert!(matches!(away, Err(DatabaseError::Unreachable { .. })) && tries >= 2, "{away:?} after {tries}");
    let (host, _) = check("postgres://forge@no-such-host.invalid/app".into()).await;
    println!("{}", host.as_ref().unwrap_err());
    assert!(
        matches!(host, Err(DatabaseError::BadHost { .. } | DatabaseError::Unreachable { .. })),
        "{host:?}"
    );
    scratch.drop().await;
}
