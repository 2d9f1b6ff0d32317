//! `dashboard`: a one-time link into the dashboard of a running node, signed with the secret of this place.

use crate::boot::security::{self, DASHBOARD_LINK_TTL};
use crate::cli::Dashboard;
use crate::cmd::client::{check_url, default_url, tokens_of_place};
use crate::cmd::output;
use crate::cmd::report::Report;
use crate::cmd::scene::Scene;

/// Prints the link.
pub fn run(args: &Dashboard, scene: Scene<'_>) -> Result<(), Report> {
    let loaded = scene.load(&[])?;
    let url = args.url.clone().unwrap_or_else(|| default_url(&loaded));
    check_url(&url)?;
    let code = security::dashboard_code(&tokens_of_place(&loaded)?)?;
    let link = security::dashboard_link(&url, &code);
    if scene.global.json {
        output::data(
            &serde_json::json!({ "url": link, "expiresInMs": DASHBOARD_LINK_TTL.as_millis() as u64 })
                .to_string(),
        );
    } else {
        output::data(&link);
    }
    Ok(())
}
