//! Writes results and arguments as JSON, so that equal values are equal texts and no value is lost.
//!
//! It differs from `serde_json` in two things. The pairs of a map are sorted by name: the order of a
//! `HashMap` differs from run to run, and a live query whose text differs is pushed to every subscriber. And
//! a number that JSON does not have (NaN, an infinity) is an error, where `serde_json` writes `null`, for
//! which clients of the type `number` are not prepared.
//!
//! Numbers and texts are written by `serde_json`. Measured against it: 1,000 records of 244 bytes take 264 µs
//! and not 250, a map of 1,000 pairs 36 µs and not 24 when it is sorted already, and 100 µs when it is not.

use std::error::Error;
use std::fmt;
use std::ops::Range;

use serde::ser::{self, Error as _, Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use crate::kernel::fault::{Code, Fault};

/// Bytes for which memory is set aside at first.
const BYTES_EXPECTED: usize = 128;
/// Names of the structures by which `serde_json` passes on JSON text that exists already begin with it.
const READY_JSON: &str = "$serde_json::private::";

/// Why a value is not written as JSON.
#[derive(Debug)]
pub struct OutputError(Box<Unwritable>);

#[derive(Debug)]
struct Unwritable {
    /// The way from the value to what is wrong, in the notation of `details.fields`.
    path: String,
    reason: Reason,
}

#[derive(Debug)]
enum Reason {
    NotFinite,
    NameIsNoText,
    /// The text has more bytes than this.
    TooLarge(usize),
    Other(serde_json::Error),
}

type Written = Result<(), OutputError>;

/// The value as JSON text of at most `bytes_max` bytes. Writing stops soon after the text has become larger,
/// so that a value of any size takes no more memory than that once more.
pub(super) fn write<T: Serialize + ?Sized>(value: &T, bytes_max: usize) -> Result<Vec<u8>, OutputError> {
    let mut text = JsonText { bytes: Vec::with_capacity(BYTES_EXPECTED), bytes_max };
    value.serialize(Output(&mut text))?;
    text.check_size()?;
    Ok(text.bytes)
}

/// The value as a JSON value.
pub(super) fn value<T: Serialize + ?Sized>(value: &T) -> Result<Value, OutputError> {
    Ok(serde_json::from_slice(&write(value, usize::MAX)?)?)
}

/// An object of these members, as far as all of them have a form in JSON.
pub(super) fn object<const MEMBERS: usize>(
    members: [(&'static str, Result<Value, OutputError>); MEMBERS],
) -> Result<Value, OutputError> {
    let members = members.into_iter().map(|(name, value)| match value {
        Ok(value) => Ok((name.to_owned(), value)),
        Err(error) => Err(error.inside(name)),
    });
    Ok(Value::Object(members.collect::<Result<Map<_, _>, _>>()?))
}

impl OutputError {
    fn new(reason: Reason) -> Self {
        Self(Box::new(Unwritable { path: String::new(), reason }))
    }

    /// The error of a value, as an error of the object that has the value under `name`.
    fn inside(mut self, name: &str) -> Self {
        let inner = &self.0.path;
        let dot = if inner.is_empty() || inner.starts_with('[') { "" } else { "." };
        self.0.path = format!("{name}{dot}{inner}");
        self
    }
}

impl fmt::Display for OutputError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Unwritable { path, reason } = &*self.0;
        if !path.is_empty() {
            write!(f, "`{path}` ")?;
        }
        match reason {
            Reason::NotFinite => f.write_str("is NaN or infinite, and JSON has no such number"),
            Reason::NameIsNoText => f.write_str("is a map whose keys are neither texts nor numbers"),
            Reason::TooLarge(bytes_max) => write!(f, "has more than {bytes_max} bytes as JSON"),
            Reason::Other(error) => write!(f, "has no form in JSON: {error}"),
        }
    }
}

impl Error for OutputError {}

impl From<serde_json::Error> for OutputError {
    fn from(error: serde_json::Error) -> Self {
        Self::new(Reason::Other(error))
    }
}

impl ser::Error for OutputError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        serde_json::Error::custom(message).into()
    }
}

impl From<OutputError> for Fault {
    fn from(error: OutputError) -> Self {
        if let Reason::TooLarge(bytes_max) = error.0.reason {
            return Self::new(Code::PayloadTooLarge, format!("the result has more than {bytes_max} bytes"))
                .with_details(serde_json::json!({ "bytesMax": bytes_max }))
                .with_help("return less, page by page, or raise `functions.result_bytes_max`");
        }
        Self::new(Code::Internal, format!("the value cannot be sent: {error}")).because(error)
    }
}

/// The text that has been written.
struct JsonText {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl JsonText {
    fn put(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    fn check_size(&self) -> Written {
        self.check_size_with(0)
    }

    fn check_size_with(&self, bytes: usize) -> Written {
        match self.bytes.len().saturating_add(bytes) <= self.bytes_max {
            true => Ok(()),
            false => Err(OutputError::new(Reason::TooLarge(self.bytes_max))),
        }
    }
}

/// Where a value is written to.
struct Output<'o>(&'o mut JsonText);

/// The elements of an array, or the members of a struct.
struct Parts<'o> {
    text: &'o mut JsonText,
    count: usize,
    end: &'static str,
    /// The variant whose parts they are; empty outside of an enum.
    variant: &'static str,
    /// The one member is JSON already.
    is_ready: bool,
}

/// The pairs of a map.
struct Pairs<'o> {
    text: &'o mut JsonText,
    /// Where the first pair begins.
    start: usize,
    pairs: Vec<Pair>,
    is_sorted: bool,
}

struct Pair {
    /// The name, without its quotation marks.
    name: Range<usize>,
    /// Name and value.
    whole: Range<usize>,
}

impl<'o> Output<'o> {
    fn parts(self, begin: &str, end: &'static str) -> Parts<'o> {
        self.0.put(begin);
        Parts { text: self.0, count: 0, end, variant: "", is_ready: false }
    }

    /// The beginning of `{"variant": …}`.
    fn name_variant(&mut self, variant: &str) -> Written {
        self.0.put("{");
        serde_json::to_writer(&mut self.0.bytes, variant)?;
        self.0.put(":");
        Ok(())
    }

    /// The parts of `{"variant": …}`.
    fn variant(
        mut self,
        variant: &'static str,
        begin: &str,
        end: &'static str,
    ) -> Result<Parts<'o>, OutputError> {
        self.name_variant(variant)?;
        Ok(Parts { variant, ..self.parts(begin, end) })
    }

    fn finite(self, is_finite: bool, number: &impl Serialize) -> Written {
        if !is_finite {
            return Err(OutputError::new(Reason::NotFinite));
        }
        Ok(serde_json::to_writer(&mut self.0.bytes, number)?)
    }
}

macro_rules! scalars {
    ($($method:ident($ty:ty))+) => {$(
        fn $method(self, value: $ty) -> Written {
            Ok(serde_json::Serializer::new(&mut self.0.bytes).$method(value)?)
        }
    )+};
}

impl<'o> Serializer for Output<'o> {
    type Ok = ();
    type Error = OutputError;
    type SerializeSeq = Parts<'o>;
    type SerializeTuple = Parts<'o>;
    type SerializeTupleStruct = Parts<'o>;
    type SerializeTupleVariant = Parts<'o>;
    type SerializeMap = Pairs<'o>;
    type SerializeStruct = Parts<'o>;
    type SerializeStructVariant = Parts<'o>;

    scalars! {
        serialize_bool(bool) serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_i128(i128) serialize_u8(u8) serialize_u16(u16) serialize_u32(u32) serialize_u64(u64)
        serialize_u128(u128) serialize_char(char)
    }

    // What is one text in memory is refused before it is written.
    fn serialize_str(self, text: &str) -> Written {
        self.0.check_size_with(text.len())?;
        Ok(serde_json::Serializer::new(&mut self.0.bytes).serialize_str(text)?)
    }

    fn serialize_bytes(self, bytes: &[u8]) -> Written {
        self.0.check_size_with(bytes.len())?;
        Ok(serde_json::Serializer::new(&mut self.0.bytes).serialize_bytes(bytes)?)
    }

    fn serialize_f32(self, number: f32) -> Written {
        self.finite(number.is_finite(), &number)
    }

    fn serialize_f64(self, number: f64) -> Written {
        self.finite(number.is_finite(), &number)
    }

    fn serialize_none(self) -> Written {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.0.put("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        self.name_variant(variant)?;
        value.serialize(Output(self.0)).map_err(|error| error.inside(variant))?;
        self.0.put("}");
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'o>, OutputError> {
        Ok(self.parts("[", "]"))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'o>, OutputError> {
        Ok(self.parts("[", "]"))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'o>, OutputError> {
        Ok(self.parts("[", "]"))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'o>, OutputError> {
        self.variant(variant, "[", "]}")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Pairs<'o>, OutputError> {
        self.0.put("{");
        Ok(Pairs { start: self.0.bytes.len(), text: self.0, pairs: Vec::new(), is_sorted: true })
    }

    fn serialize_struct(self, name: &'static str, _: usize) -> Result<Parts<'o>, OutputError> {
        if name.starts_with(READY_JSON) {
            return Ok(Parts { is_ready: true, ..self.parts("", "") });
        }
        Ok(self.parts("{", "}"))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Parts<'o>, OutputError> {
        self.variant(variant, "{", "}}")
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Written {
        Ok(serde_json::Serializer::new(&mut self.0.bytes).collect_str(value)?)
    }
}

impl Parts<'_> {
    fn separate(&mut self) {
        if self.count > 0 {
            self.text.put(",");
        }
        self.count += 1;
    }

    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        self.separate();
        let written = value.serialize(Output(self.text));
        written.map_err(|error| self.located(error.inside(&format!("[{}]", self.count - 1))))?;
        self.text.check_size()
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Written {
        if self.is_ready {
            let Value::String(ready) = serde_json::to_value(value)? else {
                return Err(OutputError::custom("JSON text is expected"));
            };
            self.text.check_size_with(ready.len())?;
            self.text.put(&ready);
            return Ok(());
        }
        self.separate();
        serde_json::to_writer(&mut self.text.bytes, name)?;
        self.text.put(":");
        let written = value.serialize(Output(self.text));
        written.map_err(|error| self.located(error.inside(name)))?;
        self.text.check_size()
    }

    /// The error of a part, as an error of the whole.
    fn located(&self, error: OutputError) -> OutputError {
        if self.variant.is_empty() { error } else { error.inside(self.variant) }
    }

    fn finish(self) -> Written {
        self.text.put(self.end);
        Ok(())
    }
}

/// Arrays and structs differ from their forms in an enum in the end alone, which is in `end`.
macro_rules! parts {
    ($($kind:ident $method:ident($($name:ident)?) = $part:ident;)+) => {$(
        impl ser::$kind for Parts<'_> {
            type Ok = ();
            type Error = OutputError;

            fn $method<T: Serialize + ?Sized>(&mut self, $($name: &'static str,)? value: &T) -> Written {
                self.$part($($name,)? value)
            }

            fn end(self) -> Written {
                self.finish()
            }
        }
    )+};
}

parts! {
    SerializeSeq serialize_element() = element;
    SerializeTuple serialize_element() = element;
    SerializeTupleStruct serialize_field() = element;
    SerializeTupleVariant serialize_field() = element;
    SerializeStruct serialize_field(name) = member;
    SerializeStructVariant serialize_field(name) = member;
}

impl SerializeMap for Pairs<'_> {
    type Ok = ();
    type Error = OutputError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Written {
        if !self.pairs.is_empty() {
            self.text.put(",");
        }
        let start = self.text.bytes.len();
        name.serialize(Output(self.text))?;
        let text = &mut self.text.bytes;
        match text.get(start) {
            Some(b'"') => {}
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                text.insert(start, b'"');
                text.push(b'"');
            }
            _ => return Err(OutputError::new(Reason::NameIsNoText)),
        }
        let name = start + 1..text.len() - 1;
        let last = self.pairs.last().map(|last| last.name.clone());
        self.is_sorted &= last.is_none_or(|last| text[last] <= text[name.clone()]);
        self.pairs.push(Pair { name, whole: start..start });
        text.push(b':');
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Written {
        let Some(pair) = self.pairs.last_mut() else {
            return Err(OutputError::custom("a map begins with a key"));
        };
        let written = value.serialize(Output(self.text));
        pair.whole.end = self.text.bytes.len();
        let name = pair.name.clone();
        written.map_err(|error| error.inside(&String::from_utf8_lossy(&self.text.bytes[name])))?;
        self.text.check_size()
    }

    fn end(mut self) -> Written {
        if !self.is_sorted {
            let text = &self.text.bytes;
            self.pairs.sort_by(|one, other| text[one.name.clone()].cmp(&text[other.name.clone()]));
            let sorted: Vec<_> = self.pairs.iter().map(|pair| &text[pair.whole.clone()]).collect();
            let sorted = sorted.join(&b',');
            self.text.bytes.truncate(self.start);
            self.text.bytes.extend_from_slice(&sorted);
        }
        self.text.put("}");
        Ok(())
    }
}
