//! Writes data to stdout and messages to stderr. No other file of the command line writes to either, and
//! nothing is written but [`Text`], in which the characters that a terminal obeys are escaped.

use std::io::{self, IsTerminal, Write};
use std::sync::OnceLock;

use super::text::Text;

/// Why data could not be written; the command then ends with an error.
static UNWRITTEN: OnceLock<io::Error> = OnceLock::new();

/// Writes data to stdout. A reader that has closed its end (`.. | head`) is no failure.
pub fn data(text: impl Into<Text>) {
    write_data(&text.into());
}

/// Writes data to stdout. False when nothing more can be written, for a command that writes until then.
pub fn write_data(text: &Text) -> bool {
    write_to_stdout(text.as_str())
}

/// Why data could not be written, apart from a reader that has closed its end.
pub fn unwritten() -> Option<&'static io::Error> {
    UNWRITTEN.get()
}

/// Writes a file that the developer's own program consists of, such as its SQL, to stdout: byte for byte,
/// unless a terminal shows it.
pub fn document(text: &str) {
    if io::stdout().is_terminal() {
        return data(text);
    }
    write_to_stdout(text);
}

/// Writes a message for a person to stderr.
pub fn notice(text: impl Into<Text>) {
    // When stderr is closed, there is no other place to report it.
    let _ = write_to(&mut io::stderr().lock(), text.into().as_str());
}

fn write_to_stdout(text: &str) -> bool {
    match write_to(&mut io::stdout().lock(), text) {
        Ok(()) => true,
        Err(error) => {
            if error.kind() != io::ErrorKind::BrokenPipe {
                // The first error is the one that counts.
                let _ = UNWRITTEN.set(error);
            }
            false
        }
    }
}

fn write_to(stream: &mut impl Write, text: &str) -> io::Result<()> {
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stream.write_all(b"\n") });
    written.and_then(|()| stream.flush())
}
