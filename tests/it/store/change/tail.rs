//! Each commit is returned by exactly one poll, however long its transaction takes; a poll costs as much as
//! is new.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use forge_actors::change::{ChangeSet, Changed};
use forge_actors::db::handle::Db;
use forge_actors::kernel::commit::{Snapshot, TableId, Xid};
use sqlx::PgConnection;
use sqlx::postgres::types::Oid;

use super::{EVERYTHING, NOTHING, Stage};
use crate::store::cluster::execute;

const TABLES: usize = 24;
const WRITERS: usize = 6;
const TRANSACTIONS: usize = 60;

fn tables() -> String {
    (0..TABLES).map(|n| format!("CREATE TABLE t{n} (id int);")).collect()
}

async fn stage() -> Stage {
    let names: Vec<String> = (0..TABLES).map(|n| format!("t{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    Stage::with(&tables(), &names).await
}

/// Rows of the outbox that the transaction has fetched so far, and perhaps earlier ones of its session.
async fn fetched(db: &Db) -> i64 {
    let sql = "SELECT coalesce(sum(idx_tup_fetch + seq_tup_read), 0)::int8 FROM pg_stat_xact_user_tables \
        WHERE relname = 'forge_changes'";
    sqlx::query_scalar(sql).fetch_one(db).await.unwrap()
}

/// Small and repeatable: splitmix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// Writes, holds, takes back, commits; answers what each committed transaction wrote.
async fn write(mut connection: PgConnection, seed: u64) -> Vec<(Xid, BTreeSet<usize>)> {
    let mut dice = Dice(seed);
    let mut committed = Vec::new();
    for _ in 0..TRANSACTIONS {
        let mut wrote = BTreeSet::new();
        execute(&mut connection, "BEGIN").await;
        for _ in 0..=dice.below(3) {
            let table = dice.below(TABLES as u64) as usize;
            let kept = dice.below(4) > 0;
            let insert = format!("INSERT INTO t{table} VALUES (1)");
            if kept {
                execute(&mut connection, &insert).await;
                wrote.insert(table);
            } else {
                execute(&mut connection, &format!("SAVEPOINT a; {insert}; ROLLBACK TO a")).await;
            }
            // Others overtake.
            for _ in 0..dice.below(8) {
                execute(&mut connection, "SELECT 1").await;
            }
        }
        let xid: String =
            sqlx::query_scalar("SELECT pg_current_xact_id()::text").fetch_one(&mut connection).await.unwrap();
        let commits = dice.below(5) > 0;
        execute(&mut connection, if commits { "COMMIT" } else { "ROLLBACK" }).await;
        if commits {
            committed.push((Xid(xid.parse().unwrap()), wrote));
        }
    }
    committed
}

/// Polls, one transaction or one statement each, until the writers are done, and once more.
async fn follow(stage: &mut Stage, running: Arc<AtomicUsize>) -> Vec<ChangeSet> {
    let database = stage.database().clone();
    let mut polls = vec![stage.tail.read(&database.reader()).await.unwrap()];
    loop {
        let done = running.load(Ordering::Acquire) == 0;
        if polls.len().is_multiple_of(2) {
            polls.push(stage.tail.read(&database.reader()).await.unwrap());
        } else {
            let tick = database.snapshot("tick", Duration::from_secs(5)).await.unwrap();
            polls.push(stage.tail.read(&tick.db()).await.unwrap());
            tick.rollback().await;
        }
        if done {
            return polls;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_commit_is_returned_by_the_poll_that_first_sees_it() {
    let mut stage = stage().await;
    let names: Vec<String> = (0..TABLES).map(|n| format!("t{n}")).collect();
    let oids: Vec<Oid> = sqlx::query_scalar(
        "SELECT name::regclass::oid FROM unnest($1::text[]) WITH ORDINALITY AS t(name, n) ORDER BY n",
    )
    .bind(names)
    .fetch_all(&mut stage.outside)
    .await
    .unwrap();
    // Open from before the first poll until after the last.
    let mut slow = stage.scratch.connect().await;
    execute(&mut slow, "BEGIN; INSERT INTO t0 VALUES (1)").await;
    let running = Arc::new(AtomicUsize::new(WRITERS));
    let mut writers = tokio::task::JoinSet::new();
    for seed in 0..WRITERS {
        let connection = stage.scratch.connect().await;
        let running = Arc::clone(&running);
        writers.spawn(async move {
            let committed = write(connection, seed as u64 + 1).await;
            running.fetch_sub(1, Ordering::AcqRel);
            committed
        });
    }
    let polls = follow(&mut stage, running).await;
    let mut committed: BTreeMap<Xid, BTreeSet<usize>> = BTreeMap::new();
    while let Some(written) = writers.join_next().await {
        committed.extend(written.unwrap());
    }
    let mut tellings = 0;
    for pair in polls.windows(2) {
        let [before, now] = pair else { unreachable!("windows of two") };
        let new = |xid: &Xid| now.snapshot.contains(*xid) && !before.snapshot.contains(*xid);
        let expected: BTreeSet<TableId> = committed
            .iter()
            .filter(|(xid, _)| new(xid))
            .flat_map(|(_, tables)| tables)
            .map(|table| TableId(oids[*table].0))
            .collect();
        tellings += expected.len();
        assert_eq!(
            now.changed,
            Changed::Tables(expected),
            "between {} and {}",
            before.snapshot,
            now.snapshot
        );
    }
    let last = &polls.last().unwrap().snapshot;
    assert!(committed.keys().all(|xid| last.contains(*xid)), "the last poll saw every commit");
    assert!(
        committed.len() > WRITERS * TRANSACTIONS / 2 && polls.len() > 10 && tellings > 0,
        "{} commits, {} polls",
        committed.len(),
        polls.len()
    );
    assert_eq!(stage.poll().await, NOTHING);
    execute(&mut slow, "COMMIT").await;
    assert_eq!(stage.poll().await, "t0");
    drop(slow);
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_transaction_delays_no_other_commit_and_costs_nothing() {
    let mut stage = stage().await;
    let mut slow = stage.scratch.connect().await;
    execute(&mut slow, "BEGIN; INSERT INTO t1 VALUES (1)").await;
    stage.check("INSERT INTO t2 VALUES (1)", "t2").await;
    // What came since it began is not read again with every poll.
    stage
        .run("INSERT INTO forge_changes (tbl, op) SELECT 't3'::regclass, 'I' FROM generate_series(1, 10000)")
        .await;
    let database = stage.database().clone();
    let tick = database.snapshot("tick", Duration::from_secs(5)).await.unwrap();
    let before = fetched(&tick.db()).await;
    stage.tail.read(&tick.db()).await.unwrap();
    let first = fetched(&tick.db()).await;
    assert!(first - before >= 10_000, "{before} {first}");
    tick.rollback().await;
    let tick = database.snapshot("tick", Duration::from_secs(5)).await.unwrap();
    let before = fetched(&tick.db()).await;
    for _ in 0..100 {
        assert_eq!(stage.tail.read(&tick.db()).await.unwrap().changed, Changed::Tables(BTreeSet::new()));
    }
    assert_eq!(fetched(&tick.db()).await, before, "100 polls at nothing new");
    tick.rollback().await;
    execute(&mut slow, "COMMIT").await;
    assert_eq!(stage.poll().await, "t1");
    drop(slow);
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_belongs_to_the_snapshot_of_its_transaction() {
    let mut stage = stage().await;
    let tick = stage.database().snapshot("tick", Duration::from_secs(5)).await.unwrap();
    sqlx::query("SELECT 1").execute(&tick.db()).await.unwrap();
    stage.run("INSERT INTO t4 VALUES (1)").await;
    let ChangeSet { snapshot, changed } = stage.tail.read(&tick.db()).await.unwrap();
    assert_eq!(changed, Changed::Tables(BTreeSet::new()), "its other statements do not see it either");
    let same: String =
        sqlx::query_scalar("SELECT pg_current_snapshot()::text").fetch_one(&tick.db()).await.unwrap();
    assert_eq!(snapshot, same.parse::<Snapshot>().unwrap());
    tick.rollback().await;
    assert_eq!(stage.poll().await, "t4");
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_fails_or_is_taken_back_loses_nothing() {
    let mut stage = stage().await;
    stage.run("INSERT INTO t5 VALUES (1)").await;
    let before = stage.tail.clone();
    stage.run("ALTER FUNCTION forge_read_changes RENAME TO away").await;
    assert!(stage.tail.read(&stage.scratch.database.reader()).await.is_err());
    stage.run("ALTER FUNCTION away RENAME TO forge_read_changes").await;
    assert_eq!(stage.poll().await, EVERYTHING, "a function changed, and a table");
    stage.tail = before;
    stage.run("INSERT INTO t6 VALUES (1)").await;
    assert_eq!(stage.poll().await, EVERYTHING, "the clone had not seen it");
    stage.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_poll_reads_is_everything_once() {
    let mut stage = stage().await;
    let many = |rows: u32| {
        format!(
            "INSERT INTO forge_changes (tbl, op) SELECT 't7'::regclass, 'I' FROM generate_series(1, {rows})"
        )
    };
    stage.check(&many(20_000), "t7").await;
    stage.check(&many(20_001), EVERYTHING).await;
    stage.check("INSERT INTO t7 VALUES (1)", "t7").await;
    stage.drop().await;
}
