//! `dashboard`: prints a one-time link into the dashboard of a running node, signed with the configured
//! secret. The node is asked first whether it accepts that secret: a node with another secret would refuse
//! the link in the browser, without a reason.

use forge_actors::gateway::auth::ADMIN_ROLE;
use forge_actors::kernel::fault::Code;

use crate::boot::security::{self, DASHBOARD_LINK_TTL};
use crate::cli::{Dashboard, Target};
use crate::cmd::client::{Client, RequestIdentity, check_page_url, configured_tokens, default_url};
use crate::terminal::context::CommandContext;
use crate::terminal::output;
use crate::terminal::report::{Exit, Report};
use crate::terminal::text::Text;

/// Prints the link.
pub async fn run(args: &Dashboard, context: CommandContext<'_>) -> Result<(), Report> {
    let loaded = context.load(&[])?;
    let url = args.url.clone().unwrap_or_else(|| default_url(&loaded));
    check_page_url(&url)?;
    let tokens = configured_tokens(&loaded)?;
    let target = Target { url: Some(url.clone()), token: None };
    let roles = [ADMIN_ROLE.to_owned()];
    let signed = RequestIdentity::Signed { subject: "forge-node", roles: &roles };
    let node = Client::new(&loaded, &target, signed)?;
    node.call("forge.nodes", &serde_json::json!({})).await.map_err(|report| foreign(report, &url))?;
    let code = security::dashboard_code(&tokens)?;
    let link = security::dashboard_link(&url, Some(&code));
    if context.global.json {
        let ttl_ms = DASHBOARD_LINK_TTL.as_millis() as u64;
        output::data(Text::json(&serde_json::json!({ "url": link, "expiresInMs": ttl_ms })));
    } else {
        output::data(link);
    }
    Ok(())
}

/// The report of a node that was asked; that of a node with another secret names the remedy.
fn foreign(report: Report, url: &str) -> Report {
    if report.code != Code::Unauthenticated.name() {
        return report;
    }
    Report::new(Exit::Permission, "foreign-secret", format!("{url} does not accept tokens of this secret"))
        .cause(report.message)
        .help(
            "run the command in the folder where that node was started, or with its secret in \
             FORGE_AUTH__SECRET",
        )
}
