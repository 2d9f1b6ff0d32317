use crate::app::{Action, ActionContext, Catalog, Handler, Meta, Registration, Result};
use crate::function::admission::Admission;
use crate::function::config::FunctionConfig;
use crate::function::inflight::InFlightTable;
use crate::function::stall::{MissedChecks, ThreadStall, name_blockers};
use crate::kernel::fault::{Code, Fault};
use crate::kernel::ids::RequestId;
use crate::kernel::invocation::{Caller, Identity};
use crate::subsystem::ConfigSection;

#[forge_app_macros::data]
struct Narrow {}

impl Handler for Narrow {
    type Kind = Action;
    type Output = ();
    type Error = Fault;
    const META: Meta = Meta { concurrency: Some(1), ..Meta::action("tests", "narrow", file!(), line!()) };

    async fn run(self, _ctx: &ActionContext) -> Result<()> {
        Ok(())
    }
}

static NARROW: Registration = Registration::of::<Narrow>();

fn admission(calls_max: u32) -> Admission {
    let catalog = Catalog::from_registrations([&NARROW].into_iter()).expect("one handler");
    let config = FunctionConfig { calls_max, function_share: 1.0, ..FunctionConfig::default() };
    Admission::new(&config, &catalog)
}

#[test]
fn a_full_node_refuses_until_a_call_ends() {
    let admission = admission(2);
    let first = admission.enter("tests.wide", None, false).expect("a free place");
    let _second = admission.enter("tests.wide", None, false).expect("a free place");
    let refused = admission.enter("tests.wide", None, false).err().expect("full");
    assert_eq!(refused.code(), Code::Overloaded);
    assert!(refused.retry_delay().is_some());
    drop(first);
    assert!(admission.enter("tests.wide", None, false).is_ok());
}

#[test]
fn a_handlers_own_limit_holds_also_for_nested_calls() {
    let admission = admission(1);
    let outer = admission.enter("tests.wide", None, false).expect("a free place");
    let inner =
        admission.enter("tests.narrow", None, true).expect("a nested call takes no place of the node");
    assert!(admission.enter("tests.narrow", None, true).is_err());
    assert!(admission.enter("tests.wide", None, true).is_err(), "nested calls are counted as well");
    drop(inner);
    assert!(admission.enter("tests.narrow", None, true).is_ok());
    drop(outer);
}

#[test]
fn a_refused_call_keeps_no_place() {
    let admission = admission(2);
    let narrow = admission.enter("tests.narrow", None, false).expect("a free place");
    assert!(admission.enter("tests.narrow", None, false).is_err());
    let _second = admission.enter("tests.wide", None, false).expect("the refused call gave its place back");
    drop(narrow);
}

#[test]
fn a_caller_is_its_identity_or_else_its_network() {
    let anonymous = |ip: &str| Caller { ip: Some(ip.parse().expect("an address")), ..Caller::default() };
    let signed_in = |subject: &str, tenant: Option<&str>| Caller {
        identity: Some(
            Identity {
                subject: subject.to_owned(),
                roles: Vec::new(),
                tenant: tenant.map(str::to_owned),
                claims: serde_json::Map::new(),
            }
            .into(),
        ),
        ..anonymous("10.0.0.1")
    };
    let callers = [
        Caller::default(),
        anonymous("10.0.0.1"),
        anonymous("10.0.0.2"),
        anonymous("2001:db8::1"),
        signed_in("ana", None),
        signed_in("ana", Some("acme")),
        signed_in("bob", None),
    ];
    for (index, caller) in callers.iter().enumerate() {
        assert!(callers[index + 1..].iter().all(|other| other.key() != caller.key()), "{caller:?}");
    }
    assert_eq!(anonymous("2001:db8::1").key(), anonymous("2001:db8::ffff").key());
    assert_eq!(Caller { ip: None, ..signed_in("ana", None) }.key(), signed_in("ana", None).key());
    assert!(Caller::default().key().is_none());
}

#[test]
fn shares_that_cannot_work_are_refused() {
    assert!(FunctionConfig::default().validate().is_empty());
    for share in [0.0, -1.0, 1.01, f64::NAN] {
        let config =
            FunctionConfig { function_share: share, caller_share: share, ..FunctionConfig::default() };
        let wrong = config.validate();
        assert!(wrong.len() == 2 && wrong[0].contains("function_share"), "{wrong:?}");
    }
    let config = FunctionConfig { calls_max: 0, blocking_max: 0, ..FunctionConfig::default() };
    assert_eq!(config.validate().len(), 2);
}

#[test]
fn threads_are_stalled_after_checks_in_a_row_without_progress() {
    let mut missed = MissedChecks::default();
    let stalled =
        [false, false, true, false, false, false, false, true].map(|progress| missed.record(progress));
    assert_eq!(stalled, [false, false, false, false, false, true, true, false]);
}

#[test]
fn a_stall_without_a_blocked_handler_is_named_too() {
    let calls = InFlightTable::default();
    let _running = calls.enter(RequestId::new(), &"tests.wide".into());
    assert_eq!(name_blockers(&calls.list()), None);
    let stall = ThreadStall::new(chrono::Utc::now(), 2, &calls.list());
    assert_eq!(stall.blockers, "tasks that handlers have spawned");
    assert!(stall.cause().ends_with(&stall.blockers) && !stall.reason().contains(&stall.blockers));
}
