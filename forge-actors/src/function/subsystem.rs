//! Functions as a subsystem: runs queries, mutations and actions. Provides [`Functions`].

use std::sync::Arc;

use super::config::FunctionConfig;
use super::paths::{CALLS, FUNCTIONS, KEY_EXPIRY};
use super::stall::ThreadStall;
use super::{FunctionDeps, Functions, InFlightCall};
use crate::app::Catalog;
use crate::app::context::Services;
use crate::app::cron::BeginCronRun;
use crate::app::job_buffer::BufferJob;
use crate::app::job_end::AwaitJobEnd;
use crate::app::new_job::InsertJob;
use crate::app::node::NodeView;
use crate::app::token::Tokens;
use crate::app::workflow_run::new_run::StartRun;
use crate::change::HintHub;
use crate::db::database::Database;
use crate::kernel::integer::Int53;
use crate::kernel::invocation::is_system;
use crate::leader::{Leader, MAINTENANCE};
use crate::subsystem::{
    ActorNote, Figure, FigureUnit, HealthVerdict, NodeBuilder, Part, ReadinessRule, SectionEntry, Subsystem,
};
use crate::supervise::{StartError, Tree};

/// See the module. Takes the catalog, the node's view and, where there are some, the [`Tokens`].
pub struct FunctionSubsystem;

impl Subsystem for FunctionSubsystem {
    const ROOT: ActorNote =
        ActorNote::new(&FUNCTIONS, "runs queries, mutations and actions").routes_commands();
    const ACTORS: &'static [ActorNote] = &[
        ActorNote::new(&CALLS, "watches the calls that run, and drains them").routes_commands(),
        ActorNote::new(&KEY_EXPIRY, "deletes old idempotency keys, while this node leads `maintenance`"),
    ];
    const SECTIONS: &'static [SectionEntry] = &[SectionEntry::of::<FunctionConfig>()];
    const CHECK: Option<ReadinessRule> = Some(ReadinessRule { name: "functions", actors: &[&CALLS] });

    fn build(node: &mut NodeBuilder) -> Result<Option<Part>, StartError> {
        let deps = FunctionDeps {
            database: node.get::<Database>(),
            tree: node.get::<Arc<Tree>>(),
            hints: node.get::<HintHub>(),
            terms: node.get::<Leader>().stand_for(MAINTENANCE),
            config: node.config::<FunctionConfig>(),
        };
        let view = node.get::<NodeView>();
        let (tokens, http) = (node.find::<Tokens>(), node.get::<reqwest::Client>());
        let (jobs, crons) = (node.get::<Arc<dyn InsertJob>>(), node.get::<Arc<dyn BeginCronRun>>());
        let (job_ends, job_buffer) = (node.get::<Arc<dyn AwaitJobEnd>>(), node.get::<Arc<dyn BufferJob>>());
        let workflows = node.get::<Arc<dyn StartRun>>();
        let result_bytes_max = deps.config.result_bytes_max;
        let services = |invoke, blocking| Services {
            node: view,
            invoke,
            jobs,
            job_ends,
            job_buffer,
            workflows,
            crons,
            tokens,
            http,
            blocking,
            result_bytes_max,
        };
        let (functions, child) = Functions::new(node.get::<Arc<Catalog>>(), deps, services)
            .map_err(|error| StartError { path: FUNCTIONS.to_string(), source: error.into() })?;
        node.provide(functions.invoker());
        node.provide(functions.clone());
        let part = Part::new(child).health(functions.stall(), threads_free);
        Ok(Some(part.stats(move |stats| {
            let counts = functions.counts();
            stats.calls = Int53::count(counts.calls);
            stats.errors = Int53::count(counts.errors);
            let running = functions.in_flight();
            let of_application = running.iter().filter(|call| !is_system(&call.name)).count();
            stats.in_flight = Int53::count(of_application as u64);
            stats.figures.extend(running.iter().filter_map(blocked_thread));
        })))
    }
}

fn threads_free(stall: &Option<ThreadStall>) -> HealthVerdict {
    HealthVerdict::broken_if(stall.as_ref().map(ThreadStall::reason))
}

/// For how long a handler has blocked its thread, when it does. There are no more than threads.
fn blocked_thread(call: &InFlightCall) -> Option<Figure> {
    let blocked = call.blocked?;
    Some(Figure {
        subsystem: FUNCTIONS.id().to_owned(),
        name: format!("thread blocked by {}", call.name),
        value: blocked.as_millis() as f64,
        unit: FigureUnit::Ms,
    })
}
