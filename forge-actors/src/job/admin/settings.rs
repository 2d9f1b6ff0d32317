//! What an operator sets of a queue while nodes run.

use crate::db::handle::Db;
use crate::kernel::fault::Fault;

/// Pauses a queue in the name of `who`: from the commit on no claim that begins takes a job of it. Returns
/// false when it is paused already.
pub async fn pause_queue(db: &Db, queue: &str, who: &str) -> Result<bool, Fault> {
    let pause = sqlx::query_scalar(include_str!("../sql/pause_queue.sql")).bind(queue).bind(who);
    let paused: Option<String> = pause.fetch_optional(db).await?;
    Ok(paused.is_some())
}

/// Lets jobs of a queue be claimed again. Returns false when it is not paused.
pub async fn resume_queue(db: &Db, queue: &str) -> Result<bool, Fault> {
    let resume = sqlx::query_scalar(include_str!("../sql/resume_queue.sql")).bind(queue);
    let resumed: Option<String> = resume.fetch_optional(db).await?;
    Ok(resumed.is_some())
}

/// Lets so many jobs of a queue be held at a time, by all nodes together; `None`: as many as there are
/// workers. Jobs that are held already go on.
pub async fn limit_queue(db: &Db, queue: &str, concurrency_max: Option<u32>) -> Result<(), Fault> {
    match concurrency_max {
        Some(most) => {
            let most = i32::try_from(most).unwrap_or(i32::MAX);
            sqlx::query(include_str!("../sql/limit_queue.sql")).bind(queue).bind(most).execute(db).await?;
        }
        None => {
            sqlx::query(include_str!("../sql/unlimit_queue.sql")).bind(queue).execute(db).await?;
        }
    }
    Ok(())
}
