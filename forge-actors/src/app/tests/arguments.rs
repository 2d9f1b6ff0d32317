use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use crate::app::WireType;
use crate::app::arguments::{Arguments, read_whole};
use crate::kernel::fault::Fault;
use crate::kernel::integer::Int53;

#[derive(Debug, PartialEq)]
struct Create {
    title: String,
    count: Option<u8>,
    tags: Vec<String>,
}

fn create(args: &str) -> Result<Create, Fault> {
    let mut fields = Arguments::parse(args.as_bytes(), &["title", "count", "tags"])?;
    let (title, count, tags) = (fields.take("title"), fields.take("count"), fields.take("tags"));
    fields.finish()?;
    Ok(Create {
        title: title.expect("finish saw no error"),
        count: count.expect("finish saw no error"),
        tags: tags.expect("finish saw no error"),
    })
}

fn refused(args: &str) -> Value {
    let fault = create(args).expect_err("refused");
    json!({ "code": fault.code().name(), "details": fault.details() })
}

#[test]
fn fields_are_read_and_absent_options_are_none() {
    let read = create(r#"{"tags": ["a"], "title": "x"}"#).expect("accepted");
    assert_eq!(read, Create { title: "x".into(), count: None, tags: vec!["a".into()] });
    assert_eq!(create(r#"{"tags": [], "title": "\u0041", "count": null}"#).expect("accepted").title, "A");
    assert!(create(r#"{"tags": [], "\u0074itle": "escaped key"}"#).is_ok());
}

#[test]
fn every_wrong_field_is_named_at_once() {
    let fault = create(r#"{"titel": "x", "count": 300, "tags": ["a", 1]}"#).expect_err("refused");
    let fields = fault.details().expect("details")["fields"].as_array().expect("array").clone();
    let seen: Vec<_> =
        fields.iter().map(|f| (f["field"].as_str().unwrap(), f["rule"].as_str().unwrap())).collect();
    assert_eq!(
        seen,
        [("titel", "unknown"), ("title", "required"), ("count", "invalid"), ("tags[1]", "invalid")]
    );
    assert!(fields[0]["message"].as_str().unwrap().contains("expected title, count, tags"));
    assert!(!fields[2]["message"].as_str().unwrap().contains("line"));
}

#[test]
fn a_name_counts_once_and_a_text_holds_no_nul() {
    let fault = create(r#"{"title": "a", "tags": ["x\\u0000 y"], "title": "b"}"#).expect_err("refused");
    let fields = fault.details().expect("details")["fields"].clone();
    assert_eq!((fields.as_array().map(Vec::len), fields[0]["rule"].as_str()), (Some(1), Some("duplicate")));
    let fault = create(r#"{"title": "a\u0000b", "tags": ["x\\\u0000"]}"#).expect_err("refused");
    let fields = fault.details().expect("details")["fields"].clone();
    assert_eq!((fields[0]["field"].as_str(), fields[1]["field"].as_str()), (Some("title"), Some("tags")));
}

#[test]
fn a_hopeless_object_is_answered_briefly() {
    let many: Vec<_> = (0..10_000).map(|n| format!("\"{n}{}\": 0", "x".repeat(100))).collect();
    let fault = create(&format!("{{{}}}", many.join(","))).expect_err("refused");
    let details = fault.details().expect("details").to_string();
    assert!(details.len() < 20_000 && details.contains("9952 more fields"), "{}", details.len());
}

#[test]
fn what_is_no_object_is_a_bad_request() {
    for args in ["[]", "3", "\"x\"", "null", "{", "{\"title\":", "{} {}", "\u{0}"] {
        assert_eq!(refused(args)["code"], "BAD_REQUEST", "{args}");
    }
    assert_eq!(refused("")["code"], "VALIDATION");
    assert_eq!(refused("  \n")["code"], "VALIDATION");
}

#[test]
fn deep_json_is_refused_without_deep_recursion() {
    let deep = format!("{{\"title\": {}{}}}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(create(&deep).is_err());
    assert!(read_whole::<Value>(deep.as_bytes()).is_err());
}

#[test]
fn a_message_read_whole_names_its_first_wrong_field() {
    #[crate::data]
    #[derive(Debug)]
    struct Nested {
        #[allow(dead_code, reason = "only its reading is tested")]
        items: Vec<Item>,
    }
    #[crate::data]
    #[derive(Debug)]
    struct Item {
        #[allow(dead_code, reason = "only its reading is tested")]
        sku: String,
    }
    let fault = read_whole::<Nested>(br#"{"items": [{"sku": "a"}, {"sku": 7}]}"#).expect_err("refused");
    assert_eq!(fault.details().expect("details")["fields"][0]["field"], "items[1].sku");
}

/// Reads one argument of a type that is made of others.
fn field_of<T: WireType>(value: &str) -> Result<T, Value> {
    let args = format!("{{\"order\": {value}}}");
    let mut arguments = Arguments::parse(args.as_bytes(), &["order"]).expect("an object");
    let read = T::take_argument(&mut arguments, "order");
    match arguments.finish() {
        Ok(()) => Ok(read.expect("finish saw no error")),
        Err(fault) => Err(fault.details().expect("details")["fields"][0].clone()),
    }
}

#[crate::data]
#[derive(Debug, PartialEq)]
struct Order {
    lines: Vec<Line>,
    by_name: BTreeMap<String, Line>,
    gift: Option<Line>,
    size: (Size, f64),
}

#[crate::data]
#[derive(Debug, PartialEq)]
struct Line {
    count: u8,
}

#[crate::data]
#[derive(Debug, PartialEq)]
enum Size {
    Small,
    Custom { width: i32 },
    Of(Line),
}

#[test]
fn objects_arrive_as_objects_and_unknown_fields_are_refused_at_every_depth() {
    let check = |value: &str, field: &str, rule: &str| {
        let refused = field_of::<Order>(value).expect_err(value);
        assert_eq!(
            (refused["field"].as_str(), refused["rule"].as_str()),
            (Some(field), Some(rule)),
            "{value}"
        );
        refused["message"].as_str().expect("a message").to_owned()
    };
    let order = |lines: &str, by_name: &str, gift: &str, size: &str| {
        format!(r#"{{"lines": {lines}, "byName": {by_name}, "gift": {gift}, "size": {size}}}"#)
    };
    let good = order(r#"[{"count": 1}]"#, r#"{"a b": {"count": 2}}"#, "null", r#"["small", 1]"#);
    assert_eq!(field_of::<Order>(&good).expect("accepted").lines, [Line { count: 1 }]);

    assert_eq!(
        check("[[], {}, null, [\"small\", 1]]", "order", "object"),
        "invalid type: sequence, expected an object"
    );
    check(&order("[{\"count\": 1}, [2]]", "{}", "null", r#"["small", 1]"#), "order.lines[1]", "object");
    check(&order("[]", r#"{"a": [2]}"#, "null", r#"["small", 1]"#), "order.byName.a", "object");
    check(&order("[]", "{}", "[2]", r#"["small", 1]"#), "order.gift", "object");
    check(&order("[]", "{}", "null", r#"[{"custom": [1]}, 1]"#), "order.size[0].custom", "object");
    check(&order("[]", "{}", "null", r#"[{"of": [1]}, 1]"#), "order.size[0].of", "object");

    let line = r#"{"count": 1, "cuont": 2}"#;
    let message = check(&order(&format!("[{line}]"), "{}", "null", "[]"), "order.lines[0].cuont", "unknown");
    assert_eq!(message, "is unknown; expected count");
    check(&order("[]", &format!("{{\"a\": {line}}}"), "null", "[]"), "order.byName.a.cuont", "unknown");
    check(&order("[]", "{}", line, "[]"), "order.gift.cuont", "unknown");
    check(
        &order("[]", "{}", "null", r#"[{"custom": {"width": 1, "depth": 1}}, 1]"#),
        "order.size[0].custom.depth",
        "unknown",
    );
    let long = format!("{{\"{}\": 1}}", "x".repeat(10_000));
    let refused = field_of::<Line>(&long).expect_err("unknown");
    assert!(refused.to_string().len() < 300, "{refused}");
}

#[test]
fn whole_numbers_are_written_without_fraction_and_exponent() {
    for number in ["1.0", "1e2", "-0.0", "1.5", "\"1\""] {
        for refused in [
            field_of::<u8>(number).expect_err(number),
            field_of::<i64>(number).expect_err(number),
            field_of::<Int53>(number).expect_err(number),
            field_of::<Option<u32>>(number).expect_err(number),
        ] {
            assert_eq!(
                (&refused["field"], &refused["rule"]),
                (&json!("order"), &json!("invalid")),
                "{number}"
            );
        }
    }
    let nested = field_of::<Line>(r#"{"count": 1.0}"#).expect_err("a fraction");
    assert_eq!((&nested["field"], &nested["rule"]), (&json!("order.count"), &json!("invalid")));
    assert_eq!(field_of::<f64>("1").expect("a number"), 1.0);
}

#[test]
fn a_message_read_whole_obeys_the_same_rules() {
    let fault = read_whole::<Line>(br#"{"count": 1, "more": 2}"#).expect_err("refused");
    let field = &fault.details().expect("details")["fields"][0];
    assert_eq!((&field["field"], &field["rule"]), (&json!("more"), &json!("unknown")));
    for args in ["[1]", " null", "3"] {
        let fault = read_whole::<Line>(args.as_bytes()).expect_err("refused");
        assert_eq!(fault.code().name(), "BAD_REQUEST", "{args}");
        assert_eq!(fault.message(), "arguments must be a JSON object");
    }
}

#[test]
fn what_is_stored_may_have_more_fields_than_its_type() {
    assert_eq!(Line::from_json(br#"{"count": 1, "more": 2}"#).expect("read"), Line { count: 1 });
}

/// Reads what is present, `null` among it.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

#[test]
fn a_field_with_a_reader_of_its_own_may_tell_an_absent_key_from_null() {
    #[crate::data]
    #[derive(Debug)]
    struct Change {
        #[serde(default, deserialize_with = "present")]
        done: Option<Option<bool>>,
    }
    let read = |value: &str| field_of::<Change>(value).expect("accepted").done;
    assert_eq!(
        [read("{}"), read(r#"{"done": null}"#), read(r#"{"done": true}"#)],
        [None, Some(None), Some(Some(true))]
    );
}
