//! Imports: a job adds a task for each line of a list, and the page shows how far it is.

use forge::prelude::*;

use super::projects::ProjectId;
use super::tasks::{OPEN_MAX, TaskError, TaskId, Title, require_capacity};
use super::users::UserId;

/// A task that an import adds.
#[forge::data]
#[derive(Debug)]
pub struct NewTask {
    pub id: TaskId,
    pub title: Title,
}

/// Has a job add a task for each title, 500 at most; answers the handle by which the caller follows it.
#[forge::mutation]
pub async fn start(
    ctx: &MutationContext,
    project: ProjectId,
    titles: Vec<Title>,
) -> Result<JobHandle<AddTasks>, TaskError> {
    let me: UserId = ctx.auth().user()?;
    require_capacity(ctx, project, me).await?;
    if titles.len() > usize::try_from(OPEN_MAX).unwrap_or(usize::MAX) {
        return Err(TaskError::LimitReached { max: OPEN_MAX });
    }
    // The ids are made here, so that an attempt which is repeated adds no task twice.
    let tasks = titles.into_iter().map(|title| NewTask { id: TaskId::new(), title }).collect();
    Ok(ctx.dispatch(AddTasks { project, tasks }).handle().await?)
}

/// Adds tasks, one after the other; answers how many. Of the imports of a person, one runs at a time.
#[forge::job(queue = "imports", attempts = 3, timeout = "5m", concurrency(limit = 1, key = user))]
pub async fn add_tasks(ctx: &JobContext, project: ProjectId, tasks: Vec<NewTask>) -> Result<u32, TaskError> {
    let total = u32::try_from(tasks.len()).unwrap_or(u32::MAX);
    for (added, task) in (0..).zip(tasks) {
        ctx.progress(f64::from(added) / f64::from(total), format!("{added} of {total} tasks")).await?;
        ctx.call(AddTask { project, task }).await?;
    }
    Ok(total)
}

/// Adds one task of an import, unless it is there already.
#[forge::mutation(internal)]
pub async fn add_task(ctx: &MutationContext, project: ProjectId, task: NewTask) -> Result<(), TaskError> {
    let me: UserId = ctx.auth().user()?;
    require_capacity(ctx, project, me).await?;
    let insert = "INSERT INTO tasks (id, project, title) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING";
    sqlx::query(insert).bind(task.id).bind(project).bind(task.title).execute(ctx.db()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use forge::testing::{TestContext, TestResult};

    use super::super::users::tests::person;
    use super::super::{projects, tasks};
    use super::*;

    #[forge::test]
    async fn an_import_adds_each_task_once(cx: TestContext) -> TestResult {
        let ana = cx.as_user(person(&cx, "ana").await?.id);
        let project = ana.call(projects::Create { name: "Garden".parse()? }).await?.id;
        let titles: Vec<Title> = vec!["Dig".parse()?, "Sow".parse()?, "Wait".parse()?];
        ana.call(Start { project, titles }).await?;
        let [import] = &cx.dispatched::<AddTasks>().await?[..] else { panic!("one import is dispatched") };
        let again = AddTasks { project, tasks: import.message.tasks.iter().map(copy).collect() };
        cx.run_jobs().await?;
        // As after the loss of a node that had added all of them.
        ana.dispatch(again).await?;
        cx.run_jobs().await?;
        let list = tasks::List { project, status: None, before: None, limit: None };
        let listed: Vec<String> = ana.call(list).await?.iter().map(|task| task.title.to_string()).collect();
        assert_eq!(listed, ["Wait", "Sow", "Dig"]);
        Ok(())
    }

    fn copy(task: &NewTask) -> NewTask {
        NewTask { id: task.id, title: task.title.clone() }
    }
}
