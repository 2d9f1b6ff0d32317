//! What jobs take of their node beside a worker: cores, memory, whatever `[node] resources` names.
//!
//! A job takes what its handler says from its claim to its end. What is taken is the sum over the leases that
//! the node holds, so that nothing is taken by a job that is gone. A job that does not fit is not claimed: it
//! stays in its queue, for another node or for later.

use std::collections::HashMap;

use super::leases::LeaseTable;
use super::limits::LimitedJob;
use crate::app::Catalog;
use crate::kernel::resource::{ResourceAmounts, ResourceNeeds};

/// The resources of a node, and the handlers that need some.
#[derive(Debug)]
pub(super) struct NodeResources {
    capacity: ResourceAmounts,
    needs: HashMap<String, ResourceNeeds>,
    /// Wire names of the handlers that need some.
    names: Vec<String>,
}

impl NodeResources {
    pub(super) fn of(catalog: &Catalog, capacity: ResourceAmounts) -> Self {
        let needs: HashMap<String, ResourceNeeds> = catalog
            .queued()
            .filter_map(|(name, known)| Some((name.to_owned(), known.meta.job_meta()?.resources)))
            .filter(|(_, needs)| !needs.is_empty())
            .collect();
        Self { capacity, names: needs.keys().cloned().collect(), needs }
    }

    /// Wire names of the handlers that need resources.
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// What jobs of this handler need.
    pub(super) fn needs(&self, handler: &str) -> ResourceNeeds {
        if self.needs.is_empty() { &[] } else { self.needs.get(handler).copied().unwrap_or_default() }
    }

    /// What the jobs leave that the node holds.
    pub(super) fn left(&self, leases: &LeaseTable) -> ResourceAmounts {
        let mut left = self.capacity.clone();
        if !self.names.is_empty() {
            leases.resources().for_each(|needs| left.take(needs));
        }
        left
    }

    /// Those of `names` whose jobs fit into what is left.
    pub(super) fn fitting(&self, names: &[String], left: &ResourceAmounts) -> Vec<String> {
        names.iter().filter(|name| left.fit(self.needs(name))).cloned().collect()
    }

    /// Those of `jobs` that fit into what is left one beside the other.
    pub(super) fn fitting_jobs(
        &self,
        mut jobs: Vec<LimitedJob>,
        mut left: ResourceAmounts,
    ) -> Vec<LimitedJob> {
        jobs.retain(|job| {
            let needs = self.needs(&job.name);
            let fits = left.fit(needs);
            if fits {
                left.take(needs);
            }
            fits
        });
        jobs
    }
}
