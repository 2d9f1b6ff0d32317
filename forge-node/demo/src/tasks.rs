//! Tasks. Every statement checks the membership itself, so there is no moment between check and use.

use forge::prelude::*;

use super::projects::{Project, ProjectId};
use super::users::{User, UserId};

/// Tasks of a project that are not done.
pub(crate) const OPEN_MAX: u32 = 500;
/// Tasks in one answer, unless the caller asks for more.
const PAGE: u16 = 200;
/// Tasks in one answer at most.
const PAGE_MAX: u16 = 1_000;

forge::id!(pub TaskId);

/// What is to be done.
#[forge::validated_type(len = 1..=200, trim)]
pub struct Title(String);

/// How far it is.
#[forge::forge_enum(name = "task_status")]
pub enum Status {
    Open,
    Doing,
    Done,
}

#[forge::model(table = "tasks", index(project, status))]
pub struct Task {
    #[id]
    pub id: TaskId,
    #[relation(belongs_to = Project, on_delete = cascade)]
    pub project: ProjectId,
    pub title: Title,
    #[default = "open"]
    pub status: Status,
    #[indexed]
    #[relation(belongs_to = User, on_delete = set_null)]
    pub assignee: Option<UserId>,
    #[default(sql = "now()")]
    pub created_at: Timestamp,
    #[updated_at]
    pub updated_at: Timestamp,
}

#[forge::error]
pub enum TaskError {
    /// There is no such task, or you are no member of its project.
    #[code("TASK_NOT_FOUND", status = 404)]
    NotFound,
    /// There is no such project, or you are no member of it.
    #[code("PROJECT_NOT_FOUND", status = 404)]
    ProjectNotFound,
    /// The assignee is no member of the project.
    #[code("NOT_A_MEMBER", status = 409)]
    NotAMember { assignee: UserId },
    /// The project holds its maximum of tasks that are not done.
    #[code("LIMIT_REACHED", status = 409)]
    LimitReached { max: u32 },
}

/// Adds a task to a project.
#[forge::mutation]
pub async fn create(
    ctx: &MutationContext,
    project: ProjectId,
    title: Title,
    assignee: Option<UserId>,
) -> Result<Task, TaskError> {
    let me: UserId = ctx.auth().user()?;
    require_capacity(ctx, project, me).await?;
    let insert = "INSERT INTO tasks (id, project, title) VALUES ($1, $2, $3) RETURNING *";
    let task: Task =
        sqlx::query_as(insert).bind(TaskId::new()).bind(project).bind(title).fetch_one(ctx.db()).await?;
    match assignee {
        Some(_) => Ok(ctx.call(Assign { id: task.id, assignee }).await?),
        None => Ok(task),
    }
}

/// Tasks of a project, newest first: 200 unless `limit` says otherwise, 1,000 at most; `before` continues
/// after the last one of a page. Of a project that is not yours there are none.
#[forge::query]
pub async fn list(
    ctx: &QueryContext,
    project: ProjectId,
    status: Option<Status>,
    before: Option<TaskId>,
    limit: Option<u16>,
) -> Result<Vec<Task>> {
    let me: UserId = ctx.auth().user()?;
    let select = "SELECT tasks.* FROM tasks JOIN memberships USING (project)
        WHERE project = $1 AND member = $2
        AND ($3::task_status IS NULL OR status = $3) AND ($4::uuid IS NULL OR tasks.id < $4)
        ORDER BY tasks.id DESC LIMIT $5";
    Ok(sqlx::query_as(select)
        .bind(project)
        .bind(me)
        .bind(status)
        .bind(before)
        .bind(i64::from(limit.unwrap_or(PAGE).min(PAGE_MAX)))
        .fetch_all(ctx.db())
        .await?)
}

/// One task.
#[forge::query]
pub async fn get(ctx: &QueryContext, id: TaskId) -> Result<Task, TaskError> {
    let me: UserId = ctx.auth().user()?;
    let select =
        "SELECT tasks.* FROM tasks JOIN memberships USING (project) WHERE tasks.id = $1 AND member = $2";
    let task: Option<Task> = sqlx::query_as(select).bind(id).bind(me).fetch_optional(ctx.db()).await?;
    task.ok_or(TaskError::NotFound)
}

/// Gives a task another title.
#[forge::mutation]
pub async fn rename(ctx: &MutationContext, id: TaskId, title: Title) -> Result<Task, TaskError> {
    let me: UserId = ctx.auth().user()?;
    let update = "UPDATE tasks SET title = $3 FROM memberships
        WHERE tasks.id = $1 AND memberships.project = tasks.project AND member = $2 RETURNING tasks.*";
    let task: Option<Task> =
        sqlx::query_as(update).bind(id).bind(me).bind(title).fetch_optional(ctx.db()).await?;
    task.ok_or(TaskError::NotFound)
}

/// Moves a task.
#[forge::mutation]
pub async fn set_status(ctx: &MutationContext, id: TaskId, status: Status) -> Result<Task, TaskError> {
    let me: UserId = ctx.auth().user()?;
    let update = "UPDATE tasks SET status = $3 FROM memberships
        WHERE tasks.id = $1 AND memberships.project = tasks.project AND member = $2 RETURNING tasks.*";
    let task: Option<Task> =
        sqlx::query_as(update).bind(id).bind(me).bind(status).fetch_optional(ctx.db()).await?;
    task.ok_or(TaskError::NotFound)
}

/// Gives a task to a member of its project, or to nobody.
#[forge::mutation]
pub async fn assign(ctx: &MutationContext, id: TaskId, assignee: Option<UserId>) -> Result<Task, TaskError> {
    let task = ctx.call(Get { id }).await?;
    let update = "UPDATE tasks SET assignee = $2
        WHERE id = $1
        AND ($2::uuid IS NULL OR EXISTS (SELECT FROM memberships WHERE project = $3 AND member = $2))
        RETURNING *";
    let updated: Option<Task> =
        sqlx::query_as(update).bind(id).bind(assignee).bind(task.project).fetch_optional(ctx.db()).await?;
    match (updated, assignee) {
        (Some(task), Some(assignee)) => {
            // The job is part of this transaction: if the assignment does not commit, there is no notice.
            ctx.dispatch(super::notices::TaskAssigned { task: id, assignee }).await?;
            Ok(task)
        }
        (Some(task), None) => Ok(task),
        (None, Some(assignee)) => Err(TaskError::NotAMember { assignee }),
        (None, None) => Err(TaskError::NotFound),
    }
}

/// Deletes a task; answers what it was, for `restore`.
#[forge::mutation]
pub async fn delete(ctx: &MutationContext, id: TaskId) -> Result<Task, TaskError> {
    let me: UserId = ctx.auth().user()?;
    let delete = "DELETE FROM tasks USING memberships
        WHERE tasks.id = $1 AND memberships.project = tasks.project AND member = $2 RETURNING tasks.*";
    let task: Option<Task> = sqlx::query_as(delete).bind(id).bind(me).fetch_optional(ctx.db()).await?;
    task.ok_or(TaskError::NotFound)
}

/// Brings a deleted task back as it was, without its notices. Bringing one back twice changes nothing.
#[forge::mutation]
pub async fn restore(
    ctx: &MutationContext,
    id: TaskId,
    project: ProjectId,
    title: Title,
    status: Status,
    assignee: Option<UserId>,
    created_at: Timestamp,
) -> Result<Task, TaskError> {
    let me: UserId = ctx.auth().user()?;
    require_capacity(ctx, project, me).await?;
    // Who is no member any more is not the assignee either.
    let insert = "INSERT INTO tasks (id, project, title, status, assignee, created_at)
        VALUES ($1, $2, $3, $4, (SELECT member FROM memberships WHERE project = $2 AND member = $5), $6)
        ON CONFLICT (id) DO NOTHING RETURNING *";
    let restored: Option<Task> = sqlx::query_as(insert)
        .bind(id)
        .bind(project)
        .bind(title)
        .bind(status)
        .bind(assignee)
        .bind(created_at)
        .fetch_optional(ctx.db())
        .await?;
    match restored {
        Some(task) => Ok(task),
        None => Ok(ctx.call(Get { id }).await?),
    }
}

/// Fails unless `member` may add a task to the project. The lock on the project lets one addition count at a
/// time: two at once could both count 499.
pub(crate) async fn require_capacity(
    ctx: &MutationContext,
    project: ProjectId,
    member: UserId,
) -> Result<(), TaskError> {
    let lock = "SELECT projects.id FROM projects JOIN memberships ON project = projects.id AND member = $2
        WHERE projects.id = $1 FOR UPDATE OF projects";
    let locked: Option<ProjectId> =
        sqlx::query_scalar(lock).bind(project).bind(member).fetch_optional(ctx.db()).await?;
    locked.ok_or(TaskError::ProjectNotFound)?;
    let count = "SELECT count(*) FROM tasks WHERE project = $1 AND status <> 'done'";
    let open: i64 = sqlx::query_scalar(count).bind(project).fetch_one(ctx.db()).await?;
    if open >= i64::from(OPEN_MAX) {
        return Err(TaskError::LimitReached { max: OPEN_MAX });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use forge::testing::{TestContext, TestResult};

    use super::super::notices::TaskAssigned;
    use super::super::projects;
    use super::super::users::tests::person;
    use super::*;

    #[forge::test]
    async fn a_task_is_seen_by_the_members_of_its_project(cx: TestContext) -> TestResult {
        let ana = cx.as_user(person(&cx, "ana").await?.id);
        let bob = cx.as_user(person(&cx, "bob").await?.id);
        let project = ana.call(projects::Create { name: "Garden".parse()? }).await?.id;
        let title: Title = "Plant the apple tree".parse()?;
        let task = ana.call(Create { project, title: title.clone(), assignee: None }).await?;
        assert_eq!((task.title, task.status), (title, Status::Open));

        let list = || List { project, status: None, before: None, limit: None };
        assert_eq!(ana.call(list()).await?.len(), 1);
        assert_eq!(bob.call(list()).await?.len(), 0);
        let hidden = bob.call(Get { id: task.id }).await;
        assert!(matches!(hidden, Err(CallError::App(TaskError::NotFound))));
        Ok(())
    }

    #[forge::test]
    async fn a_task_is_assigned_to_members_only(cx: TestContext) -> TestResult {
        let (ana, bob) = (person(&cx, "ana").await?, person(&cx, "bob").await?);
        let owner = cx.as_user(ana.id);
        let project = owner.call(projects::Create { name: "Garden".parse()? }).await?.id;
        let create = |assignee| Create { project, title: title(), assignee: Some(assignee) };
        let refused = owner.call(create(bob.id)).await;
        assert!(
            matches!(refused, Err(CallError::App(TaskError::NotAMember { assignee })) if assignee == bob.id)
        );
        // The mutation failed, so it left neither a task nor a job.
        assert!(cx.dispatched::<TaskAssigned>().await?.is_empty());

        owner.call(projects::AddMember { project, email: bob.email }).await?;
        let task = owner.call(create(bob.id)).await?;
        cx.assert_dispatched::<TaskAssigned>(|job| job.task == task.id && job.assignee == bob.id).await;
        Ok(())
    }

    #[forge::test]
    async fn a_page_sees_a_task_move(cx: TestContext) -> TestResult {
        let ana = cx.as_user(person(&cx, "ana").await?.id);
        let project = ana.call(projects::Create { name: "Garden".parse()? }).await?.id;
        let task = ana.call(Create { project, title: title(), assignee: None }).await?;
        let mut page = ana.watch(List { project, status: Some(Status::Done), before: None, limit: None })?;
        assert!(page.next().await?.is_empty());
        ana.call(SetStatus { id: task.id, status: Status::Done }).await?;
        assert_eq!(page.next().await?.len(), 1);
        Ok(())
    }

    fn title() -> Title {
        Title::parse("Plant the apple tree").expect("it is short")
    }
}
