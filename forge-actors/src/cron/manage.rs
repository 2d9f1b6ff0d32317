//! `ctx.crons()`: the schedules that an application creates for its tenants.
//!
//! A schedule is a row, written in the transaction of the mutation: it exists if and only if that commits. It
//! belongs to the tenant of the caller's token, and its runs have the caller's identity. A mutation sees and
//! changes the schedules of its caller's tenant only.

use std::future::IntoFuture;
use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::Row;

use super::admin::{self, CronFilter, CronRow};
use super::store::{attempts_max, catch_up, jitter_ms};
use super::timetable::Timetable;
use crate::app::cron::CronMeta;
use crate::app::dispatch::new_job;
use crate::app::{Cron, CronOverlap, Handler, MutationContext, Result};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::CronId;
use crate::kernel::time::Timestamp;

/// Schedules of one tenant; a further one is refused with `CONFLICT`.
pub const CRONS_PER_TENANT_MAX: u16 = 1_000;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 200;
/// The longest jitter, as the column holds it.
const JITTER_MAX: Duration = Duration::from_secs(86_400);
/// Missed times of one cron that run afterwards, at most.
const CATCH_UP_MAX: u32 = 100;

/// The schedules of the caller's tenant.
#[derive(Clone, Copy)]
pub struct Crons<'a> {
    ctx: &'a MutationContext,
}

impl MutationContext {
    /// The schedules of the caller's tenant: creates, pauses, resumes and deletes them in the transaction of
    /// this mutation.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// /// The figures of a project. Without an expression, mutations create its schedules.
    /// #[forge::cron(catch_up = 0)]
    /// pub async fn report(_ctx: &CronContext, project: Uuid) -> Result<()> { Ok(()) }
    ///
    /// #[forge::mutation]
    /// pub async fn report_weekly(ctx: &MutationContext, project: Uuid, timezone: String) -> Result<CronId> {
    ///     let name = format!("report/{project}");
    ///     ctx.crons().create(name, Report { project }, "0 8 * * MON").timezone(timezone).or_replace().await
    /// }
    /// # fn main() {}
    /// ```
    pub fn crons(&self) -> Crons<'_> {
        Crons { ctx: self }
    }
}

/// A schedule about to be created; awaiting this does it.
#[must_use = "a schedule is created when this is awaited"]
pub struct CreateCron<'a> {
    ctx: &'a MutationContext,
    name: String,
    handler: String,
    args: Result<String>,
    meta: CronMeta,
    expression: String,
    timezone: String,
    replaces: bool,
}

impl<'a> Crons<'a> {
    /// Creates a schedule on which the cron `message` runs. `expression` has five fields, six with the
    /// second in front, or is a nickname such as `@daily`. What is not said here is as the handler's
    /// attribute says.
    ///
    /// # Errors
    /// `VALIDATION` says what is wrong with the expression or the zone; `CONFLICT`, when the tenant has a
    /// schedule of this name, or a thousand; `PAYLOAD_TOO_LARGE`, when the arguments are larger than the
    /// cron's `input_max`.
    pub fn create<H: Handler<Kind = Cron>>(
        &self,
        name: impl Into<String>,
        message: H,
        expression: impl Into<String>,
    ) -> CreateCron<'a> {
        let meta = H::META.cron_meta().unwrap_or(CronMeta::DEFAULT);
        CreateCron {
            ctx: self.ctx,
            name: name.into(),
            handler: H::META.wire_name(),
            args: new_job(&message, None).map(|job| job.args.expose().to_owned()),
            meta,
            expression: expression.into(),
            timezone: meta.timezone.to_owned(),
            replaces: false,
        }
    }

    /// The schedules of the tenant, by name.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn list(&self) -> Result<Vec<CronRow>> {
        let tenant = self.tenant();
        let filter = CronFilter { tenant: tenant.map(str::to_owned), is_own: true, ..CronFilter::default() };
        admin::list(self.ctx.db(), filter, CRONS_PER_TENANT_MAX).await
    }

    /// Stops a schedule until it is resumed. One that is paused stays so.
    ///
    /// # Errors
    /// `NOT_FOUND`, when the tenant has no schedule of this name.
    pub async fn pause(&self, name: &str) -> Result<()> {
        let cron = self.find(name).await?;
        let who = self.ctx.auth().identity().map_or("application", |identity| identity.subject.as_str());
        admin::pause(self.ctx.db(), cron.id, who).await.map(drop)
    }

    /// Lets a schedule run again, from now on: the times of the pause are not made up for.
    ///
    /// # Errors
    /// `NOT_FOUND`, when the tenant has no schedule of this name.
    pub async fn resume(&self, name: &str) -> Result<()> {
        let OwnCron { id, table, now } = self.find(name).await?;
        admin::resume(self.ctx.db(), id, &table, now).await.map(drop)
    }

    /// Deletes a schedule and the record of its runs. Jobs that it has dispatched run on.
    ///
    /// # Errors
    /// `NOT_FOUND`, when the tenant has no schedule of this name.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let cron = self.find(name).await?;
        sqlx::query(include_str!("sql/delete_cron.sql")).bind(cron.id).execute(self.ctx.db()).await?;
        Ok(())
    }

    fn tenant(&self) -> Option<&'a str> {
        tenant_of(self.ctx)
    }

    async fn find(&self, name: &str) -> Result<OwnCron> {
        let find = sqlx::query(include_str!("sql/find_own_cron.sql")).bind(name).bind(self.tenant());
        let row = find.fetch_optional(self.ctx.db()).await?;
        let row = row.ok_or_else(|| Fault::new(Code::NotFound, format!("there is no cron `{name}`")))?;
        let table = Timetable::parse(row.try_get("expression")?, row.try_get("timezone")?)?;
        Ok(OwnCron { id: row.try_get("id")?, table, now: row.try_get("now")? })
    }
}

struct OwnCron {
    id: CronId,
    table: Timetable,
    now: Timestamp,
}

fn tenant_of(ctx: &MutationContext) -> Option<&str> {
    ctx.auth().identity().ok().and_then(|identity| identity.tenant.as_deref())
}

impl CreateCron<'_> {
    /// The zone on whose clock the expression is read, such as `Europe/Berlin`.
    pub fn timezone(self, name: impl Into<String>) -> Self {
        Self { timezone: name.into(), ..self }
    }

    /// What becomes of a run while the one before is not finished.
    pub fn overlap(mut self, overlap: CronOverlap) -> Self {
        self.meta.overlap = overlap;
        self
    }

    /// How many missed times run afterwards, a hundred at most: the newest ones.
    pub fn catch_up(mut self, times: u32) -> Self {
        self.meta.catch_up = times.min(CATCH_UP_MAX);
        self
    }

    /// A run starts up to this much after its time, a day at most; always the same for one time.
    pub fn jitter(mut self, jitter: Duration) -> Self {
        self.meta.jitter = jitter.min(JITTER_MAX);
        self
    }

    /// Replaces a schedule of the same name, which keeps its id, its runs and its pause.
    pub fn or_replace(self) -> Self {
        Self { replaces: true, ..self }
    }

    async fn create(self) -> Result<CronId> {
        let db = self.ctx.db();
        if self.name.is_empty() || self.name.len() > NAME_BYTES_MAX || self.name.contains('\0') {
            let message = format!("a cron has a name of 1 to {NAME_BYTES_MAX} bytes");
            return Err(Fault::new(Code::BadRequest, message));
        }
        let tenant = tenant_of(self.ctx);
        let count = sqlx::query(include_str!("sql/count_own_crons.sql")).bind(tenant).bind(&self.name);
        let count = count.fetch_one(db).await?;
        let next_at =
            Timetable::parse(&self.expression, &self.timezone)?.next_after(count.try_get("now")?)?;
        if count.try_get::<i64, _>("count")? >= i64::from(CRONS_PER_TENANT_MAX) {
            let message = format!("a tenant has at most {CRONS_PER_TENANT_MAX} crons");
            return Err(Fault::new(Code::Conflict, message));
        }
        let identity = self.ctx.auth().identity().ok().map(serde_json::to_string).transpose();
        let CronMeta { job, overlap, catch_up: times, jitter, .. } = self.meta;
        let created: Option<CronId> = sqlx::query_scalar(include_str!("sql/create_cron.sql"))
            .bind(CronId::new())
            .bind(&self.name)
            .bind(tenant)
            .bind(self.handler)
            .bind(self.args?)
            .bind(identity.map_err(Fault::internal)?)
            .bind(&self.expression)
            .bind(&self.timezone)
            .bind(overlap.as_str())
            .bind(catch_up(times))
            .bind(jitter_ms(jitter))
            .bind(job.queue)
            .bind(i16::from(job.priority))
            .bind(attempts_max(job.attempts))
            .bind(next_at)
            .bind(self.replaces)
            .fetch_optional(db)
            .await?;
        let name = self.name;
        created.ok_or_else(|| Fault::new(Code::Conflict, format!("there is a cron `{name}` already")))
    }
}

impl<'a> IntoFuture for CreateCron<'a> {
    type Output = Result<CronId>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.create())
    }
}
