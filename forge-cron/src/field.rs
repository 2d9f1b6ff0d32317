//! One field of an expression: lists, ranges, steps and names become a set.

use std::ops::Range;

use crate::error::ExpressionError;

/// What is particular to a field.
pub(crate) struct Field {
    /// How people call it.
    pub(crate) name: &'static str,
    /// The smallest value.
    pub(crate) min: u8,
    /// The largest value.
    pub(crate) max: u8,
    /// Names of the values from `min` on.
    pub(crate) names: &'static [&'static str],
    /// The value that is another way to write `min`: 7 for a Sunday.
    pub(crate) also_min: Option<u8>,
}

const MONTHS: &[&str] = &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: &[&str] = &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

const fn numbers(name: &'static str, min: u8, max: u8) -> Field {
    Field { name, min, max, names: &[], also_min: None }
}

/// The fields in the order in which they are written.
pub(crate) const FIELDS: [Field; 6] = [
    numbers("second", 0, 59),
    numbers("minute", 0, 59),
    numbers("hour", 0, 23),
    numbers("day of the month", 1, 31),
    Field { names: MONTHS, ..numbers("month", 1, 12) },
    Field { names: WEEKDAYS, also_min: Some(7), ..numbers("weekday", 0, 6) },
];

/// A part of an expression.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a> {
    /// The whole expression.
    text: &'a str,
    start: usize,
    end: usize,
}

impl<'a> Part<'a> {
    pub(crate) fn whole(text: &'a str) -> Self {
        Self { text, start: 0, end: text.len() }
    }

    pub(crate) fn as_str(self) -> &'a str {
        &self.text[self.start..self.end]
    }

    pub(crate) fn span(self) -> Range<usize> {
        self.start..self.end
    }

    pub(crate) fn error(self, message: impl Into<String>) -> ExpressionError {
        ExpressionError::new(self.text, self.span(), message)
    }

    /// The parts between the characters that are `separators`.
    pub(crate) fn split(self, separators: impl Fn(char) -> bool) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut start = self.start;
        for (index, separator) in self.as_str().char_indices().filter(|(_, c)| separators(*c)) {
            let end = self.start + index;
            parts.push(Self { start, end, ..self });
            start = end + separator.len_utf8();
        }
        parts.push(Self { start, ..self });
        parts
    }
}

/// The values of a field, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Values {
    /// A bit for each value that fits.
    pub(crate) set: u64,
    /// The field begins with `*`, so it restricts no day by itself.
    pub(crate) is_any: bool,
    /// The field holds `*` or a step: it says how often, and not when.
    pub(crate) is_repeated: bool,
}

impl Field {
    /// Every value.
    pub(crate) const fn all(&self) -> u64 {
        bits(self.min, self.max, 1)
    }

    /// Reads a field.
    pub(crate) fn parse(&self, field: Part<'_>) -> Result<Values, ExpressionError> {
        let text = field.as_str();
        let (is_any, is_repeated) = (text.starts_with('*'), text.contains(['*', '/']));
        let mut set = 0;
        for item in field.split(|c| c == ',') {
            set |= self.item(item)?;
        }
        Ok(Values { set, is_any, is_repeated })
    }

    /// `*`, `5`, `MON`, `1-5`, each with or without a step.
    fn item(&self, item: Part<'_>) -> Result<u64, ExpressionError> {
        let halves = item.split(|c| c == '/');
        let (range, step) = match halves.as_slice() {
            [range] => (*range, None),
            [range, step] => (*range, Some(*step)),
            _ => return Err(item.error(format!("the {} has two steps", self.name))),
        };
        let (first, last) = self.range(range, step.is_some())?;
        let step = step.map_or(Ok(1), |step| self.step(step, last - first))?;
        let set = bits(first, last, step);
        match self.also_min {
            Some(also) if set & (1 << also) != 0 => Ok((set & !(1 << also)) | 1 << self.min),
            _ => Ok(set),
        }
    }

    /// The first and the last value. A single value with a step begins a range to the end of the field.
    fn range(&self, range: Part<'_>, has_step: bool) -> Result<(u8, u8), ExpressionError> {
        if range.as_str() == "*" {
            return Ok((self.min, self.max));
        }
        match range.split(|c| c == '-').as_slice() {
            [one] => {
                let value = self.value(*one)?;
                Ok((value, if has_step { self.max.max(value) } else { value }))
            }
            [first, last] => {
                let (first, mut last) = (self.value(*first)?, self.value(*last)?);
                if let Some(also) = self.also_min
                    && last == self.min
                    && first > last
                {
                    last = also;
                }
                if first > last {
                    let (name, text) = (self.name, range.as_str());
                    let message = format!(
                        "the {name} `{text}` runs backwards: write two ranges with a comma between them"
                    );
                    return Err(range.error(message));
                }
                Ok((first, last))
            }
            _ => Err(range.error(format!("the {} `{}` is no range", self.name, range.as_str()))),
        }
    }

    fn value(&self, value: Part<'_>) -> Result<u8, ExpressionError> {
        let (text, name) = (value.as_str(), self.name);
        let named = self.names.iter().position(|known| known.eq_ignore_ascii_case(text));
        if let Some(position) = named {
            return Ok(self.min + u8::try_from(position).unwrap_or(self.max));
        }
        let top = self.also_min.unwrap_or(self.max);
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            let names = match (self.names.first(), self.names.last()) {
                (Some(first), Some(last)) => format!(", or {first} to {last}"),
                _ => String::new(),
            };
            let message =
                format!("`{text}` is no {name}: write {} to {top}{names}, `*`, a range or a list", self.min);
            return Err(value.error(message));
        }
        let number = text.parse::<u8>().ok().filter(|number| (self.min..=top).contains(number));
        number
            .ok_or_else(|| value.error(format!("the {name} `{text}` is not between {} and {top}", self.min)))
    }

    fn step(&self, step: Part<'_>, width: u8) -> Result<u8, ExpressionError> {
        let (text, name) = (step.as_str(), self.name);
        match text.parse::<u8>() {
            Ok(0) | Err(_) => {
                Err(step.error(format!("`{text}` is no step of the {name}: write a whole number from 1")))
            }
            // A step beyond the range would take its first value alone, which nobody means by it.
            Ok(number) if number > width => Err(step.error(format!(
                "the step `{text}` is larger than the range of the {name}, so only the first value would fit"
            ))),
            Ok(number) => Ok(number),
        }
    }
}

/// A bit for every `step`th value from `first` to `last`.
const fn bits(first: u8, last: u8, step: u8) -> u64 {
    let mut set = 0;
    let mut value = first;
    while value <= last {
        set |= 1 << value;
        value += step;
    }
    set
}
