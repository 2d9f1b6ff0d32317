//! Tracked columns: old and new values, few enough to be worth it, and never a write that fails for their
//! sake.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{EVERYTHING, NOTHING, Stage};

const SCHEMA: &str = "
    CREATE TABLE t (id int PRIMARY KEY, org int, \"Odd 'name\" text);
    CREATE TABLE twin (org bigint, id uuid, extra jsonb, \"Odd 'name\" text);
    CREATE TABLE ev (id int, org int) PARTITION BY RANGE (org);
";

struct Keys(Stage);

impl Keys {
    async fn new() -> Self {
        let mut stage = Stage::with(SCHEMA, &[]).await;
        stage.run("SELECT forge_enable_reactivity('t', '{org,id}'); DELETE FROM forge_changes").await;
        Self(stage)
    }

    /// What the rows since the last call say: table, operation, keys.
    async fn after(&mut self, sql: &str) -> Vec<(String, String, Option<Value>)> {
        self.0.run(sql).await;
        let taken = "WITH gone AS (DELETE FROM forge_changes WHERE op <> 'X' RETURNING *) \
                     SELECT tbl::regclass::text, op::text, keys FROM gone ORDER BY 1, 2, 3";
        sqlx::query_as(AssertSqlSafe(taken)).fetch_all(&mut self.0.outside).await.unwrap()
    }

    async fn check(&mut self, sql: &str, operation: &str, keys: Option<Value>) {
        assert_eq!(self.after(sql).await, [("t".to_owned(), operation.to_owned(), keys)], "{sql}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_and_new_values_are_kept() {
    let mut keys = Keys::new().await;
    keys.check(
        "INSERT INTO t VALUES (1, 7), (2, 7), (3, NULL)",
        "I",
        Some(json!({ "id": ["1", "2", "3"], "org": ["7", null] })),
    )
    .await;
    keys.check("UPDATE t SET org = 8 WHERE id = 1", "U", Some(json!({ "id": ["1"], "org": ["7", "8"] })))
        .await;
    keys.check("DELETE FROM t WHERE id = 3", "D", Some(json!({ "id": ["3"], "org": [null] }))).await;
    assert_eq!(keys.after("UPDATE t SET org = 1 WHERE false").await, []);
    keys.check("TRUNCATE t", "T", None).await;
    let each = keys.after("BEGIN; INSERT INTO t VALUES (1, 1); INSERT INTO t VALUES (2, 2); COMMIT").await;
    assert_eq!(each.len(), 2, "every statement has keys of its own");
    keys.0.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_values_are_the_whole_table() {
    let mut keys = Keys::new().await;
    let said = keys.after("INSERT INTO t SELECT n, n % 256 FROM generate_series(1, 300) n").await;
    let org = said[0].2.as_ref().unwrap()["org"].as_array().unwrap().len();
    assert_eq!((org, &said[0].2.as_ref().unwrap()["id"]), (256, &Value::Null), "per column");
    keys.check("INSERT INTO t SELECT n, 1 FROM generate_series(1001, 5097) n", "I", None).await;
    keys.0.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tracked_column_may_go_without_failing_writes() {
    let mut keys = Keys::new().await;
    keys.after("INSERT INTO t VALUES (1, 7)").await;
    keys.after("ALTER TABLE t RENAME org TO team").await;
    keys.check("UPDATE t SET team = 9", "U", None).await;
    keys.after("ALTER TABLE t RENAME team TO org; ALTER TABLE t ALTER org TYPE text").await;
    keys.check("UPDATE t SET org = 'a'", "U", Some(json!({ "id": ["1"], "org": ["9", "a"] }))).await;
    keys.after("ALTER TABLE t DROP COLUMN org").await;
    keys.check("DELETE FROM t", "D", None).await;
    keys.after("ALTER TABLE t ADD COLUMN org date").await;
    keys.check(
        "INSERT INTO t VALUES (1, NULL, '2026-01-02')",
        "I",
        Some(json!({ "id": ["1"], "org": ["2026-01-02"] })),
    )
    .await;
    keys.0.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_share_a_function_and_partitions_follow() {
    let mut keys = Keys::new().await;
    let functions = "SELECT count(*) FROM pg_proc WHERE proname ~ '^forge_capture_[0-9a-f]{12}$'";
    keys.0.check("SELECT forge_enable_reactivity('twin', '{id,org,id}')", EVERYTHING).await;
    assert_eq!(keys.0.value::<i64>(functions).await, 1);
    keys.0.check("SELECT forge_enable_reactivity('twin', '{org,id}')", NOTHING).await;
    let said = keys.after("INSERT INTO twin VALUES (5, NULL)").await;
    assert_eq!(said[0].2, Some(json!({ "id": [null], "org": ["5"] })));
    keys.0.check("SELECT forge_enable_reactivity('ev', '{org}')", EVERYTHING).await;
    keys.0.check("CREATE TABLE ev_1 PARTITION OF ev FOR VALUES FROM (0) TO (10)", EVERYTHING).await;
    let said = keys.after("INSERT INTO ev_1 VALUES (1, 3); UPDATE ev SET org = 4").await;
    let keyed: Vec<_> = said.into_iter().map(|(table, _, keys)| (table, keys.unwrap())).collect();
    assert_eq!(
        keyed,
        [("ev".to_owned(), json!({ "org": ["3", "4"] })), ("ev_1".to_owned(), json!({ "org": ["3"] }))]
    );
    // Other columns, and none.
    keys.0.check("SELECT forge_enable_reactivity('twin', ARRAY['Odd ''name'])", EVERYTHING).await;
    let said = keys.after("INSERT INTO twin VALUES (5, NULL, NULL, 'x')").await;
    assert_eq!(said[0].2, Some(json!({ "Odd 'name": ["x"] })));
    keys.0.check("SELECT forge_enable_reactivity('twin')", EVERYTHING).await;
    assert_eq!(keys.after("DELETE FROM twin").await[0].2, None);
    assert_eq!(keys.0.value::<i64>(functions).await, 2, "those of t and ev");
    keys.0.check("SELECT forge_disable_reactivity('t'), forge_disable_reactivity('ev')", EVERYTHING).await;
    assert_eq!(keys.0.value::<i64>(functions).await, 0);
    assert_eq!(
        keys.0.value::<i64>("SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'forge_capture_%' AND tgrelid NOT IN ('forge_job_progress'::regclass, 'forge_workflow_progress'::regclass)").await,
        4
    );
    keys.0.drop().await;
}
