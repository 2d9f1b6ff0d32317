//! Types that a client would misread, and what is said about them.

use forge::app::{Catalog, Registration};
use forge::prelude::*;
use forge_ts::{Audience, Contract};

mod other {
    #[forge::data]
    pub(super) struct Twin {
        pub left: bool,
    }
}

#[forge::data]
#[derive(Debug, Clone)]
struct Twin {
    right: bool,
}

/// A count that JavaScript would round.
#[forge::data]
struct Count {
    of_stars: Vec<u64>,
}

#[forge::query]
async fn stars(_ctx: &QueryContext, since: i64) -> Result<Count> {
    Ok(Count { of_stars: vec![since.unsigned_abs()] })
}

#[forge::query]
async fn twins(_ctx: &QueryContext, one: Twin) -> Result<other::Twin> {
    Ok(other::Twin { left: one.right })
}

#[forge::query(name = "refusals.twins.both")]
async fn both(_ctx: &QueryContext) -> Result<()> {
    Ok(())
}

#[forge::query]
async fn later(_ctx: &QueryContext) -> Result<std::time::Duration> {
    Ok(secs(1))
}

/// An id, if there is one.
#[forge::data]
struct Maybe(Option<u8>);

#[forge::data]
struct Holder {
    inner: Option<Maybe>,
}

/// The attribute sees the alias, and not what it stands for.
type Twice = Option<Option<u8>>;

#[forge::query]
async fn nulls(_ctx: &QueryContext, twice: Twice, unit: Option<()>) -> Result<Holder> {
    let _ = unit;
    Ok(Holder { inner: twice.map(Maybe) })
}

static STARS: Registration = Registration::of::<Stars>();
static TWINS: Registration = Registration::of::<Twins>();
static BOTH: Registration = Registration::of::<Both>();
static LATER: Registration = Registration::of::<Later>();
static NULLS: Registration = Registration::of::<Nulls>();

fn refused<const N: usize>(registrations: [&'static Registration; N]) -> Vec<String> {
    let catalog = Catalog::from_registrations(registrations.into_iter()).expect("distinct names");
    let refused = Contract::of(&catalog, Audience::Application).expect_err("TypeScript cannot express them");
    refused.0.iter().map(ToString::to_string).collect()
}

#[test]
fn numbers_that_javascript_rounds_are_refused_with_both_remedies() {
    let remedies = "and JavaScript rounds numbers beyond 2^53 - 1: take `Int53` (a number up to there), `Int64` (any i64, as a text) or `i32`";
    let said = refused([&STARS]);
    let expected = [
        format!("`refusals.stars`: `args.since` is of the type `i64`, {remedies}"),
        format!("`refusals.stars`: `result.Count.ofStars[]` is of the type `u64`, {remedies}"),
    ];
    assert_eq!(said, expected);
    assert!(
        refused([&LATER])[0].starts_with("`refusals.later`: `result.Duration.secs` is of the type `u64`")
    );
}

#[test]
fn a_null_with_two_meanings_is_refused() {
    let remedy = "is an `Option` of a type that has the value `null` already, and JSON has one `null` for both: take an enum, or two fields";
    let expected = ["args.twice", "args.unit", "result.Holder.inner"]
        .map(|place| format!("`refusals.nulls`: `{place}` {remedy}"));
    assert_eq!(refused([&NULLS]), expected);
}

#[test]
fn two_types_of_one_name_are_refused() {
    let module = module_path!();
    let expected = format!(
        "`refusals.twins`: `result` uses the type `Twin` of `{module}::other`, and `{module}` has one of the same name: rename one of them"
    );
    assert_eq!(refused([&TWINS]), [expected]);
}

#[test]
fn a_function_cannot_stand_where_others_stand_below() {
    let said = refused([&TWINS, &BOTH]);
    let expected = "`refusals.twins.both` would be `api.refusals.twins.both`, where another function or module is already: give it another `name = \"..\"`";
    assert!(said.iter().any(|line| line == expected), "{said:#?}");
}
