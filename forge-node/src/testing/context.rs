//! `TestContext`: the callers, calls, jobs, database and HTTP answers that a test uses.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use forge_actors::app::dispatch::new_job;
use forge_actors::app::enqueue::Enqueue;
use forge_actors::app::workflow::start::{InsertNewRun, new_run};
use forge_actors::app::{Action, CallError, Cron, Handler, Job, Kind, Mutation, Query, WireType, Workflow};
use forge_actors::db::handle::Db;
use forge_actors::kernel::fault::Fault;
use forge_actors::kernel::ids::{JobId, RunId};
use forge_actors::kernel::invocation::{Caller, Identity, Invocation};
use forge_actors::kernel::time::Timestamp;
use forge_actors::workflow::history::{HistoryError, ReplayedHistory};
use serde_json::{Value, json};

use super::http::HttpAnswers;
use super::jobs::{self, Dispatched, RunJobs};
use super::node::TestNode;
use super::settle::Settle;
use super::watch::Watch;
use super::workflows;

/// The kinds of handler that a test can call.
#[diagnostic::on_unimplemented(
    message = "a test cannot call a handler of kind `{Self}`",
    label = "not callable from here",
    note = "a job is not called: `cx.dispatch(..)` queues it, `cx.run_jobs()` runs it; \
            `cx.dispatch_cron(..)` queues a run of a cron"
)]
pub trait CallableFromTest: Kind {}
impl CallableFromTest for Query {}
impl CallableFromTest for Mutation {}
impl CallableFromTest for Action {}

/// A call on its way. Boxed: the futures of tests, which contain many calls, would be too deep for the
/// compiler.
pub type Called<'a, H> = Pin<
    Box<dyn Future<Output = Result<<H as Handler>::Output, CallError<<H as Handler>::Error>>> + Send + 'a>,
>;

/// The context of a test.
pub struct TestContext {
    node: Arc<TestNode>,
    anonymous: TestUser,
}

impl TestContext {
    pub(super) fn new(node: Arc<TestNode>) -> Self {
        let anonymous = TestUser { node: Arc::clone(&node), identity: None };
        Self { node, anonymous }
    }

    /// Calls a handler as a client without a token does.
    ///
    /// # Errors
    /// Those of [`TestUser::call`].
    pub fn call<H>(&self, message: H) -> Called<'_, H>
    where
        H: Handler<Kind: CallableFromTest>,
    {
        self.anonymous.call(message)
    }

    /// Runs a handler as another handler does: who may call it from outside is not checked, so `internal`
    /// handlers run too.
    ///
    /// # Errors
    /// [`CallError::App`] is the handler's own error.
    pub fn call_internal<H>(&self, message: H) -> Called<'_, H>
    where
        H: Handler<Kind: CallableFromTest>,
    {
        self.anonymous.call_internal(message)
    }

    /// A caller whose token has this subject, which is what `ctx.auth().user()` reads.
    pub fn as_user(&self, subject: impl ToString) -> TestUser {
        let subject = subject.to_string();
        let claims = serde_json::Map::from_iter([("sub".to_owned(), json!(subject))]);
        let identity = Identity { subject, roles: Vec::new(), tenant: None, claims };
        TestUser { node: Arc::clone(&self.node), identity: Some(identity) }
    }

    /// The caller with a token that a handler of this test has issued, for example a sign-in.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` when the token is not valid.
    pub fn with_token(&self, token: &str) -> Result<TestUser, Fault> {
        let identity = self.node.tokens.verify(token)?;
        Ok(TestUser { node: Arc::clone(&self.node), identity: Some(identity) })
    }

    /// Subscribes to a query as a client without a token does.
    ///
    /// # Errors
    /// Those of [`TestUser::watch`].
    pub fn watch<H: Handler<Kind = Query>>(&self, message: H) -> Result<Watch<H>, Fault> {
        self.anonymous.watch(message)
    }

    /// Queues a job, as a handler without a caller does.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the arguments are larger than the job's `input_max`.
    pub async fn dispatch<H: Handler<Kind = Job>>(&self, message: H) -> Result<JobId, Fault> {
        self.anonymous.dispatch(message).await
    }

    /// Dispatches a run of a cron, as its schedule does when `scheduled_at` has come: `ctx.scheduled_time()`
    /// is that time, and `ctx.local_time()` the same on the clock of the attribute's zone.
    /// [`run_jobs`](Self::run_jobs) runs it. No schedule runs by itself in a test.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the arguments are larger than the cron's `input_max`.
    pub async fn dispatch_cron<H: Handler<Kind = Cron>>(
        &self,
        message: H,
        scheduled_at: Timestamp,
    ) -> Result<JobId, Fault> {
        let job = jobs::cron_run(&message, scheduled_at)?;
        Ok(self.call_internal(Enqueue { job }).await?.job())
    }

    /// Runs the jobs whose time has come, one after the other, until none is left; see [`RunJobs`].
    pub fn run_jobs(&self) -> RunJobs<'_> {
        RunJobs::new(&self.node.jobs)
    }

    /// Starts a run of a workflow, as a handler without a caller does. It is executed beside the test.
    ///
    /// # Errors
    /// `CONFLICT` when this version of the workflow is deprecated.
    pub async fn start<H: Handler<Kind = Workflow>>(&self, message: H) -> Result<RunId, Fault> {
        let run = new_run(&message)?;
        Ok(self.call_internal(InsertNewRun { run }).await?.run())
    }

    /// Waits until the runs of all workflows wait, are parked or have ended. Jobs that they wait for are run
    /// by [`run_jobs`](Self::run_jobs).
    ///
    /// # Errors
    /// `TIMEOUT` after half a minute.
    pub async fn run_workflows(&self) -> Result<(), Fault> {
        workflows::settle(&self.node).await
    }

    /// Runs jobs and workflows until nothing is due any more, in turn; see [`Settle`].
    ///
    /// ```no_run
    /// # use forge::prelude::*;
    /// # use forge::testing::{TestContext, TestResult};
    /// # #[forge::job] pub async fn render(_ctx: &JobContext, pages: u32) -> Result<u32> { Ok(pages) }
    /// # #[forge::workflow]
    /// # pub async fn publish(ctx: &WorkflowContext) -> Result<u32> {
    /// #     Ok(ctx.run_job(Render { pages: 7 }).await?)
    /// # }
    /// # async fn example(cx: TestContext) -> TestResult {
    /// let run = cx.start(Publish {}).await?;
    /// cx.settle().await?; // the run, the job that it waits for, and the run again
    /// assert_eq!(cx.outcome::<Publish>(run).await?, 7);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `TIMEOUT` after half a minute, with the runs and jobs that do not come to rest. A job that ends
    /// without success, as with [`run_jobs`](Self::run_jobs).
    pub fn settle(&self) -> Settle<'_> {
        Settle::new(&self.node)
    }

    /// How a run has ended.
    ///
    /// # Errors
    /// [`CallError::App`] is the workflow's own error. `NOT_FOUND` when the run has not ended.
    pub async fn outcome<H: Handler<Kind = Workflow>>(
        &self,
        run: RunId,
    ) -> Result<H::Output, CallError<H::Error>> {
        workflows::outcome::<H>(&self.node, run).await
    }

    /// Replays the recorded history of a run, which `forge-node workflows history <ID> --json` prints,
    /// against the workflows of this binary: the function is executed, and its steps return what was
    /// recorded. No step runs, and nothing is written. So a change that does not fit the runs that are under
    /// way fails here.
    ///
    /// A run that had not ended when its history was read may ask for more than was recorded: the answer says
    /// with which step it goes on. One that had ended must end in the same way.
    ///
    /// Secrets are not in a history, and neither are the claims of the identity that the run has. What the
    /// code does with their values is not compared.
    ///
    /// ```no_run
    /// # use forge::testing::{TestContext, TestResult};
    /// # async fn example(cx: TestContext, history: &str) -> TestResult {
    /// // let history = include_str!("onboard-1.json");
    /// let replayed = cx.replay(history).await?;
    /// assert!(!replayed.was_open);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// How the code differs from the history; that the text is no history, or larger than a journal may be;
    /// that this binary has no code for the workflow, or for the version that the run has.
    pub async fn replay(&self, history: &str) -> Result<ReplayedHistory, HistoryError> {
        workflows::replay(&self.node, history).await
    }

    /// Lets this time pass for what runs of workflows wait for, and for jobs that wait for their time.
    ///
    /// `ctx.now()` of workflows moves with it: what a run does from here on is so much later than what it has
    /// done before, and a replay of the run sees the same times again. Only that clock moves. What executes
    /// as a step, a job or a call has the clock of the machine (`ctx.now()`), and the database its own
    /// (`now()`): a step that needs the time of its run takes it as an argument.
    ///
    /// Advance while no run is executed, after [`settle`](Self::settle) or
    /// [`run_workflows`](Self::run_workflows).
    ///
    /// ```no_run
    /// # use forge::prelude::*;
    /// # use forge::testing::{TestContext, TestResult};
    /// # #[forge::workflow]
    /// # pub async fn trial(ctx: &WorkflowContext) -> Result<u32> { ctx.sleep(days(45)).await; Ok(1) }
    /// # async fn example(cx: TestContext) -> TestResult {
    /// let run = cx.start(Trial {}).await?;
    /// cx.settle().await?;
    /// cx.advance(days(45)).await?;
    /// cx.settle().await?;
    /// assert_eq!(cx.outcome::<Trial>(run).await?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the database fails.
    pub async fn advance(&self, time: Duration) -> Result<(), Fault> {
        self.node.jobs.advance(time).await?;
        self.node.workflows.advance(time).await
    }

    /// The jobs of this handler that were dispatched in this test, finished or not.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn dispatched<H: Handler<Kind = Job>>(&self) -> Result<Vec<Dispatched<H>>, Fault> {
        jobs::dispatched(&self.node.jobs).await
    }

    /// Asserts that a job of this handler was dispatched whose message `matches`, and returns the first one.
    /// What a mutation dispatched that did not commit was not dispatched.
    ///
    /// # Panics
    /// When there is none; the message says what was dispatched.
    #[track_caller]
    pub fn assert_dispatched<H>(&self, matches: impl Fn(&H) -> bool) -> impl Future<Output = Dispatched<H>>
    where
        H: Handler<Kind = Job>,
    {
        jobs::assert_dispatched(&self.node.jobs, matches, std::panic::Location::caller())
    }

    /// The database of the test, for rows that no handler writes or shows. Each statement is a transaction of
    /// its own.
    pub fn db(&self) -> Db {
        self.node.database.writer()
    }

    /// What services outside of the application answer to the `ctx.http()` of actions and jobs.
    pub fn http(&self) -> &HttpAnswers {
        &self.node.http
    }
}

/// A caller.
#[derive(Clone)]
pub struct TestUser {
    node: Arc<TestNode>,
    /// `None` for a client without a token.
    identity: Option<Identity>,
}

impl TestUser {
    /// With these roles in its token, for handlers with `role = ".."`.
    pub fn roles<R: Into<String>>(mut self, roles: impl IntoIterator<Item = R>) -> Self {
        if let Some(identity) = &mut self.identity {
            identity.roles = roles.into_iter().map(Into::into).collect();
            identity.claims.insert("roles".to_owned(), json!(identity.roles));
        }
        self
    }

    /// With this tenant in its token.
    pub fn tenant(mut self, tenant: impl Into<String>) -> Self {
        if let Some(identity) = &mut self.identity {
            let tenant = tenant.into();
            identity.claims.insert("tenant".to_owned(), json!(tenant));
            identity.tenant = Some(tenant);
        }
        self
    }

    /// With a further claim in its token, for `ctx.auth().claims()`.
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        if let Some(identity) = &mut self.identity {
            identity.claims.insert(name.into(), value.into());
        }
        self
    }

    /// Calls a handler as a client does: access is checked, the arguments and the answer cross the wire as
    /// JSON, a mutation is one transaction.
    ///
    /// # Errors
    /// [`CallError::App`] is the handler's own error, [`CallError::Fault`] every other refusal and failure.
    pub fn call<H>(&self, message: H) -> Called<'_, H>
    where
        H: Handler<Kind: CallableFromTest>,
    {
        let invocation = self.invocation(&message).map_err(CallError::Fault);
        Box::pin(async move { typed::<H>(self.node.functions.call(invocation?).await) })
    }

    /// Runs a handler as another handler does for this caller; see [`TestContext::call_internal`].
    ///
    /// # Errors
    /// [`CallError::App`] is the handler's own error.
    pub fn call_internal<H>(&self, message: H) -> Called<'_, H>
    where
        H: Handler<Kind: CallableFromTest>,
    {
        let invocation = self.invocation(&message).map_err(CallError::Fault);
        Box::pin(async move { typed::<H>(self.node.functions.invoker().invoke(invocation?, 0).await) })
    }

    /// Queues a job that carries this caller's identity, as a handler does that the caller has called.
    ///
    /// # Errors
    /// `PAYLOAD_TOO_LARGE` when the arguments are larger than the job's `input_max`.
    pub async fn dispatch<H: Handler<Kind = Job>>(&self, message: H) -> Result<JobId, Fault> {
        let job = new_job(&message, self.identity.as_ref())?;
        Ok(self.call_internal(Enqueue { job }).await?.job())
    }

    /// Subscribes to a query as a page does. [`Watch::next`] waits for its results.
    ///
    /// # Errors
    /// When the caller may not call the query, or the arguments do not fit.
    pub fn watch<H: Handler<Kind = Query>>(&self, message: H) -> Result<Watch<H>, Fault> {
        Watch::open(&self.node.reactor, self.invocation(&message)?)
    }

    fn invocation<H: Handler>(&self, message: &H) -> Result<Invocation, Fault> {
        let args = message.to_json()?;
        let caller = Caller { identity: self.identity.clone().map(Arc::new), ..Caller::default() };
        Ok(Invocation::new(H::META.wire_name(), args, caller))
    }
}

/// The answer of a call as its handler's own types.
fn typed<H: Handler>(answer: Result<impl AsRef<[u8]>, Fault>) -> Result<H::Output, CallError<H::Error>> {
    let answer = answer.map_err(CallError::from_fault)?;
    H::Output::from_json(answer.as_ref()).map_err(|error| CallError::Fault(Fault::internal(error)))
}
