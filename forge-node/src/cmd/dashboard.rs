//! `dashboard`: prints a one-time link into the dashboard of a running node, signed with the configured
//! secret.

use crate::boot::security::{self, DASHBOARD_LINK_TTL};
use crate::cli::Dashboard;
use crate::cmd::client::{check_url, configured_tokens, default_url};
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::Report;
use crate::terminal::text::Text;

/// Prints the link.
pub fn run(args: &Dashboard, context: CommandContext<'_>) -> Result<(), Report> {
    let loaded = context.load(&[])?;
    let url = args.url.clone().unwrap_or_else(|| default_url(&loaded));
    check_url(&url)?;
    let code = security::dashboard_code(&configured_tokens(&loaded)?)?;
    let link = security::dashboard_link(&url, Some(&code));
    if context.global.json {
        let ttl_ms = DASHBOARD_LINK_TTL.as_millis() as u64;
        output::data(Text::json(&serde_json::json!({ "url": link, "expiresInMs": ttl_ms })));
    } else {
        output::data(link);
    }
    Ok(())
}
