//! Periodic duties: when they run, what cuts them, what a handle shows.

use std::sync::atomic::AtomicBool;

use tokio::sync::{Semaphore, watch};

use super::*;
use crate::kernel::fault::{Code, Fault};
use crate::supervise::{Duty, DutyInfo, DutyOutcome, PeriodicHandle, RunError, RunReport, Schedule};

/// What the test lets the duty do, and what the duty did.
#[derive(Default)]
struct Script {
    runs: AtomicU32,
    terms: std::sync::Mutex<Vec<u32>>,
    fails: AtomicBool,
    hangs: AtomicBool,
    panics: AtomicBool,
    more: AtomicBool,
    finished: AtomicBool,
}

struct Scripted(Arc<Script>);

impl Duty for Scripted {
    type Term = u32;
    const KIND: &'static str = "scripted";

    async fn run(&mut self, term: u32) -> Result<RunReport, Fault> {
        let run = self.0.runs.fetch_add(1, SeqCst) + 1;
        self.0.terms.lock().expect("no test panics under it").push(term);
        assert!(!self.0.panics.load(SeqCst), "the script says so");
        if self.0.hangs.load(SeqCst) {
            pending::<()>().await;
        }
        if self.0.fails.load(SeqCst) {
            return Err(Fault::new(Code::Unavailable, "the script says so"));
        }
        if self.0.more.swap(false, SeqCst) {
            return Ok(RunReport::more(run.into(), millis(1)));
        }
        Ok(RunReport::handled(run.into()))
    }

    async fn finish(&mut self) {
        self.0.finished.store(true, SeqCst);
    }
}

/// Runs at once, then only when asked.
fn lazy() -> Schedule {
    Schedule { first_within: Duration::ZERO, ..Schedule::every(secs(500)) }
}

async fn scripted(
    schedule: Schedule,
    terms: watch::Receiver<Option<u32>>,
) -> (Root, Steps, PeriodicHandle, Arc<Script>) {
    let script = Arc::<Script>::default();
    let made = Arc::clone(&script);
    let (child, handle) = ChildSpec::elected("duty", schedule, terms, move || Scripted(Arc::clone(&made)));
    let (root, steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    (root, steps, handle, script)
}

async fn until(handle: &PeriodicHandle, holds: impl Fn(&crate::supervise::PeriodicStatus) -> bool) {
    let mut status = handle.watch();
    let waited = tokio::time::timeout(PATIENCE, status.wait_for(holds)).await;
    assert!(waited.is_ok(), "the status never came: {:?}", handle.status());
}

/// The duty, as the tree of the node shows it.
fn duty_in(steps: &Steps) -> DutyInfo {
    steps.tree.get("node/duty").and_then(|actor| actor.duty).expect("the tree shows the duty")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_runs_on_schedule_and_on_request_and_shows_how_it_fared() {
    let (_terms, receiver) = watch::channel(Some(1));
    let (root, steps, handle, script) = scripted(lazy(), receiver).await;
    until(&handle, |status| status.runs == 1).await;
    let shown = duty_in(&steps);
    assert_eq!((shown.elected, shown.leading, shown.running_since), (true, true, None));
    let last = shown.last_run.expect("a run has ended");
    assert_eq!(last.outcome, DutyOutcome::Ok { handled: 1.into() });
    assert_eq!(Some(last.started_at), handle.status().last_start);
    script.more.store(true, SeqCst);
    assert_eq!(handle.run_now(PATIENCE).await, Ok(RunReport::more(2, millis(1))));
    // What is left is done without being asked.
    until(&handle, |status| status.runs == 3).await;
    let status = handle.status();
    assert_eq!((status.last_result, status.failures), (Some(Ok(RunReport::handled(3))), 0));
    assert!(status.last_start.is_some() && status.last_duration.is_some() && status.leading);
    finish(root).await;
    assert!(script.finished.load(SeqCst), "a stop finishes the duty");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_is_tried_again_and_a_hung_one_is_cut() {
    let backoff = Backoff::exponential(millis(1), millis(2));
    let schedule = Schedule { time_limit: millis(20), backoff, ..lazy() };
    let (_terms, receiver) = watch::channel(Some(1));
    let (root, steps, handle, script) = scripted(schedule, receiver).await;
    script.fails.store(true, SeqCst);
    let failed = handle.run_now(PATIENCE).await;
    let cause = "UNAVAILABLE: the script says so".into();
    assert_eq!(failed, Err(RunError::Failed { cause }));
    until(&handle, |status| status.failures > 2).await;
    let shown = duty_in(&steps);
    let error = "UNAVAILABLE: the script says so".to_owned();
    assert_eq!(shown.last_run.map(|run| run.outcome), Some(DutyOutcome::Failed { error }));
    assert!(shown.failures > 2 && shown.runs.get() > 2);
    script.hangs.store(true, SeqCst);
    assert_eq!(handle.run_now(PATIENCE).await, Err(RunError::TimedOut { limit: millis(20) }));
    script.hangs.store(false, SeqCst);
    script.fails.store(false, SeqCst);
    until(&handle, |status| status.failures == 0).await;
    assert!(handle.status().timed_out >= 1);
    assert_eq!(steps.tree.get("node/duty").map(|actor| actor.restarts.get()), Some(0), "no run is a crash");
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_duty_that_panics_crashes_its_actor_and_is_made_anew() {
    let (_terms, receiver) = watch::channel(Some(1));
    let (root, mut steps, handle, script) = scripted(lazy(), receiver).await;
    until(&handle, |status| status.runs == 1).await;
    script.panics.store(true, SeqCst);
    let asked = handle.run_now(PATIENCE).await;
    assert_eq!(asked, Err(RunError::Call(crate::supervise::ActorCallError::NoReply)));
    script.panics.store(false, SeqCst);
    steps.until("started duty").await;
    until(&handle, |status| status.runs == 2 && status.running_since.is_none()).await;
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_elected_duty_runs_only_in_its_term() {
    let (terms, receiver) = watch::channel(None);
    let (root, _, handle, script) = scripted(lazy(), receiver).await;
    assert_eq!(handle.run_now(PATIENCE).await, Err(RunError::NotLeader));
    assert!(!handle.status().leading);
    script.hangs.store(true, SeqCst);
    terms.send_replace(Some(7));
    while script.runs.load(SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    script.hangs.store(false, SeqCst);
    // The run of the old term is cut, unless it has just ended; one of the new term follows.
    terms.send_replace(Some(8));
    until(&handle, |status| status.runs == 2 && status.last_result.as_ref().is_some_and(Result::is_ok)).await;
    terms.send_replace(None);
    until(&handle, |status| !status.leading).await;
    assert_eq!(handle.run_now(PATIENCE).await, Err(RunError::NotLeader));
    let terms = script.terms.lock().expect("no test panics under it").clone();
    assert_eq!((terms.first(), terms.last()), (Some(&7), Some(&8)), "{terms:?}");
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_term_that_begins_as_a_run_ends_is_run_at_once() {
    struct Succession(watch::Sender<Option<u32>>);
    impl Duty for Succession {
        type Term = u32;
        const KIND: &'static str = "succession";
        async fn run(&mut self, term: u32) -> Result<RunReport, Fault> {
            // The run succeeds in the same poll, so that the change cannot cut it.
            if term == 1 {
                self.0.send_replace(Some(2));
            }
            Ok(RunReport::handled(term.into()))
        }
    }
    let (terms, receiver) = watch::channel(Some(1));
    let (child, handle) = ChildSpec::elected("duty", lazy(), receiver, move || Succession(terms.clone()));
    let (root, _) = start(quick(Strategy::OneForOne, vec![child])).await;
    until(&handle, |status| status.last_result == Some(Ok(RunReport::handled(2)))).await;
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_elected_duty_that_starts_in_a_term_runs_at_once() {
    let (_terms, receiver) = watch::channel(Some(1));
    let (root, _, handle, _) = scripted(Schedule::every(secs(500)), receiver).await;
    until(&handle, |status| status.runs == 1).await;
    finish(root).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_during_a_run_waits_for_the_next_one() {
    struct Gated(Arc<Semaphore>, u64);
    impl Duty for Gated {
        type Term = ();
        const KIND: &'static str = "gated";
        async fn run(&mut self, (): ()) -> Result<RunReport, Fault> {
            self.0.acquire().await.map_err(Fault::internal)?.forget();
            self.1 += 1;
            Ok(RunReport::handled(self.1))
        }
    }
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let (child, handle) = ChildSpec::periodic("duty", lazy(), move || Gated(Arc::clone(&gate), 0));
    let (root, steps) = start(quick(Strategy::OneForOne, vec![child])).await;
    until(&handle, |status| status.running_since.is_some()).await;
    let mut asked = Box::pin(handle.run_now(PATIENCE));
    assert!(futures::poll!(asked.as_mut()).is_pending());
    while steps.tree.get("node/duty").is_none_or(|actor| actor.mailbox_depth.get() > 0) {
        tokio::task::yield_now().await;
    }
    opened.add_permits(2);
    assert_eq!(asked.await, Ok(RunReport::handled(2)));
    finish(root).await;
}
