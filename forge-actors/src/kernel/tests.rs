mod envelope;
mod printable;

use std::time::Duration;

use super::backoff::Backoff;
use super::error_chain::{error_causes, error_chain, root_cause};
use super::fault::{Code, Fault, FieldError};
use super::ids::NodeId;
use super::integer::{Int53, Int64};
use super::time::{format_duration, parse_duration};
use super::trace::TraceContext;

#[test]
fn backoff_doubles_up_to_its_maximum_and_jitters_downwards() {
    let backoff = Backoff::exponential(Duration::from_millis(10), Duration::from_millis(70));
    let ceilings: Vec<_> = (0..5).map(|n| backoff.ceiling(n).as_millis()).collect();
    assert_eq!(ceilings, [10, 20, 40, 70, 70]);
    assert_eq!(backoff.delay(1, 0.0), Duration::from_millis(10));
    assert_eq!(backoff.delay(1, 1.0), Duration::from_millis(20));
    assert_eq!(backoff.ceiling(u32::MAX), Duration::from_millis(70));
}

#[test]
fn durations_read_back_what_they_write() {
    for text in ["0ms", "1ms", "1500ms", "5s", "90s", "3m", "2h", "7d"] {
        let parsed = parse_duration(text).expect("a duration");
        assert_eq!(format_duration(parsed), text);
    }
    for text in ["", "5", "s", "-5s", "5 s", "1.5s", "5w", "99999999999999999999s", "18446744073709551615d"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

#[test]
fn numbers_for_javascript_are_exact_or_refused() {
    let edges = [Int53::MIN, -1, 0, Int53::MAX];
    for number in edges {
        let exact = Int53::try_from(number).expect("within the bounds");
        let json = serde_json::to_string(&exact).expect("a number");
        assert_eq!(
            (json.as_str(), serde_json::from_str::<Int53>(&json).ok()),
            (number.to_string().as_str(), Some(exact))
        );
        assert_eq!(number.to_string().parse(), Ok(exact));
    }
    for beyond in ["9007199254740992", "-9007199254740992", "18446744073709551616", "1.0", "\"1\""] {
        assert!(serde_json::from_str::<Int53>(beyond).is_err(), "{beyond}");
    }
    assert_eq!((Int53::count(u64::MAX).get(), Int53::count(7).get()), (Int53::MAX, 7));
    for number in [i64::MIN, 0, i64::MAX] {
        let json = serde_json::to_string(&Int64::from(number)).expect("a text");
        assert_eq!(json, format!("\"{number}\""));
        assert_eq!(serde_json::from_str::<Int64>(&json).map(Int64::get).ok(), Some(number));
    }
    for wrong in ["1", "\"\"", "\"1.5\"", "\"9223372036854775808\"", "null"] {
        assert!(serde_json::from_str::<Int64>(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn traceparent_follows_the_recommendation() {
    let header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let trace = TraceContext::parse(header).expect("valid");
    assert_eq!(trace.to_string(), header);
    assert_eq!(trace.child().trace_id, trace.trace_id);
    let future = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-is-this";
    assert!(!TraceContext::parse(future).expect("later versions keep the first four parts").sampled);
    for bad in [
        "",
        "00",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-extra",
        "00-+bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert_eq!(TraceContext::parse(bad), None, "{bad}");
    }
}

#[test]
fn codes_have_distinct_names_and_error_statuses() {
    let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    assert!(Code::ALL.iter().all(|code| (400..600).contains(&code.status())));
}

#[test]
fn a_fault_shows_its_code_and_sentence_and_keeps_its_cause() {
    let fault = Fault::internal("password column is missing");
    assert!(!fault.to_string().contains("password"));
    assert!(format!("{fault:?}").contains("password"));
    let fault = Fault::validation(vec![FieldError::new("title", "length", "at most 200 characters")]);
    assert_eq!(fault.to_string(), "VALIDATION: title: at most 200 characters");
}

#[test]
fn the_reference_lists_every_code_with_its_status() {
    let page = include_str!("../../../docs/src/reference/error-codes.md");
    for code in Code::ALL {
        let row = format!("| `{}` | {} |", code.name(), code.status());
        assert!(page.contains(&row), "docs/src/reference/error-codes.md lacks {row}");
    }
}

#[test]
fn an_error_chain_names_each_cause_once() {
    #[derive(Debug, thiserror::Error)]
    #[error("the connection failed: {0}")]
    struct Repeats(#[source] std::io::Error);

    let repeats = Repeats(std::io::Error::other("refused"));
    assert_eq!(error_chain(&repeats), "the connection failed: refused");
    assert_eq!(root_cause(&repeats).to_string(), "refused");
    assert_eq!(error_causes(&repeats).as_deref(), Some("refused"));
    assert_eq!(error_causes(&std::io::Error::other("alone")), None);
    let fault = Fault::new(Code::Unavailable, "away").because(repeats);
    assert_eq!(error_chain(&fault), "UNAVAILABLE: away: the connection failed: refused");
    assert_eq!(error_chain(&Fault::new(Code::Timeout, "late")), "TIMEOUT: late");
}

mod commit {
    use crate::kernel::commit::{Snapshot, Xid};

    #[test]
    fn a_snapshot_sees_the_transactions_that_had_ended() {
        let snapshot: Snapshot = "10:15:11,13".parse().expect("as Postgres writes it");
        let seen: Vec<u64> = (8..18).filter(|xid| snapshot.contains(Xid(*xid))).collect();
        assert_eq!(seen, [8, 9, 10, 12, 14]);
        let quiet: Snapshot = "15:15:".parse().expect("without running transactions");
        assert!(quiet.contains(Xid(14)) && !quiet.contains(Xid(15)));
    }

    #[test]
    fn other_texts_are_not_snapshots() {
        for text in ["", "10", "10:15", "a:b:", "10:15:x", "10:15:11,,y"] {
            assert!(text.parse::<Snapshot>().is_err(), "{text}");
        }
    }
}

mod merge_slot {
    use futures::FutureExt;

    use crate::kernel::merge_slot::MergeSlot;

    #[tokio::test]
    async fn values_that_are_put_before_a_take_are_merged() {
        let slot = MergeSlot::new();
        for value in [1, 2, 3] {
            slot.put(|sum| *sum = Some(sum.unwrap_or(0) + value));
        }
        assert_eq!(slot.take().await, 6);
        assert_eq!(slot.try_take(), None);
    }

    #[tokio::test]
    async fn a_cancelled_taker_loses_nothing() {
        let slot: MergeSlot<u32> = MergeSlot::new();
        assert_eq!(slot.take().now_or_never(), None);
        slot.put(|value| *value = Some(7));
        assert_eq!(slot.take().await, 7);
    }
}

#[test]
fn answers_carry_the_cause_and_what_helps_in_development_only() {
    let json = |fault: &Fault, development: bool| {
        serde_json::to_value(fault.wire_in(development, "t1")).expect("an object")
    };
    let fault = Fault::internal(std::io::Error::other("no space left"));
    let answer = json(&fault, false);
    assert!(answer.get("cause").is_none() && answer.get("help").is_none(), "{answer}");
    let answer = json(&fault, true);
    assert_eq!(answer["cause"], "no space left");
    assert!(answer["help"].as_str().is_some_and(|help| help.contains("trace id")), "{answer}");
    let said = Fault::new(Code::NotFound, "there is no function `x`").with_help("did you mean `y`?");
    assert_eq!(json(&said, true)["help"], "did you mean `y`?");
}

#[test]
fn no_help_is_guessed_from_a_code() {
    for code in Code::ALL {
        assert!(Fault::new(*code, "x").help().is_none(), "{code}");
    }
    let helps = |fault: Fault, word: &str| {
        assert!(fault.help().is_some_and(|help| help.contains(word)), "{fault}: {:?}", fault.help());
    };
    helps(Fault::validation(Vec::new()), "details.fields");
    helps(sqlx::Error::PoolTimedOut.into(), "write_connections_max");
    helps(Fault::from(sqlx::Error::RowNotFound), "trace id");
}

#[test]
fn ids_are_ordered_by_time() {
    let ids: Vec<String> = (0..3).map(|_| NodeId::new().to_string()).collect();
    assert!(ids.is_sorted(), "{ids:?}");
    let versions = ids.iter().map(|id| uuid::Uuid::parse_str(id).map(|id| id.get_version_num()));
    assert!(versions.flatten().eq([7, 7, 7]), "{ids:?}");
}
