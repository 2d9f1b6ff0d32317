use serde_json::{Value, json};

use crate::app::WireType;
use crate::app::arguments::{Arguments, or_empty, refusal};
use crate::kernel::fault::Fault;

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

/// Reads a message as one that is written by hand is read.
fn decode_whole<T: WireType>(args: &[u8]) -> Result<T, Fault> {
    T::from_json(or_empty(args)).map_err(|error| refusal(&error))
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
    assert!(decode_whole::<Value>(deep.as_bytes()).is_err());
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
    let fault = decode_whole::<Nested>(br#"{"items": [{"sku": "a"}, {"sku": 7}]}"#).expect_err("refused");
    assert_eq!(fault.details().expect("details")["fields"][0]["field"], "items[1].sku");
}
