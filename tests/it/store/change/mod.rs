//! Change capture against a real Postgres: what is captured, what a poll returns, what is swept, what models
//! get.

mod captures;
mod corpus;
mod definitions;
mod keys;
mod sweep;
mod tail;

use std::collections::BTreeSet;
use std::time::Duration;

use forge_actors::change::{Changed, Tail};
use forge_actors::db::database::Database;
use forge_actors::db::migrate::runner::Runner;
use forge_actors::db::migrate::system::system_sets;
use sqlx::postgres::types::Oid;
use sqlx::{AssertSqlSafe, PgConnection};

use super::cluster::{Scratch, execute};

/// A migrated database, a connection that Forge knows nothing of, and a reader of changes.
pub(crate) struct Stage {
    pub(crate) scratch: Scratch,
    pub(crate) outside: PgConnection,
    pub(crate) tail: Tail,
}

impl Stage {
    /// With these tables, all of them captured.
    pub(crate) async fn with(schema: &str, captured: &[&str]) -> Self {
        let scratch = Scratch::new().await;
        migrate(&scratch.database).await;
        let mut outside = scratch.connect().await;
        execute(&mut outside, schema).await;
        for table in captured {
            execute(&mut outside, &format!("SELECT forge_enable_reactivity('{table}')")).await;
        }
        let mut stage = Self { scratch, outside, tail: Tail::new() };
        assert_eq!(stage.poll().await, EVERYTHING, "the first poll");
        assert_eq!(stage.poll().await, NOTHING);
        stage
    }

    pub(crate) fn database(&self) -> &Database {
        &self.scratch.database
    }

    pub(crate) async fn run(&mut self, sql: &str) {
        execute(&mut self.outside, sql).await;
    }

    pub(crate) async fn value<T>(&mut self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Postgres> + sqlx::Type<sqlx::Postgres> + Send + Unpin,
    {
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut self.outside).await.unwrap()
    }

    /// What the next poll returns: names in order, or `everything`.
    pub(crate) async fn poll(&mut self) -> String {
        let changed = self.tail.read(&self.scratch.database.reader()).await.unwrap().changed;
        named(&mut self.outside, changed).await
    }

    /// Runs `sql` and compares what the next poll returns.
    pub(crate) async fn check(&mut self, sql: &str, expected: &str) {
        self.run(sql).await;
        assert_eq!(self.poll().await, expected, "{sql}");
        assert_eq!(self.poll().await, NOTHING, "reported twice: {sql}");
    }

    pub(crate) async fn drop(self) {
        drop(self.outside);
        self.scratch.drop().await;
    }
}

pub(crate) const EVERYTHING: &str = "everything";
pub(crate) const NOTHING: &str = "";

pub(crate) async fn migrate(database: &Database) {
    let sets = system_sets();
    let runner = Runner { database, sets: &sets, node: "test", lock_wait: Duration::from_secs(30) };
    runner.up(None, |_| {}).await.unwrap();
}

async fn named(connection: &mut PgConnection, changed: Changed) -> String {
    let Changed::Tables(tables) = changed else { return EVERYTHING.to_owned() };
    let oids: Vec<Oid> = tables.iter().map(|table| Oid(table.0)).collect();
    let names: Vec<String> = sqlx::query_scalar("SELECT oid::regclass::text FROM unnest($1::oid[]) AS oid")
        .bind(oids)
        .fetch_all(connection)
        .await
        .unwrap();
    BTreeSet::from_iter(names).into_iter().collect::<Vec<_>>().join(" ")
}
