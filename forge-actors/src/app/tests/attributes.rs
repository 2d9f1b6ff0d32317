use serde_json::json;

use crate::app::enumeration::{EnumRegistration, Enumeration};
use crate::app::model::{ColumnMeta, Model, ModelRegistration};
use crate::app::schema::{ColumnActual, create_sql, drift, label_drift};
use crate::app::{
    Access, AppError, Handler, Isolation, KindName, KindOptions, MutationOptions, QueryOptions,
};
use crate::kernel::fault::{Code, Fault};
use crate::prelude::*;

crate::id!(TaskId, ProjectId, PersonId);

/// What is being done about a task.
#[crate::forge_enum]
enum TaskStatus {
    Open,
    InProgress,
    Done,
}

#[crate::validated_type(len = 1..=20, trim)]
struct Title(String);

#[crate::validated_type(trim, lowercase, check = is_address)]
struct Address(String);

#[crate::validated_type(len = 8.., secret)]
struct Password(String);

fn is_address(text: &str) -> std::result::Result<(), &'static str> {
    if text.contains('@') { Ok(()) } else { Err("must be an e-mail address") }
}

/// Work.
#[crate::model(table = "tasks", index(project, status), unique(project, title, where = "status <> 'done'"))]
struct Task {
    #[id]
    pub id: TaskId,
    #[relation(belongs_to = Project, on_delete = cascade)]
    pub project: ProjectId,
    pub title: Title,
    #[default = "open"]
    pub status: TaskStatus,
    #[relation(belongs_to = Person, on_delete = set_null)]
    #[indexed]
    pub assignee: Option<PersonId>,
    #[default(sql = "'{}'::text[]")]
    pub labels: Vec<String>,
    #[default = -1]
    pub position: i32,
    #[column(name = "body", type = "varchar(80)")]
    pub r#type: Option<String>,
    #[updated_at]
    pub updated_at: Timestamp,
}

#[crate::model(table = "projects")]
struct Project {
    #[id]
    pub id: ProjectId,
    #[relation(belongs_to = Person, on_delete = restrict)]
    pub owner: PersonId,
}

#[crate::model(table = "people")]
struct Person {
    #[id]
    pub id: PersonId,
    #[unique]
    pub email: Address,
    #[sensitive]
    pub password_hash: String,
    #[relation(belongs_to = Project, on_delete = set_null)]
    pub favourite: Option<ProjectId>,
    pub past: Vec<TaskStatus>,
}

#[crate::error]
#[derive(Clone, PartialEq)]
enum TaskError {
    /// The project holds its maximum
    /// of open tasks.
    #[code("LIMIT_REACHED", status = 409)]
    LimitReached { max_open: u32, r#type: Option<String> },
    /// There is no such task.
    #[code("NO_TASK", status = 404)]
    Gone,
}

/// Makes a task.
///
/// This paragraph is not part of the summary.
#[crate::mutation(
    role = "editor",
    timeout = "5s",
    concurrency = 3,
    input_max = "64KiB",
    isolation = serializable,
    name = "tasks.make"
)]
async fn create_task(
    ctx: &MutationContext,
    /// Where it belongs.
    project_id: ProjectId,
    title: Title,
    status: Option<TaskStatus>,
    r#type: String,
) -> Result<String, TaskError> {
    let _ = (ctx, project_id, status);
    if r#type.is_empty() { Err(TaskError::Gone) } else { Ok(title.into_string()) }
}

#[crate::query(snapshot)]
#[crate::require_role("reader")]
async fn args(_: &QueryContext, args: u8, mut arguments: u8) -> crate::Result<u8> {
    arguments += args;
    Ok(arguments)
}

#[crate::require_auth]
#[crate::action()]
async fn ping(_ctx: &ActionContext) -> crate::app::Result<()> {
    Ok(())
}

fn fields(fault: &Fault) -> serde_json::Value {
    assert_eq!(fault.code(), Code::Validation);
    fault.details().expect("field errors")["fields"].clone()
}

#[test]
fn a_function_becomes_a_message_with_metadata() {
    let meta = CreateTask::META;
    assert_eq!(meta.wire_name(), "tasks.make");
    assert_eq!((meta.kind(), meta.function, meta.doc), (KindName::Mutation, "create_task", "Makes a task."));
    assert_eq!((meta.access, meta.timeout, meta.concurrency), (Access::Role("editor"), secs(5), Some(3)));
    assert_eq!(meta.input_bytes_max, 65_536);
    let KindOptions::Mutation(options) = meta.options else { panic!("{meta:?}") };
    assert_eq!(options, MutationOptions { isolation: Isolation::Serializable });
    assert!(meta.file.ends_with("attributes.rs") && meta.line > 1);
    assert_eq!(Args::META.wire_name(), "attributes.args");
    assert_eq!(
        (Args::META.access, Args::META.timeout),
        (Access::Role("reader"), crate::kernel::limits::HANDLER_TIMEOUT)
    );
    let KindOptions::Query(options) = Args::META.options else { panic!("{:?}", Args::META) };
    assert_eq!(options, QueryOptions { snapshot: true, refresh: None });
    assert_eq!((Ping::META.kind(), Ping::META.access), (KindName::Action, Access::Authenticated));
    let names: Vec<_> = crate::app::Catalog::build()
        .expect("distinct names")
        .iter()
        .map(|(name, _)| name.to_owned())
        .collect();
    assert!(
        ["tasks.make", "attributes.args", "attributes.ping"]
            .iter()
            .all(|name| names.iter().any(|other| other == name)),
        "{names:?}"
    );
}

#[test]
fn messages_are_camel_case_and_round_trip() {
    let message = CreateTask {
        project_id: ProjectId::new(),
        title: "x".parse().expect("a title"),
        status: None,
        r#type: "a".into(),
    };
    let wire = serde_json::to_value(&message).expect("serialises");
    assert_eq!(wire, json!({ "projectId": message.project_id, "title": "x", "status": null, "type": "a" }));
    let back = CreateTask::decode(wire.to_string().as_bytes()).expect("decodes");
    assert_eq!((back.project_id, back.title), (message.project_id, message.title));
    assert_eq!(Args::decode(br#"{"args": 1, "arguments": 2}"#).expect("decodes").arguments, 2);
    assert!(Ping::decode(b"").is_ok() && Ping::decode(b"{}").is_ok());
    assert_eq!(serde_json::to_value(Ping {}).expect("serialises"), json!({}));
}

#[test]
fn every_refused_argument_is_reported() {
    let refused = CreateTask::decode(br#"{"title": " ", "status": "opne", "type": 5, "project_id": 1}"#)
        .expect_err("refused");
    assert_eq!(
        fields(&refused),
        json!([
            {
                "field": "project_id",
                "rule": "unknown",
                "message": "is unknown; expected projectId, title, status, type",
            },
            { "field": "projectId", "rule": "required", "message": "is required" },
            { "field": "title", "rule": "invalid", "message": "must have 1 to 20 characters (it has 0)" },
            {
                "field": "status",
                "rule": "invalid",
                "message": "`opne` is no TaskStatus; expected one of open, in_progress, done",
            },
            { "field": "type", "rule": "invalid", "message": "invalid type: integer `5`, expected a string" },
        ])
    );
    assert_eq!(Ping::decode(b"[]").expect_err("refused").code(), Code::BadRequest);
}

#[test]
fn errors_read_back_what_they_write() {
    let error = TaskError::LimitReached { max_open: 500, r#type: None };
    assert_eq!(error.to_string(), "The project holds its maximum of open tasks.");
    let fault = Fault::from(error.clone());
    assert_eq!((fault.code().name(), fault.code().status()), ("LIMIT_REACHED", 409));
    assert_eq!(fault.details(), Some(&json!({ "maxOpen": 500, "type": null })));
    let from_wire = <TaskError as AppError>::from_wire;
    assert_eq!(from_wire("LIMIT_REACHED", fault.details()), Some(error));
    assert_eq!(from_wire("LIMIT_REACHED", Some(&json!({ "maxOpen": "many" }))), None);
    assert_eq!(from_wire("NO_TASK", None), Some(TaskError::Gone));
    assert_eq!(from_wire("NOT_FOUND", None), None);
    assert_eq!(Fault::from(TaskError::<Fault>::Gone).details(), None);
    assert_eq!(
        <TaskError as AppError>::CODES.iter().map(|code| code.name).collect::<Vec<_>>(),
        ["LIMIT_REACHED", "NO_TASK"]
    );
}

/// Lifts each kind of failure by `?`; the last one is the handler's own.
fn lifts(step: u8) -> Result<u8, TaskError> {
    let called = |failed: bool| {
        if failed { Err(CallError::<TaskError>::App(TaskError::Gone)) } else { Ok(1) }
    };
    let sql = |failed: bool| if failed { Err(sqlx::Error::RowNotFound) } else { Ok(1) };
    let fault = |failed: bool| if failed { Err(Fault::new(Code::Overloaded, "busy")) } else { Ok(1) };
    let (one, two, three) = (called(step == 1)?, sql(step == 2)?, fault(step == 3)?);
    (step == 0).then_some(one + two + three).ok_or(TaskError::Gone)
}

#[test]
fn every_failure_is_lifted_and_keeps_its_code() {
    assert_eq!(lifts(0).expect("nothing fails"), 3);
    for (step, code) in [(1, "NO_TASK"), (2, "INTERNAL"), (3, "OVERLOADED"), (4, "NO_TASK")] {
        let error = lifts(step).expect_err("fails");
        assert_eq!(Fault::from(error).code().name(), code);
    }
    // Without faults the match is exhaustive.
    let number = |error: <TaskError as AppError>::Own| match error {
        TaskError::LimitReached { max_open, .. } => max_open,
        TaskError::Gone => 0,
    };
    assert_eq!(number(TaskError::LimitReached { max_open: 7, r#type: None }), 7);
}

/// Neither `Clone` nor `Debug`.
#[crate::data]
struct Plain {
    left: u8,
}

/// A message whose name is taken by a type beside it.
#[crate::data]
struct Item {
    name: String,
}

#[crate::query]
async fn item(_: &QueryContext, item: self::Item, plain: Plain) -> Result<Item> {
    let _ = plain.left;
    Ok(item)
}

#[crate::query(message = "AllItems")]
async fn items(_: &QueryContext) -> Result<Vec<Item>> {
    Ok(Vec::new())
}

#[test]
fn a_message_never_clashes() {
    let items = AllItems {};
    assert_eq!((format!("{items:?}"), AllItems::META.function), ("AllItems".to_owned(), "items"));
    let shadowed = __message_item::Item::decode(br#"{"item": {"name": "a"}, "plain": {"left": 1}}"#);
    let shadowed = shadowed.expect("decodes");
    assert_eq!((shadowed.item.name.as_str(), shadowed.plain.left), ("a", 1));
    assert_eq!(format!("{shadowed:?}"), "Item { item: .., plain: .. }");
    let wire = serde_json::to_value(&shadowed).expect("serialises");
    assert_eq!(wire, json!({ "item": { "name": "a" }, "plain": { "left": 1 } }));
    let again = serde_json::from_value::<__message_item::Item>(wire).expect("reads");
    assert_eq!(again.item.name, "a");
}

#[test]
fn enums_are_their_labels() {
    assert_eq!(TaskStatus::META.labels, ["open", "in_progress", "done"]);
    assert_eq!(
        (TaskStatus::META.sql_name, TaskStatus::META.doc),
        ("task_status", "What is being done about a task.")
    );
    assert_eq!(serde_json::to_value(TaskStatus::InProgress).expect("serialises"), "in_progress");
    assert_eq!("done".parse(), Ok(TaskStatus::Done));
    let unknown = "Done".parse::<TaskStatus>().expect_err("labels are lower case");
    assert_eq!(unknown.to_string(), "`Done` is no TaskStatus; expected one of open, in_progress, done");
    assert!(EnumRegistration::all().contains(&&TaskStatus::META));
}

#[test]
fn validated_types_tidy_check_and_hide() {
    assert_eq!(Address::parse(" A@B.example ").expect("valid").as_str(), "a@b.example");
    assert_eq!(Address::parse("a").expect_err("no @").to_string(), "must be an e-mail address");
    assert_eq!(Title::parse("ä".repeat(20)).expect("characters, not bytes").to_string().len(), 40);
    assert_eq!(
        Title::parse("ä".repeat(21)).expect_err("too long").to_string(),
        "must have 1 to 20 characters (it has 21)"
    );
    assert_eq!(
        Password::parse("short").expect_err("too short").to_string(),
        "must have at least 8 characters (it has 5)"
    );
    let secret = Password::parse("correct horse").expect("long enough");
    assert_eq!(
        (format!("{secret:?}"), secret.to_string()),
        (r#"Password("[redacted]")"#.to_owned(), "[redacted]".to_owned())
    );
    assert_eq!(serde_json::to_value(&secret).expect("has to arrive"), "correct horse");
}

#[test]
fn sensitive_fields_stay_inside() {
    let person = Person {
        id: PersonId::new(),
        email: "a@b".parse().expect("valid"),
        password_hash: "$argon2id$".into(),
        favourite: None,
        past: vec![TaskStatus::Done],
    };
    assert!(
        person.password_hash.contains("argon2") && !format!("{person:?}").contains("argon2"),
        "{person:?}"
    );
    let wire = serde_json::to_value(&person).expect("serialises");
    assert_eq!(wire, json!({ "id": person.id, "email": "a@b", "favourite": null, "past": ["done"] }));
    let lost =
        serde_json::from_value::<Person>(wire).expect_err("a lost hash must not come back as an empty one");
    assert_eq!(lost.to_string(), "missing field `passwordHash`");
}

#[test]
fn models_make_their_tables() {
    let sql = create_sql(&[&Task::META, &Project::META, &Person::META], &[&TaskStatus::META]);
    assert_eq!(sql, include_str!("models.sql"));
    assert!(ModelRegistration::all().contains(&&Task::META));
    let meta: &ColumnMeta = &Person::META.columns[2];
    assert!(meta.sensitive && !meta.nullable && meta.field == "password_hash");
}

fn actual(column: &str, sql_type: &str, nullable: bool) -> ColumnActual {
    ColumnActual { table: "projects".into(), column: column.into(), sql_type: sql_type.into(), nullable }
}

#[test]
fn label_drift_names_enum_label_and_remedy() {
    let check = |labels: &[&str], expected: &[&str]| {
        let actual = labels.iter().map(|label| ("task_status".to_owned(), (*label).to_owned()));
        let other = ("mood".to_owned(), "late".to_owned());
        let actual: Vec<_> = actual.chain([other]).collect();
        assert_eq!(label_drift(&actual, &TaskStatus::META), expected);
    };
    check(&["open", "in_progress", "done"], &[]);
    check(&[], &[]);
    check(
        &["open", "in_progress", "late"],
        &[
            "`TaskStatus`: the type `task_status` has the label `late`, which the enum does not have, so that a row which holds the label cannot be read; add it to the enum",
            "`TaskStatus`: the type `task_status` has no label `done`, so that it cannot be written; migrate with ALTER TYPE \"task_status\" ADD VALUE 'done'",
        ],
    );
}

#[test]
fn drift_names_field_and_remedy() {
    let check =
        |actual: &[ColumnActual], expected: &[&str]| assert_eq!(drift(actual, &Project::META), expected);
    check(&[actual("id", "uuid", false), actual("owner", "uuid", false), actual("extra", "text", true)], &[]);
    check(
        &[actual("id", "text", true)],
        &[
            "`Project.id`: the column is `text` and the field is `uuid`; change the field, or migrate with ALTER TABLE \"projects\" ALTER COLUMN \"id\" TYPE uuid",
            "`Project.id`: the column allows NULL and the field does not; make it an `Option`, or migrate with ALTER TABLE \"projects\" ALTER COLUMN \"id\" SET NOT NULL",
            "`Project.owner`: table `projects` has no column `owner`; migrate with ALTER TABLE \"projects\" ADD COLUMN \"owner\" uuid NOT NULL REFERENCES \"people\" (\"id\") ON DELETE RESTRICT",
        ],
    );
    let [missing] = &drift(&[], &Project::META)[..] else { panic!("one sentence") };
    assert!(missing.ends_with("there is no table `projects`; create it in a migration"), "{missing}");
    let spelled = |table: &str, column: &ColumnMeta, sql_type: &str| ColumnActual {
        table: table.into(),
        column: column.name.into(),
        sql_type: sql_type.into(),
        nullable: column.nullable,
    };
    let types = [
        "uuid",
        "uuid",
        "text",
        "task_status",
        "uuid",
        "text[]",
        "integer",
        "character varying(80)",
        "timestamp with time zone",
    ];
    let same: Vec<_> = Task::META
        .columns
        .iter()
        .zip(types)
        .map(|(column, sql_type)| spelled("tasks", column, sql_type))
        .collect();
    assert_eq!(drift(&same, &Task::META), Vec::<String>::new());
}
