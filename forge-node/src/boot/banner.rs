//! The banner of a started node: what runs, where, and whether data persist.

use std::time::Duration;

use forge_actors::app::{Catalog, KindName};
use forge_actors::tree::RunningNode;
use serde::Serialize;

use crate::boot::security;
use crate::boot::storage::StorageFacts;
use crate::config::section::{Config, Role};
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::output;
use crate::terminal::text::Text;

/// The prefix of the names of Forge's own handlers, which the banner does not count.
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

/// The credentials that a node in development mode prints.
pub struct DeveloperCredentials {
    /// A token with the role `admin`.
    pub token: Option<String>,
    /// The code of a one-time link into the dashboard.
    pub dashboard_code: Option<String>,
}

impl Banner {
    /// Collects the facts about a node that has started. The database is not asked: its answer may be late,
    /// and a banner is no reason to end a node.
    pub fn of(
        config: &Config,
        name: &str,
        node: &RunningNode,
        storage: &StorageFacts,
        credentials: DeveloperCredentials,
        context: CommandContext<'_>,
    ) -> Self {
        let url = node.address().map(|address| format!("http://{address}"));
        let dashboard = url
            .as_deref()
            .zip(credentials.dashboard_code.as_deref())
            .map(|(url, code)| security::dashboard_link(url, code));
        let count = |kind| count(node.functions().catalog(), kind);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            node: name.to_owned(),
            roles: config.node.roles.clone(),
            applications: context.apps.iter().map(|app| app.name).collect(),
            url,
            database: storage.description.clone(),
            embedded: storage.embedded,
            queries: count(KindName::Query),
            mutations: count(KindName::Mutation),
            actions: count(KindName::Action),
            jobs: count(KindName::Job),
            migrations_applied: storage.migrations,
            token: credentials.token,
            dashboard,
        }
    }

    /// Prints the banner on stdout, where scripts wait for the address.
    pub fn print(&self, took: Duration, context: CommandContext<'_>) {
        if context.global.json {
            let mut facts = serde_json::json!(self);
            facts["readyMs"] = took.as_millis().to_string().parse().unwrap_or_default();
            output::data(Text::json(&facts));
        } else {
            output::data(self.render(took, context.palette()));
        }
    }

    fn render(&self, took: Duration, palette: Palette) -> Text {
        let roles: Vec<_> = self.roles.iter().map(|role| role.as_str()).collect();
        let address = self.url.as_deref().unwrap_or("no HTTP: the node's roles do not include gateway");
        let node = format!(" {}  {}  roles {}", self.version, self.node, roles.join(","));
        let mut lines: Vec<Text> = vec![
            [palette.green("Forge"), node.into()].into_iter().collect(),
            format!("app        {address}  {}", self.applications.join(", ")).into(),
        ];
        if let Some(dashboard) = &self.dashboard {
            let line = format!("dashboard  {dashboard}   ");
            lines.push([line.into(), palette.dim("(opens once, within 10 min)")].into_iter().collect());
        }
        lines.push(format!("database   {}", self.database).into());
        if self.embedded {
            lines.push(["           ".into(), palette.yellow("not for production")].into_iter().collect());
        }
        if self.jobs == 0 && self.roles.contains(&Role::Worker) {
            lines.push("idle       worker: the application has no jobs".into());
        }
        if let (Some(token), Some(url)) = (&self.token, &self.url) {
            let limits = palette.dim("(role admin, for a day; development only)");
            lines.push([format!("token      {token}   ").into(), limits].into_iter().collect());
            let call = format!("curl -s {url}/rpc/forge.actors -H 'authorization: Bearer {token}'");
            lines.push(format!("try        {call}").into());
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
        let (seconds, functions) = (took.as_secs_f64(), functions.join(", "));
        lines.push(format!("ready in {seconds:.1} s - {functions}, {applied} applied").into());
        lines.into_iter().flat_map(|line| ["  ".into(), line, "\n".into()]).collect()
    }
}

fn count(catalog: &Catalog, kind: KindName) -> usize {
    catalog
        .iter()
        .filter(|(name, registration)| registration.meta.kind() == kind && !name.starts_with(OWN_PREFIX))
        .count()
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
