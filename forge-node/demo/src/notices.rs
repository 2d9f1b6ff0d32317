//! Notices about people's tasks. A job writes one after the change that it is about has committed, and a cron
//! writes some each morning.

use forge::prelude::*;

use super::projects::ProjectId;
use super::tasks::{Task, TaskId, Title};
use super::users::{User, UserId};

/// Notices in one answer.
const PAGE: i64 = 50;

forge::id!(pub NoticeId);

#[forge::model(table = "notices", index(recipient, seen))]
pub struct Notice {
    #[id]
    pub id: NoticeId,
    #[relation(belongs_to = User, on_delete = cascade)]
    pub recipient: UserId,
    #[indexed]
    #[relation(belongs_to = Task, on_delete = cascade)]
    pub task: TaskId,
    #[default = false]
    pub seen: bool,
    #[default(sql = "now()")]
    pub created_at: Timestamp,
}

/// A notice, as its recipient reads it.
#[forge::data]
#[derive(Debug)]
pub struct NoticeLine {
    pub id: NoticeId,
    /// The task that is yours now.
    pub task: TaskId,
    pub project: ProjectId,
    pub title: Title,
    pub seen: bool,
    pub created_at: Timestamp,
}

/// Writes a notice for the new assignee of a task.
#[forge::job(queue = "notices", attempts = 8, backoff = exponential("1s", max = "10m"))]
pub async fn task_assigned(ctx: &JobContext, task: TaskId, assignee: UserId) -> Result<()> {
    // The notice and the end of the job are one transaction: however often the job runs, there is one notice.
    ctx.commit(async |tx| {
        // The task may have another assignee by now. Then the statement finds no row, and there is no notice.
        let insert = "INSERT INTO notices (id, recipient, task)
            SELECT $1, assignee, id FROM tasks WHERE id = $2 AND assignee = $3";
        sqlx::query(insert).bind(NoticeId::new()).bind(task).bind(assignee).execute(tx.db()).await?;
        Ok(())
    })
    .await
}

/// Each morning of a working day: reminds people of tasks that nobody has moved for a week, unless they have
/// not seen the last notice about it yet.
#[forge::cron("0 7 * * MON-FRI", timezone = "Europe/Berlin", jitter = "1m")]
pub async fn daily_digest(ctx: &CronContext) -> Result<()> {
    // Counted from the time that the run is for: a late run writes what one on time would have written.
    let week_ago = ctx.scheduled_time() - days(7);
    ctx.commit(async |tx| {
        let insert = "INSERT INTO notices (id, recipient, task)
            SELECT gen_random_uuid(), assignee, id FROM tasks
            WHERE assignee IS NOT NULL AND status <> 'done' AND updated_at < $1
            AND NOT EXISTS (SELECT FROM notices WHERE task = tasks.id AND recipient = assignee AND NOT seen)";
        let written = sqlx::query(insert).bind(week_ago).execute(tx.db()).await?.rows_affected();
        ctx.log.with("notices", written).info("reminded of tasks that rest");
        Ok(())
    })
    .await
}

/// The caller's notices, newest first.
#[forge::query]
pub async fn list(ctx: &QueryContext) -> Result<Vec<NoticeLine>> {
    let me: UserId = ctx.auth().user()?;
    let select =
        "SELECT notices.id, notices.task, tasks.project, tasks.title, notices.seen, notices.created_at
        FROM notices JOIN tasks ON tasks.id = notices.task
        WHERE recipient = $1 ORDER BY notices.created_at DESC, notices.id DESC LIMIT $2";
    Ok(sqlx::query_as(select).bind(me).bind(PAGE).fetch_all(ctx.db()).await?)
}

/// Marks all notices of the caller as seen; answers how many were new.
#[forge::mutation]
pub async fn mark_seen(ctx: &MutationContext) -> Result<u32> {
    let me: UserId = ctx.auth().user()?;
    let update = "UPDATE notices SET seen = true WHERE recipient = $1 AND NOT seen";
    let updated = sqlx::query(update).bind(me).execute(ctx.db()).await?;
    Ok(u32::try_from(updated.rows_affected()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use forge::testing::{TestContext, TestResult};

    use super::super::users::tests::person;
    use super::super::{projects, tasks};
    use super::*;

    #[forge::test]
    async fn an_assignee_gets_one_notice(cx: TestContext) -> TestResult {
        let (ana, bob) = (person(&cx, "ana").await?, person(&cx, "bob").await?);
        let (owner, assignee) = (cx.as_user(ana.id), cx.as_user(bob.id));
        let project = owner.call(projects::Create { name: "Garden".parse()? }).await?.id;
        owner.call(projects::AddMember { project, email: bob.email }).await?;
        let title: Title = "Plant the apple tree".parse()?;
        let create = tasks::Create { project, title: title.clone(), assignee: Some(bob.id) };
        let created = owner.call(create).await?;
        let task = created.id;
        assert!(assignee.call(List {}).await?.is_empty(), "the notice is written by the job");

        cx.run_jobs().await?;
        let notices = assignee.call(List {}).await?;
        assert_eq!(notices.iter().map(|notice| &notice.title).collect::<Vec<_>>(), [&title]);
        assert_eq!(assignee.call(MarkSeen {}).await?, 1);

        // A week later the task still rests: the digest says so, and once is enough until it is seen.
        for morning in [days(6), days(8), days(9)] {
            cx.dispatch_cron(DailyDigest {}, created.updated_at + morning).await?;
        }
        cx.run_jobs().await?;
        let seen: Vec<_> = assignee.call(List {}).await?.iter().map(|notice| notice.seen).collect();
        assert_eq!(seen, [false, true]);

        // The task has another assignee by the time the job runs: there is no notice.
        cx.dispatch(TaskAssigned { task, assignee: ana.id }).await?;
        cx.run_jobs().await?;
        assert!(owner.call(List {}).await?.is_empty());
        Ok(())
    }
}
