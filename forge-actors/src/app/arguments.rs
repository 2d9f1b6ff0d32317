//! Reads an arguments object field by field, so that one response names every argument that is wrong.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, IntoDeserializer, MapAccess, Visitor, value};
use serde_json::value::RawValue;
use serde_path_to_error::Segment;

use crate::app::WireType;
use crate::app::input::{self, InputError};
use crate::kernel::fault::{Code, Fault, FieldError};

/// Refused fields that one response names; further ones are only counted.
const FIELD_ERRORS_MAX: usize = 50;
/// Characters of a client's name that a response repeats.
const NAME_CHARS_MAX: usize = 64;
/// Characters of a reason: serde repeats the text that it refuses.
const REASON_CHARS_MAX: usize = 1_000;

/// The fields of one arguments object on their way into a message struct.
pub struct Arguments<'a> {
    raw: BTreeMap<Cow<'a, str>, &'a RawValue>,
    errors: Vec<FieldError>,
}

impl<'a> Arguments<'a> {
    /// Splits the object into its fields. `expected` are the names that may occur, once each. An empty body
    /// is an empty object.
    ///
    /// # Errors
    /// `BAD_REQUEST` when the text is not a JSON object.
    pub fn parse(args: &'a [u8], expected: &[&str]) -> Result<Self, Fault> {
        let ArgumentsObject(pairs) = if args.iter().all(u8::is_ascii_whitespace) {
            ArgumentsObject::default()
        } else {
            serde_json::from_slice(args).map_err(|error| unreadable(&error))?
        };
        let mut arguments = Self { raw: BTreeMap::new(), errors: Vec::new() };
        for (key, value) in pairs {
            let shown = cut(&key, NAME_CHARS_MAX);
            if !expected.contains(&key.as_ref()) {
                arguments.errors.push(FieldError::new(shown, "unknown", unknown(expected)));
            } else if arguments.raw.insert(key, value).is_some() {
                // Readers of JSON disagree on which of two equal names counts (RFC 8259 §4).
                arguments.errors.push(FieldError::new(shown, "duplicate", "occurs more than once"));
            }
        }
        Ok(arguments)
    }

    /// Takes one field. `None` when the field was refused; its error is kept for [`finish`](Self::finish).
    pub fn take<T: DeserializeOwned>(&mut self, field: &'static str) -> Option<T> {
        let Some(raw) = self.raw.remove(field) else {
            return match T::deserialize(MissingArgument) {
                Ok(value) => Some(value),
                Err(_) => self.refuse(FieldError::new(field, "required", "is required")),
            };
        };
        if holds_nul(raw.get()) {
            return self.refuse(FieldError::new(
                field,
                "invalid",
                "must not contain the character U+0000, which Postgres cannot store",
            ));
        }
        match input::read(serde_json::Deserializer::from_str(raw.get())) {
            Ok(value) => Some(value),
            Err(error) => self.refuse(at_path(field, &error)),
        }
    }

    /// Ends the reading.
    ///
    /// # Errors
    /// `VALIDATION` with every refused field, when there is one.
    pub fn finish(mut self) -> Result<(), Fault> {
        if self.errors.is_empty() {
            return Ok(());
        }
        let more = self.errors.len().saturating_sub(FIELD_ERRORS_MAX);
        self.errors.truncate(FIELD_ERRORS_MAX);
        if more > 0 {
            self.errors.push(FieldError::new("", "more", format!("{more} more fields were refused")));
        }
        Err(Fault::validation(self.errors))
    }

    fn refuse<T>(&mut self, error: FieldError) -> Option<T> {
        self.errors.push(error);
        None
    }
}

/// The text of the arguments; an empty body is an empty object.
fn or_empty(args: &[u8]) -> &[u8] {
    if args.iter().all(u8::is_ascii_whitespace) { b"{}" } else { args }
}

/// Reads a message that is written by hand, and so is not taken apart.
///
/// # Errors
/// `VALIDATION` names the first wrong field alone; `BAD_REQUEST` says that the text is not a JSON object.
pub(crate) fn read_whole<T: WireType>(args: &[u8]) -> Result<T, Fault> {
    let args = or_empty(args);
    T::read_input(args).map_err(|refused| {
        let is_object = args.trim_ascii_start().starts_with(b"{");
        if is_object && refused.error.inner().is_data() {
            Fault::validation(vec![at_path("", &refused)])
        } else {
            unreadable(refused.error.inner())
        }
    })
}

fn unreadable(error: &serde_json::Error) -> Fault {
    let what = if error.is_data() {
        "arguments must be a JSON object".to_owned()
    } else {
        format!("arguments are not valid JSON: {error}")
    };
    let help = "send one JSON object with the arguments by name; openapi.json lists them";
    Fault::new(Code::BadRequest, what).with_help(help)
}

fn unknown(expected: &[&str]) -> String {
    if expected.is_empty() {
        "is unknown; the function takes no arguments".to_owned()
    } else {
        input::unknown(expected)
    }
}

/// The refusal of `field`, or of a value inside of it: `lines[1].count`.
pub(super) fn at_path(field: &str, refused: &InputError) -> FieldError {
    let mut path = field.to_owned();
    for segment in refused.error.path() {
        let name = match segment {
            Segment::Seq { index } => {
                path.push_str(&format!("[{index}]"));
                continue;
            }
            Segment::Map { key } => key,
            Segment::Enum { variant } => variant,
            Segment::Unknown => "?",
        };
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(&cut(name, NAME_CHARS_MAX));
    }
    // serde_json appends a position that counts from the beginning of the field, not of the request.
    let text = refused.error.inner().to_string();
    let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
    FieldError::new(path, refused.rule, cut(reason, REASON_CHARS_MAX))
}

fn cut(text: &str, chars_max: usize) -> String {
    text.chars().take(chars_max).collect()
}

/// True when a text in `json` holds the character NUL. NUL can only be written as the escape `\u0000`, since
/// JSON forbids the bare character; `\\u0000` is a backslash and digits.
fn holds_nul(json: &str) -> bool {
    json.match_indices("u0000").any(|(at, _)| {
        let backslashes = json[..at].bytes().rev().take_while(|byte| *byte == b'\\').count();
        backslashes % 2 == 1
    })
}

/// An object's names and values in their order, names borrowed where they hold no escapes.
#[derive(Default)]
struct ArgumentsObject<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

struct ArgumentName<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for ArgumentsObject<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;
        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = ArgumentsObject<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some((ArgumentName(key), value)) = map.next_entry()? {
                    pairs.push((key, value));
                }
                Ok(ArgumentsObject(pairs))
            }
        }
        deserializer.deserialize_map(ObjectVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for ArgumentName<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeyVisitor;
        impl<'de> Visitor<'de> for KeyVisitor {
            type Value = ArgumentName<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_borrowed_str<E>(self, key: &'de str) -> Result<Self::Value, E> {
                Ok(ArgumentName(key.into()))
            }

            fn visit_str<E>(self, key: &str) -> Result<Self::Value, E> {
                Ok(ArgumentName(key.to_owned().into()))
            }
        }
        deserializer.deserialize_str(KeyVisitor)
    }
}

/// Deserializes an absent field: `None` where the type has one, an error elsewhere.
struct MissingArgument;

impl<'de> Deserializer<'de> for MissingArgument {
    type Error = value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        // A unit is the one value that no field of an arguments object expects.
        visitor.visit_unit()
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de> for MissingArgument {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
