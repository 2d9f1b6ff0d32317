//! Checks of the machine: compiler, Postgres programs, the port, and the secret.

use std::process::{Command, Stdio};
use std::time::Duration;

use forge_actors::app::token::SECRET_BYTES_MIN;
use forge_actors::db::embedded::binaries::SearchPath;
use forge_actors::db::embedded::user::ServerUser;
use forge_actors::gateway::port::{HttpPortError, Port};

use super::Finding;
use crate::boot::secret;
use crate::boot::security::MAKE_SECRET;
use crate::boot::weak_secret::weakness;
use crate::cmd::client;
use crate::config::load::Loaded;
use crate::terminal::report::{Exit, Report};
use forge_actors::db::config::DatabaseConfig;
use forge_actors::gateway::config::GatewayConfig;

/// Time for a node to answer /health.
const HEALTH_TIMEOUT: Duration = Duration::from_secs(2);

/// Checks the programs that build an application.
pub(super) fn toolchain() -> Vec<Finding> {
    let version = |program: &str| {
        let output =
            Command::new(program).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
        let text = output
            .ok()
            .filter(|output| output.status.success())
            .map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
        match text {
            Some(text) => Finding::good(text),
            None => Finding::note(
                format!("{program} cannot be run, so no application can be built"),
                "curl https://sh.rustup.rs -sSf | sh",
            ),
        }
    };
    vec![version("rustc"), version("cargo")]
}

/// Checks that a secret is configured.
pub(super) fn secret(loaded: &Loaded) -> Finding {
    match &loaded.config.auth.secret {
        Some(secret) if secret.expose().len() < SECRET_BYTES_MIN => {
            let what = format!("auth.secret has fewer than {SECRET_BYTES_MIN} bytes");
            Finding::bad(Exit::Config, what, MAKE_SECRET)
        }
        Some(secret) => match weakness(secret.expose()) {
            Some(why) => Finding::bad(Exit::Config, format!("auth.secret is no secret: {why}"), MAKE_SECRET),
            None => Finding::good(format!("auth.secret is set by {}", loaded.origin("auth.secret"))),
        },
        None => match secret::existing(&loaded.folder) {
            Ok(Some(_)) => {
                let what = "auth.secret is not set; the secret in .forge is for development only";
                Finding::note(what, MAKE_SECRET)
            }
            Ok(None) => {
                Finding::note("auth.secret is not set: only `start --dev` starts a node", MAKE_SECRET)
            }
            Err(report) => report.into(),
        },
    }
}

/// Checks the programs of the embedded database; `None` when another database is configured.
pub(super) async fn postgres(loaded: &Loaded) -> Option<Finding> {
    if loaded.config.section::<DatabaseConfig>().url.is_some() {
        return None;
    }
    let (found, passed_over) = SearchPath::usual(&loaded.folder).find(&ServerUser::choose()).await;
    Some(match found.first() {
        Some(binaries) => {
            Finding::good(format!("postgres {} in {}", binaries.version, binaries.folder.display()))
        }
        None => {
            let why =
                if passed_over.is_empty() { String::new() } else { format!(" ({})", passed_over.join("; ")) };
            Finding::note(
                format!("no Postgres programs were found{why}; `start` will fetch some"),
                "forge-node start",
            )
        }
    })
}

/// Checks that the port is free, or that a node of Forge has it.
pub(super) async fn port(loaded: &Loaded) -> Finding {
    let gateway = &loaded.config.section::<GatewayConfig>();
    match Port::open(gateway) {
        Ok(_) => Finding::good(format!("{} is free", gateway.address())),
        Err(HttpPortError::InUse { address }) if node_answers(loaded).await => {
            Finding::good(format!("a node answers on {address}"))
        }
        Err(error) => Report::from(error).help("forge-node start --port 0").into(),
    }
}

async fn node_answers(loaded: &Loaded) -> bool {
    let url = format!("{}/health", client::default_url(loaded));
    let Ok(http) = reqwest::Client::builder().timeout(HEALTH_TIMEOUT).build() else { return false };
    http.get(url).send().await.is_ok_and(|response| response.status().is_success())
}
