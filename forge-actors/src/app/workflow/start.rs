//! `ctx.start(message)`: a workflow becomes a run.
//!
//! In a mutation the run is part of its transaction, so that it exists if and only if the mutation committed.
//! Actions, jobs and crons have no transaction, so there the insert is one of its own. In a workflow the
//! start is a step, recorded together with the run that it starts.

use std::future::IntoFuture;
use std::marker::PhantomData;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use serde_json::Value;

use crate::app::call::CallableFrom;
use crate::app::context::{ActionContext, CronContext, Ctx, JobContext, MutationContext};
use crate::app::enqueue::origin;
use crate::app::error::Result;
use crate::app::handler::{Handler, Meta};
use crate::app::kind::{Action, Cron, Job, Kind, Mutation, Workflow};
use crate::app::secret::Secret;
use crate::app::workflow::event::Event;
use crate::app::workflow::handle::WorkflowHandle;
use crate::app::workflow_run::WorkflowMeta;
use crate::app::workflow_run::branch::StepPosition;
use crate::app::workflow_run::limits::{
    EVENT_BYTES_MAX, PUBLISHED_BYTES_MAX, WAIT_MAX, attributes_too_large,
};
use crate::app::workflow_run::new_run::{IdConflict, NewRun, NewSignal, ParentPolicy, StartOutcome};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RunId;
use crate::kernel::remedy;

/// Bytes of an application's id of a run, as JSON.
pub(crate) const KEY_BYTES_MAX: usize = 512;

/// Which kind may be started from which: workflows, from whatever may write.
#[diagnostic::on_unimplemented(
    message = "`Ctx<{Caller}>` cannot start a handler of kind `{Self}`",
    label = "no `start()` of this here",
    note = "only workflows are started; mutations, actions, jobs, crons and workflows start them, a query \
            only reads and a run is a row"
)]
pub trait StartableFrom<Caller: Kind>: Kind {
    /// The place of the start in its caller's code, where that is recorded.
    #[doc(hidden)]
    fn place(_: &Ctx<Caller>) -> Result<Option<StepPosition>> {
        Ok(None)
    }

    /// Writes the run.
    #[doc(hidden)]
    fn start(
        ctx: &Ctx<Caller>,
        place: Option<StepPosition>,
        run: NewRun,
    ) -> BoxFuture<'_, Result<StartOutcome>>;
}

impl StartableFrom<Mutation> for Workflow {
    fn start(
        ctx: &MutationContext,
        _: Option<StepPosition>,
        run: NewRun,
    ) -> BoxFuture<'_, Result<StartOutcome>> {
        Box::pin(async move { insert(ctx, &run).await })
    }
}

impl StartableFrom<Action> for Workflow {
    fn start(
        ctx: &ActionContext,
        _: Option<StepPosition>,
        run: NewRun,
    ) -> BoxFuture<'_, Result<StartOutcome>> {
        Box::pin(start_alone(ctx, run))
    }
}

impl StartableFrom<Job> for Workflow {
    fn start(ctx: &JobContext, _: Option<StepPosition>, run: NewRun) -> BoxFuture<'_, Result<StartOutcome>> {
        Box::pin(start_alone(ctx, run))
    }
}

impl StartableFrom<Cron> for Workflow {
    fn start(ctx: &CronContext, _: Option<StepPosition>, run: NewRun) -> BoxFuture<'_, Result<StartOutcome>> {
        Box::pin(start_alone(ctx, run))
    }
}

/// A run about to be started; awaiting this does it.
#[must_use = "a start does nothing until it is awaited"]
pub struct Start<'a, H, K: Kind> {
    ctx: &'a Ctx<K>,
    place: Result<Option<StepPosition>>,
    run: Result<NewRun>,
    attributes: serde_json::Map<String, Value>,
    policy: ParentPolicy,
    /// Chosen by [`Ctx::start`], so that awaiting a start has no condition that could fail a second time.
    write: WriteRun<K>,
    handler: PhantomData<fn() -> H>,
}

/// [`StartableFrom::start`].
type WriteRun<K> =
    for<'c> fn(&'c Ctx<K>, Option<StepPosition>, NewRun) -> BoxFuture<'c, Result<StartOutcome>>;

impl<K: Kind> Ctx<K> {
    /// Starts a run of a workflow, which carries the caller's identity and trace. Returns the id of the run.
    ///
    /// In a mutation the run exists if and only if the mutation commits. Actions and jobs have no
    /// transaction, so there the start commits on its own; it is repeatable with [`id`](Start::id). In a
    /// workflow the run is a child, which is started once.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the arguments are larger than the workflow's `input_max`; `CONFLICT` when the
    /// version is deprecated. Outside of a mutation `OUTCOME_UNKNOWN` when the connection broke before the
    /// answer came: the run may exist.
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::workflow]
    /// # pub async fn onboard(_ctx: &WorkflowContext, user: Uuid) -> Result<()> { Ok(()) }
    /// #[forge::mutation]
    /// pub async fn sign_up(ctx: &MutationContext, user: Uuid) -> Result<RunId> {
    ///     ctx.start(Onboard { user }).id(("onboard", user)).await
    /// }
    /// # fn main() {}
    /// ```
    pub fn start<H>(&self, message: H) -> Start<'_, H, K>
    where
        H: Handler,
        H::Kind: StartableFrom<K>,
    {
        Start {
            ctx: self,
            place: H::Kind::place(self),
            run: new_run(&message),
            attributes: serde_json::Map::new(),
            policy: ParentPolicy::Cancel,
            write: <H::Kind as StartableFrom<K>>::start,
            handler: PhantomData,
        }
    }
}

impl<H, K: Kind> Start<'_, H, K> {
    /// Makes the start idempotent: of all starts of this workflow with this id, one makes a run, and the
    /// others find it. The id is any value, often a tuple; 512 bytes as JSON. Callers of different tenants
    /// have ids of their own. SQL, the command line and the filter of the dashboard call this id the key of
    /// the run.
    ///
    /// A run that has ended is found too while its history is kept; [`on_conflict`](Self::on_conflict) says
    /// what else may happen.
    pub fn id(self, id: impl Serialize) -> Self {
        let key = serde_json::to_string(&id).map_err(Fault::internal).and_then(|json| {
            if json.len() > KEY_BYTES_MAX {
                let text = format!("the id of a run has at most {KEY_BYTES_MAX} bytes as JSON");
                return Err(Fault::new(Code::PayloadTooLarge, text));
            }
            Ok(json)
        });
        self.change(|run| {
            run.key = Some(key?);
            Ok(())
        })
    }

    /// What the start does when its [`id`](Self::id) names a run already.
    pub fn on_conflict(self, rule: IdConflict) -> Self {
        self.change(|run| {
            run.on_conflict = rule;
            Ok(())
        })
    }

    /// Lets the run begin after this time, by the database's clock; a hundred years at most.
    pub fn after(self, delay: Duration) -> Self {
        self.change(|run| {
            run.after_secs = delay.min(WAIT_MAX).as_secs_f64();
            Ok(())
        })
    }

    /// Gives the run this time limit in place of its workflow's.
    pub fn timeout(self, limit: Duration) -> Self {
        self.change(|run| {
            run.timeout_secs = Some(limit.min(WAIT_MAX).as_secs_f64());
            Ok(())
        })
    }

    /// Gives the run an attribute, by which operators find it.
    pub fn attribute(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.insert(name.to_owned(), value.into());
        self
    }

    /// Sends the run a signal with its start. A start that finds a run which has not ended sends it to that
    /// one. A run that has ended receives nothing, so where [`id`](Self::id) names one, a new run is started,
    /// unless [`on_conflict`](Self::on_conflict) says `Fail`.
    pub fn with_signal<E: Event>(self, signal: E) -> Self {
        let payload = payload_of(&signal);
        self.change(|run| {
            run.signal = Some(NewSignal { name: E::name(), payload: Secret::new(payload?) });
            Ok(())
        })
    }

    /// What becomes of the run when the workflow that starts it is cancelled or fails; nothing elsewhere.
    pub fn on_parent_end(mut self, policy: ParentPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Starts, and says whether a run was started or one with the same id was found.
    ///
    /// # Errors
    /// As for [`Ctx::start`].
    pub async fn outcome(self) -> Result<StartOutcome> {
        let Self { ctx, place, run, attributes, policy, write, handler: _ } = self;
        let mut run = run?;
        let place = place?;
        if !attributes.is_empty() {
            let json = Value::Object(attributes).to_string();
            if json.len() > PUBLISHED_BYTES_MAX {
                return Err(attributes_too_large());
            }
            run.attributes = Some(json);
        }
        run.policy = policy;
        write(ctx, place, run).await
    }

    /// Starts, and returns a handle with which the caller follows the run: in the browser with
    /// `useWorkflow(handle)`. A start that finds a run with the same id has its caller follow that one. The
    /// handle names one logical run, also when it goes on as a new one; children have handles of their own.
    ///
    /// Followed runs cost a statement more at the start, and a row that is written with each change of their
    /// status and of what they publish; others cost nothing.
    ///
    /// # Errors
    /// As for [`Ctx::start`].
    ///
    /// ```
    /// # extern crate forge_actors as forge;
    /// # use forge::prelude::*;
    /// # #[forge::workflow]
    /// # pub async fn onboard(_ctx: &WorkflowContext, user: Uuid) -> Result<u32> { Ok(1) }
    /// #[forge::mutation]
    /// pub async fn sign_up(ctx: &MutationContext, user: Uuid) -> Result<WorkflowHandle<Onboard>> {
    ///     ctx.start(Onboard { user }).id(("onboard", user)).handle().await
    /// }
    /// # fn main() {}
    /// ```
    pub async fn handle(self) -> Result<WorkflowHandle<H>> {
        let followed = self.change(|run| {
            run.followed = true;
            Ok(())
        });
        Ok(WorkflowHandle::of(followed.outcome().await?.run()))
    }

    fn change(mut self, change: impl FnOnce(&mut NewRun) -> Result<()>) -> Self {
        self.run = self.run.and_then(|mut run| change(&mut run).map(|()| run));
        self
    }
}

impl<'a, H: 'a, K: Kind> IntoFuture for Start<'a, H, K> {
    type Output = Result<RunId>;
    type IntoFuture = BoxFuture<'a, Self::Output>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.outcome().await?.run()) })
    }
}

/// The run that executes the workflow of `message`.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` when the arguments are larger than the workflow's `input_max`; `CONFLICT` when this
/// version is deprecated.
pub fn new_run<H: Handler>(message: &H) -> Result<NewRun> {
    let input = String::from_utf8(message.to_json()?).map_err(Fault::internal)?;
    run_of(&H::META, input)
}

/// The run that executes the workflow of `meta` with these arguments.
///
/// # Errors
/// `PAYLOAD_TOO_LARGE` when the arguments are larger than `input_max`; `CONFLICT` when this version of the
/// workflow is deprecated.
pub(crate) fn run_of(meta: &Meta, input: String) -> Result<NewRun> {
    let bytes_max = meta.input_bytes_max;
    let name = meta.wire_name();
    if input.len() > bytes_max {
        let text = format!("the arguments of `{name}` are larger than {bytes_max} bytes");
        return Err(Fault::new(Code::PayloadTooLarge, text)
            .with_details(serde_json::json!({ "bytesMax": bytes_max }))
            .with_help(remedy::INPUT_MAX));
    }
    let WorkflowMeta { version, timeout, deprecated, retention, aliases: _ } =
        meta.workflow_meta().unwrap_or(WorkflowMeta::DEFAULT);
    if deprecated {
        let text = format!(
            "version {version} of the workflow `{name}` is deprecated: it only goes on with runs that \
             exist; start the newest version"
        );
        return Err(Fault::new(Code::Conflict, text));
    }
    let secs = |time: Option<Duration>| time.map(|time| time.as_secs_f64());
    Ok(NewRun {
        id: RunId::new(),
        workflow: name,
        version,
        key: None,
        on_conflict: IdConflict::Return,
        input: Secret::new(input),
        after_secs: 0.0,
        timeout_secs: secs(timeout),
        retain_secs: secs(retention),
        attributes: None,
        followed: false,
        parent: None,
        policy: ParentPolicy::Cancel,
        signal: None,
        continues: None,
    })
}

impl MutationContext {
    /// The run of a workflow with these arguments, a JSON object; of its newest version that is not
    /// deprecated, where none is given.
    ///
    /// # Errors
    /// `BAD_REQUEST` when this binary has no such workflow or version, the version is deprecated, or the
    /// arguments do not fit the workflow; `PAYLOAD_TOO_LARGE` when they are larger than its `input_max`.
    pub(crate) fn run_by_name(&self, name: &str, version: Option<u32>, args: &str) -> Result<NewRun> {
        self.scope.shared.services.invoke.run_by_name(name, version, args)
    }

    /// Inserts a run in the transaction of this call, with the caller's identity.
    pub(crate) async fn start_run(&self, run: &NewRun) -> Result<StartOutcome> {
        insert(self, run).await
    }
}

/// The payload of an event, as JSON.
pub(super) fn payload_of<E: Event>(event: &E) -> Result<String> {
    let json = event.to_json_within(EVENT_BYTES_MAX)?;
    String::from_utf8(json).map_err(Fault::internal)
}

/// Inserts a run in the transaction of `ctx`.
async fn insert(ctx: &MutationContext, run: &NewRun) -> Result<StartOutcome> {
    let (identity, trace) = origin(ctx, ctx.identity())?;
    let shared = &ctx.scope.shared;
    let outcome = shared.services.workflows.insert(ctx.db(), run, identity, trace).await?;
    shared.after_commit.wake(super::WORKFLOWS_TOPIC);
    Ok(outcome)
}

/// Starts a run from a call that has no transaction: with the runs of other calls in one statement, or with a
/// mutation when one row is not enough.
async fn start_alone<K>(ctx: &Ctx<K>, run: NewRun) -> Result<StartOutcome>
where
    K: Kind,
    Mutation: CallableFrom<K>,
{
    if run.key.is_none() && run.signal.is_none() && !run.followed {
        let (identity, trace) = origin(ctx, ctx.identity())?;
        let workflows = &ctx.scope.shared.services.workflows;
        if let Some(outcome) = workflows.insert_alone(&run, identity, trace).await? {
            return Ok(outcome);
        }
    }
    Ok(ctx.call(InsertNewRun { run }).await?)
}

/// Starts a run in a transaction of its own, for callers that have none. The size of the arguments was
/// checked against the workflow's own limit.
#[forge_app_macros::mutation(name = "forge.insertRun", internal, input_max = "1GiB")]
pub async fn insert_new_run(ctx: &MutationContext, run: NewRun) -> Result<StartOutcome> {
    insert(ctx, &run).await
}
