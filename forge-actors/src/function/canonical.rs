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
use serde::Deserialize;
use serde::de::Error as _;
use serde_json::value::RawValue;

/// As deep as `serde_json` reads values itself.
const DEPTH_MAX: usize = 128;

/// The canonical form of `args`.
pub(super) fn canonical_args(args: &Bytes) -> Bytes {
    if args.iter().all(u8::is_ascii_whitespace) {
        return Bytes::from_static(b"{}");
    }
    canonical(args).map_or_else(|_| args.clone(), Bytes::from)
}

/// Reads the bytes twice, however deep they nest: once to prove that they are JSON, once to take them apart.
fn canonical(args: &[u8]) -> serde_json::Result<Vec<u8>> {
    let valid: &RawValue = serde_json::from_slice(args)?;
    let value = Scanner { rest: valid.get() }.value(DEPTH_MAX)?;
    let mut written = Vec::with_capacity(args.len());
    value.write(&mut written)?;
    Ok(written)
}

/// A JSON value that borrows from its text.
enum Value<'a> {
    /// A number as it is spelt, `true`, `false` or `null`.
    Literal(&'a str),
    Text(Cow<'a, str>),
    Array(Vec<Value<'a>>),
    /// Sorted by name.
    Object(BTreeMap<Cow<'a, str>, Value<'a>>),
}

impl Value<'_> {
    fn write(&self, into: &mut Vec<u8>) -> serde_json::Result<()> {
        match self {
            Self::Literal(text) => into.extend_from_slice(text.as_bytes()),
            Self::Text(text) => serde_json::to_writer(into, text)?,
            Self::Array(values) => {
                into.push(b'[');
                for (index, value) in values.iter().enumerate() {
                    separate(index, into);
                    value.write(into)?;
                }
                into.push(b']');
            }
            Self::Object(pairs) => {
                into.push(b'{');
                for (index, (name, value)) in pairs.iter().enumerate() {
                    separate(index, into);
                    serde_json::to_writer(&mut *into, name)?;
                    into.push(b':');
                    value.write(into)?;
                }
                into.push(b'}');
            }
        }
        Ok(())
    }
}

fn separate(index: usize, into: &mut Vec<u8>) {
    if index > 0 {
        into.push(b',');
    }
}

/// Takes a text apart that is known to be JSON.
struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    /// The next value, which may nest `depth` levels deep.
    fn value(&mut self, depth: usize) -> serde_json::Result<Value<'a>> {
        let depth = depth.checked_sub(1).ok_or_else(|| serde_json::Error::custom("nested too deep"))?;
        match self.peek() {
            Some(b'{') => self.object(depth).map(Value::Object),
            Some(b'[') => self.array(depth).map(Value::Array),
            Some(b'"') => self.text().map(Value::Text),
            _ => Ok(Value::Literal(self.literal())),
        }
    }

    fn object(&mut self, depth: usize) -> serde_json::Result<BTreeMap<Cow<'a, str>, Value<'a>>> {
        let mut pairs = BTreeMap::new();
        self.skip();
        while self.peek() == Some(b'"') {
            let name = self.text()?;
            self.peek();
            self.skip();
            if pairs.insert(name, self.value(depth)?).is_some() {
                return Err(serde_json::Error::custom("a name occurs twice"));
            }
            if self.peek() == Some(b',') {
                self.skip();
            }
        }
        self.skip();
        Ok(pairs)
    }

    fn array(&mut self, depth: usize) -> serde_json::Result<Vec<Value<'a>>> {
        let mut values = Vec::new();
        self.skip();
        while self.peek() != Some(b']') {
            values.push(self.value(depth)?);
            if self.peek() == Some(b',') {
                self.skip();
            }
        }
        self.skip();
        Ok(values)
    }

    fn text(&mut self) -> serde_json::Result<Cow<'a, str>> {
        /// Borrows from its JSON where it holds no escapes.
        #[derive(Deserialize)]
        struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let is_end = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            is_end
        });
        let end = end.expect("a text of valid JSON has its closing quote") + 2;
        serde_json::from_str(self.take(end)).map(|Borrowed(text)| text)
    }

    fn literal(&mut self) -> &'a str {
        let ends = |byte: u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
        self.take(self.rest.bytes().position(ends).unwrap_or(self.rest.len()))
    }

    /// The first byte after blanks.
    fn peek(&mut self) -> Option<u8> {
        self.rest = self.rest.trim_ascii_start();
        self.rest.bytes().next()
    }

    /// Leaves out the byte that was peeked.
    fn skip(&mut self) {
        self.take(1);
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }
}

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
        check(r#"[ ] "#, "[]");
        check(r#"{"a":[[],{},"]}\\\"",-1.5e3 ,null]}"#, r#"{"a":[[],{},"]}\\\"",-1.5e3,null]}"#);
    }

    #[test]
    fn the_deepest_arguments_have_a_form() {
        let nested = |levels: usize| format!("{}1{}", "[ ".repeat(levels), "]".repeat(levels));
        check(&nested(127), &nested(127).replace(' ', ""));
        check(&nested(128), &nested(128));
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
