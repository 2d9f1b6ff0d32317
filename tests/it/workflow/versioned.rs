//! Versions of one workflow, and what their authors have changed.

use forge::prelude::*;

/// The newest version.
#[forge::workflow(version = 2)]
pub(super) async fn flow(ctx: &WorkflowContext, id: u32) -> Result<String> {
    let first = ctx.step("first", || async { Ok("first".to_owned()) }).await?;
    ctx.sleep(days(1)).await;
    let second = ctx
        .step("second", move || async move { Ok(format!("second{}", if id > 99 { "!" } else { "" })) })
        .await?;
    Ok(format!("two: {first} {second}"))
}

/// The version before.
#[forge::workflow(version = 1, deprecated, name = "versioned.flow")]
pub(super) async fn flow_v1(ctx: &WorkflowContext, id: u32) -> Result<String> {
    let _ = id;
    let first = ctx.step("first", || async { Ok("first".to_owned()) }).await?;
    ctx.sleep(days(1)).await;
    let second = ctx.step("second", || async { Ok("second".to_owned()) }).await?;
    Ok(format!("one: {first} {second}"))
}

#[forge::action(internal)]
pub(super) async fn begin_versioned(ctx: &ActionContext, id: u32) -> Result<RunId> {
    ctx.start(Flow { id }).await
}

#[forge::workflow]
pub(super) async fn renamed(ctx: &WorkflowContext, id: u32) -> Result<String> {
    let _ = id;
    ctx.step("erste", || async { Ok("first".to_owned()) }).await
}

#[forge::workflow]
pub(super) async fn reordered(ctx: &WorkflowContext, id: u32) -> Result<String> {
    let _ = id;
    ctx.sleep(days(1)).await;
    ctx.step("first", || async { Ok("first".to_owned()) }).await
}

#[forge::workflow]
pub(super) async fn retyped(ctx: &WorkflowContext, id: u32) -> Result<u32> {
    let _ = id;
    ctx.step("first", || async { Ok(1_u32) }).await
}

#[forge::workflow]
pub(super) async fn shortened(_ctx: &WorkflowContext, id: u32) -> Result<u32> {
    Ok(id)
}

/// Has one step more than its version 1, another name for a step, and another argument.
#[forge::workflow(version = 2)]
pub(super) async fn migrated(ctx: &WorkflowContext, number: u32) -> Result<String> {
    let added = ctx.step("added", || async { Ok("executed".to_owned()) }).await?;
    let renamed = ctx.step("renamed", || async { Ok("executed".to_owned()) }).await?;
    ctx.sleep(days(1)).await;
    let last = ctx.step("last", || async { Ok("last".to_owned()) }).await?;
    Ok(format!("{added} {renamed} {number} {last}"))
}

/// The input whose run the migration refuses.
pub(super) const UNMIGRATED: u64 = 99;

#[forge::workflow_migration(from = 1, to = 2)]
fn migrated_1_to_2(journal: &mut Journal<Migrated>) -> Result<()> {
    let id = journal.input_mut()["id"].as_u64().unwrap_or(0);
    if id == UNMIGRATED {
        return Err(Fault::new(Code::Conflict, "this run is not to be migrated"));
    }
    *journal.input_mut() = json!({ "number": id + 4 });
    journal.rename("first", "renamed")?;
    journal.map_result("renamed", |_: String| "renamed".to_owned())?;
    journal.insert(1, "added", &"added".to_owned())
}
