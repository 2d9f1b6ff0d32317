//! Which jobs live nodes can run.

use crate::app::job::{JobHandler, JobResource};
use crate::kernel::node::WorkerInfo;

/// The handlers that live nodes can run.
pub(super) struct LiveHandlers<'a> {
    workers: &'a [WorkerInfo],
    handlers: &'a [JobHandler],
}

/// What no live node has that a job needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Missing {
    /// A node that runs jobs.
    Worker,
    /// Its handler.
    Handler,
    /// Its capability, beside its handler.
    Capability(String),
    /// The resources, beside its handler and its capability.
    Resources,
}

impl<'a> LiveHandlers<'a> {
    /// `handlers` are those of the binary that asks; of others it knows the names alone.
    pub(super) fn of(workers: &'a [WorkerInfo], handlers: &'a [JobHandler]) -> Self {
        Self { workers, handlers }
    }

    /// Why no live node can run jobs of this handler; `None` when one can. A node of a version that does not
    /// say what it has may have any handler, no capability, and any resources.
    pub(super) fn obstacle(&self, name: &str) -> Option<Missing> {
        if self.workers.is_empty() {
            return Some(Missing::Worker);
        }
        let mut able: Vec<&WorkerInfo> = self.workers.iter().collect();
        able.retain(|worker| {
            worker.job_names.as_ref().is_none_or(|names| names.iter().any(|own| own == name))
        });
        if able.is_empty() {
            return Some(Missing::Handler);
        }
        let handler = self.handlers.iter().find(|handler| handler.name == name)?;
        if let Some(capability) = &handler.capability {
            able.retain(|worker| worker.capabilities.iter().flatten().any(|own| own == capability));
            if able.is_empty() {
                return Some(Missing::Capability(capability.to_owned()));
            }
        }
        able.retain(|worker| {
            let has = |word: &str| worker.resources.as_ref()?.get(word).copied();
            let fits = |need: &JobResource| {
                worker.resources.is_none() || has(&need.word).unwrap_or(0) >= need.amount.get()
            };
            handler.resources.iter().all(fits)
        });
        able.is_empty().then_some(Missing::Resources)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::kernel::ids::NodeId;

    fn worker(names: Option<&[&str]>, capabilities: &[&str], cpu: Option<i64>) -> WorkerInfo {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        WorkerInfo {
            id: NodeId::new(),
            name: "node".to_owned(),
            job_names: names.map(texts),
            capabilities: Some(texts(capabilities)),
            resources: cpu.map(|cpu| BTreeMap::from([("cpu".to_owned(), cpu)])),
        }
    }

    #[test]
    fn the_first_thing_that_is_missing_everywhere_is_named() {
        let handler = JobHandler {
            name: "render".to_owned(),
            queue: "video".to_owned(),
            hides_arguments: false,
            capability: Some("gpu".to_owned()),
            resources: vec![JobResource { word: "cpu".to_owned(), amount: 8.into() }],
            concurrency: None,
        };
        let check = |workers: &[WorkerInfo], expected: Option<Missing>| {
            let found = LiveHandlers::of(workers, std::slice::from_ref(&handler)).obstacle("render");
            assert_eq!(found, expected, "{workers:?}");
        };
        let other = || worker(Some(&["mail"]), &["gpu"], Some(64));
        let weak = || worker(Some(&["render"]), &[], Some(64));
        let small = || worker(Some(&["render"]), &["gpu"], Some(4));
        check(&[], Some(Missing::Worker));
        check(&[other()], Some(Missing::Handler));
        check(&[other(), weak()], Some(Missing::Capability("gpu".to_owned())));
        check(&[other(), weak(), small()], Some(Missing::Resources));
        check(&[small(), worker(Some(&["render"]), &["gpu"], Some(8))], None);
        check(&[worker(None, &["gpu"], None)], None);
    }
}
