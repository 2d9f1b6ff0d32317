//! Makes text from elsewhere safe to print: a terminal obeys some characters instead of showing them, and
//! callers, applications and databases may send any of them.
//!
//! Nothing is left out: each such character is replaced by its escape, so that a person sees that it is
//! there.

use std::borrow::Cow;
use std::fmt::Write as _;

/// True for a character that a terminal obeys instead of showing: the controls (among them escape, carriage
/// return and the C1 controls, which some terminals take for escape sequences), the separators of lines, and
/// the marks that change the order in which text is shown.
pub fn is_obeyed(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// At most `chars_max` characters of `text` on one line: line feeds and tabs are escaped too.
pub fn escape(text: &str, chars_max: usize) -> String {
    let mut escaped = String::new();
    for c in text.chars().take(chars_max) {
        if is_obeyed(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    escaped
}

/// `text` with its line feeds and tabs as they are, and every other character that a terminal obeys escaped.
pub fn escape_lines(text: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| is_obeyed(c) && !matches!(c, '\n' | '\t');
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) { escaped.extend(c.escape_default()) } else { escaped.push(c) }
    }
    Cow::Owned(escaped)
}

/// JSON text that means the same, with the characters that a terminal obeys written as JSON's own escapes.
/// They can occur in texts and names only, so the text stays JSON.
pub fn escape_json(json: &str) -> Cow<'_, str> {
    // Line feeds, tabs and carriage returns stand between values; inside of texts JSON forbids them.
    let is_obeyed = |c: char| is_obeyed(c) && !matches!(c, '\n' | '\t' | '\r');
    if !json.contains(is_obeyed) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_obeyed(c) {
            // All of them are in the basic plane, so one code unit is enough.
            write!(escaped, "\\u{:04x}", u32::from(c)).expect("writing to a String cannot fail");
        } else {
            escaped.push(c);
        }
    }
    Cow::Owned(escaped)
}
