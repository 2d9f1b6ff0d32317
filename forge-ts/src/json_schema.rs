//! Types as JSON Schema (2020-12, which OpenAPI 3.1 shares). A named type with parameters becomes one
//! definition for each use.
//!
//! Arguments say what is refused: an object in them has no further keys. Results do not promise that, so that
//! a client that checks them can read those of a newer version.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::contract::Contract;
use crate::shape::{Declarations, Docs, ObjectShape, Shape, Text};

/// Definitions that schemas refer to, as far as they were needed.
pub(crate) struct Definitions<'c> {
    declarations: &'c Declarations,
    /// What a reference begins with, for example `#/$defs/`.
    prefix: &'static str,
    written: BTreeMap<String, Value>,
    /// Names of the types whose objects have no further keys.
    closed: BTreeSet<&'c str>,
    /// The shape that is being written has no further keys.
    is_closed: bool,
}

impl<'c> Definitions<'c> {
    /// None yet.
    pub(crate) fn new(contract: &'c Contract, prefix: &'static str) -> Self {
        let declarations = &contract.declarations;
        let (mut closed, mut merged) = (BTreeSet::new(), BTreeSet::new());
        for function in &contract.functions {
            collect(&function.args, declarations, &mut closed, &mut merged);
        }
        // As a part of another object, such a type stands beside keys that it does not have.
        closed.retain(|name| !merged.contains(name));
        Self { declarations, prefix, written: BTreeMap::new(), closed, is_closed: false }
    }

    /// The schema of an arguments object.
    pub(crate) fn arguments(&mut self, shape: &Shape) -> Value {
        self.is_closed = true;
        let schema = self.schema(shape);
        self.is_closed = false;
        schema
    }

    /// The definitions by name.
    pub(crate) fn into_value(self) -> Value {
        Value::Object(self.written.into_iter().collect())
    }

    /// The schema of a type.
    pub(crate) fn schema(&mut self, shape: &Shape) -> Value {
        match shape {
            Shape::Null => json!({ "type": "null" }),
            Shape::Boolean => json!({ "type": "boolean" }),
            Shape::Integer { min, max } => {
                let narrow = i32::try_from(*min).is_ok() && i32::try_from(*max).is_ok();
                let format = if narrow { "int32" } else { "int64" };
                json!({ "type": "integer", "format": format, "minimum": min, "maximum": max })
            }
            Shape::Number => json!({ "type": "number", "format": "double" }),
            Shape::Text(text) => self::text(*text),
            Shape::Literal(text) => json!({ "const": text }),
            Shape::Json => json!({}),
            Shape::List(item) => json!({ "type": "array", "items": self.schema(item) }),
            Shape::Tuple(items) => {
                let length = items.len();
                let items: Vec<_> = items.iter().map(|item| self.schema(item)).collect();
                json!({
                    "type": "array",
                    "prefixItems": items,
                    "items": false,
                    "minItems": length,
                    "maxItems": length,
                })
            }
            Shape::Map(key, value) => {
                json!({
                    "type": "object",
                    "propertyNames": self.key(key),
                    "additionalProperties": self.schema(value),
                })
            }
            Shape::Nullable(value) => json!({ "anyOf": [self.schema(value), { "type": "null" }] }),
            Shape::Object(object) => self.object(object),
            Shape::Union(alternatives) if alternatives.is_empty() => json!(false),
            Shape::Union(alternatives) => {
                let literals: Option<Vec<_>> = alternatives
                    .iter()
                    .map(
                        |alternative| {
                            if let Shape::Literal(text) = &alternative.shape { Some(text) } else { None }
                        },
                    )
                    .collect();
                match literals {
                    Some(labels) => json!({ "type": "string", "enum": labels }),
                    None => {
                        let members = alternatives
                            .iter()
                            .map(|member| described(self.schema(&member.shape), &member.docs));
                        json!({ "anyOf": members.collect::<Vec<_>>() })
                    }
                }
            }
            Shape::Intersection(parts) => {
                json!({ "allOf": parts.iter().map(|part| self.schema(part)).collect::<Vec<_>>() })
            }
            Shape::Named(name, arguments) => self.named(name, arguments),
            Shape::Job(..) | Shape::Workflow(..) => text(Text::Uuid),
            // A declaration's parameters are replaced before its body is written.
            Shape::Parameter(_) => json!({}),
        }
    }

    /// Keys of JSON are texts, those that Rust has as numbers too.
    fn key(&mut self, key: &Shape) -> Value {
        match key {
            Shape::Integer { .. } => json!({ "pattern": "^-?[0-9]+$" }),
            key => self.schema(key),
        }
    }

    fn object(&mut self, object: &ObjectShape) -> Value {
        let properties = &object.properties;
        let is_closed = self.is_closed && object.is_closed;
        let required: Vec<_> = properties
            .iter()
            .filter(|property| !property.optional)
            .map(|property| property.name.as_str())
            .collect();
        let mut members = Map::new();
        for property in properties {
            members.insert(property.name.clone(), described(self.schema(&property.shape), &property.docs));
        }
        let mut schema = json!({ "type": "object", "properties": members });
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if is_closed {
            schema["additionalProperties"] = json!(false);
        }
        schema
    }

    fn named(&mut self, name: &str, arguments: &[Shape]) -> Value {
        let key = arguments.iter().fold(name.to_owned(), |key, argument| key + "_" + &label(argument));
        let reference = json!({ "$ref": format!("{}{key}", self.prefix) });
        if self.written.contains_key(&key) {
            return reference;
        }
        let Some(declaration) = self.declarations.get(name) else { return reference };
        // Stands until the body is written: a type may contain itself.
        self.written.insert(key.clone(), Value::Null);
        let arguments =
            declaration.parameters.iter().map(String::as_str).zip(arguments.iter().cloned()).collect();
        let outside = std::mem::replace(&mut self.is_closed, self.closed.contains(name));
        let schema = self.schema(&declaration.shape.with_arguments(&arguments));
        self.is_closed = outside;
        self.written.insert(key, described(schema, &declaration.docs));
        reference
    }
}

/// Adds the names of the types that `shape` is made of to `names`, and those that are merged with others to
/// `merged`.
fn collect<'c>(
    shape: &'c Shape,
    declarations: &'c Declarations,
    names: &mut BTreeSet<&'c str>,
    merged: &mut BTreeSet<&'c str>,
) {
    if let Shape::Intersection(parts) = shape {
        merged.extend(
            parts
                .iter()
                .filter_map(|part| if let Shape::Named(name, _) = part { Some(name.as_str()) } else { None }),
        );
    }
    if let Shape::Named(name, _) = shape
        && names.insert(name)
        && let Some(declaration) = declarations.get(name)
    {
        collect(&declaration.shape, declarations, names, merged);
    }
    shape.parts().for_each(|part| collect(part, declarations, names, merged));
}

fn text(text: Text) -> Value {
    match text {
        Text::Plain { len_min, len_max } => {
            let mut schema = json!({ "type": "string" });
            if let Some(min) = len_min {
                schema["minLength"] = json!(min);
            }
            if let Some(max) = len_max {
                schema["maxLength"] = json!(max);
            }
            schema
        }
        Text::Uuid | Text::Id => json!({ "type": "string", "format": "uuid" }),
        Text::DateTime => json!({ "type": "string", "format": "date-time" }),
        Text::Date => json!({ "type": "string", "format": "date" }),
        Text::Int64 => json!({ "type": "string", "format": "int64", "pattern": "^-?[0-9]+$" }),
    }
}

/// The schema with its documentation; beside a reference both hold (2020-12).
pub(crate) fn described(mut schema: Value, docs: &Docs) -> Value {
    if let Value::Object(members) = &mut schema {
        if !docs.text.is_empty() {
            members.insert("description".to_owned(), json!(docs.text));
        }
        if docs.deprecated.is_some() {
            members.insert("deprecated".to_owned(), json!(true));
        }
    }
    schema
}

/// A type as part of a definition's name.
fn label(shape: &Shape) -> String {
    match shape {
        Shape::Null => "Null".to_owned(),
        Shape::Boolean => "Boolean".to_owned(),
        Shape::Integer { min, max } => format!("Integer{}to{max}", min.to_string().replace('-', "minus")),
        Shape::Number => "Number".to_owned(),
        Shape::Text(Text::Plain { len_min: None, len_max: None }) => "Text".to_owned(),
        Shape::Text(text) => plain(&format!("{text:?}")),
        Shape::Literal(text) => plain(text),
        Shape::Json => "Json".to_owned(),
        Shape::List(item) => format!("List_{}", label(item)),
        Shape::Nullable(value) => format!("Optional_{}", label(value)),
        Shape::Named(name, arguments) => {
            arguments.iter().fold(name.clone(), |key, argument| key + "_" + &label(argument))
        }
        spelt_out => plain(&format!("{spelt_out:?}")),
    }
}

fn plain(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).collect()
}
