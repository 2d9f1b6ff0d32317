use crate::app::{Action, ActionContext, Catalog, Handler, Meta, Registration, Result};
use crate::function::admission::Admission;
use crate::kernel::fault::{Code, Fault};

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
    Admission::new(calls_max, &catalog)
}

#[test]
fn a_full_node_refuses_until_a_call_ends() {
    let admission = admission(2);
    let first = admission.enter("tests.wide", false).expect("a free place");
    let _second = admission.enter("tests.wide", false).expect("a free place");
    let refused = admission.enter("tests.wide", false).err().expect("full");
    assert_eq!(refused.code(), Code::Overloaded);
    assert!(refused.retry_delay().is_some());
    drop(first);
    assert!(admission.enter("tests.wide", false).is_ok());
}

#[test]
fn a_handlers_own_limit_holds_also_for_nested_calls() {
    let admission = admission(1);
    let outer = admission.enter("tests.wide", false).expect("a free place");
    let inner = admission.enter("tests.narrow", true).expect("a nested call takes no place of the node");
    assert!(admission.enter("tests.narrow", true).is_err());
    assert!(admission.enter("tests.wide", true).is_err(), "nested calls are counted as well");
    drop(inner);
    assert!(admission.enter("tests.narrow", true).is_ok());
    drop(outer);
}

#[test]
fn a_refused_call_keeps_no_place() {
    let admission = admission(2);
    let narrow = admission.enter("tests.narrow", false).expect("a free place");
    assert!(admission.enter("tests.narrow", false).is_err());
    let _second = admission.enter("tests.wide", false).expect("the refused call gave its place back");
    drop(narrow);
}
