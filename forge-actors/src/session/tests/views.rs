//! What waits for a client merges, and what it is told adds up.

use std::sync::Arc;

use serde_json::{Value, json};

use super::{answered, failed, news, opened, version_of};
use crate::kernel::fault::Code;
use crate::reactor::{MutationId, SubscriptionId, Version};
use crate::session::outlet::{News, Opened, Pending};
use crate::session::view::View;

const BYTES_MAX: usize = 1_000;

fn told(view: &mut View) -> Option<Value> {
    view.transition(BYTES_MAX).map(|frame| serde_json::from_slice(frame.payload()).expect("JSON"))
}

fn take(view: &mut View, pending: Pending) -> Option<Value> {
    view.update(pending.opened, &pending.closed, pending.held, pending.news);
    told(view)
}

fn hex(body: &str) -> String {
    format!("{:016x}", version_of(body).0)
}

#[test]
fn newer_results_replace_older_ones() {
    let mut waiting = news(1, &[(1, "1"), (2, "2")], &[7]);
    assert_eq!(waiting.merge(news(3, &[(2, "22"), (3, "3")], &[8])), 1);
    assert_eq!(waiting.merge(news(2, &[], &[])), 0);
    let mut view = View::default();
    view.update(vec![opened(1, 10), opened(2, 20), opened(3, 30)], &[], None, waiting);
    let expected = json!({
        "type": "transition", "from": 0, "to": 3,
        "mods": [
            { "id": 10, "snapshot": 1, "version": hex("1") },
            { "id": 20, "snapshot": 22, "version": hex("22") },
            { "id": 30, "snapshot": 3, "version": hex("3") },
        ],
        "applied": [7, 8],
    });
    assert_eq!(told(&mut view), Some(expected));
    assert_eq!(told(&mut view), None, "nothing is told twice");
    view.update(Vec::new(), &[], None, news(9, &[(1, "4")], &[]));
    let next = told(&mut view).expect("news");
    assert_eq!((&next["from"], &next["to"]), (&json!(3), &json!(9)));
}

#[test]
fn a_version_that_the_client_has_is_not_sent_again() {
    let mut view = View::default();
    let known = Opened { version: Some(version_of("5")), ..opened(1, 10) };
    view.update(vec![known], &[], None, news(1, &[(1, "5")], &[]));
    assert_eq!(
        told(&mut view).expect("an answer")["mods"],
        json!([{ "id": 10, "unchanged": true, "version": hex("5") }])
    );
    view.update(Vec::new(), &[], None, news(2, &[(1, "6")], &[]));
    assert_eq!(
        told(&mut view).expect("news")["mods"],
        json!([{ "id": 10, "snapshot": 6, "version": hex("6") }])
    );
}

#[test]
fn what_belongs_to_nothing_is_dropped() {
    let mut view = View::default();
    let mut pending = Pending::default();
    pending.open(opened(1, 10));
    pending.open(opened(2, 20));
    pending.news.merge(news(1, &[(1, "1"), (2, "2"), (3, "3")], &[]));
    pending.close(SubscriptionId(2));
    assert_eq!(
        take(&mut view, pending).expect("news")["mods"],
        json!([{ "id": 10, "snapshot": 1, "version": hex("1") }])
    );
    let mut pending = Pending::default();
    pending.news.merge(news(2, &[(1, "11")], &[]));
    pending.close(SubscriptionId(1));
    pending.open(opened(4, 10));
    // The former subscription's last result was under way.
    pending.news.merge(news(2, &[(1, "111")], &[]));
    assert_eq!(take(&mut view, pending), None);
}

#[test]
fn errors_are_told_and_final_ones_end_the_subscription() {
    let mut view = View::default();
    let results = [
        (SubscriptionId(1), Arc::new(failed(Code::Timeout))),
        (SubscriptionId(2), Arc::new(failed(Code::PermissionDenied))),
    ];
    let faults = News { results: results.into(), ..news(1, &[], &[]) };
    view.update(vec![opened(1, 10), opened(2, 20)], &[], None, faults);
    let frame = told(&mut view).expect("news");
    assert_eq!(
        (&frame["mods"][0]["id"], &frame["mods"][0]["error"]["code"]),
        (&json!(10), &json!("TIMEOUT"))
    );
    assert_eq!(
        (&frame["mods"][1]["id"], &frame["mods"][1]["error"]["code"]),
        (&json!(20), &json!("PERMISSION_DENIED"))
    );
    view.update(Vec::new(), &[], None, news(2, &[(1, "1"), (2, "2")], &[]));
    assert_eq!(
        told(&mut view).expect("news")["mods"],
        json!([{ "id": 10, "snapshot": 1, "version": hex("1") }])
    );
}

#[test]
fn nothing_is_told_while_news_are_held() {
    let mut view = View::default();
    view.update(vec![opened(1, 10)], &[], Some(true), news(1, &[(1, "1")], &[7]));
    assert_eq!(told(&mut view), None);
    view.update(Vec::new(), &[], None, news(2, &[(1, "2")], &[]));
    assert_eq!(told(&mut view), None);
    view.update(Vec::new(), &[], Some(false), News::default());
    let frame = told(&mut view).expect("the newest");
    assert_eq!(
        (&frame["to"], &frame["mods"][0]["snapshot"], &frame["applied"]),
        (&json!(2), &json!(2), &json!([7]))
    );
}

#[test]
fn subscriptions_made_anew_are_told_together() {
    let mut view = View::default();
    view.update(vec![opened(1, 10), opened(2, 20)], &[], None, news(1, &[(1, "1"), (2, "2")], &[]));
    told(&mut view).expect("the first results");
    let mut pending = Pending::default();
    // Twice, before the client could be told: the second replaces what the client knows.
    for (former, id, wire) in [(1, 3, 10), (2, 4, 20), (3, 5, 10), (4, 6, 20)] {
        pending.open(Opened { replaces: Some(SubscriptionId(former)), ..opened(id, wire) });
    }
    pending.news.merge(news(2, &[(1, "of the former caller"), (5, "1")], &[]));
    assert_eq!(take(&mut view, pending), None, "one of two");
    view.update(Vec::new(), &[], None, news(3, &[(6, "22")], &[]));
    let expected = json!([
        { "id": 10, "unchanged": true, "version": hex("1") },
        { "id": 20, "snapshot": 22, "version": hex("22") },
    ]);
    assert_eq!(told(&mut view).expect("both")["mods"], expected);
}

#[test]
fn a_result_that_does_not_fit_is_an_error_of_its_subscription() {
    let mut view = View::default();
    let long: &'static str = Box::leak(format!("\"{}\"", "x".repeat(BYTES_MAX)).into_boxed_str());
    view.update(vec![opened(1, 10), opened(2, 20)], &[], None, news(1, &[(1, long), (2, "2")], &[]));
    let frame = told(&mut view).expect("news");
    assert_eq!(frame["mods"][0]["error"]["code"], json!("PAYLOAD_TOO_LARGE"));
    assert_eq!(frame["mods"][1]["snapshot"], json!(2));
    view.update(Vec::new(), &[], None, news(2, &[(1, "1")], &[]));
    assert_eq!(told(&mut view).expect("news")["mods"][0]["snapshot"], json!(1), "it stays subscribed");
}

#[test]
fn mutations_are_told_without_results() {
    let mut view = View::default();
    view.update(Vec::new(), &[], None, News { applied: vec![MutationId(3)], ..news(4, &[], &[]) });
    assert_eq!(
        told(&mut view),
        Some(json!({ "type": "transition", "from": 0, "to": 4, "mods": [], "applied": [3] }))
    );
    view.update(Vec::new(), &[], None, news(5, &[], &[]));
    assert_eq!(told(&mut view), None, "a tick alone is no news");
    assert_eq!(answered("1").version, Version(7 * 31 + 49));
}
