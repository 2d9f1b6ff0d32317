//! `forge.findWorkflows`: the runs that the beginning of an id may mean.

use crate::app::{QueryContext, Result};
use crate::workflow::admin::{self, RunPrefix, WorkflowRow};

/// Runs whose ids begin with these hexadecimal digits, 6 at least, newest first, 11 at most. Dashes may be
/// left out.
#[forge_app_macros::query(name = "forge.findWorkflows", role = "admin")]
pub async fn find_workflows(ctx: &QueryContext, prefix: String) -> Result<Vec<WorkflowRow>> {
    admin::find_by_prefix(ctx.db(), RunPrefix::parse(&prefix)?).await
}
