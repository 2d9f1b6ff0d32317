//! Projects and their members. To a person who is not a member, a project looks as if it did not exist.

use forge::prelude::*;

use super::users::{Email, Profile, User, UserId};

forge::id!(pub ProjectId, pub MembershipId);

/// Name of a project.
#[forge::validated_type(len = 1..=100, trim)]
pub struct ProjectName(String);

#[forge::model(table = "projects")]
pub struct Project {
    #[id]
    pub id: ProjectId,
    pub name: ProjectName,
    #[relation(belongs_to = User, on_delete = restrict)]
    pub owner: UserId,
    #[default(sql = "now()")]
    pub created_at: Timestamp,
}

#[forge::model(table = "memberships", unique(project, member))]
pub struct Membership {
    #[id]
    pub id: MembershipId,
    #[relation(belongs_to = Project, on_delete = cascade)]
    pub project: ProjectId,
    #[indexed]
    #[relation(belongs_to = User, on_delete = cascade)]
    pub member: UserId,
}

/// A project on one's own list.
#[forge::data]
#[derive(Debug)]
pub struct ProjectSummary {
    pub id: ProjectId,
    pub name: ProjectName,
    pub owner: UserId,
    /// Tasks that are not done.
    pub open_tasks: Int53,
}

#[forge::error]
pub enum ProjectError {
    /// There is no such project, or you are no member of it.
    #[code("PROJECT_NOT_FOUND", status = 404)]
    NotFound,
    /// Only the owner of the project may do this.
    #[code("OWNER_ONLY", status = 403)]
    OwnerOnly,
    /// Nobody has signed up with this e-mail address.
    #[code("NO_SUCH_USER", status = 404)]
    NoSuchUser { email: Email },
}

/// Creates a project with the caller as owner and first member.
#[forge::mutation]
pub async fn create(ctx: &MutationContext, name: ProjectName) -> Result<Project, ProjectError> {
    let me: UserId = ctx.auth().user()?;
    let email = ctx.call(super::users::Me {}).await?.email;
    let insert =
        "INSERT INTO projects (id, name, owner) VALUES ($1, $2, $3) RETURNING id, name, owner, created_at";
    let project: Project =
        sqlx::query_as(insert).bind(ProjectId::new()).bind(name).bind(me).fetch_one(ctx.db()).await?;
    join(ctx, project.id, &email).await?;
    Ok(project)
}

/// The projects of the caller, newest first.
#[forge::query]
pub async fn list(ctx: &QueryContext) -> Result<Vec<ProjectSummary>> {
    let me: UserId = ctx.auth().user()?;
    let select = "SELECT project.id, project.name, project.owner, count(task.id) AS open_tasks
        FROM memberships
        JOIN projects project ON project.id = memberships.project
        LEFT JOIN tasks task ON task.project = project.id AND task.status <> 'done'
        WHERE memberships.member = $1
        GROUP BY project.id
        ORDER BY project.id DESC";
    Ok(sqlx::query_as(select).bind(me).fetch_all(ctx.db()).await?)
}

/// Adds a person by e-mail address. Adding one twice changes nothing.
#[forge::mutation]
pub async fn add_member(
    ctx: &MutationContext,
    project: ProjectId,
    email: Email,
) -> Result<Vec<Profile>, ProjectError> {
    let me: UserId = ctx.auth().user()?;
    if owner_of(ctx, project, me).await?.ok_or(ProjectError::NotFound)? != me {
        return Err(ProjectError::OwnerOnly);
    }
    join(ctx, project, &email).await?;
    Ok(ctx.call(Members { project }).await?)
}

/// The members of a project, in the order in which they joined.
#[forge::query]
pub async fn members(ctx: &QueryContext, project: ProjectId) -> Result<Vec<Profile>, ProjectError> {
    let me: UserId = ctx.auth().user()?;
    let select = "SELECT users.id, users.email, users.name
        FROM memberships
        JOIN users ON users.id = memberships.member
        WHERE memberships.project = $1
        AND EXISTS (SELECT FROM memberships mine WHERE mine.project = $1 AND mine.member = $2)
        ORDER BY memberships.id";
    let members: Vec<Profile> = sqlx::query_as(select).bind(project).bind(me).fetch_all(ctx.db()).await?;
    // A project has at least its owner, so no rows means no access.
    if members.is_empty() { Err(ProjectError::NotFound) } else { Ok(members) }
}

async fn join(ctx: &MutationContext, project: ProjectId, email: &Email) -> Result<(), ProjectError> {
    let select = "SELECT id FROM users WHERE email = $1";
    let user: Option<UserId> = sqlx::query_scalar(select).bind(email).fetch_optional(ctx.db()).await?;
    let member = user.ok_or_else(|| ProjectError::NoSuchUser { email: email.clone() })?;
    let insert = "INSERT INTO memberships (id, project, member) VALUES ($1, $2, $3)
        ON CONFLICT (project, member) DO NOTHING";
    sqlx::query(insert).bind(MembershipId::new()).bind(project).bind(member).execute(ctx.db()).await?;
    Ok(())
}

/// Who owns a project; none when `member` is no member of it.
pub(crate) async fn owner_of(
    ctx: &MutationContext,
    project: ProjectId,
    member: UserId,
) -> Result<Option<UserId>> {
    let select = "SELECT owner FROM projects JOIN memberships ON project = projects.id AND member = $2
        WHERE projects.id = $1";
    Ok(sqlx::query_scalar(select).bind(project).bind(member).fetch_optional(ctx.db()).await?)
}
