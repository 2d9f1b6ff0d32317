//! The width of the terminal, and texts that fit into it.

use std::ffi::OsStr;
use std::io;

/// Columns where nothing says how many there are, such as in a pipe.
const COLUMNS: usize = 80;
/// The variable that says it where stdout is no terminal.
const COLUMNS_VARIABLE: &str = "COLUMNS";
/// The columns that the variable may ask for; others are no width.
const ASKED_FOR: std::ops::RangeInclusive<usize> = 20..=10_000;

/// The columns of the terminal that stdout is; of anything else, such as a pipe, those that the variable
/// COLUMNS says, or 80.
pub fn columns() -> usize {
    let size = rustix::termios::tcgetwinsize(io::stdout());
    let columns = size.map(|size| usize::from(size.ws_col)).ok().filter(|columns| *columns > 0);
    columns.or_else(|| asked_for(std::env::var_os(COLUMNS_VARIABLE).as_deref())).unwrap_or(COLUMNS)
}

fn asked_for(variable: Option<&OsStr>) -> Option<usize> {
    let columns = variable?.to_str()?.trim().parse().ok()?;
    ASKED_FOR.contains(&columns).then_some(columns)
}

/// The text as lines of at most `width` characters, broken between words. A longer word has a line of its
/// own.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("there is one line from the start");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + 1 + word.chars().count() <= width {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_says_how_wide_a_pipe_is() {
        for (variable, expected) in [
            (Some("132"), Some(132)),
            (Some(" 200 "), Some(200)),
            (Some("0"), None),
            (Some("19"), None),
            (Some("wide"), None),
            (Some("99999999999999999999"), None),
            (None, None),
        ] {
            assert_eq!(asked_for(variable.map(OsStr::new)), expected, "{variable:?}");
        }
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a longer-than-that b", 6), ["a", "longer-than-that", "b"]);
        assert_eq!(wrapped("", 6), [""]);
    }
}
