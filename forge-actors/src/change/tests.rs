use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::DateTime;
use futures::FutureExt;

use crate::kernel::commit::{TableId, Xid};
use crate::kernel::envelope::Topics;
use crate::kernel::time::{minutes, secs};

use super::captures::CaptureSetting;
use super::config::CaptureConfig;
use super::state::{ChangeSet, Changed, Cursor, PolledChanges};
use super::{Hint, HintHub, HintReceiver, InterestOf, Topic, TopicKind, TopicSet};
use crate::subsystem::ConfigSection;

const TASKS: TableId = TableId(16_400);

fn polled(snapshot: &str, tables: &[TableId]) -> PolledChanges {
    let snapshot = snapshot.parse().expect("a snapshot");
    PolledChanges {
        snapshot,
        horizon: Xid(0),
        server_started: DateTime::UNIX_EPOCH,
        too_many: false,
        tables: tables.to_vec(),
    }
}

/// What a poll returns to a cursor that stands at `10:12:10`.
fn changed_by(second: PolledChanges) -> Changed {
    let mut cursor = Cursor::default();
    assert_eq!(cursor.since(), None);
    assert_eq!(
        cursor.advance(polled("10:12:10", &[])).changed,
        Changed::Everything,
        "the first poll knows of no earlier one"
    );
    assert_eq!(cursor.since().map(ToString::to_string).as_deref(), Some("10:12:10"));
    let expected = second.snapshot.clone();
    let ChangeSet { snapshot, changed } = cursor.advance(second);
    assert_eq!(snapshot, expected);
    assert_eq!(cursor.since(), Some(&expected));
    changed
}

#[test]
fn a_poll_returns_tables_unless_some_changes_are_unknown() {
    let check = |second: PolledChanges, expected: Changed| assert_eq!(changed_by(second), expected);
    let tables = |tables: &[TableId]| Changed::Tables(BTreeSet::from_iter(tables.iter().copied()));
    check(polled("12:12:", &[]), tables(&[]));
    check(polled("10:12:10", &[]), tables(&[]));
    check(polled("12:14:", &[TASKS, TASKS]), tables(&[TASKS]));
    check(polled("12:14:", &[TASKS, TableId(0)]), Changed::Everything);
    check(PolledChanges { too_many: true, ..polled("12:14:", &[TASKS]) }, Changed::Everything);
    check(
        PolledChanges { server_started: DateTime::UNIX_EPOCH + secs(1), ..polled("12:14:", &[]) },
        Changed::Everything,
    );
    check(polled("9:11:9", &[]), Changed::Everything);
    check(PolledChanges { horizon: Xid(10), ..polled("12:14:", &[]) }, tables(&[]));
    check(PolledChanges { horizon: Xid(11), ..polled("12:14:", &[]) }, Changed::Everything);
}

#[test]
fn models_decide_and_the_configuration_decides_for_the_rest() {
    let models = [("a", None), ("b", Some(true)), ("c", Some(false))];
    let settings = |default| -> Vec<(String, bool)> {
        let config = CaptureConfig { default, ..CaptureConfig::default() };
        config.settings(models).into_iter().map(|CaptureSetting { table, on }| (table, on)).collect()
    };
    assert_eq!(settings(true), [("a".into(), true), ("b".into(), true), ("c".into(), false)]);
    assert_eq!(settings(false), [("b".into(), true), ("c".into(), false)]);
}

#[test]
fn a_retention_out_of_bounds_is_refused() {
    let broken = |retention| CaptureConfig { retention, ..CaptureConfig::default() }.validate();
    assert_eq!(broken(minutes(10)), Vec::<String>::new());
    assert_eq!(broken(secs(9)), ["capture.retention is 9s; it must lie between 10s and 1d"]);
    assert_eq!(broken(minutes(3_000)).len(), 1);
}

fn mail() -> Topic {
    Topic::Queue("mail".into())
}

/// The hint that waits in the receiver, if there is one.
fn pending(receiver: &HintReceiver) -> Option<Hint> {
    receiver.next().now_or_never()
}

#[test]
fn a_receiver_gets_the_hints_of_its_kind_merged_into_one() {
    let hub = HintHub::new();
    hub.publish(Hint::of([TASKS]));
    let (tables, queues) = (hub.subscribe(TopicKind::Tables), hub.subscribe(TopicKind::Queues));
    assert_eq!(pending(&tables), None, "the hint was published before the subscription");
    hub.publish(Hint { xid: Some(Xid(7)), topics: TopicSet::from_iter([Topic::Table(TASKS), mail()]) });
    hub.publish_from_peer(Hint { xid: Some(Xid(5)), topics: TopicSet::from_iter([TableId(1)]) });
    let merged = Hint { xid: Some(Xid(7)), topics: TopicSet::from_iter([TASKS, TableId(1)]) };
    assert_eq!(pending(&tables), Some(merged));
    assert_eq!(pending(&tables), None);
    assert_eq!(pending(&queues).map(|hint| hint.topics), Some(TopicSet::from_iter([mail()])));
}

#[test]
fn each_receiver_of_a_kind_gets_every_hint_until_it_is_dropped() {
    let hub = HintHub::new();
    let (first, second) = (hub.subscribe(TopicKind::Queues), hub.subscribe(TopicKind::Queues));
    hub.publish(Hint::of([mail()]));
    assert!(pending(&first).is_some() && pending(&second).is_some());
    drop(first);
    hub.publish(Hint::of([mail()]));
    assert!(pending(&second).is_some());
}

#[test]
fn the_mesh_forwards_what_this_node_published_and_peers_can_use() {
    let hub = HintHub::new();
    let (outgoing, definitions) = (hub.outgoing(), hub.subscribe(TopicKind::Definitions));
    hub.publish(Hint::of([Topic::Definitions]));
    hub.publish_from_peer(Hint::of([TASKS]));
    assert_eq!(pending(&outgoing), None, "definitions stay on the node, and a peer's hint is not sent back");
    assert!(pending(&definitions).is_some());
    hub.publish(Hint::of([Topic::Definitions, mail()]));
    assert_eq!(pending(&outgoing), Some(Hint::of([mail()])));
}

#[test]
fn interest_is_replaced_for_each_declarer() {
    let hub = HintHub::new();
    let (tables, mut interest) = (hub.subscribe(TopicKind::Tables), hub.interest());
    hub.set_interest(InterestOf::Claims, TopicSet::from_iter([mail()]));
    hub.set_interest(InterestOf::LiveQueries, TopicSet::from_iter([TableId(1)]));
    hub.set_interest(InterestOf::LiveQueries, TopicSet::from_iter([TASKS]));
    let expected = TopicSet::from_iter([Topic::Table(TASKS), mail()]);
    assert_eq!(*interest.borrow_and_update(), expected);
    hub.set_interest(InterestOf::LiveQueries, TopicSet::from_iter([TASKS]));
    assert!(!interest.has_changed().expect("the hub lives"), "the same interest is no change");
    hub.wake_all_interested();
    assert_eq!(pending(&tables), Some(Hint::of([TASKS])));
}

#[test]
fn the_wire_form_holds_what_is_forwarded() {
    let set = TopicSet::from_iter([Topic::Table(TASKS), mail()]);
    let wire = Topics::from(&set);
    let queue: Arc<str> = "mail".into();
    assert_eq!(wire, Topics { tables: BTreeSet::from([TASKS]), queues: BTreeSet::from([queue]) });
    assert_eq!(TopicSet::from(wire), set);
    let other = TopicSet::from_iter([Topic::Table(TASKS), Topic::Table(TableId(1))]);
    assert_eq!(set.intersection(&other), TopicSet::from_iter([TASKS]));
}
