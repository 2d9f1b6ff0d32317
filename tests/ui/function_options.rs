//! Options of handlers that do not exist, contradict each other or have values of the wrong shape.

use forge::prelude::*;

#[forge::query(tiemout = "5s")] //~
async fn misspelt(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

#[forge::query(isolation = serializable)] //~
async fn of_another_kind(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

#[forge::mutation(public, role = "editor")] //~
async fn public_and_role(_ctx: &MutationContext) -> Result<()> {
    Ok(())
}

#[forge::mutation(internal)] //~
#[forge::require_role("editor")]
async fn internal_and_required(_ctx: &MutationContext) -> Result<()> {
    Ok(())
}

#[forge::action(timeout = "5s", timeout = "6s", public = true, role = editor, role = "", colour)] //~ 6
async fn several_at_once(_ctx: &ActionContext) -> Result<()> {
    Ok(())
}

#[forge::query(timeout = 5, concurrency = 0, input_max = "64KB", name = "list")] //~ 4
async fn values(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

#[forge::query(timeout = "11m", concurrency = "10", input_max = "0B", snapshot = true)] //~ 4
async fn limits(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

#[forge::mutation(isolation = snapshot)] //~
async fn isolation(_ctx: &MutationContext) -> Result<()> {
    Ok(())
}

#[forge::query(refresh = "99ms")] //~
async fn refresh_too_often(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

#[forge::query(refresh = "2h")] //~
async fn refresh_too_seldom(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

#[forge::mutation(refresh = "1s")] //~
async fn refresh_of_a_mutation(_ctx: &MutationContext) -> Result<()> {
    Ok(())
}

#[forge::require_auth] //~
async fn no_kind(_ctx: &MutationContext) -> Result<()> {
    Ok(())
}

#[forge::query]
#[forge::require_role(editor)] //~
async fn role_as_a_word(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

fn main() {}
