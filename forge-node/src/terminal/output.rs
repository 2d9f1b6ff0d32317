//! Writes data to stdout and messages to stderr. No other file of the command line writes to either.

use std::io::{self, Write};

/// Writes data to stdout. A reader that has closed its end (`.. | head`) is no failure.
pub fn data(text: &str) {
    data_is_read(text);
}

/// Writes data to stdout. False when the reader has closed its end, for a command that writes until then.
pub fn data_is_read(text: &str) -> bool {
    write_to(&mut io::stdout().lock(), text).is_ok()
}

/// Writes a message for a person to stderr.
pub fn notice(text: &str) {
    // When stderr is closed, there is no other place to report it.
    let _ = write_to(&mut io::stderr().lock(), text);
}

fn write_to(stream: &mut impl Write, text: &str) -> io::Result<()> {
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stream.write_all(b"\n") });
    written.and_then(|()| stream.flush())
}
