//! Labels: names in lower case, of queues, of the capabilities of nodes, and of groups of handlers.

/// True for 1 to 64 of the characters a-z, 0-9, `_`, `.` and `-`. The attributes of handlers accept the same.
///
/// ```
/// # use forge_actors::kernel::label::is_label;
/// assert!(is_label("mail.slow-2") && !is_label("Mail") && !is_label(""));
/// ```
pub fn is_label(name: &str) -> bool {
    let is_clean = name.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.' | b'-'));
    is_clean && (1..=64).contains(&name.len())
}
