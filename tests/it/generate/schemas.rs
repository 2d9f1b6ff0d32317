//! `schema.json` and `openapi.json`: every reference leads somewhere, and what serde writes is what they
//! describe.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{contract_of, zoo};

#[test]
fn what_is_answered_is_what_the_schema_says() {
    let contract = contract_of(zoo::ALL);
    let schema = forge_ts::schema::document(&contract);
    let list = function(&schema, "zoo.list");
    let animal = &zoo::samples()[0].1;
    check(&schema, &list["result"], &json!({ "items": [animal], "next": null }))
        .unwrap_or_else(|error| panic!("{error}"));
    check(&schema, &list["args"], &json!({ "page": 1, "names": ["Leo"] }))
        .unwrap_or_else(|error| panic!("{error}"));
    let feed = function(&schema, "zoo.feed");
    for (_, error) in zoo::samples().iter().filter(|(name, _)| *name == "FeedError") {
        check(&schema, &feed["error"], error).unwrap_or_else(|error| panic!("{error}"));
    }
    for wrong in [
        json!({}),
        json!({ "page": -1 }),
        json!({ "page": 1, "names": [""] }),
        json!({ "page": 1, "mood": "happy" }),
        json!({ "page": 1, "more": 2 }),
    ] {
        check(&schema, &list["args"], &wrong).expect_err("wrong arguments");
    }
    let feed_args = |diet: Value| json!({ "animal": "0190c1de-0000-7000-8000-000000000000", "diet": diet });
    check(&schema, &feed["args"], &feed_args(json!({ "mixed": { "plantShare": 1 } })))
        .unwrap_or_else(|error| panic!("{error}"));
    let more = feed_args(json!({ "mixed": { "plantShare": 1, "more": 2 } }));
    check(&schema, &feed["args"], &more).expect_err("an unknown field, inside of an argument");
    let mut newer = json!({ "items": [animal], "next": null, "count": 1 });
    newer["items"][0]["count"] = json!(1);
    check(&schema, &list["result"], &newer).expect("a result of a newer version has more fields");
    assert_eq!(feed["access"], json!({ "is": "role", "role": "keeper" }));
    assert_eq!(
        feed["codes"],
        json!([{ "name": "FULL", "status": 409 }, { "name": "NO_ANIMAL", "status": 404 }])
    );
}

#[test]
fn every_function_is_an_operation_of_the_openapi_document() {
    let contract = contract_of(zoo::ALL);
    let document = forge_ts::openapi::document(&contract, "zoo");
    assert_eq!((&document["openapi"], &document["info"]["title"]), (&json!("3.1.0"), &json!("zoo")));
    let paths = document["paths"].as_object().expect("paths");
    assert_eq!(paths.len(), contract.functions.len());
    let mut ids = BTreeSet::new();
    for (path, methods) in paths {
        assert!(path.starts_with("/rpc/zoo."), "{path}");
        for (method, operation) in methods.as_object().expect("methods") {
            assert!(ids.insert(operation["operationId"].to_string()), "{path} {method}: its id is taken");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.contains_key("200") && responses.contains_key("default"), "{path}");
            assert!(
                responses.values().all(|response| response["description"].is_string()),
                "{path}: every response is described"
            );
            let takes = if method == "get" { "parameters" } else { "requestBody" };
            assert!(!operation[takes].is_null() && operation["security"].is_array(), "{path} {method}");
        }
    }
    let any_one = &document["paths"]["/rpc/zoo.any_one"];
    assert_eq!(any_one["post"]["requestBody"]["required"], json!(false), "no argument is needed");
    assert_eq!(any_one["get"]["parameters"][0]["required"], json!(false));
    assert_eq!(document["paths"]["/rpc/zoo.list"]["post"]["requestBody"]["required"], json!(true));
    assert_eq!(document["paths"]["/rpc/zoo.list"]["get"]["parameters"][0]["required"], json!(true));
    let feed = &document["paths"]["/rpc/zoo.feed"]["post"];
    assert!(feed["responses"]["default"]["headers"]["Allow"].is_object());
    assert!(
        !feed["responses"]["409"].is_null() && !feed["responses"]["404"].is_null(),
        "own errors have their statuses"
    );
    assert_eq!(
        document["paths"]["/rpc/zoo.list"]["post"]["security"],
        json!([{}, { "bearer": [] }]),
        "a public function takes a token too"
    );
    assert_eq!(document["paths"]["/rpc/zoo.night.open_gate"]["post"]["deprecated"], json!(true));
    assert!(document["paths"]["/rpc/zoo.feed"]["get"].is_null(), "only queries are read with GET");
    let envelope = &feed["responses"]["409"]["content"]["application/json"]["schema"];
    let details = json!({ "gramsEaten": 1, "until": null });
    let full = json!({ "error": { "code": "FULL", "message": "m", "details": details, "traceId": "t" } });
    check(&document, envelope, &full).unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn every_reference_leads_somewhere() {
    let contract = contract_of(zoo::ALL);
    for document in [forge_ts::schema::document(&contract), forge_ts::openapi::document(&contract, "zoo")] {
        let mut references = Vec::new();
        collect(&document, &mut references);
        assert!(references.len() > 5, "{references:?}");
        for reference in references {
            assert!(
                document.pointer(reference.trim_start_matches('#')).is_some_and(Value::is_object),
                "{reference} leads nowhere"
            );
        }
    }
}

fn function<'d>(schema: &'d Value, name: &str) -> &'d Value {
    let functions = schema["functions"].as_array().expect("functions");
    functions.iter().find(|function| function["name"] == name).unwrap_or_else(|| panic!("{name} is missing"))
}

fn collect(value: &Value, references: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            references.extend(members.get("$ref").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, references));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, references)),
        _ => {}
    }
}

/// A validator of the words of JSON Schema that the generator writes; any other word fails.
fn check(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let Some(words) = schema.as_object() else {
        return if schema == &json!(false) { Err(format!("{value}: nothing is allowed")) } else { Ok(()) };
    };
    for (word, rule) in words {
        check_word(document, word, rule, words, value)
            .map_err(|error| format!("{error}\n  {word} of {value}"))?;
    }
    Ok(())
}

fn is_of_type(value: &Value, name: &str) -> Result<bool, String> {
    match name {
        "integer" => Ok(value.is_i64() || value.is_u64()),
        "number" => Ok(value.is_number()),
        "string" => Ok(value.is_string()),
        "boolean" => Ok(value.is_boolean()),
        "null" => Ok(value.is_null()),
        "array" => Ok(value.is_array()),
        "object" => Ok(value.is_object()),
        other => Err(format!("the type {other}")),
    }
}

fn check_word(
    document: &Value,
    word: &str,
    rule: &Value,
    words: &serde_json::Map<String, Value>,
    value: &Value,
) -> Result<(), String> {
    let all = |schemas: &Value, value: &Value| -> Vec<Result<(), String>> {
        schemas.as_array().into_iter().flatten().map(|schema| check(document, schema, value)).collect()
    };
    let holds = match word {
        "$ref" => {
            let target = document.pointer(rule.as_str().unwrap_or_default().trim_start_matches('#'));
            return check(document, target.unwrap_or(&Value::Null), value);
        }
        "allOf" => return all(rule, value).into_iter().collect(),
        "anyOf" => all(rule, value).iter().any(Result::is_ok),
        "const" => value == rule,
        "enum" => rule.as_array().is_some_and(|values| values.contains(value)),
        "type" => is_of_type(value, rule.as_str().unwrap_or_default())?,
        "minimum" => value.as_i64().is_none_or(|value| rule.as_i64().is_some_and(|min| value >= min)),
        "maximum" => value.as_i64().is_none_or(|value| rule.as_i64().is_some_and(|max| value <= max)),
        "minLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 >= rule.as_u64().unwrap_or(u64::MAX))
        }
        "maxLength" => {
            value.as_str().is_none_or(|text| text.chars().count() as u64 <= rule.as_u64().unwrap_or(0))
        }
        "minItems" => {
            value.as_array().is_none_or(|items| items.len() as u64 >= rule.as_u64().unwrap_or(u64::MAX))
        }
        "maxItems" => value.as_array().is_none_or(|items| items.len() as u64 <= rule.as_u64().unwrap_or(0)),
        "required" => {
            let mut names = rule.as_array().into_iter().flatten().filter_map(Value::as_str);
            names.all(|name| value.get(name).is_some())
        }
        "properties" => {
            let members = rule.as_object().into_iter().flatten();
            return members
                .filter_map(|(name, schema)| Some(check(document, schema, value.get(name)?)))
                .collect();
        }
        "additionalProperties" => {
            let known = words.get("properties");
            let mut others = value
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(name, _)| known.is_none_or(|known| known.get(name).is_none()));
            return others.try_for_each(|(_, value)| check(document, rule, value));
        }
        "propertyNames" => {
            let mut names = value.as_object().into_iter().flatten();
            return names.try_for_each(|(name, _)| check(document, rule, &json!(name)));
        }
        "items" | "prefixItems" => {
            let first = words.get("prefixItems").and_then(Value::as_array).map_or(0, Vec::len);
            let items = value.as_array().into_iter().flatten().enumerate();
            let schema = |index: usize| {
                if word == "items" { (index >= first).then_some(rule) } else { rule.get(index) }
            };
            return items.filter_map(|(index, item)| Some(check(document, schema(index)?, item))).collect();
        }
        "description" | "deprecated" | "format" | "pattern" | "examples" => true,
        other => return Err(format!("the word {other} is unknown")),
    };
    if holds { Ok(()) } else { Err(format!("{value} is not {word} {rule}")) }
}
