use crate::kernel::printable::{escape, escape_json, escape_lines, is_obeyed};

/// Clears the screen, writes over its line, rings, hides in a C1 control, turns the text around.
const HOSTILE: &str = "a\u{1b}[2J\r\u{7}\u{9b}31m\u{7f}\u{202e}txt\u{2066}\u{200f}\u{2028}\tb\nc";

#[test]
fn what_a_terminal_obeys_is_shown() {
    let line = escape(HOSTILE, usize::MAX);
    assert_eq!(line, r"a\u{1b}[2J\r\u{7}\u{9b}31m\u{7f}\u{202e}txt\u{2066}\u{200f}\u{2028}\tb\nc");
    let lines = escape_lines(HOSTILE);
    assert_eq!(lines, line.replace(r"\t", "\t").replace(r"\n", "\n"));
    assert_eq!(escape("abc", 2), "ab");
    let plain = "Grüße, 漢字, 👩‍👧, שלום\n";
    assert_eq!(escape_lines(plain), plain);
}

#[test]
fn escaped_json_means_the_same() {
    let value = serde_json::json!({ HOSTILE: [HOSTILE, 1, null] });
    for json in [value.to_string(), format!("{value:#}")] {
        let escaped = escape_json(&json);
        assert!(!escaped.contains(|c| is_obeyed(c) && c != '\n'), "{escaped}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).expect("JSON"), value);
    }
}
