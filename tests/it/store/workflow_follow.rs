//! What followers see of runs: each change of a followed run is in its progress when it is committed,
//! whichever statement makes it; runs that nobody follows leave no trace there.

use forge_actors::app::Secret;
use forge_actors::app::follower::Viewer;
use forge_actors::app::workflow_run::new_run::{IdConflict, NewRun, ParentPolicy, StartOutcome, StartRun};
use forge_actors::change::HintHub;
use forge_actors::db::transaction::TransactionOptions;
use forge_actors::kernel::fault::Code;
use forge_actors::kernel::ids::RunId;
use forge_actors::kernel::invocation::Identity;
use forge_actors::kernel::time::{days, secs};
use forge_actors::workflow::admin::{self, RunChange, WorkflowAction, WorkflowStatus};
use forge_actors::workflow::follow::{self, FollowedWorkflow};
use forge_actors::workflow::starter::WorkflowStarter;
use serde_json::{Value, json};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Postgres};

use super::job::Bench;

/// What clients see of a failure of the workflow's own.
const OWN_FAILURE: &str =
    r#"{"code":"FULL","message":"The tour is full.","details":{"seats":9},"isOwn":true}"#;

/// The tables of workflows, and a lease that holds runs.
struct Tour {
    bench: Bench,
    starter: WorkflowStarter,
    lease: i64,
}

/// A statement of the engine.
macro_rules! statement {
    ($name:literal) => {
        sqlx::query(include_str!(concat!("../../../forge-actors/src/workflow/sql/", $name, ".sql")))
    };
}

impl Tour {
    async fn open() -> Self {
        let bench = Bench::open().await;
        let (starter, _) = WorkflowStarter::new(bench.scratch.database.clone(), HintHub::new());
        let mut tour = Self { bench, starter, lease: 0 };
        tour.lease = tour.register().await;
        tour
    }

    async fn register(&self) -> i64 {
        let sql = "INSERT INTO forge_workflow_owners (node_id, node_name, expires_at)
                   VALUES (gen_random_uuid(), 'one', now() + interval '1 h') RETURNING id";
        self.value(sql).await
    }

    async fn value<T>(&self, sql: &str) -> T
    where
        T: for<'r> sqlx::Decode<'r, Postgres> + sqlx::Type<Postgres> + Send + Unpin,
    {
        let mut session = self.bench.scratch.connect().await;
        sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut session).await.unwrap()
    }

    /// Executes a statement of the engine; it must change or return so many rows.
    async fn engine(&self, statement: Query<'_, Postgres, PgArguments>, rows: usize) {
        let mut session = self.bench.scratch.connect().await;
        assert_eq!(statement.fetch_all(&mut session).await.unwrap().len(), rows);
    }

    async fn start(&self, new: &NewRun, who: Option<&str>) -> StartOutcome {
        let db = self.bench.scratch.database.writer();
        self.starter.insert(&db, new, who.map(identity), "trace".to_owned()).await.unwrap()
    }

    async fn claim(&self, runs: usize) {
        let claim = statement!("claim_runs").bind(self.lease).bind(vec!["tour"]).bind(vec![1]);
        self.engine(claim.bind(vec![10_i64]).bind(10_i64), runs).await;
    }

    async fn leave(&self, run: RunId, claim: i32, status: &str, error: Option<&str>) {
        let leave = statement!("leave_runs")
            .bind(self.lease)
            .bind(vec![run])
            .bind(vec![claim])
            .bind(vec![status])
            .bind(vec![None::<chrono::DateTime<chrono::Utc>>])
            .bind(vec![0])
            .bind(vec![error])
            .bind(vec![1])
            .bind(vec![10_i64])
            .bind(vec![false]);
        self.engine(leave, 1).await;
    }

    async fn end(&self, run: RunId, claim: i32, status: &str, output: Option<&str>, error: Option<&str>) {
        let expected = (status == "cancelled").then_some(status);
        let end = statement!("end_runs")
            .bind(self.lease)
            .bind(60.0)
            .bind(vec![run])
            .bind(vec![claim])
            .bind(vec![status])
            .bind(vec![output])
            .bind(vec![error])
            .bind(vec![1])
            .bind(vec![10_i64])
            .bind(vec![expected]);
        self.engine(end, 1).await;
    }

    async fn apply(&self, action: WorkflowAction, run: RunId) {
        let db = self.bench.scratch.database.writer();
        let change = RunChange { action, who: "operator", reason: Some("no use"), retention: days(7) };
        assert_eq!(admin::apply(&db, change, &[run]).await.unwrap().ids, [run], "{action:?}");
    }

    async fn seen(&self, run: RunId) -> FollowedWorkflow {
        self.seen_by(run, "ana", false).await.unwrap()
    }

    async fn seen_by(&self, run: RunId, who: &str, sees_all: bool) -> Result<FollowedWorkflow, Code> {
        let viewer = Viewer { follower: format!(r#"["acme","{who}"]"#), sees_all };
        follow::find(&self.bench.scratch.database.reader(), run, &viewer).await.map_err(|fault| fault.code())
    }

    async fn is(&self, run: RunId, status: WorkflowStatus) -> FollowedWorkflow {
        let seen = self.seen(run).await;
        assert_eq!(seen.status, status);
        assert_eq!(seen.finished_at.is_some(), status.is_ended());
        seen
    }
}

fn identity(who: &str) -> String {
    let identity = Identity {
        subject: who.to_owned(),
        roles: Vec::new(),
        tenant: Some("acme".to_owned()),
        claims: serde_json::Map::new(),
    };
    serde_json::to_string(&identity).unwrap()
}

/// A run that is about to be started.
fn new(key: Option<&str>, followed: bool) -> NewRun {
    NewRun {
        id: RunId::new(),
        workflow: "tour".to_owned(),
        version: 1,
        key: key.map(str::to_owned),
        on_conflict: IdConflict::Return,
        input: Secret::new("{}".to_owned()),
        after_secs: 0.0,
        timeout_secs: None,
        retain_secs: None,
        attributes: None,
        followed,
        parent: None,
        policy: ParentPolicy::Cancel,
        signal: None,
        continues: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_followed_run_is_in_its_progress() {
    use WorkflowStatus::{
        Cancelled, Compensating, CompensationFailed, Completed, Diverged, Paused, Ready, Running, Terminated,
        Waiting,
    };
    let mut tour = Tour::open().await;
    let new = new(None, true);
    let run = tour.start(&new, Some("ana")).await.run();
    assert!(tour.is(run, Ready).await.due_at.is_some());
    tour.claim(1).await;
    tour.is(run, Running).await;
    let publish = statement!("publish_run").bind(tour.lease).bind(run).bind(1).bind(r#"{"left":2}"#);
    tour.engine(publish.bind(None::<&str>), 1).await;
    assert_eq!(tour.is(run, Running).await.published, Some(json!({ "left": 2 })));
    tour.leave(run, 1, "waiting", None).await;
    assert_eq!(tour.is(run, Waiting).await.due_at, None, "it waits for an event, for ever");
    tour.apply(WorkflowAction::Pause, run).await;
    tour.is(run, Paused).await;
    tour.apply(WorkflowAction::Resume, run).await;
    tour.is(run, Ready).await;
    tour.claim(1).await;
    tour.leave(run, 2, "diverged", Some(r#"{"code":"CONFLICT","message":"expected step 4"}"#)).await;
    assert!(tour.is(run, Diverged).await.failure.is_none(), "the difference is for operators");
    tour.apply(WorkflowAction::Retry, run).await;

    // Its node is lost, and another one takes it over.
    tour.claim(1).await;
    tour.bench.run("UPDATE forge_workflow_owners SET lost_at = now()").await;
    let none: (Vec<RunId>, Vec<i32>) = (Vec::new(), Vec::new());
    let release = statement!("release_runs").bind(10_i64).bind(None::<i64>).bind(none.0).bind(none.1);
    tour.engine(release.bind(20).bind(OWN_FAILURE), 1).await;
    tour.is(run, Ready).await;
    tour.lease = tour.register().await;
    tour.claim(1).await;
    tour.is(run, Running).await;

    // A person cancels it: what it has completed is compensated.
    tour.apply(WorkflowAction::Cancel, run).await;
    let cancelled = r#"{"code":"CANCELLED","message":"the run was cancelled","details":null,"isOwn":false}"#;
    let begin = statement!("begin_ending").bind(tour.lease).bind(run).bind(4).bind("cancelled");
    tour.engine(begin.bind(cancelled), 1).await;
    assert!(tour.is(run, Compensating).await.failure.is_none(), "it has not ended");
    tour.leave(run, 4, "compensation_failed", None).await;
    tour.is(run, CompensationFailed).await;
    tour.apply(WorkflowAction::Retry, run).await;
    tour.is(run, Compensating).await;
    tour.claim(1).await;
    tour.end(run, 5, "cancelled", None, None).await;
    let failure = tour.is(run, Cancelled).await.failure.unwrap();
    assert_eq!((&*failure.code, &*failure.message), ("CANCELLED", "the run was cancelled"));
    let kept = format!("SELECT error ->> 'message' FROM forge_workflow_history WHERE id = '{run}'");
    let kept: String = sqlx::query_scalar(sqlx::AssertSqlSafe(kept))
        .fetch_one(&mut tour.bench.scratch.connect().await)
        .await
        .unwrap();
    assert_eq!(kept, "the run was cancelled by operator: no use", "that is for operators");

    // An operator brings it back, and terminates it; who has done that is for operators.
    tour.apply(WorkflowAction::Retry, run).await;
    assert!(tour.is(run, Ready).await.failure.is_none());
    tour.apply(WorkflowAction::Terminate, run).await;
    let failure = tour.is(run, Terminated).await.failure.unwrap();
    assert_eq!((&*failure.code, &*failure.message), ("TERMINATED", "the run was terminated"));
    tour.apply(WorkflowAction::Retry, run).await;
    tour.claim(1).await;
    tour.end(run, 6, "completed", Some(r#"{"stops":7}"#), None).await;
    let ended = tour.is(run, Completed).await;
    assert_eq!((ended.result, ended.published), (Some(json!({ "stops": 7 })), Some(json!({ "left": 2 }))));
    tour.bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_follows_the_run_that_goes_on_and_ends_with_its_history() {
    let tour = Tour::open().await;
    let first = tour.start(&new(Some("\"k\""), true), Some("ana")).await.run();
    tour.claim(1).await;
    let next = RunId::new();
    let goes_on = statement!("continue_run").bind(tour.lease).bind(first).bind(1).bind(next).bind("{}");
    tour.engine(goes_on.bind(60.0).bind(1).bind(10_i64).bind(1_000_i64), 1).await;
    let seen = tour.is(first, WorkflowStatus::Ready).await;
    assert_eq!((seen.id, seen.run), (first, next));
    assert_eq!(tour.seen_by(next, "ana", true).await.unwrap_err(), Code::NotFound, "no handle names it");
    // Whoever starts it again with its id follows it from there.
    assert_eq!(tour.start(&new(Some("\"k\""), true), Some("bob")).await, StartOutcome::Existing(next));
    tour.claim(1).await;
    tour.end(next, 1, "failed", None, Some(OWN_FAILURE)).await;
    let bobs = tour.seen_by(next, "bob", false).await.unwrap();
    for seen in [tour.is(first, WorkflowStatus::Failed).await, bobs] {
        let failure = seen.failure.unwrap();
        assert_eq!((seen.run, &*failure.code, failure.is_own), (next, "FULL", true));
        assert_eq!(failure.details, Some(json!({ "seats": 9 })));
    }
    // The history of the run that went on goes first.
    let (delete, progress) = ("delete_old_runs", "SELECT count(*) FROM forge_workflow_progress");
    for (status, left) in [("continued", 2), ("failed", 0)] {
        let expire = format!(
            "UPDATE forge_workflow_history SET expires_at = now() - interval '1 s' WHERE status = '{status}'"
        );
        tour.bench.run(&expire).await;
        tour.engine(statement!("delete_old_runs").bind(10_i64), 0).await;
        assert_eq!(tour.value::<i64>(progress).await, left, "{delete} {status}");
    }
    assert_eq!(tour.seen_by(first, "ana", true).await.unwrap_err(), Code::NotFound);
    tour.bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_by_those_who_started_it_with_a_handle() {
    let tour = Tour::open().await;
    // Nobody follows it yet, and it is running.
    let run = tour.start(&new(Some("1"), false), Some("ana")).await.run();
    tour.claim(1).await;
    assert_eq!(tour.seen_by(run, "ana", true).await.unwrap_err(), Code::NotFound);
    for who in ["ana", "bob", "ana"] {
        assert_eq!(tour.start(&new(Some("1"), true), Some(who)).await, StartOutcome::Existing(run));
        assert_eq!(tour.seen_by(run, who, false).await.unwrap().status, WorkflowStatus::Running);
    }
    assert_eq!(tour.seen_by(run, "eve", false).await.unwrap_err(), Code::NotFound);
    assert_eq!(tour.seen_by(run, "eve", true).await.unwrap().run, run, "an administrator");
    let followers = "SELECT array_to_string(followers, ' ') FROM forge_workflow_progress";
    assert_eq!(tour.value::<String>(followers).await, r#"["acme","ana"] ["acme","bob"]"#);
    tour.end(run, 1, "completed", Some("7"), None).await;
    assert_eq!(tour.seen(run).await.result, Some(json!(7)));

    // One that has ended before anybody follows it, and one without an identity.
    let ended = tour.start(&new(Some("2"), false), Some("ana")).await.run();
    tour.claim(1).await;
    tour.end(ended, 1, "completed", None, None).await;
    assert_eq!(tour.start(&new(Some("2"), true), Some("bob")).await, StartOutcome::Existing(ended));
    let seen = tour.seen_by(ended, "bob", false).await.unwrap();
    assert_eq!((seen.status, seen.result), (WorkflowStatus::Completed, None::<Value>));
    assert_eq!(tour.seen_by(ended, "ana", false).await.unwrap_err(), Code::NotFound);
    let public = tour.start(&new(None, true), None).await.run();
    assert_eq!(tour.seen_by(public, "eve", false).await.unwrap().run, public, "whoever knows the id");
    tour.bench.scratch.drop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_is_rolled_back_leaves_nothing_to_follow_and_an_unfollowed_run_writes_nothing() {
    let tour = Tour::open().await;
    let database = &tour.bench.scratch.database;
    let followed = new(None, true);
    let tx = database.begin(TransactionOptions::new("test", secs(5))).await.unwrap();
    tour.starter.insert(&tx.db(), &followed, Some(identity("ana")), "trace".to_owned()).await.unwrap();
    tx.rollback().await;
    assert_eq!(tour.seen_by(followed.id, "ana", true).await.unwrap_err(), Code::NotFound);

    let changes = "SELECT count(*) FROM forge_changes WHERE tbl = 'forge_workflow_progress'::regclass";
    let run = tour.start(&new(None, false), Some("ana")).await.run();
    tour.claim(1).await;
    tour.leave(run, 1, "waiting", None).await;
    tour.apply(WorkflowAction::Cancel, run).await;
    tour.apply(WorkflowAction::Terminate, run).await;
    let progress = "SELECT count(*) FROM forge_workflow_progress";
    assert_eq!((tour.value::<i64>(progress).await, tour.value::<i64>(changes).await), (0, 0));

    let run = tour.start(&new(None, true), Some("ana")).await.run();
    tour.claim(1).await;
    assert_eq!(tour.value::<i64>(changes).await, 2, "its start and its claim");
    // What followers do not see is no change for them.
    tour.bench.run("UPDATE forge_workflow_runs SET wakes = wakes + 1, steps = 9").await;
    assert_eq!(tour.value::<i64>(changes).await, 2);
    tour.end(run, 1, "completed", None, None).await;
    assert_eq!(tour.value::<i64>(changes).await, 3);
    tour.bench.scratch.drop().await;
}
