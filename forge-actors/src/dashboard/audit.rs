//! `forge.audit`: what people did to the nodes. A row is written before the action, in a transaction of its
//! own, and settled after it: an action that left no row did not happen.

use sqlx::Row;
use sqlx::postgres::PgRow;

use crate::app::{ActionContext, MutationContext, QueryContext, Result};
use crate::kernel::ids::NodeId;
use crate::kernel::time::Timestamp;

/// Rows of one answer at most.
const ROWS_MAX: u16 = 1_000;

crate::id! {
    /// Names a row of the audit.
    pub AuditId,
}

/// One action.
#[forge_app_macros::data(row = false)]
#[derive(Debug, Clone)]
pub struct AuditEntry {
    /// Its id.
    pub id: AuditId,
    /// When it began.
    pub at: Timestamp,
    /// Who asked for it: the subject of the token.
    pub who: String,
    /// What was asked for.
    pub action: String,
    /// The node it was done to.
    pub node: Option<NodeId>,
    /// What it was done to.
    pub target: String,
    /// `underway`, `done` or `failed`.
    pub outcome: String,
    /// Why it failed.
    pub error: Option<String>,
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
            outcome: row.try_get("outcome")?,
            error: row.try_get("error")?,
        })
    }
}

/// What people did, newest first: 100 unless `limit` says otherwise, 1,000 at most.
#[forge_app_macros::query(name = "forge.audit", role = "admin", refresh = "2s")]
pub async fn audit(ctx: &QueryContext, limit: Option<u16>) -> Result<Vec<AuditEntry>> {
    let limit = i64::from(limit.unwrap_or(100).min(ROWS_MAX));
    Ok(sqlx::query_as(include_str!("sql/list_audit.sql")).bind(limit).fetch_all(ctx.db()).await?)
}

/// Writes down that an action begins.
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

/// Writes down how an action ended.
#[forge_app_macros::mutation(name = "forge.settleAudit", internal)]
pub async fn settle_audit(ctx: &MutationContext, id: AuditId, error: Option<String>) -> Result<()> {
    sqlx::query(include_str!("sql/settle_audit.sql")).bind(id).bind(error).execute(ctx.db()).await?;
    Ok(())
}

/// Runs `work` between the two rows' moments.
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
    let error = outcome.as_ref().err().map(|fault| fault.message().to_owned());
    ctx.call(SettleAudit { id, error }).await?;
    outcome
}
