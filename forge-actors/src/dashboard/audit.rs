//! `forge.audit`: the commands of administrators. A row is committed before the command is carried out, in a
//! transaction of its own, and completed after it: a command without a row was not carried out.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::app::{ActionContext, MutationContext, QueryContext, Result};
use crate::kernel::fault::Fault;
use crate::kernel::ids::{JobId, NodeId};
use crate::kernel::storable::{in_ascii, without_nul};
use crate::kernel::time::Timestamp;

/// Rows of one answer at most.
const ROWS_MAX: u16 = 1_000;

crate::id! {
    /// Names a row of the audit.
    pub AuditId,
}

impl AuditId {
    /// The row of the command whose work this job does.
    pub(super) const fn of_bulk(job: JobId) -> Self {
        Self::from_uuid(*job.as_uuid())
    }
}

/// One command.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Id of the row.
    pub id: AuditId,
    /// When the command began.
    pub at: Timestamp,
    /// Subject of the token that the command came with.
    pub who: String,
    /// The command.
    pub action: String,
    /// The node that carries it out.
    pub node: Option<NodeId>,
    /// What the command is about: the path of an actor, or the id of a job.
    pub target: String,
    /// How it ended.
    pub outcome: AuditOutcome,
    /// Why the command failed.
    pub error: Option<String>,
}

/// How an audited command ended.
#[forge_app_macros::data]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditOutcome {
    /// The command has begun. It stays so when its node ended before the command did.
    Underway,
    /// The command succeeded.
    Done,
    /// The command failed.
    Failed,
}

impl AuditOutcome {
    /// Reads a label of the type in Postgres.
    fn parse(label: &str) -> sqlx::Result<Self> {
        match label {
            "underway" => Ok(Self::Underway),
            "done" => Ok(Self::Done),
            "failed" => Ok(Self::Failed),
            other => {
                Err(sqlx::Error::Decode(format!("`{other}` is no outcome of an audited command").into()))
            }
        }
    }
}

impl sqlx::FromRow<'_, PgRow> for AuditEntry {
    fn from_row(row: &PgRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            at: row.try_get("at")?,
            who: row.try_get("subject")?,
            action: row.try_get("action")?,
            node: row.try_get("node_id")?,
            target: row.try_get("target")?,
            outcome: AuditOutcome::parse(row.try_get("outcome")?)?,
            error: row.try_get("error")?,
        })
    }
}

/// The commands, newest first: 100 unless `limit` says otherwise, 1,000 at most.
#[forge_app_macros::query(name = "forge.audit", role = "admin", refresh = "2s")]
pub async fn audit(ctx: &QueryContext, limit: Option<u16>) -> Result<Vec<AuditEntry>> {
    let limit = i64::from(limit.unwrap_or(100).min(ROWS_MAX));
    Ok(sqlx::query_as(include_str!("sql/list_audit.sql")).bind(limit).fetch_all(ctx.db()).await?)
}

/// Records that a command begins.
#[forge_app_macros::mutation(name = "forge.recordAudit", internal)]
pub async fn record_audit(
    ctx: &MutationContext,
    id: AuditId,
    action: String,
    node: Option<NodeId>,
    target: String,
) -> Result<()> {
    let who = &ctx.auth().identity()?.subject;
    sqlx::query(include_str!("sql/insert_audit.sql"))
        .bind(id)
        .bind(who)
        .bind(action)
        .bind(node)
        .bind(target)
        .execute(ctx.db())
        .await?;
    Ok(())
}

/// Records how a command ended.
#[forge_app_macros::mutation(name = "forge.completeAudit", internal)]
pub async fn complete_audit(ctx: &MutationContext, id: AuditId, error: Option<String>) -> Result<()> {
    sqlx::query(include_str!("sql/complete_audit.sql")).bind(id).bind(error).execute(ctx.db()).await?;
    Ok(())
}

/// Runs `work` with a row of the audit: begun before it, completed after it.
pub(super) async fn audited<T>(
    ctx: &ActionContext,
    action: &str,
    node: Option<NodeId>,
    target: &str,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    let id = AuditId::new();
    ctx.call(RecordAudit { id, action: action.to_owned(), node, target: target.to_owned() }).await?;
    let outcome = work.await;
    let error = outcome.as_ref().err().map(|fault| without_nul(fault.message()));
    match ctx.call(CompleteAudit { id, error: error.clone() }).await.map_err(Fault::from) {
        // The encoding of the database may lack a character of the text.
        Err(fault) if fault.blames_row() => {
            let error = error.as_deref().map(in_ascii);
            ctx.call(CompleteAudit { id, error }).await?;
        }
        completed => completed?,
    }
    outcome
}

/// Records that a command on many jobs has ended, with what it did, as a part of what it is about.
pub(super) async fn complete_bulk(ctx: &MutationContext, job: JobId, result: &str) -> Result<()> {
    let complete = sqlx::query(include_str!("sql/complete_bulk_audit.sql"));
    complete.bind(AuditId::of_bulk(job)).bind(result).execute(ctx.db()).await?;
    Ok(())
}
