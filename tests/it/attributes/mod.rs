//! A small application that names nothing but `forge`, and its types in a real Postgres.

use forge::app::enumeration::Enumeration;
use forge::app::schema::{ColumnActual, create_sql, drift};
use forge::prelude::*;
use forge_tests::Database;
use sqlx::Row;

mod workflows;

forge::app! { name = "taskboard", migrations = "migrations" }

forge::id!(TaskId, ProjectId);

#[forge::validated_type(len = 1..=200, trim)]
struct Title(String);

#[forge::enum_type]
enum Status {
    Open,
    Done,
}

#[forge::model(table = "projects")]
struct Project {
    #[id]
    pub id: ProjectId,
    #[relation(belongs_to = Project, on_delete = set_null)]
    pub parent: Option<ProjectId>,
}

#[forge::model(table = "tasks", index(project, status, name = "tasks_by_status", where = "status = 'open'"))]
struct Task {
    #[id]
    pub id: TaskId,
    #[relation(belongs_to = Project, on_delete = cascade)]
    pub project: ProjectId,
    pub title: Title,
    #[default = "open"]
    pub status: Status,
    pub history: Vec<Status>,
    pub due: Option<Timestamp>,
    #[updated_at]
    pub updated_at: Timestamp,
}

#[forge::error]
enum TaskError {
    /// The project holds its maximum of open tasks.
    #[code("LIMIT_REACHED", status = 409)]
    LimitReached { max: u32 },
}

/// Open tasks.
#[forge::query(snapshot, timeout = "5s")]
async fn list(ctx: &QueryContext, project: ProjectId, status: Option<Status>) -> Result<Vec<Task>> {
    let _ = (ctx.now(), project, status);
    Ok(Vec::new())
}

#[forge::require_role("editor")]
#[forge::mutation(isolation = serializable)]
async fn create(ctx: &MutationContext, project: ProjectId, title: Title) -> Result<Title, TaskError> {
    let open = ctx.call(List { project, status: Some(Status::Open) }).await?;
    if open.len() >= 500 {
        return Err(TaskError::LimitReached { max: 500 });
    }
    Ok(title)
}

#[forge::action(public, concurrency = 2, input_max = "1KiB", name = "mail.send_now")]
async fn send(ctx: &forge::app::ActionContext, project: ProjectId, title: Title) -> forge::Result<()> {
    match ctx.call(Create { project, title }).await {
        Err(CallError::App(TaskError::LimitReached { max })) => ctx.log.warn(format!("{max} tasks are open")),
        other => drop(other?),
    }
    Ok(())
}

#[test]
fn the_attributes_need_nothing_but_forge() {
    assert_eq!(List::META.wire_name(), "attributes.list");
    assert_eq!((APP.name, APP.module, APP.migrations.len()), ("taskboard", module_path!(), 1));
    let (file, text) = APP.migrations[0];
    assert!(file == "0001_create_things.sql" && text.contains("CREATE TABLE"));
    assert_eq!(Project::META.columns[1].references.map(|reference| reference.table), Some("projects"));
}

#[tokio::test]
async fn rows_come_back_as_they_went_in() {
    let database = Database::create().await;
    database.execute(&create_sql(&[&Task::META, &Project::META], &[&Status::META])).await;
    let mut connection = database.connect().await;
    let (project, task) = (ProjectId::new(), TaskId::new());
    sqlx::query("INSERT INTO projects (id) VALUES ($1)")
        .bind(project)
        .execute(&mut connection)
        .await
        .expect("a project");
    sqlx::query(
        "INSERT INTO tasks (id, project, title, history, updated_at) VALUES ($1, $2, $3, $4, '2020-01-01Z')",
    )
    .bind(task)
    .bind(project)
    .bind(Title::parse(" Write it ").expect("a title"))
    .bind(vec![Status::Open, Status::Done])
    .execute(&mut connection)
    .await
    .expect("a task");
    let before = open(&mut connection).await.expect("the task");
    assert_eq!(
        (before.id, before.title.as_str(), before.history),
        (task, "Write it", vec![Status::Open, Status::Done])
    );
    database.execute("UPDATE tasks SET due = now()").await;
    let after = open(&mut connection).await.expect("the task");
    assert!(after.updated_at > before.updated_at, "the trigger sets {}", after.updated_at);
    assert_eq!(after.due, Some(after.updated_at));

    database.execute("ALTER TYPE status ADD VALUE 'late'").await;
    database.execute("UPDATE tasks SET status = 'late'").await;
    let unknown = sqlx::query_scalar::<_, Status>("SELECT status FROM tasks")
        .fetch_one(&mut connection)
        .await
        .expect_err("a newer label");
    assert!(unknown.to_string().ends_with("`late` is no Status; expected one of open, done"), "{unknown}");
    let row = sqlx::query_as::<_, Task>("SELECT * FROM tasks").fetch_one(&mut connection).await;
    let row = row.expect_err("a row with a newer label").to_string();
    assert!(row.contains("column \"status\"") && row.contains("`late` is no Status"), "{row}");
    database.execute("UPDATE tasks SET title = ''").await;
    let invalid = sqlx::query_scalar::<_, Title>("SELECT title FROM tasks")
        .fetch_one(&mut connection)
        .await
        .expect_err("an empty title");
    assert!(invalid.to_string().ends_with("`Title`: must have 1 to 200 characters (it has 0)"), "{invalid}");
}

#[forge::data]
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Planned,
    InProgress,
}

#[forge::data]
#[derive(Debug, PartialEq)]
struct Part {
    number: i32,
}

#[forge::data]
#[derive(Debug, PartialEq)]
struct Record {
    id: TaskId,
    title: Option<Title>,
    phase: Phase,
    phases: Vec<Phase>,
    #[serde(flatten)]
    part: Part,
    parts: Vec<Part>,
    last: Option<Part>,
    #[serde(skip)]
    cached: bool,
}

#[tokio::test]
async fn records_are_read_from_rows() {
    let database = Database::create().await;
    let mut connection = database.connect().await;
    database.execute("CREATE TYPE phase AS ENUM ('planned', 'inProgress')").await;
    let select = "SELECT $1::uuid AS id, NULL::text AS title, $2::text::phase AS phase,
        ARRAY['planned', $2::text] AS phases, 1 AS number,
        '[{\"number\": 2}]'::jsonb AS parts, NULL::jsonb AS last";
    let id = TaskId::new();
    let read = sqlx::query_as::<_, Record>(select).bind(id).bind(Phase::InProgress);
    let expected = Record {
        id,
        title: None,
        phase: Phase::InProgress,
        phases: vec![Phase::Planned, Phase::InProgress],
        part: Part { number: 1 },
        parts: vec![Part { number: 2 }],
        last: None,
        cached: false,
    };
    assert_eq!(read.fetch_one(&mut connection).await.expect("a record"), expected);
    let unknown = sqlx::query_scalar::<_, Phase>("SELECT 'late'").fetch_one(&mut connection).await;
    let unknown = unknown.expect_err("no label").to_string();
    assert!(
        unknown.ends_with("`late` is no Phase: unknown variant `late`, expected `planned` or `inProgress`"),
        "{unknown}"
    );
}

#[tokio::test]
async fn tables_made_from_models_do_not_drift() {
    let database = Database::create().await;
    database.execute(&create_sql(&[&Task::META, &Project::META], &[&Status::META])).await;
    let columns = database.rows(
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull
         FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
         WHERE c.relname IN ('tasks', 'projects') AND a.attnum > 0 AND NOT a.attisdropped",
    );
    let actual: Vec<_> = columns
        .await
        .iter()
        .map(|row| ColumnActual {
            table: row.get(0),
            column: row.get(1),
            sql_type: row.get(2),
            nullable: row.get(3),
        })
        .collect();
    assert_eq!(drift(&actual, &Task::META), Vec::<String>::new());
    assert_eq!(drift(&actual, &Project::META), Vec::<String>::new());
}

async fn open(connection: &mut sqlx::PgConnection) -> sqlx::Result<Task> {
    let read = sqlx::query_as("SELECT * FROM tasks WHERE status = $1 AND status = ANY($2)");
    read.bind(Status::Open).bind(vec![Status::Open]).fetch_one(connection).await
}
