//! Where commands write: data to stdout, everything for people to stderr. The only file that does.

use std::io::{self, Write};

/// Writes data. A reader that has gone away (`.. | head`) wants no more of it, and that is no failure.
pub fn data(text: &str) {
    offer(text);
}

/// Writes data, and says whether somebody still reads them: for what is written again and again.
pub fn offer(text: &str) -> bool {
    write_to(&mut io::stdout().lock(), text).is_ok()
}

/// Writes what a person may want to know.
pub fn notice(text: &str) {
    // Nobody is left to be told.
    let _ = write_to(&mut io::stderr().lock(), text);
}

fn write_to(stream: &mut impl Write, text: &str) -> io::Result<()> {
    let written = stream
        .write_all(text.as_bytes())
        .and_then(|()| if text.ends_with('\n') { Ok(()) } else { stream.write_all(b"\n") });
    written.and_then(|()| stream.flush())
}
