//! Soundness: awkward SQL, each piece as a live query, and a write that changes its result. Every write
//! moves a fence in its own transaction, to which the client subscribes as well. All results of a client
//! advance together, so when the new fence is delivered, the result must be the new one.

use forge_actors::app::Handler;
use serde_json::{Value, json};

use super::queries::{FailingInside, Rows, RowsAsReader, RowsNested};
use super::stage::{Page, Stage};

const SCHEMA: &str = include_str!("corpus.sql");

/// A query and writes that change its result, one after the other.
struct Entry {
    name: &'static str,
    query: &'static str,
    writes: &'static [&'static str],
}

macro_rules! corpus {
    ($($name:literal: $query:literal => $($write:literal),+;)+) => {
        &[$(Entry { name: $name, query: $query, writes: &[$($write),+] }),+]
    };
}

/// Queries whose tables are captured: the result arrives with the fence.
const CAPTURED: &[Entry] = corpus! {
    "table": "TABLE orders" => "INSERT INTO orders VALUES (10, 1, 5)",
        "UPDATE orders SET amount = 6 WHERE id = 10", "DELETE FROM orders WHERE id = 10";
    "one row by key": "SELECT amount FROM orders WHERE id = 11" => "INSERT INTO orders VALUES (11, 1, 5)",
        "UPDATE orders SET amount = 7 WHERE id = 11";
    "row by address": "SELECT count(*) FROM single WHERE ctid = '(0,1)'" => "TRUNCATE single";
    "join": "SELECT c.name, o.id FROM orders o JOIN customers c ON c.id = o.customer ORDER BY o.id"
        => "UPDATE customers SET name = 'join' WHERE id = 1";
    "self join": "SELECT count(*) FROM orders a, orders b WHERE a.id < b.id"
        => "INSERT INTO orders VALUES (12, 2, 5)";
    "outer join of an empty table": "SELECT count(e.id) FROM customers c LEFT JOIN empty e ON e.id = c.id"
        => "INSERT INTO empty VALUES (1)", "DELETE FROM empty";
    "view": "SELECT * FROM big_orders" => "INSERT INTO orders VALUES (13, 1, 500)";
    "nested view": "SELECT * FROM regional" => "INSERT INTO orders VALUES (14, 1, 700)",
        "UPDATE customers SET region = 'west' WHERE id = 1";
    "recursive view": "SELECT * FROM reach" => "INSERT INTO edges VALUES (3, 4)";
    "sql function, inlined": "SELECT * FROM orders_of(1)" => "INSERT INTO orders VALUES (15, 1, 1)";
    "sql function, not inlined": "SELECT total_strict(1)" => "INSERT INTO orders VALUES (16, 1, 1)";
    "sql function with a body of its own": "SELECT total_atomic(1)" => "INSERT INTO orders VALUES (17, 1, 1)";
    "plpgsql": "SELECT total_plpgsql(1)" => "INSERT INTO orders VALUES (18, 1, 1)",
        "INSERT INTO orders VALUES (19, 1, 1)";
    "plpgsql with a cursor": "SELECT total_cursor()" => "UPDATE orders SET amount = amount + 1 WHERE id = 1";
    "dynamic sql": "SELECT dynamic('customers')" => "INSERT INTO customers VALUES (50, 'x', 'x')";
    "dynamic sql, another branch":
        "SELECT dynamic(CASE WHEN EXISTS (SELECT FROM empty) THEN 'orders' ELSE 'customers' END)"
        => "INSERT INTO empty VALUES (7)", "INSERT INTO orders VALUES (20, 1, 1)", "DELETE FROM empty";
    "exception block": "SELECT in_exception_block(1)" => "UPDATE orders SET amount = 77 WHERE id = 1";
    "exception block, by index": "SELECT in_exception_block_by_index(9)"
        => "UPDATE customers SET name = 'nine' WHERE id = 9";
    "exception block over a view": "SELECT in_exception_block_view()"
        => "INSERT INTO orders VALUES (21, 1, 900)";
    "exception block over partitions": "SELECT in_exception_block_parts(15)"
        => "INSERT INTO parts VALUES (15, 'e')", "UPDATE parts SET text = 'f' WHERE k = 15";
    "exception block over an empty table": "SELECT in_exception_block_empty()"
        => "INSERT INTO empty VALUES (3)", "TRUNCATE empty";
    "exception that is the result": "SELECT divides(1)" => "UPDATE orders SET amount = 0 WHERE id = 1",
        "UPDATE orders SET amount = 2 WHERE id = 1";
    "shadowed by a common table":
        "WITH x AS (SELECT count(*) AS n FROM orders), orders AS (SELECT 1) SELECT x.n, (SELECT count(*) \
        FROM orders) FROM x" => "INSERT INTO orders VALUES (22, 1, 1)";
    "common table that nobody reads twice":
        "WITH x AS MATERIALIZED (SELECT amount FROM orders) SELECT max(amount) FROM x"
        => "INSERT INTO orders VALUES (23, 1, 9999)";
    "recursion":
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT e.target FROM edges e JOIN r ON e.source = r.n) \
        SELECT * FROM r ORDER BY n" => "INSERT INTO edges VALUES (4, 5)";
    "only the parent": "SELECT count(*) FROM ONLY animals" => "INSERT INTO animals VALUES (1)";
    "inherited": "SELECT count(*) FROM animals" => "INSERT INTO dogs VALUES (2, 'w')",
        "INSERT INTO animals VALUES (3)";
    "exists": "SELECT EXISTS (SELECT FROM empty)" => "INSERT INTO empty VALUES (4)", "DELETE FROM empty";
    "not in": "SELECT id FROM customers WHERE id NOT IN (SELECT customer FROM orders) ORDER BY id"
        => "INSERT INTO orders VALUES (24, 3, 1)";
    "scalar in a limit": "SELECT id FROM customers ORDER BY id LIMIT (SELECT count(*) FROM empty)"
        => "INSERT INTO empty VALUES (5)";
    "lateral":
        "SELECT c.id, o.n FROM customers c, LATERAL (SELECT count(*) AS n FROM orders o WHERE o.customer = \
        c.id) o ORDER BY c.id" => "INSERT INTO orders VALUES (25, 2, 1)";
    "rows from": "SELECT * FROM ROWS FROM (orders_of(1), generate_series(1, 2)) AS t"
        => "INSERT INTO orders VALUES (26, 1, 1)";
    "sample": "SELECT count(*) FROM orders TABLESAMPLE SYSTEM (100)"
        => "INSERT INTO orders VALUES (27, 1, 1)";
    "set operations": "SELECT id FROM orders INTERSECT SELECT id FROM customers ORDER BY id"
        => "INSERT INTO orders VALUES (9, 1, 1)";
    "window": "SELECT id, rank() OVER (ORDER BY amount DESC) FROM orders ORDER BY id"
        => "UPDATE orders SET amount = 100000 WHERE id = 2";
    "grouping sets": "SELECT customer, sum(amount) FROM orders GROUP BY ROLLUP (customer) ORDER BY customer"
        => "UPDATE orders SET amount = amount + 3 WHERE id = 2";
    "index only": "SELECT count(*) FROM customers WHERE id BETWEEN 100 AND 200"
        => "INSERT INTO customers VALUES (150, 'i', 'i')";
    "false at plan time": "SELECT count(*) FROM orders WHERE false OR amount < 0"
        => "INSERT INTO orders VALUES (28, 1, -1)";
    "cascade of a delete": "SELECT count(*) FROM items" => "DELETE FROM orders WHERE id = 3";
    "cascade of a delete, set null": "SELECT count(*) FROM remarks WHERE item IS NULL"
        => "DELETE FROM items WHERE id = 1";
    "cascade of an update": "SELECT order_id FROM items ORDER BY id"
        => "UPDATE orders SET id = 400 WHERE id = 4";
    "written by a trigger": "SELECT count(*) FROM audit" => "INSERT INTO customers VALUES (51, 'a', 'a')";
    "truncate": "SELECT count(*) FROM edges" => "TRUNCATE edges", "INSERT INTO edges VALUES (1, 2)";
    "copy": "SELECT count(*) FROM customers"
        => "COPY customers FROM PROGRAM 'printf ''70\\tc\\tc\\n71\\tc\\tc\\n'''";
    "merge": "SELECT * FROM customers WHERE id IN (72, 73) ORDER BY id"
        => "MERGE INTO customers c USING (VALUES (72)) v(id) ON c.id = v.id WHEN NOT MATCHED THEN INSERT \
        VALUES (v.id, 'm', 'm')",
        "MERGE INTO customers c USING (VALUES (72)) v(id) ON c.id = v.id WHEN MATCHED THEN UPDATE SET name = \
        'n'", "MERGE INTO customers c USING (VALUES (72)) v(id) ON c.id = v.id WHEN MATCHED THEN DELETE";
    "on conflict": "SELECT name FROM customers WHERE id = 74"
        => "INSERT INTO customers VALUES (74, 'o', 'o')",
        "INSERT INTO customers VALUES (74, 'p', 'o') ON CONFLICT (id) DO UPDATE SET name = excluded.name";
    "written in a common table": "SELECT count(*) FROM edges WHERE source = 90"
        => "WITH w AS (INSERT INTO edges VALUES (90, 1) RETURNING 1) SELECT count(*) FROM w";
    "parent of partitions, leaf written": "SELECT count(*) FROM parts"
        => "INSERT INTO parts_low VALUES (1, 'a')", "INSERT INTO parts_deep_a VALUES (101, 'a')";
    "leaf, parent written": "SELECT count(*) FROM parts_low" => "INSERT INTO parts VALUES (2, 'a')",
        "DELETE FROM parts WHERE k = 2";
    "pruned partition": "SELECT count(*) FROM parts WHERE k = 16" => "INSERT INTO parts_low VALUES (16, 'p')";
    "row that moves between partitions": "SELECT count(*) FROM parts_deep"
        => "INSERT INTO parts VALUES (3, 'm'); UPDATE parts SET k = 103 WHERE k = 3";
    "default partition": "SELECT count(*) FROM parts WHERE k > 1000"
        => "INSERT INTO parts VALUES (2000, 'd')";
    "attached partition": "SELECT count(*) FROM parts WHERE k BETWEEN 300 AND 399"
        => "CREATE TABLE parts_more (k int NOT NULL, text text); INSERT INTO parts_more VALUES (300, 'n'); \
        ALTER TABLE parts ATTACH PARTITION parts_more FOR VALUES FROM (300) TO (400)",
        "INSERT INTO parts_more VALUES (301, 'n')";
    "written as a replica": "SELECT count(*) FROM customers WHERE id = 75"
        => "SET LOCAL session_replication_role = replica; INSERT INTO customers VALUES (75, 'r', 'r')";
    "large rows": "SELECT md5(text) FROM large" => "UPDATE large SET text = repeat(md5('other'), 20000)";
    "view redefined": "SELECT * FROM changing" => "CREATE OR REPLACE VIEW changing AS SELECT 2 AS x",
        "CREATE OR REPLACE VIEW changing AS SELECT 100 + count(*)::int AS x FROM edges",
        "INSERT INTO edges VALUES (91, 1)";
    "function redefined": "SELECT redefined()"
        => "CREATE OR REPLACE FUNCTION redefined() RETURNS int LANGUAGE sql STABLE AS 'SELECT 2'",
        "CREATE OR REPLACE FUNCTION redefined() RETURNS int LANGUAGE sql STABLE AS 'SELECT 100 + \
        count(*)::int FROM edges'", "INSERT INTO edges VALUES (92, 1)";
    "column added": "SELECT to_jsonb(w) FROM widening w"
        => "ALTER TABLE widening ADD COLUMN more int DEFAULT 5", "UPDATE widening SET more = 6";
    "table that comes later": "SELECT late_count()"
        => "CREATE TABLE late (id int); INSERT INTO late VALUES (1); SELECT \
        forge_enable_reactivity('late')", "INSERT INTO late VALUES (2)";
    "truncate of the referenced": "SELECT count(*) FROM remarks"
        => "INSERT INTO orders VALUES (60, 1, 1); INSERT INTO items VALUES (60, 60); INSERT INTO remarks \
        VALUES (60, 60)", "TRUNCATE orders CASCADE";
    "materialised view": "SELECT * FROM frozen"
        => "INSERT INTO edges VALUES (93, 1); REFRESH MATERIALIZED VIEW frozen";
    "table that goes": "SELECT late_count()" => "DROP TABLE late";
};

/// Queries that read relations without capture: the result arrives with a refresh.
const UNTRACKED: &[Entry] = corpus! {
    "table without capture": "SELECT count(*) FROM uncaptured" => "INSERT INTO uncaptured VALUES (1)";
    "exception block over a table without capture": "SELECT in_exception_block_uncaptured()"
        => "INSERT INTO uncaptured VALUES (2)";
    "capture that comes later": "SELECT count(*) FROM uncaptured"
        => "SELECT forge_enable_reactivity('uncaptured'); INSERT INTO uncaptured VALUES (3)",
        "INSERT INTO uncaptured VALUES (4)";
    "sequence": "SELECT last_value FROM counter" => "SELECT nextval('counter'), nextval('counter')";
    "the server's own":
        "SELECT count(*) FROM pg_prepared_xacts UNION ALL SELECT count(*) FROM pg_roles WHERE rolname = \
        'forge_test_nobody' UNION ALL SELECT count(*) FROM pg_description WHERE description = 'seen'"
        => "COMMENT ON TABLE orders IS 'seen'";
};

/// Queries under policies that read another table.
const POLICIES: &[Entry] = corpus! {
    "policy with a subquery": "SELECT count(*) FROM guarded" => "INSERT INTO guards VALUES (1)",
        "INSERT INTO guarded VALUES (1)", "DELETE FROM guards";
};

struct Bench {
    stage: Stage,
    page: Page,
    fence: i64,
    next: u32,
}

const FENCE: u32 = 0;

impl Bench {
    async fn open() -> Self {
        let stage = Stage::open(SCHEMA).await;
        let page = stage.page();
        page.subscribe(FENCE, Rows { sql: "SELECT n FROM fence".into() });
        Self { stage, page, fence: 0, next: FENCE + 1 }
    }

    /// Subscribes to `query` and does its writes. After each write the client has to show what a fresh call
    /// returns.
    async fn check<H: Handler>(&mut self, entry: &Entry, query: impl Fn(String) -> H, fenced: bool) {
        let (name, id) = (entry.name, self.next);
        self.next += 1;
        let query = || query(entry.query.to_owned());
        let mut before = self.stage.call(query()).await;
        self.page.subscribe(id, query());
        self.page.until(|page| page.view.contains_key(&id)).await;
        assert_eq!(self.page.data(id), Some(before.clone()), "{name}: the first answer");
        for write in entry.writes {
            self.fence += 1;
            self.stage.write(&format!("BEGIN; {write}; UPDATE fence SET n = {}; COMMIT", self.fence)).await;
            let fresh = self.stage.call(query()).await;
            assert_ne!(fresh, before, "{name}: `{write}` changes nothing, so it proves nothing");
            if fenced {
                self.page.sees(FENCE, json!([{ "n": self.fence }])).await;
                assert_eq!(self.page.data(id), Some(fresh.clone()), "{name}: missed `{write}`");
            } else {
                self.page.sees(id, fresh.clone()).await;
            }
            before = fresh;
        }
        self.page.client.unsubscribe(forge_actors::reactor::SubscriptionId(id));
    }

    async fn close(self) {
        drop(self.page);
        self.stage.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_is_missed() {
    let mut bench = Bench::open().await;
    for entry in CAPTURED {
        bench.check(entry, |sql| Rows { sql }, true).await;
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_write_is_missed_in_calls_inside_of_calls() {
    let mut bench = Bench::open().await;
    for entry in CAPTURED {
        bench.check(entry, |sql| RowsNested { sql }, true).await;
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_read_too() {
    let mut bench = Bench::open().await;
    for entry in POLICIES {
        bench.check(entry, |sql| RowsAsReader { sql }, true).await;
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_trigger_captures_is_refreshed() {
    let mut bench = Bench::open().await;
    for entry in UNTRACKED {
        bench.check(entry, |sql| Rows { sql }, false).await;
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_inside_has_read_as_well() {
    let stage = Stage::open(super::consistency::ACCOUNTS).await;
    let mut page = stage.page();
    page.subscribe(1, FailingInside {});
    page.sees(1, Value::Bool(true)).await;
    stage.write("UPDATE accounts SET balance = 0 WHERE id = 1").await;
    page.sees(1, Value::Bool(false)).await;
    stage.write("UPDATE accounts SET balance = 5 WHERE id = 1").await;
    page.sees(1, Value::Bool(true)).await;
    drop(page);
    stage.close().await;
}

/// Pseudo-random numbers that are the same in each run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// Random writes against the whole corpus at once; at each fence every live result equals a fresh one.
#[tokio::test(flavor = "multi_thread")]
async fn after_random_writes_every_result_is_the_fresh_one() {
    let mut bench = Bench::open().await;
    let queries: Vec<&Entry> =
        CAPTURED.iter().filter(|entry| !entry.writes.iter().any(|write| defines(write))).collect();
    for (index, entry) in queries.iter().enumerate() {
        bench.page.subscribe(index as u32 + 1, Rows { sql: entry.query.into() });
    }
    // A first run holds up nothing, not even the fence.
    bench.page.until(|page| page.view.len() == queries.len() + 1).await;
    let mut numbers = Numbers(7);
    for round in 1..=40 {
        let mut writes = Vec::new();
        for _ in 0..=numbers.below(3) {
            writes.push(random_write(&mut numbers));
        }
        bench
            .stage
            .write(&format!("BEGIN; {}; UPDATE fence SET n = {round}; COMMIT", writes.join("; ")))
            .await;
        bench.page.sees(FENCE, json!([{ "n": round }])).await;
        for (index, entry) in queries.iter().enumerate() {
            let fresh = bench.stage.call(Rows { sql: entry.query.into() }).await;
            assert_eq!(
                bench.page.data(index as u32 + 1),
                Some(fresh),
                "round {round}, {}: missed one of {writes:?}",
                entry.name
            );
        }
    }
    bench.close().await;
}

fn defines(write: &str) -> bool {
    ["CREATE", "DROP", "ALTER"].iter().any(|word| write.contains(word))
}

fn random_write(numbers: &mut Numbers) -> String {
    let (id, other) = (numbers.below(40), numbers.below(40));
    match numbers.below(14) {
        0 => format!(
            "INSERT INTO orders VALUES ({id}, {}, {other}) ON CONFLICT (id) DO UPDATE SET amount = \
                excluded.amount",
            numbers.below(9) + 1
        ),
        1 => format!("UPDATE orders SET amount = amount + 1 WHERE id < {id}"),
        2 => format!("DELETE FROM orders WHERE id = {id}"),
        3 => format!("UPDATE customers SET region = 'r{other}' WHERE id = {}", numbers.below(9) + 1),
        4 => format!("INSERT INTO customers VALUES ({id}, 'n', 'n') ON CONFLICT DO NOTHING"),
        5 => format!("INSERT INTO edges VALUES ({}, {})", numbers.below(6), numbers.below(6)),
        6 => format!("DELETE FROM edges WHERE source = {}", numbers.below(6)),
        7 => format!("INSERT INTO parts VALUES ({}, 'x')", numbers.below(220)),
        8 => format!("UPDATE parts SET k = {} WHERE k = {}", numbers.below(220), numbers.below(220)),
        9 => "TRUNCATE empty".to_owned(),
        10 => format!("INSERT INTO empty VALUES ({id})"),
        11 => format!("INSERT INTO dogs VALUES ({id}, 'd')"),
        12 => format!("UPDATE large SET text = repeat(md5('{id}'), 20000)"),
        _ => format!("UPDATE customers SET name = 'n{other}' WHERE id = 9"),
    }
}
