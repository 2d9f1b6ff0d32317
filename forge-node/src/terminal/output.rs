//! Writes data to stdout and messages to stderr. No other file of the command line writes to either, and
//! nothing is written but [`Text`], in which the characters that a terminal obeys are escaped.

use std::io::{self, IsTerminal, Write};

use super::text::Text;

/// Writes data to stdout. A reader that has closed its end (`.. | head`) is no failure.
pub fn data(text: impl Into<Text>) {
    write_data(&text.into());
}

/// Writes data to stdout. False when the reader has closed its end, for a command that writes until then.
pub fn write_data(text: &Text) -> bool {
    write_to(&mut io::stdout().lock(), text.as_str()).is_ok()
}

/// Writes a file that the developer's own program consists of, such as its SQL, to stdout: byte for byte,
/// unless a terminal shows it.
pub fn document(text: &str) {
    if io::stdout().is_terminal() {
        return data(text);
    }
    // A reader that has closed its end is no failure.
    let _ = write_to(&mut io::stdout().lock(), text);
}

/// Writes a message for a person to stderr.
pub fn notice(text: impl Into<Text>) {
    // When stderr is closed, there is no other place to report it.
    let _ = write_to(&mut io::stderr().lock(), text.into().as_str());
}

fn write_to(stream: &mut impl Write, text: &str) -> io::Result<()> {
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stream.write_all(b"\n") });
    written.and_then(|()| stream.flush())
}
