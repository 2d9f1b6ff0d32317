//! A live query of a test: the subscription of a page without the page.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use forge_actors::app::{CallError, Handler, WireType};
use forge_actors::kernel::fault::{Code, Fault};
use forge_actors::kernel::invocation::Invocation;
use forge_actors::kernel::merge_slot::MergeSlot;
use forge_actors::kernel::time::secs;
use forge_actors::reactor::{Client, Delivery, QueryResult, Reactor, Sink, SubscriptionId};

/// Longer than a result takes on a busy machine.
const RESULT_TIMEOUT: Duration = secs(10);
/// A watch has one subscription.
const ONLY: SubscriptionId = SubscriptionId(1);

/// The results of a query, as they change.
pub struct Watch<H> {
    newest: Arc<Newest>,
    _client: Client,
    handler: PhantomData<fn() -> H>,
}

/// The newest result that was not read; as in a session, an older one that nobody read is replaced.
#[derive(Default)]
struct Newest(MergeSlot<Arc<QueryResult>>);

impl Sink for Newest {
    fn deliver(&self, delivery: Delivery) {
        match delivery {
            Delivery::Advanced { mods, .. } => {
                for modification in mods {
                    self.0.put(|newest| *newest = Some(modification.result));
                }
            }
            // The ticker has crashed; the next wait for a result says that none came.
            Delivery::Reset => {}
        }
    }
}

impl<H: Handler> Watch<H> {
    pub(super) fn open(reactor: &Reactor, invocation: Invocation) -> Result<Self, Fault> {
        let newest = Arc::<Newest>::default();
        let client = reactor.attach(Arc::<Newest>::clone(&newest));
        client.subscribe(ONLY, invocation, None)?;
        Ok(Self { newest, _client: client, handler: PhantomData })
    }

    /// Waits for the next result. The first one is the present result, every further one differs from the one
    /// before; results that came since the last call count as one, the newest.
    ///
    /// # Errors
    /// The query's own error as [`CallError::App`], and `TIMEOUT` when no new result comes within 10 seconds.
    pub async fn next(&mut self) -> Result<H::Output, CallError<H::Error>> {
        let result = tokio::time::timeout(RESULT_TIMEOUT, self.newest.0.take()).await.map_err(|_| {
            let message = format!("`{}` had no new result within 10 seconds", H::META.wire_name());
            CallError::Fault(Fault::new(Code::Timeout, message))
        })?;
        match &result.outcome {
            Ok(body) => H::Output::from_json(body).map_err(|error| CallError::Fault(Fault::internal(error))),
            Err(fault) => Err(CallError::from_fault(copied(fault))),
        }
    }
}

/// A result is shared by all subscribers, and a fault has one owner.
fn copied(fault: &Fault) -> Fault {
    let copy = Fault::new(fault.code(), fault.message().to_owned());
    match fault.details() {
        Some(details) => copy.with_details(details.clone()),
        None => copy,
    }
}
