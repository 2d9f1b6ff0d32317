//! One form for the arguments of a call, so that equal arguments can be compared and shared as bytes.
//!
//! The rule: equal JSON values are equal bytes. Names of objects are sorted, blanks between tokens are left
//! out, and texts are written with the fewest escapes, at every depth. No arguments are `{}`. Numbers keep
//! their spelling, because a handler may tell `1` from `1.0`, and a float would not hold a long integer.
//! Bytes that have no single JSON value stay as they came: broken JSON, a name that occurs twice in one
//! object, nesting deeper than [`DEPTH_MAX`].

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// As deep as `serde_json` reads values itself.
const DEPTH_MAX: usize = 128;

/// The canonical form of `args`.
pub(super) fn canonical_args(args: &Bytes) -> Bytes {
    if args.iter().all(u8::is_ascii_whitespace) {
        return Bytes::from_static(b"{}");
    }
    let mut canonical = Vec::with_capacity(args.len());
    let written =
        serde_json::from_slice(args).and_then(|value: &RawValue| write(value, &mut canonical, DEPTH_MAX));
    written.map_or_else(|_| args.clone(), |()| Bytes::from(canonical))
}

/// Appends the canonical form of `value`, which may nest `depth` levels deeper.
fn write(value: &RawValue, into: &mut Vec<u8>, depth: usize) -> serde_json::Result<()> {
    let text = value.get();
    let depth = depth.checked_sub(1).ok_or_else(|| serde_json::Error::custom("nested too deep"))?;
    match text.as_bytes().first() {
        Some(b'{') => {
            let UniqueNames(pairs) = serde_json::from_str(text)?;
            into.push(b'{');
            for (index, (name, value)) in pairs.into_iter().enumerate() {
                separate(index, into);
                serde_json::to_writer(&mut *into, &name)?;
                into.push(b':');
                write(value, into, depth)?;
            }
            into.push(b'}');
        }
        Some(b'[') => {
            let values: Vec<&RawValue> = serde_json::from_str(text)?;
            into.push(b'[');
            for (index, value) in values.into_iter().enumerate() {
                separate(index, into);
                write(value, into, depth)?;
            }
            into.push(b']');
        }
        Some(b'"') => {
            let BorrowedText(text) = serde_json::from_str(text)?;
            serde_json::to_writer(into, &text)?;
        }
        // A number, `true`, `false` or `null`.
        _ => into.extend_from_slice(text.as_bytes()),
    }
    Ok(())
}

fn separate(index: usize, into: &mut Vec<u8>) {
    if index > 0 {
        into.push(b',');
    }
}

/// The pairs of an object whose names are unique, sorted by name.
struct UniqueNames<'a>(BTreeMap<Cow<'a, str>, &'a RawValue>);

impl<'de> Deserialize<'de> for UniqueNames<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = UniqueNames<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueNames<'de>, A::Error> {
                let mut pairs = BTreeMap::new();
                while let Some((BorrowedText(name), value)) = map.next_entry()? {
                    if pairs.insert(name, value).is_some() {
                        return Err(A::Error::custom("a name occurs twice"));
                    }
                }
                Ok(UniqueNames(pairs))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// A text that borrows from its JSON where it holds no escapes.
#[derive(Deserialize)]
struct BorrowedText<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(args: &str, expected: &str) {
        assert_eq!(canonical_args(&Bytes::copy_from_slice(args.as_bytes())), expected, "{args}");
    }

    #[test]
    fn equal_arguments_are_equal_bytes() {
        check("", "{}");
        check(" {} ", "{}");
        check(r#"{ "b": [1, 2] , "a":"x" }"#, r#"{"a":"x","b":[1,2]}"#);
        check(r#"{"a":{"d": null,"c":[{ "z":1,"y":true }]}}"#, r#"{"a":{"c":[{"y":true,"z":1}],"d":null}}"#);
        check(r#"{"\u0061":"\u00e9\/\n"}"#, r#"{"a":"é/\n"}"#);
        check("[ 1 ]", "[1]");
    }

    #[test]
    fn numbers_keep_their_spelling() {
        check(r#"{"a":"x","b":1.0}"#, r#"{"a":"x","b":1.0}"#);
        check(r#"{"n":12345678901234567890123}"#, r#"{"n":12345678901234567890123}"#);
        check(r#"{"n": 1e2}"#, r#"{"n":1e2}"#);
    }

    #[test]
    fn bytes_without_a_single_value_stay_as_they_came() {
        check(r#"{"a":1, "a":2}"#, r#"{"a":1, "a":2}"#);
        check(r#"{"o": {"a":1, "\u0061":2}}"#, r#"{"o": {"a":1, "\u0061":2}}"#);
        check(r#"{"a": "#, r#"{"a": "#);
        check(r#"{"a": "\ud800"}"#, r#"{"a": "\ud800"}"#);
        let deep = format!("{} {}", "[".repeat(10_000), "]".repeat(10_000));
        check(&deep, &deep);
    }
}
