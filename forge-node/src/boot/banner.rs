//! The banner of a started node: what runs, where, and whether data persist.

use std::time::Duration;

use forge_actors::app::{Catalog, KindName};
use forge_actors::kernel::invocation::is_system;
use forge_actors::subsystem::NodeProfile;
use forge_actors::tree::RunningNode;
use serde::Serialize;

use crate::boot::security;
use crate::boot::storage::StorageFacts;
use crate::config::section::Role;
use crate::terminal::context::{CommandContext, Palette};
use crate::terminal::output;
use crate::terminal::text::Text;

/// Columns of a terminal that the banner fits into, as far as no single word is longer.
const COLUMNS: usize = 80;
/// Columns of the labels, and of what continues a value on the next line.
const LABEL: usize = 11;

/// The facts of a started node.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Banner {
    version: &'static str,
    node: String,
    roles: Vec<Role>,
    applications: Vec<&'static str>,
    application_version: String,
    environment: String,
    url: Option<String>,
    database: String,
    embedded: bool,
    queries: usize,
    mutations: usize,
    actions: usize,
    jobs: usize,
    crons: usize,
    workflows: usize,
    migrations_applied: usize,
    dashboard: Option<String>,
    /// True when the link signs in, once.
    dashboard_signs_in: bool,
}

impl Banner {
    /// Collects the facts about a node that has started. `dashboard_code` is the code of a one-time link, in
    /// development only. The database is not asked: its answer may be late, and a banner is no reason to end
    /// a node.
    pub fn of(
        roles: Vec<Role>,
        profile: &NodeProfile,
        node: &RunningNode,
        storage: &StorageFacts,
        dashboard_code: Option<&str>,
        context: CommandContext<'_>,
    ) -> Self {
        let url = node.address().map(|address| format!("http://{address}"));
        let dashboard = url.as_deref().map(|url| security::dashboard_link(url, dashboard_code));
        let count = |kind| count(node.functions().catalog(), kind);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            node: profile.name.clone(),
            roles,
            applications: context.apps.iter().map(|app| app.name).collect(),
            application_version: profile.application.version.clone(),
            environment: profile.application.environment.clone(),
            url,
            database: storage.description.clone(),
            embedded: storage.embedded,
            queries: count(KindName::Query),
            mutations: count(KindName::Mutation),
            actions: count(KindName::Action),
            jobs: count(KindName::Job),
            crons: count(KindName::Cron),
            workflows: count(KindName::Workflow),
            migrations_applied: storage.migrations,
            dashboard,
            dashboard_signs_in: dashboard_code.is_some(),
        }
    }

    /// Prints the banner on stdout, where scripts wait for the address.
    pub fn print(&self, took: Duration, context: CommandContext<'_>) {
        if context.global.json {
            let mut facts = serde_json::json!(self);
            facts["startedMs"] = took.as_millis().to_string().parse().unwrap_or_default();
            output::data(Text::json(&facts));
        } else {
            output::data(self.render(took, context.palette()));
        }
    }

    fn render(&self, took: Duration, palette: Palette) -> Text {
        let application =
            format!("{} {} ({})", self.applications.join(", "), self.application_version, self.environment);
        let title = format!(" {}  {application}", self.version);
        let mut lines: Vec<Text> = vec![[palette.green("Forge"), title.into()].into_iter().collect()];
        match &self.url {
            Some(url) => lines.push(labelled("app", url)),
            None => lines.push(labelled("app", "no HTTP: the roles of the node do not include gateway")),
        }
        if let Some(dashboard) = &self.dashboard {
            let note = match self.dashboard_signs_in {
                true => "(opens once, within 10 min)",
                false => "(sign in: forge-node dashboard)",
            };
            lines.extend(noted("dashboard", dashboard, note, |note| palette.dim(note)));
        }
        if self.embedded {
            let note = "(data is kept; not for production)";
            lines.extend(noted("database", &self.database, note, |note| palette.yellow(note)));
        } else {
            lines.push(labelled("database", &self.database));
        }
        let roles: Vec<_> = self.roles.iter().map(|role| role.as_str()).collect();
        lines.push(labelled("node", &format!("{}: {}", self.node, roles.join(", "))));
        if self.jobs + self.crons + self.workflows == 0 && self.roles.contains(&Role::Worker) {
            lines.push(labelled("idle", "worker: the application has no jobs and no workflows"));
        }
        let note = "(forge-node functions)";
        lines.extend(noted("functions", &self.functions(), note, |note| palette.dim(note)));
        let applied = plural(self.migrations_applied, "migration", "migrations");
        lines.push(format!("started in {:.1} s, {applied} applied", took.as_secs_f64()).into());
        lines.into_iter().flat_map(|line| ["  ".into(), line, "\n".into()]).collect()
    }

    /// "6 queries, 9 mutations, 1 job".
    fn functions(&self) -> String {
        let kinds = [
            (self.queries, "query", "queries"),
            (self.mutations, "mutation", "mutations"),
            (self.actions, "action", "actions"),
            (self.jobs, "job", "jobs"),
            (self.crons, "cron", "crons"),
            (self.workflows, "workflow", "workflows"),
        ];
        let counted = kinds.iter().filter(|(count, ..)| *count > 0);
        let counted: Vec<_> = counted.map(|(count, one, many)| plural(*count, one, many)).collect();
        if counted.is_empty() { "none".to_owned() } else { counted.join(", ") }
    }
}

/// The line of one fact.
fn labelled(label: &str, value: &str) -> Text {
    format!("{label:<LABEL$}{value}").into()
}

/// The lines of one fact and a note on it. A note that does not fit behind the value goes below it.
fn noted(label: &str, value: &str, note: &str, colour: impl Fn(&str) -> Text) -> Vec<Text> {
    // Two columns are the margin of every line.
    let fits = 2 + LABEL + value.chars().count() + 2 + note.chars().count() <= COLUMNS;
    let first = labelled(label, value);
    match fits {
        true => vec![[first, "  ".into(), colour(note)].into_iter().collect()],
        false => vec![first, [labelled("", ""), colour(note)].into_iter().collect()],
    }
}

fn count(catalog: &Catalog, kind: KindName) -> usize {
    catalog.iter().filter(|(name, registration)| registration.meta.kind() == kind && !is_system(name)).count()
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn banner() -> Banner {
        Banner {
            version: "0.1.0",
            node: "node-7f3a".to_owned(),
            roles: vec![Role::Gateway, Role::Worker],
            applications: vec!["taskboard"],
            application_version: "0.3.0".to_owned(),
            environment: "development".to_owned(),
            url: Some("http://127.0.0.1:18080".to_owned()),
            database: "embedded PostgreSQL 15.18 in .forge/pg".to_owned(),
            embedded: true,
            queries: 7,
            mutations: 12,
            actions: 2,
            jobs: 1,
            crons: 1,
            workflows: 0,
            migrations_applied: 14,
            dashboard: Some("http://127.0.0.1:18080/_dashboard/?code=ABCD2345EFGH6789JKMNPQRSTV".to_owned()),
            dashboard_signs_in: true,
        }
    }

    #[test]
    fn the_banner_fits_eighty_columns() {
        let text = banner().render(Duration::from_millis(900), Palette::PLAIN);
        for line in text.as_str().lines() {
            assert!(line.chars().count() <= COLUMNS, "{} columns: {line}", line.chars().count());
        }
        for word in ["taskboard 0.3.0 (development)", "/_dashboard/?code=", "opens once", "gateway, worker"] {
            assert!(text.as_str().contains(word), "`{word}` is missing:\n{}", text.as_str());
        }
    }

    #[test]
    fn outside_of_development_the_banner_says_how_to_sign_in() {
        let dashboard = Some("http://127.0.0.1:18080/_dashboard/".to_owned());
        let text = Banner { dashboard, dashboard_signs_in: false, ..banner() }
            .render(Duration::from_millis(900), Palette::PLAIN);
        assert!(text.as_str().contains("/_dashboard/  (sign in: forge-node dashboard)"), "{}", text.as_str());
    }
}
