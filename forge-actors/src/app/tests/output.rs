use std::collections::{BTreeMap, HashMap};

use serde::ser::SerializeSeq;
use serde_json::{Value, json};

use crate::app::WireType;
use crate::app::output::{self, OutputError};
use crate::kernel::fault::{Code, Fault};

#[crate::data]
#[derive(Debug, Clone, PartialEq)]
struct Reading {
    name: String,
    celsius: f64,
}

#[crate::data]
#[derive(Debug, Clone, PartialEq)]
enum Shape {
    Point,
    Circle(f32),
    Rectangle { width: f64, height: f64 },
    Pair(i8, f64),
}

fn text<T: WireType>(value: &T) -> String {
    String::from_utf8(value.to_json().expect("it has a form in JSON")).expect("JSON is UTF-8")
}

fn refused<T: WireType>(value: &T) -> String {
    value.to_json().expect_err("it has no form in JSON").to_string()
}

/// What `serde_json` writes, where a value has no map whose order could differ.
fn check<T: WireType + serde::Serialize>(value: T) {
    assert_eq!(text(&value), serde_json::to_string(&value).expect("JSON"));
}

#[test]
fn a_value_is_written_as_serde_json_writes_it() {
    check((true, -8_i8, u64::MAX, i128::MIN, 'ä', 1.5_f32, 1e300_f64, -0.0_f64));
    check(("\u{0}\"\\\u{2028}".to_owned(), None::<u8>, Some(7_u16), ()));
    check(vec![Shape::Point, Shape::Circle(0.1), Shape::Pair(-1, 2.0)]);
    check(Shape::Rectangle { width: 1.0, height: 2.5 });
    check(Vec::<Reading>::new());
    check(json!({ "a": [1, -2, 0.5, null, "x", { "b": {} }], "z": "" }));
    check(BTreeMap::from([("a", 1), ("a b", 2), ("ab", 3)].map(|(name, n)| (name.to_owned(), n))));
    check(BTreeMap::from([(false, 1), (true, 2)]));
    let raw = serde_json::value::to_raw_value(&json!([1, "x"])).expect("JSON");
    let written = output::write(&(raw, 1), usize::MAX).expect("JSON");
    assert_eq!(written, br#"[[1,"x"],1]"#);
}

#[test]
fn equal_maps_are_equal_texts() {
    let expected: BTreeMap<String, u32> = (0..100).map(|n| (format!("key {n}"), n)).collect();
    for _ in 0..20 {
        // Each map has hash keys of its own, and so an order of its own.
        let map: HashMap<String, u32> = expected.clone().into_iter().collect();
        assert_eq!(text(&map), text(&expected));
        assert_eq!(text(&vec![(map, 1)]), text(&vec![(expected.clone(), 1)]));
    }
    let numbers: HashMap<i32, Vec<HashMap<String, bool>>> =
        HashMap::from([(10, vec![]), (-1, vec![HashMap::from([("a".to_owned(), true)])]), (2, vec![])]);
    assert_eq!(text(&numbers), r#"{"-1":[{"a":true}],"10":[],"2":[]}"#);
}

#[test]
fn a_number_that_json_does_not_have_is_named_with_its_path() {
    let reading = |celsius| Reading { name: "x".to_owned(), celsius };
    let reason = "is NaN or infinite, and JSON has no such number";
    assert_eq!(refused(&f64::NAN), reason);
    assert_eq!(refused(&vec![reading(1.0), reading(f64::INFINITY)]), format!("`[1].celsius` {reason}"));
    let nested = HashMap::from([("cellar".to_owned(), Some((1, reading(f64::NAN))))]);
    assert_eq!(refused(&nested), format!("`cellar[1].celsius` {reason}"));
    assert_eq!(refused(&Shape::Circle(f32::NEG_INFINITY)), format!("`circle` {reason}"));
    let rectangle = Shape::Rectangle { width: 1.0, height: f64::NAN };
    assert_eq!(refused(&rectangle), format!("`rectangle.height` {reason}"));
    assert_eq!(refused(&Shape::Pair(1, f64::NAN)), format!("`pair[1]` {reason}"));
    let fault = Fault::from(vec![f64::NAN].to_json().expect_err("NaN"));
    assert_eq!(fault.code(), Code::Internal);
    assert!(fault.message().contains("`[0]`"), "{fault}");
}

#[test]
fn details_of_an_error_are_never_null_in_the_place_of_a_number() {
    /// Too warm.
    #[crate::error]
    enum Weather {
        /// Too warm.
        #[code("TOO_WARM", status = 409)]
        TooWarm { celsius: f64 },
    }
    let fault = |celsius| Fault::from(Weather::<Fault>::TooWarm { celsius });
    assert_eq!(fault(41.5).details(), Some(&json!({ "celsius": 41.5 })));
    let refused = fault(f64::NAN);
    assert_eq!((refused.code(), refused.details()), (Code::Internal, None::<&Value>));
    assert!(refused.message().contains("`celsius`"), "{refused}");
}

/// A list that never ends.
struct Endless<T>(T);

impl<T: serde::Serialize> serde::Serialize for Endless<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        loop {
            list.serialize_element(&self.0)?;
        }
    }
}

#[test]
fn writing_stops_at_the_limit() {
    let refused = |error: OutputError| {
        let fault = Fault::from(error);
        assert_eq!(fault.code(), Code::PayloadTooLarge, "{fault}");
        assert_eq!(fault.details(), Some(&json!({ "bytesMax": 1_000 })));
    };
    let endless = |value: &dyn Fn() -> Result<Vec<u8>, OutputError>| refused(value().expect_err("no end"));
    endless(&|| output::write(&Endless("x"), 1_000));
    endless(&|| output::write(&Endless(()), 1_000));
    endless(&|| output::write(&Endless(Vec::<u8>::new()), 1_000));
    endless(&|| output::write(&Endless(HashMap::from([("a", 1)])), 1_000));
    endless(&|| output::write(&HashMap::from([("a", Endless(true))]), 1_000));
    refused("x".repeat(1_000).to_json_within(1_000).expect_err("the quotation marks do not fit"));
    assert_eq!("x".repeat(998).to_json_within(1_000).expect("it fits").len(), 1_000);
}
