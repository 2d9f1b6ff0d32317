//! What a starting node says of itself: what runs, where, and whether data persist.

use std::time::Duration;

use forge_actors::app::{Catalog, KindName};
use forge_actors::tree::RunningNode;
use serde::Serialize;

use crate::boot::security;
use crate::boot::storage::Facts;
use crate::cmd::output;
use crate::cmd::report::Report;
use crate::cmd::scene::{Palette, Scene};
use crate::config::section::{Config, Role};

/// Handlers below this name are Forge's own, and are not counted among the application's.
const OWN_PREFIX: &str = "forge.";

/// The facts of a started node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Banner {
    version: &'static str,
    node: String,
    roles: Vec<Role>,
    applications: Vec<&'static str>,
    url: Option<String>,
    database: String,
    embedded: bool,
    queries: usize,
    mutations: usize,
    actions: usize,
    jobs: usize,
    migrations_applied: usize,
    token: Option<String>,
    dashboard: Option<String>,
}

/// What opens the node to its developer.
pub struct Keys {
    /// A token with the role `admin`.
    pub token: Option<String>,
    /// The code of a one-time link into the dashboard.
    pub dashboard_code: Option<String>,
}

impl Banner {
    /// Collects them.
    pub async fn of(
        config: &Config,
        name: &str,
        node: &RunningNode,
        storage: &Facts,
        keys: Keys,
        scene: Scene<'_>,
    ) -> Result<Self, Report> {
        let url = node.address().map(|address| format!("http://{address}"));
        let dashboard = url
            .as_deref()
            .zip(keys.dashboard_code.as_deref())
            .map(|(url, code)| security::dashboard_link(url, code));
        let count = |kind| count(node.functions().catalog(), kind);
        Ok(Self {
            version: env!("CARGO_PKG_VERSION"),
            node: name.to_owned(),
            roles: config.node.roles.clone(),
            applications: scene.apps.iter().map(|app| app.name).collect(),
            url,
            database: storage.description.clone(),
            embedded: storage.embedded,
            queries: count(KindName::Query),
            mutations: count(KindName::Mutation),
            actions: count(KindName::Action),
            jobs: count(KindName::Job),
            migrations_applied: storage.migrations_applied().await?,
            token: keys.token,
            dashboard,
        })
    }

    /// Prints it on stdout: the address is what scripts wait for.
    pub fn print(&self, took: Duration, scene: Scene<'_>) {
        if scene.global.json {
            let mut facts = serde_json::json!(self);
            facts["readyMs"] = took.as_millis().to_string().parse().unwrap_or_default();
            output::data(&facts.to_string());
        } else {
            output::data(&self.render(took, scene.palette()));
        }
    }

    pub(super) fn render(&self, took: Duration, palette: Palette) -> String {
        let roles: Vec<_> = self.roles.iter().map(|role| role.as_str()).collect();
        let mut lines = vec![
            format!("{} {}  {}  roles {}", palette.green("Forge"), self.version, self.node, roles.join(",")),
            format!(
                "app        {}  {}",
                self.url.as_deref().unwrap_or("no HTTP: its roles do not include gateway"),
                self.applications.join(", ")
            ),
        ];
        if let Some(dashboard) = &self.dashboard {
            lines.push(format!("dashboard  {dashboard}   {}", palette.dim("(opens once, within 10 min)")));
        }
        lines.push(format!("database   {}", self.database));
        if self.embedded {
            lines.push(format!("           {}", palette.yellow("not for production")));
        }
        let idles = |role: &Role| match role {
            Role::Gateway | Role::Function => false,
            Role::Worker => self.jobs == 0,
            Role::Scheduler => true,
        };
        let idle: Vec<_> = self.roles.iter().filter(|role| idles(role)).map(|role| role.as_str()).collect();
        if !idle.is_empty() {
            lines.push(format!("idle       {}: the application has nothing for it", idle.join(", ")));
        }
        if let (Some(token), Some(url)) = (&self.token, &self.url) {
            lines.push(format!(
                "token      {token}   {}",
                palette.dim("(role admin, for a day; development only)")
            ));
            lines.push(format!(
                "try        curl -s {url}/rpc/forge.actors -H 'authorization: Bearer {token}'"
            ));
        }
        let functions = [
            (self.queries, "query", "queries"),
            (self.mutations, "mutation", "mutations"),
            (self.actions, "action", "actions"),
            (self.jobs, "job", "jobs"),
        ];
        let functions: Vec<_> = functions
            .iter()
            .filter(|(count, ..)| *count > 0)
            .map(|(count, one, many)| plural(*count, one, many))
            .collect();
        let applied = plural(self.migrations_applied, "migration", "migrations");
        lines.push(format!(
            "ready in {:.1} s - {}, {applied} applied",
            took.as_secs_f64(),
            functions.join(", ")
        ));
        lines.iter().map(|line| format!("  {line}\n")).collect()
    }
}

fn count(catalog: &Catalog, kind: KindName) -> usize {
    catalog
        .iter()
        .filter(|(name, registration)| registration.meta.kind == kind && !name.starts_with(OWN_PREFIX))
        .count()
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
