//! Running everything that is due: jobs and workflows.

use std::collections::BTreeMap;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use forge_actors::kernel::fault::{Code, Fault};
use forge_actors::kernel::time::{Timestamp, secs};

use super::jobs::{JobsFailed, RunJobs};
use super::node::TestNode;

/// What takes longer probably never ends.
const LIMIT: Duration = secs(30);

/// Runs jobs and workflows until nothing is due any more; awaiting this does it: `cx.settle().await?`.
///
/// The jobs run as [`RunJobs`] has them run, and runs of workflows until they wait, are parked or have ended;
/// both in turn, because each may make the other due. What waits for its time waits on:
/// [`advance`](super::TestContext::advance) lets that come.
#[must_use = "nothing runs until this is awaited"]
pub struct Settle<'a> {
    node: &'a TestNode,
    limit: Duration,
}

impl<'a> Settle<'a> {
    pub(super) fn new(node: &'a TestNode) -> Self {
        Self { node, limit: LIMIT }
    }

    /// Gives up after this time, in place of half a minute.
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    async fn run(self) -> Result<(), Fault> {
        let Self { node, limit } = self;
        let mut ran: BTreeMap<String, u32> = BTreeMap::new();
        let settling = async {
            loop {
                node.workflows.settle().await?;
                let attempts = RunJobs::new(&node.jobs).await.map_err(|failed| match failed {
                    JobsFailed::NotRun(fault) => fault,
                    JobsFailed::Lost(lost) => Fault::internal(lost),
                })?;
                if attempts.is_empty() {
                    return Ok(());
                }
                for attempt in attempts {
                    *ran.entry(attempt.handler).or_default() += 1;
                }
            }
        };
        if let Ok(settled) = tokio::time::timeout(limit, settling).await {
            return settled;
        }
        Err(Fault::new(Code::Timeout, still_due(node, limit, &ran).await?))
    }
}

impl<'a> IntoFuture for Settle<'a> {
    type Output = Result<(), Fault>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

/// What has not come to rest, in a sentence.
async fn still_due(node: &TestNode, limit: Duration, ran: &BTreeMap<String, u32>) -> Result<String, Fault> {
    let mut still = node.workflows.unsettled().await?;
    let now: Timestamp = SystemTime::now().into();
    let mut waiting: BTreeMap<String, u32> = BTreeMap::new();
    for known in node.jobs.dispatched(None).await? {
        if known.job.run_at.is_some_and(|run_at| run_at <= now) {
            *waiting.entry(known.job.name).or_default() += 1;
        }
    }
    still.extend(waiting.iter().map(|(name, count)| format!("{count} jobs `{name}` are due")));
    still.extend(ran.iter().map(|(name, count)| format!("the job `{name}` was attempted {count} times")));
    Ok(format!("jobs and workflows have not come to rest within {limit:?}: {}", still.join("; ")))
}
