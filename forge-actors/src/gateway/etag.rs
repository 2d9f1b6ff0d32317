//! Entity tags and conditional requests (RFC 9110, sections 8.8.3 and 13.1.2).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::header::{HeaderMap, HeaderValue, IF_NONE_MATCH};
use sha2::{Digest, Sha256};

use crate::kernel::time::secs;

/// File systems keep modification times (mtime) with a precision of up to this much.
const MODIFIED_AGAIN_WITHIN: Duration = secs(2);

/// The tag of `data`: 128 bits of its SHA-256, enough that two different bodies never share a tag.
pub(super) fn of(data: &[u8]) -> HeaderValue {
    let hash = Sha256::digest(data);
    let (half, _) = hash.split_first_chunk::<16>().expect("SHA-256 has 32 bytes");
    quoted(&format!("\"{:032x}\"", u128::from_be_bytes(*half)))
}

/// The tag of a file of `bytes` bytes that was modified at `modified`. Two versions of one moment and one
/// size would share it, so the tag is weak while another version of that moment may still come.
pub(super) fn of_file(bytes: u64, modified: SystemTime) -> HeaderValue {
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    let weak = if age < MODIFIED_AGAIN_WITHIN { "W/" } else { "" };
    let nanos = modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    quoted(&format!("{weak}\"{bytes:x}-{nanos:x}\""))
}

/// The client has the version `tag` already: `If-None-Match` names it, by weak comparison.
pub(super) fn is_current(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = request.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let tag = tag.to_str().unwrap_or_default();
    lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|sent| sent == "*" || opaque(sent) == opaque(tag))
}

fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

fn quoted(tag: &str) -> HeaderValue {
    HeaderValue::from_str(tag).expect("hexadecimal digits in quotes are a header value")
}
