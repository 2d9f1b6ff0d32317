//! The queue for the cores of the node: one caller's work after another's, in turn.
//!
//! A caller with one piece of work waits behind at most one piece of every other caller, however many those
//! have waiting. When the places for waiting work are used up, a caller that has none takes one from the
//! caller that has the most: the last piece that came is refused instead.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::kernel::fair_limit::{CallerHash, FairPermit};

/// A caller; `None` is the node itself.
type Key = Option<CallerHash>;

/// See the module.
pub(super) struct CoreQueue(Mutex<Waiting>);

struct Waiting {
    free: usize,
    queues: HashMap<Key, VecDeque<WaitingWork>>,
    /// The callers that have waiting work, in the order of their turns.
    turns: VecDeque<Key>,
}

struct WaitingWork {
    function: Box<str>,
    place: FairPermit,
    granted: oneshot::Sender<WorkPlace>,
}

/// A core, and the place that its work has among what waits or runs. Dropping the value frees both.
pub(super) struct WorkPlace {
    _core: Core,
    _place: FairPermit,
}

struct Core(Arc<CoreQueue>);

impl CoreQueue {
    pub(super) fn new(cores: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Waiting { free: cores, queues: HashMap::new(), turns: VecDeque::new() })))
    }

    /// Waits for a core. `None` when the place went to another caller meanwhile.
    pub(super) async fn wait(
        self: &Arc<Self>,
        function: &str,
        caller: Key,
        place: FairPermit,
    ) -> Option<WorkPlace> {
        let (granted, grant) = oneshot::channel();
        {
            let mut waiting = self.lock();
            if waiting.free > 0 {
                waiting.free -= 1;
                drop(waiting);
                return Some(WorkPlace { _core: Core(Arc::clone(self)), _place: place });
            }
            let waiter = WaitingWork { function: function.into(), place, granted };
            let queue = waiting.queues.entry(caller).or_default();
            queue.push_back(waiter);
            if queue.len() == 1 {
                waiting.turns.push_back(caller);
            }
        }
        grant.await.ok()
    }

    /// Takes a place from the caller that has most of the waiting work, of `function` or of all functions;
    /// false when no caller has two more than `caller`.
    pub(super) fn displace(&self, function: Option<&str>, caller: Key) -> bool {
        let is_meant = |waiter: &WaitingWork| function.is_none_or(|name| *waiter.function == *name);
        let mut waiting = self.lock();
        let counts =
            waiting.queues.iter().map(|(key, queue)| (queue.iter().filter(|it| is_meant(it)).count(), *key));
        let own = waiting.queues.get(&caller).map_or(0, VecDeque::len);
        let Some((_, greediest)) =
            counts.filter(|(count, _)| *count > own + 1).max_by_key(|(count, _)| *count)
        else {
            return false;
        };
        let queue = waiting.queues.get_mut(&greediest);
        let last = queue.and_then(|queue| queue.remove(queue.iter().rposition(is_meant)?));
        drop(waiting);
        // Its place is free when this function returns.
        last.is_some()
    }

    /// Hands a core that is free to the work whose turn it is.
    fn pass_on(self: &Arc<Self>) {
        let next = self.lock().next();
        if let Some(WaitingWork { place, granted, .. }) = next {
            // When its caller was cut, the value comes back, and the core is passed on again.
            let _cut = granted.send(WorkPlace { _core: Core(Arc::clone(self)), _place: place });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// The work whose turn it is. Without any, the core is free.
    fn next(&mut self) -> Option<WaitingWork> {
        let Some(caller) = self.turns.pop_front() else {
            self.free += 1;
            return None;
        };
        let queue = self.queues.get_mut(&caller)?;
        let waiter = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&caller);
        } else {
            self.turns.push_back(caller);
        }
        waiter
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::{Pin, pin};
    use std::task::Poll;

    use futures::FutureExt;

    use super::*;
    use crate::kernel::fair_limit::{FairLimit, Shares};

    type Waits<'q> = Pin<Box<dyn Future<Output = Option<WorkPlace>> + 'q>>;

    /// Starts to wait for a core.
    fn waits<'q>(queue: &'q Arc<CoreQueue>, places: &FairLimit, caller: &str) -> Waits<'q> {
        let caller = Some(CallerHash::of(caller));
        let place = places.acquire("a", caller).expect("a place");
        let mut waits: Waits<'q> = Box::pin(queue.wait("a", caller, place));
        assert!(waits.as_mut().now_or_never().is_none(), "no core is free");
        waits
    }

    fn places(max: u32) -> FairLimit {
        FairLimit::new(max, Shares { function: 1.0, caller: 1.0 }, ["a"].into_iter())
    }

    fn ready(waits: &mut Waits<'_>) -> Option<Option<WorkPlace>> {
        waits.as_mut().now_or_never()
    }

    #[tokio::test]
    async fn callers_take_turns_and_a_cut_one_costs_no_core() {
        let (queue, places) = (CoreQueue::new(1), places(16));
        let first = queue.wait("a", None, places.acquire("a", None).expect("a place")).await.expect("a core");
        let mut ana: Vec<_> = (0..3).map(|_| waits(&queue, &places, "ana")).collect();
        let mut bob = waits(&queue, &places, "bob");
        drop(ana.remove(0));
        drop(first);
        let second = ready(&mut bob).expect("after one of ana's, which was cut").expect("a core");
        assert!(ana.iter_mut().all(|waits| ready(waits).is_none()));
        drop(second);
        for mut waits in ana {
            drop(ready(&mut waits).expect("its turn").expect("a core"));
        }
        let mut again = pin!(queue.wait("a", None, places.acquire("a", None).expect("a place")));
        let free = poll_fn(|cx| Poll::Ready(again.as_mut().poll(cx).is_ready())).await;
        assert!(free, "no core is lost");
    }

    #[tokio::test]
    async fn who_has_nothing_waiting_takes_the_last_place_of_who_has_most() {
        let (queue, places) = (CoreQueue::new(1), places(5));
        let first = queue.wait("a", None, places.acquire("a", None).expect("a place")).await.expect("a core");
        let mut ana: Vec<_> = (0..3).map(|_| waits(&queue, &places, "ana")).collect();
        let mut bob = waits(&queue, &places, "bob");
        let carl = Some(CallerHash::of("carl"));
        assert!(places.acquire("a", carl).is_err(), "full");
        assert!(!queue.displace(Some("b"), carl), "nothing of that function waits");
        assert!(queue.displace(Some("a"), carl));
        assert!(ready(&mut ana[2]).expect("refused").is_none());
        assert!(places.acquire("a", carl).is_ok());
        assert!(queue.displace(None, carl));
        assert!(!queue.displace(None, carl), "nobody has more than one");
        assert!(ready(&mut ana[0]).is_none() && ready(&mut bob).is_none());
        drop(first);
    }
}
