//! Queries that stay: judged once when somebody subscribes, run as often as the reactor says, in the snapshot
//! that it brings.
//!
//! A run is contained like a call: a panic, a failed statement or a time limit ends that run and goes nowhere
//! else. It is not admitted like one: the reactor runs one query at a time, and nobody waits in front of it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::FutureExt;
use serde_json::value::RawValue;
use tracing::Instrument;

use crate::app::context::{Effects, Observed, Scope};
use crate::app::{Access, KindName, Registration};
use crate::db::handle::Db;
use crate::function::inflight::InFlight;
use crate::function::messages::{Functions, authorize, unknown};
use crate::function::run::{panicked, too_late};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::invocation::Invocation;
use crate::supervise::catch_unwind;

/// What is known of a query that may be subscribed to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveQuery {
    /// The arguments in a form in which equal ones mostly are equal bytes, and different ones never.
    pub args: Bytes,
    /// It also runs again at this interval.
    pub refresh: Option<Duration>,
}

/// One run of a live query.
#[derive(Debug)]
pub struct LiveRun {
    /// What it answered.
    pub answer: Result<Bytes, Fault>,
    /// What of its caller shaped the answer.
    pub observed: Observed,
}

impl Functions {
    /// Judges a subscription as [`call`](Self::call) would judge a call: the handler exists and is a query,
    /// the caller may, the arguments fit.
    pub fn prepare_live(&self, invocation: &Invocation) -> Result<LiveQuery, Fault> {
        let registration =
            self.room.find(&invocation.name).filter(|found| found.meta.access != Access::Internal);
        let registration = registration.ok_or_else(|| unknown(&invocation.name))?;
        authorize(&registration.meta, &invocation.caller)?;
        if registration.meta.kind != KindName::Query {
            let message = format!("`{}` is no query, and only queries can be subscribed to", invocation.name);
            return Err(Fault::new(Code::Validation, message));
        }
        if invocation.args.len() > registration.meta.input_bytes_max {
            let message =
                format!("the arguments are larger than {} bytes", registration.meta.input_bytes_max);
            return Err(Fault::new(Code::PayloadTooLarge, message));
        }
        // Reading arguments runs application code, which may panic, and waits for nothing.
        let decoded = catch_unwind(async { registration.decode(&invocation.args).map(drop) }).now_or_never();
        match decoded.expect("decoding has no await") {
            Ok(decoded) => decoded?,
            Err(panic) => return Err(panicked(&self.room, &registration.meta, &invocation.name, panic)),
        }
        Ok(LiveQuery { args: canonical(&invocation.args), refresh: registration.meta.refresh })
    }

    /// Runs a query that [`prepare_live`](Self::prepare_live) accepted, on `db`, until its own time limit or
    /// the invocation's deadline. Cut there, its statement may still be under way.
    pub async fn run_live(&self, invocation: Invocation, db: Db) -> LiveRun {
        let Some(registration) = self.room.find(&invocation.name) else {
            return LiveRun { answer: Err(unknown(&invocation.name)), observed: Observed::Nothing };
        };
        let began = Instant::now();
        let own = began + registration.meta.timeout;
        let deadline = invocation.deadline.map_or(own, |caller| caller.min(own));
        let _row = self.room.table.enter(InFlight {
            request: invocation.id,
            name: Arc::clone(&invocation.name),
            since: began,
        });
        let span = tracing::info_span!("live", handler = %invocation.name, trace_id = %invocation.trace.trace_id_hex());
        let (name, invocation) = (Arc::clone(&invocation.name), Arc::new(invocation));
        let scope =
            Scope::new(Arc::clone(&invocation), 0, deadline, Effects::default(), self.room.services());
        let noting = scope.clone();
        // Dropping a cut handler runs application code too: it is dropped inside of this block.
        let running = async move {
            tokio::time::timeout_at(deadline.into(), run(registration, invocation, noting, db)).await
        };
        let answer = match catch_unwind(running).instrument(span).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(too_late(&registration.meta, &name)),
            Err(panic) => Err(panicked(&self.room, &registration.meta, &name, panic)),
        };
        // A handler that blocks its thread cannot be cut, but it is late all the same.
        let late = answer.is_ok() && Instant::now() > deadline;
        let answer = if late { Err(too_late(&registration.meta, &name)) } else { answer };
        LiveRun { answer, observed: scope.observed() }
    }
}

async fn run(
    registration: &Registration,
    invocation: Arc<Invocation>,
    scope: Scope,
    db: Db,
) -> Result<Bytes, Fault> {
    registration.decode(&invocation.args)?.run(scope, Some(db)).await
}

/// The arguments without the accidents of how they were written: the order of the names, and the blanks
/// between them. Values stay as they came, so that no two that a handler could tell apart become one; and so
/// does what is no plain object.
fn canonical(args: &Bytes) -> Bytes {
    if args.iter().all(u8::is_ascii_whitespace) {
        return Bytes::from_static(b"{}");
    }
    let pairs: Result<Pairs<'_>, _> = serde_json::from_slice(args);
    match pairs {
        Ok(Pairs(Some(pairs))) => serde_json::to_vec(&pairs).map_or_else(|_| args.clone(), Bytes::from),
        _ => args.clone(),
    }
}

/// An object's pairs; `None` when a name occurs twice.
struct Pairs<'a>(Option<BTreeMap<Cow<'a, str>, &'a RawValue>>);

impl<'de> serde::Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let (mut pairs, mut unique) = (BTreeMap::new(), true);
                while let Some((Name(name), value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    unique &= pairs.insert(name, value).is_none();
                }
                Ok(Pairs(unique.then_some(pairs)))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A name, borrowed where it holds no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_arguments_are_equal_bytes() {
        let check = |args: &'static str, expected: &str| {
            assert_eq!(canonical(&Bytes::from_static(args.as_bytes())), expected, "{args}")
        };
        check("", "{}");
        check(" {} ", "{}");
        check(r#"{ "b": [1, 2] , "a":"x" }"#, r#"{"a":"x","b":[1, 2]}"#);
        check(r#"{"a":"x","b":1.0}"#, r#"{"a":"x","b":1.0}"#);
        // Numbers stay as they were written: a handler may tell these apart, and a float could not.
        check(r#"{"n":12345678901234567890123}"#, r#"{"n":12345678901234567890123}"#);
        // Readers of JSON disagree on what this means, so it stays a question of its own.
        check(r#"{"a":1, "a":2}"#, r#"{"a":1, "a":2}"#);
        check("[1]", "[1]");
    }
}
