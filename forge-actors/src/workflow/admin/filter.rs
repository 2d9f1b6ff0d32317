//! Which runs an administrator asks for: the filter as it is called with, checked, and the places where its
//! runs are looked for.

use std::fmt;

use serde_json::{Map, Value};

use super::action::WorkflowAction;
use super::status::WorkflowStatus;
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::kernel::time::Timestamp;

/// Attributes of one filter.
const ATTRIBUTES_MAX: usize = 10;

/// Which runs; every part that is given must hold.
#[forge_app_macros::data]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkflowFilter {
    /// Runs in one of these statuses; without any, in all of them.
    #[serde(default)]
    pub statuses: Vec<WorkflowStatus>,
    /// `false`: runs that have not ended; `true`: those that have.
    #[serde(default)]
    pub is_ended: Option<bool>,
    /// Runs of the workflow with this wire name.
    #[serde(default)]
    pub workflow: Option<String>,
    /// Runs of this version.
    #[serde(default)]
    pub version: Option<u32>,
    /// Runs that were started with this id of the application: a text, or its JSON.
    #[serde(default)]
    pub key: Option<String>,
    /// The run with this id.
    #[serde(default)]
    pub id: Option<RunId>,
    /// The children of this run.
    #[serde(default)]
    pub parent: Option<RunId>,
    /// Runs that were started at this time or later.
    #[serde(default)]
    pub started_from: Option<Timestamp>,
    /// Runs that were started before this time.
    #[serde(default)]
    pub started_before: Option<Timestamp>,
    /// Runs with all of these attributes.
    #[serde(default)]
    pub attributes: Vec<WorkflowAttribute>,
    /// Runs whose id, workflow, id of the application or error contains this text; case is ignored.
    #[serde(default)]
    pub text: Option<String>,
}

/// One attribute of a run.
#[forge_app_macros::data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowAttribute {
    /// Its name.
    pub name: String,
    /// Its value as JSON, or a text: `7` is the number, `gold` and `"7"` are texts.
    pub value: String,
}

impl WorkflowAttribute {
    /// Its value.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.value).unwrap_or_else(|_| Value::from(self.value.as_str()))
    }
}

impl fmt::Display for WorkflowFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let statuses: Vec<&str> = self.statuses.iter().map(|status| status.as_str()).collect();
        let part = |name: &str, value: Option<String>| value.map(|value| format!("{name}={value}"));
        let parts = [
            part("status", (!statuses.is_empty()).then(|| statuses.join(","))),
            part("ended", self.is_ended.map(|is_ended| is_ended.to_string())),
            part("workflow", self.workflow.to_owned()),
            part("version", self.version.map(|version| version.to_string())),
            part("key", self.key.to_owned()),
            part("id", self.id.map(|id| id.to_string())),
            part("parent", self.parent.map(|id| id.to_string())),
            part("from", self.started_from.map(|at| at.to_rfc3339())),
            part("before", self.started_before.map(|at| at.to_rfc3339())),
            part("text", self.text.to_owned()),
        ];
        let mut written: Vec<String> = parts.into_iter().flatten().collect();
        written.extend(
            self.attributes
                .iter()
                .map(|WorkflowAttribute { name, value }| format!("attribute.{name}={value}")),
        );
        f.write_str(&if written.is_empty() { "all runs".to_owned() } else { written.join(" ") })
    }
}

/// A filter that was checked.
#[derive(Debug, Clone)]
pub struct WorkflowSearch {
    pub(super) filter: WorkflowFilter,
    /// The attributes as one JSON object.
    pub(super) attributes: Option<Value>,
    /// The statuses that are asked for, in their order.
    pub(super) statuses: Vec<WorkflowStatus>,
}

impl WorkflowSearch {
    /// Checks a filter.
    ///
    /// # Errors
    /// `BAD_REQUEST` when it names too many attributes or one without a name, or holds a character that no
    /// text in Postgres can hold.
    pub fn new(mut filter: WorkflowFilter) -> Result<Self, Fault> {
        let refused = |message: String| Fault::new(Code::BadRequest, message);
        if filter.attributes.len() > ATTRIBUTES_MAX {
            return Err(refused(format!("the filter names more than {ATTRIBUTES_MAX} attributes")));
        }
        if filter.attributes.iter().any(|attribute| attribute.name.is_empty()) {
            return Err(refused("an attribute has a name".to_owned()));
        }
        let WorkflowFilter { workflow, key, text, .. } = &filter;
        let texts = [workflow, key, text].into_iter().flatten();
        let attributes = filter.attributes.iter().flat_map(|attribute| [&attribute.name, &attribute.value]);
        if texts.chain(attributes).any(|text| text.contains('\0') || text.contains("\\u0000")) {
            return Err(refused("the filter holds a NUL character, which no run has".to_owned()));
        }
        filter.text = filter.text.map(|text| text.trim().to_lowercase()).filter(|text| !text.is_empty());
        let object: Map<String, Value> =
            filter.attributes.iter().map(|wanted| (wanted.name.to_owned(), wanted.json())).collect();
        let wanted = |status: &WorkflowStatus| {
            (filter.statuses.is_empty() || filter.statuses.contains(status))
                && filter.is_ended.is_none_or(|is_ended| is_ended == status.is_ended())
        };
        let statuses = WorkflowStatus::ALL.into_iter().filter(wanted).collect();
        Ok(Self { attributes: (!object.is_empty()).then_some(Value::Object(object)), statuses, filter })
    }

    /// The run with this id.
    pub(super) fn of_run(id: RunId) -> Self {
        Self {
            filter: WorkflowFilter { id: Some(id), ..WorkflowFilter::default() },
            attributes: None,
            statuses: WorkflowStatus::ALL.to_vec(),
        }
    }

    /// The same runs, without those that an action does not change; `None` when it changes none of them.
    pub(super) fn narrowed_to(mut self, action: WorkflowAction) -> Option<Self> {
        self.statuses.retain(|status| action.applies_to(*status));
        (!self.statuses.is_empty()).then_some(self)
    }

    /// The labels of the statuses, when not all of them are asked for.
    pub(super) fn labels(&self) -> Option<Vec<&'static str>> {
        let is_all = self.statuses.len() == WorkflowStatus::ALL.len();
        (!is_all).then(|| self.statuses.iter().map(|status| status.as_str()).collect())
    }

    /// Where its runs are.
    pub(super) fn sources(&self) -> RunSources {
        let mut sources = RunSources::default();
        let (ended, live): (Vec<WorkflowStatus>, Vec<WorkflowStatus>) =
            self.statuses.iter().copied().partition(|status| status.is_ended());
        for (table, wanted) in [("live", live), ("history", ended)] {
            match wanted.iter().all(|status| status.has_index()) {
                true => sources.by_status.extend(wanted.iter().map(|status| status.as_str())),
                false => sources.tables.push(table),
            }
        }
        sources
    }

    /// True when every run of its sources matches.
    pub(super) fn takes_all(&self) -> bool {
        let WorkflowFilter {
            statuses: _,
            is_ended: _,
            workflow,
            version,
            key,
            id,
            parent,
            started_from,
            started_before,
            attributes,
            text,
        } = &self.filter;
        let tables = self.sources().tables;
        let whole = |table: &str, ended: bool| {
            let known = WorkflowStatus::ALL.into_iter().filter(|status| status.is_ended() == ended);
            !tables.contains(&table) || known.clone().all(|status| self.statuses.contains(&status))
        };
        let named = [workflow, key, text].into_iter().any(Option::is_some);
        let dated = [started_from, started_before].into_iter().any(Option::is_some);
        let by_id = [id, parent].into_iter().any(Option::is_some);
        whole("live", false)
            && whole("history", true)
            && !(named || dated || by_id || version.is_some() || !attributes.is_empty())
    }
}

/// The places where the runs of a filter are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RunSources {
    /// `live` and `history`: tables that are read by their primary keys.
    pub(super) tables: Vec<&'static str>,
    /// The statuses that are read by the indexes on them.
    pub(super) by_status: Vec<&'static str>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn search(statuses: &[WorkflowStatus], is_ended: Option<bool>) -> WorkflowSearch {
        let filter = WorkflowFilter { statuses: statuses.to_vec(), is_ended, ..WorkflowFilter::default() };
        WorkflowSearch::new(filter).expect("a good filter")
    }

    #[test]
    fn the_fewest_rows_are_read_that_hold_the_runs() {
        use WorkflowStatus::{Cancelled, Completed, Diverged, Failed, Paused, Waiting};
        let check = |statuses: &[WorkflowStatus], is_ended, tables: &[&str], by_status: &[&str], all| {
            let search = search(statuses, is_ended);
            let found = search.sources();
            assert_eq!((&*found.tables, &*found.by_status), (tables, by_status), "{statuses:?} {is_ended:?}");
            assert_eq!(search.takes_all(), all, "{statuses:?} {is_ended:?}");
        };
        check(&[], None, &["live", "history"], &[], true);
        check(&[], Some(false), &["live"], &[], true);
        check(&[], Some(true), &["history"], &[], true);
        check(&[Failed, Cancelled], None, &[], &["failed", "cancelled"], true);
        check(&[Diverged, Paused], None, &[], &["paused", "diverged"], true);
        check(&[Waiting, Paused, Failed], None, &["live"], &["failed"], false);
        check(&[Completed, Failed], None, &["history"], &[], false);
        check(&[Waiting, Failed], Some(true), &[], &["failed"], true);
    }

    #[test]
    fn a_filter_says_its_parts_and_refuses_what_no_run_has() {
        let attribute =
            |name: &str, value: &str| WorkflowAttribute { name: name.to_owned(), value: value.to_owned() };
        let filter = WorkflowFilter {
            workflow: Some("onboard".to_owned()),
            attributes: vec![attribute("plan", "gold"), attribute("seats", "7")],
            ..WorkflowFilter::default()
        };
        assert_eq!(filter.to_string(), "workflow=onboard attribute.plan=gold attribute.seats=7");
        let search = WorkflowSearch::new(filter).expect("a good filter");
        assert_eq!(search.attributes, Some(serde_json::json!({ "plan": "gold", "seats": 7 })));
        assert_eq!(WorkflowFilter::default().to_string(), "all runs");
        for attributes in
            [vec![attribute("", "a")], vec![attribute("a", "\0")], vec![attribute("a", "1"); 11]]
        {
            assert!(WorkflowSearch::new(WorkflowFilter { attributes, ..WorkflowFilter::default() }).is_err());
        }
    }
}
