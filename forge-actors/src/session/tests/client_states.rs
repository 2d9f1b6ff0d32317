//! Pending results merge, and each transition leads from what the client has to what is newest.

use serde_json::{Value, json};

use super::{answered, failed, modification, opened, version_of};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::trace::TraceContext;
use crate::reactor::{MutationId, QueryResult, SubscriptionId, Tick};
use crate::session::client_state::{ClientState, OpenedSubscription};
use crate::session::render;

const BYTES_MAX: usize = 1_000;

/// The next frame to the client, if there is one.
fn transition(client: &mut ClientState) -> Option<Value> {
    let transition = client.transition(BYTES_MAX)?;
    let frame = render::transition(transition, BYTES_MAX);
    Some(serde_json::from_str(&frame.text()).expect("JSON"))
}

fn mods(client: &mut ClientState) -> Value {
    transition(client).expect("results are pending")["mods"].take()
}

/// Delivers bodies by subscription, and mutations; returns how many results were replaced.
fn deliver(client: &mut ClientState, tick: u64, results: &[(u32, &'static str)], applied: &[u32]) -> usize {
    let mods = results.iter().map(|(id, body)| modification(*id, answered(body))).collect();
    client.deliver(Tick(tick), mods, applied.iter().copied().map(MutationId).collect())
}

fn client(opened: impl IntoIterator<Item = OpenedSubscription>) -> ClientState {
    let mut client = ClientState::default();
    opened.into_iter().for_each(|opened| client.open(opened));
    client
}

fn hex(body: &str) -> String {
    format!("{:016x}", version_of(body).0)
}

#[test]
fn newer_results_replace_older_ones() {
    let mut client = client([opened(1, 10), opened(2, 20), opened(3, 30)]);
    deliver(&mut client, 1, &[(1, "1"), (2, "2")], &[7]);
    assert_eq!(deliver(&mut client, 3, &[(2, "22"), (3, "3")], &[8]), 1);
    assert_eq!(deliver(&mut client, 2, &[], &[]), 0);
    let expected = json!({
        "type": "transition", "from": 0, "to": 3,
        "mods": [
            { "id": 10, "snapshot": 1, "version": hex("1") },
            { "id": 20, "snapshot": 22, "version": hex("22") },
            { "id": 30, "snapshot": 3, "version": hex("3") },
        ],
        "applied": [7, 8],
    });
    assert_eq!(transition(&mut client), Some(expected));
    assert_eq!(transition(&mut client), None, "no result is sent twice");
    deliver(&mut client, 9, &[(1, "4")], &[]);
    let next = transition(&mut client).expect("a result is pending");
    assert_eq!((&next["from"], &next["to"]), (&json!(3), &json!(9)));
}

#[test]
fn a_version_that_the_client_has_is_not_sent_again() {
    let mut client = client([OpenedSubscription { version: Some(version_of("5")), ..opened(1, 10) }]);
    deliver(&mut client, 1, &[(1, "5")], &[]);
    assert_eq!(mods(&mut client), json!([{ "id": 10, "unchanged": true, "version": hex("5") }]));
    deliver(&mut client, 2, &[(1, "6")], &[]);
    assert_eq!(mods(&mut client), json!([{ "id": 10, "snapshot": 6, "version": hex("6") }]));
}

#[test]
fn results_of_closed_subscriptions_are_dropped() {
    let mut client = client([opened(1, 10), opened(2, 20)]);
    deliver(&mut client, 1, &[(1, "1"), (2, "2"), (3, "3")], &[]);
    client.close(SubscriptionId(2));
    assert_eq!(mods(&mut client), json!([{ "id": 10, "snapshot": 1, "version": hex("1") }]));
    deliver(&mut client, 2, &[(1, "11")], &[]);
    client.close(SubscriptionId(1));
    client.open(opened(4, 10));
    // A result of the closed subscription that was on its way.
    deliver(&mut client, 2, &[(1, "111")], &[]);
    assert_eq!(transition(&mut client), None);
}

#[test]
fn final_errors_end_their_subscription() {
    let mut client = client([opened(1, 10), opened(2, 20)]);
    let errors = [(1, Code::Timeout), (2, Code::PermissionDenied)];
    let errors = errors.into_iter().map(|(id, code)| modification(id, failed(code))).collect();
    client.deliver(Tick(1), errors, Vec::new());
    let sent = mods(&mut client);
    assert_eq!((&sent[0]["id"], &sent[0]["error"]["code"]), (&json!(10), &json!("TIMEOUT")));
    assert_eq!((&sent[1]["id"], &sent[1]["error"]["code"]), (&json!(20), &json!("PERMISSION_DENIED")));
    deliver(&mut client, 2, &[(1, "1"), (2, "2")], &[]);
    assert_eq!(mods(&mut client), json!([{ "id": 10, "snapshot": 1, "version": hex("1") }]));
}

#[test]
fn a_refused_subscription_is_answered_with_its_error() {
    let mut client = client([opened(1, 10)]);
    client.refuse(SubscriptionId(1), failed(Code::NotFound));
    let sent = transition(&mut client).expect("the error is pending");
    assert_eq!((&sent["from"], &sent["to"]), (&json!(0), &json!(0)), "no snapshot was read");
    assert_eq!(sent["mods"][0]["error"]["code"], json!("NOT_FOUND"));
}

#[test]
fn no_transition_is_made_while_results_are_held() {
    let mut client = client([opened(1, 10)]);
    client.hold(true);
    deliver(&mut client, 1, &[(1, "1")], &[7]);
    assert_eq!(transition(&mut client), None);
    deliver(&mut client, 2, &[(1, "2")], &[]);
    assert_eq!(transition(&mut client), None);
    client.hold(false);
    let frame = transition(&mut client).expect("the newest result is pending");
    assert_eq!(
        (&frame["to"], &frame["mods"][0]["snapshot"], &frame["applied"]),
        (&json!(2), &json!(2), &json!([7]))
    );
}

#[test]
fn reopened_subscriptions_are_sent_together() {
    let mut client = client([opened(1, 10), opened(2, 20)]);
    deliver(&mut client, 1, &[(1, "1"), (2, "2")], &[]);
    transition(&mut client).expect("the first results");
    // Reopened twice before the client could be sent anything.
    for (former, id, client_subscription) in [(1, 3, 10), (2, 4, 20), (3, 5, 10), (4, 6, 20)] {
        let replaces = Some(SubscriptionId(former));
        client.open(OpenedSubscription { replaces, ..opened(id, client_subscription) });
    }
    deliver(&mut client, 2, &[(1, "of the former caller"), (5, "1")], &[]);
    assert_eq!(transition(&mut client), None, "the other one has no result yet");
    deliver(&mut client, 3, &[(6, "22")], &[]);
    let expected = json!([
        { "id": 10, "unchanged": true, "version": hex("1") },
        { "id": 20, "snapshot": 22, "version": hex("22") },
    ]);
    assert_eq!(mods(&mut client), expected);
}

#[test]
fn a_subscription_that_is_reopened_before_its_first_result_keeps_the_version_that_the_client_has() {
    let mut client = client([OpenedSubscription { version: Some(version_of("5")), ..opened(1, 10) }]);
    deliver(&mut client, 1, &[(1, "6")], &[]);
    client.open(OpenedSubscription { replaces: Some(SubscriptionId(1)), ..opened(2, 10) });
    deliver(&mut client, 2, &[(2, "5")], &[]);
    assert_eq!(mods(&mut client), json!([{ "id": 10, "unchanged": true, "version": hex("5") }]));
}

#[test]
fn closing_a_reopened_subscription_lets_the_others_go_on() {
    let mut client = client([opened(1, 10), opened(2, 20)]);
    client.open(OpenedSubscription { replaces: Some(SubscriptionId(1)), ..opened(3, 10) });
    deliver(&mut client, 1, &[(2, "2")], &[]);
    assert_eq!(transition(&mut client), None);
    client.close(SubscriptionId(3));
    assert_eq!(mods(&mut client), json!([{ "id": 20, "snapshot": 2, "version": hex("2") }]));
}

#[test]
fn a_result_that_is_too_large_is_an_error_of_its_subscription() {
    let mut client = client([opened(1, 10), opened(2, 20)]);
    let long: &'static str = Box::leak(format!("\"{}\"", "x".repeat(BYTES_MAX)).into_boxed_str());
    deliver(&mut client, 1, &[(1, long), (2, "2")], &[]);
    let sent = mods(&mut client);
    assert_eq!(sent[0]["error"]["code"], json!("PAYLOAD_TOO_LARGE"));
    assert_eq!(sent[0]["error"]["details"]["bytesMax"], json!(BYTES_MAX));
    assert_eq!(sent[1]["snapshot"], json!(2));
    deliver(&mut client, 2, &[(1, "1")], &[]);
    assert_eq!(mods(&mut client)[0]["snapshot"], json!(1), "the subscription stays open");
}

#[test]
fn results_of_one_snapshot_travel_together_whatever_they_add_up_to() {
    let mut client = client((1..=9).map(|id| opened(id, u32::MAX - id)));
    let body: &'static str = Box::leak(format!("\"{}\"", "x".repeat(BYTES_MAX - 2)).into_boxed_str());
    deliver(&mut client, u64::MAX, &(1..=9).map(|id| (id, body)).collect::<Vec<_>>(), &[]);
    let sent = mods(&mut client);
    assert!((0..9).all(|position| sent[position]["snapshot"].is_string()), "{sent}");
}

/// Results of all sizes, beside an error whose text grows most in JSON.
#[test]
fn the_bytes_of_a_frame_are_counted_at_most() {
    let fault = || {
        let details = json!({ "field": "\u{1f}".repeat(20) });
        Fault::new(Code::Internal, "\u{1f}\"".repeat(30)).with_details(details)
    };
    for length in 1..BYTES_MAX {
        let mut client = client([opened(u32::MAX, u32::MAX), opened(2, 20), opened(3, u32::MAX)]);
        let body: &'static str = Box::leak("1".repeat(length).into_boxed_str());
        let error = QueryResult::uncounted(version_of("0"), Err(fault()), TraceContext::new_root());
        let mods = vec![
            modification(2, error),
            modification(3, answered(body)),
            modification(u32::MAX, answered("1")),
        ];
        client.deliver(Tick(u64::MAX), mods, vec![MutationId(u32::MAX)]);
        let transition = client.transition(BYTES_MAX).expect("results are pending");
        let counted = transition.bytes;
        let bytes = render::transition(transition, BYTES_MAX).len();
        assert!(bytes <= counted, "{bytes} bytes, counted {counted} with {length} in the result");
    }
}

#[test]
fn applied_mutations_are_sent_without_results() {
    let mut client = ClientState::default();
    deliver(&mut client, 4, &[], &[3]);
    assert_eq!(
        transition(&mut client),
        Some(json!({ "type": "transition", "from": 0, "to": 4, "mods": [], "applied": [3] }))
    );
    deliver(&mut client, 5, &[], &[]);
    assert_eq!(transition(&mut client), None, "a tick alone is not sent");
}
