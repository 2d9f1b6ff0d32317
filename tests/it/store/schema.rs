//! `schema/schema.sql` is what the migrations add up to. FORGE_UPDATE_SCHEMA=1 writes it anew.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::system::system_sets;

use super::cluster::Scratch;

/// The dump without what differs between versions of pg_dump.
fn normalised(dump: &str) -> String {
    let noise = ["--", "SET ", "SELECT pg_catalog.set_config", "\\restrict", "\\unrestrict"];
    let mut text = String::from("-- Written by a test from the migrations; do not edit.\n");
    for line in
        dump.lines().filter(|line| !line.is_empty() && !noise.iter().any(|noise| line.starts_with(noise)))
    {
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_dump_is_fresh() {
    let scratch = Scratch::new().await;
    let sets = system_sets();
    let runner =
        Runner { database: &scratch.database, sets: &sets, node: "test", lock_wait: Duration::from_secs(5) };
    runner.up(None, |_| {}).await.unwrap();
    let options = scratch.options();
    let url = format!(
        "postgres://{}@{}:{}/{}",
        options.get_username(),
        options.get_host(),
        options.get_port(),
        scratch.name
    );
    let dump =
        Command::new("pg_dump").args(["--schema-only", "--no-owner", "--no-privileges", &url]).output();
    match dump {
        Ok(dump) if dump.status.success() => {
            let fresh = normalised(&String::from_utf8(dump.stdout).unwrap());
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schema/schema.sql");
            if std::env::var_os("FORGE_UPDATE_SCHEMA").is_some() {
                std::fs::write(&path, &fresh).unwrap();
            }
            assert_eq!(
                fresh,
                std::fs::read_to_string(&path).unwrap(),
                "run the test once with FORGE_UPDATE_SCHEMA=1"
            );
        }
        other => println!("pg_dump does not fit this server: not compared ({other:?})"),
    }
    scratch.drop().await;
}
