//! Range requests (RFC 9110, section 14): one range of bytes of a file.

use std::ops::Range;

use hyper::header::{HeaderMap, HeaderValue, IF_RANGE, RANGE};

use super::headers::single;

/// The part of a file that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Selection {
    Whole,
    Part(Range<u64>),
    /// The file ends before the range begins.
    Unsatisfiable,
}

/// What a GET asks for, of a file of `bytes` bytes with the tag `tag`. Several ranges, other units and what
/// cannot be read are answered with the whole file, as the RFC allows; so is a range of another version.
pub(super) fn select(request: &HeaderMap, bytes: u64, tag: &HeaderValue) -> Selection {
    let text = |name| single(request, name).and_then(|value| value.to_str().ok());
    let is_current =
        !request.contains_key(IF_RANGE) || text(&IF_RANGE).is_some_and(|sent| is_same(sent, tag));
    let range = if is_current { text(&RANGE) } else { None };
    range.and_then(|text| parse(text, bytes)).unwrap_or(Selection::Whole)
}

/// Strong comparison: a weak tag does not promise equal bytes, and a date is none of ours.
fn is_same(sent: &str, tag: &HeaderValue) -> bool {
    sent.starts_with('"') && sent.as_bytes() == tag.as_bytes()
}

fn parse(text: &str, bytes: u64) -> Option<Selection> {
    let (unit, range) = text.split_once('=')?;
    let (first, last) = range.trim().split_once('-')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    if first.is_empty() {
        return match number(last)? {
            0 => Some(Selection::Unsatisfiable),
            // The last bytes of nothing: no header could name them.
            _ if bytes == 0 => None,
            count => Some(Selection::Part(bytes.saturating_sub(count)..bytes)),
        };
    }
    let start = number(first)?;
    let end = if last.is_empty() { bytes } else { number(last)?.saturating_add(1).min(bytes) };
    if start >= bytes {
        return Some(Selection::Unsatisfiable);
    }
    (start < end).then_some(Selection::Part(start..end))
}

/// Digits only; a number beyond all sizes is the largest one.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: HeaderValue = HeaderValue::from_static("\"strong\"");

    #[test]
    fn one_range_is_served() {
        let check = |range: &'static str, bytes: u64, expected: Selection| {
            let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static(range))]);
            assert_eq!(select(&headers, bytes, &TAG), expected, "{range} of {bytes}");
        };
        check("bytes=0-9", 100, Selection::Part(0..10));
        check("bytes=90-", 100, Selection::Part(90..100));
        check("bytes=-10", 100, Selection::Part(90..100));
        check("bytes=-1000", 100, Selection::Part(0..100));
        check("Bytes = 99-99999999999999999999", 100, Selection::Part(99..100));
        check("bytes=100-", 100, Selection::Unsatisfiable);
        check("bytes=99999999999999999999-", 100, Selection::Unsatisfiable);
        check("bytes=-0", 100, Selection::Unsatisfiable);
        check("bytes=0-", 0, Selection::Unsatisfiable);
        check("bytes=-1", 0, Selection::Whole);
        for ignored in
            ["bytes=0-1,5-6", "bytes=9-0", "lines=0-1", "bytes=a-b", "bytes=+1-2", "bytes=-", "bytes", ""]
        {
            check(ignored, 100, Selection::Whole);
        }
        let mut twice = HeaderMap::new();
        twice.append(RANGE, HeaderValue::from_static("bytes=0-1"));
        twice.append(RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(select(&twice, 100, &TAG), Selection::Whole);
    }

    #[test]
    fn a_range_of_another_version_is_not_served() {
        let check = |sent: &'static str, tag: &'static str, expected: Selection| {
            let mut headers = HeaderMap::new();
            headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
            headers.insert(IF_RANGE, HeaderValue::from_static(sent));
            assert_eq!(select(&headers, 100, &HeaderValue::from_static(tag)), expected, "{sent} of {tag}");
        };
        check("\"a\"", "\"a\"", Selection::Part(0..1));
        check("\"b\"", "\"a\"", Selection::Whole);
        check("W/\"a\"", "W/\"a\"", Selection::Whole);
        check("\"a\"", "W/\"a\"", Selection::Whole);
        check("Sat, 29 Oct 1994 19:43:31 GMT", "\"a\"", Selection::Whole);
    }
}
