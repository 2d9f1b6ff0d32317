//! One line from an error and its sources.

use std::error::Error;

/// The text of `error` and the texts of its sources, joined by `: `. A source whose text is already the end
/// of the line is left out, because many errors repeat their source in their own text.
///
/// ```
/// use forge_actors::kernel::error_chain::error_chain;
/// use forge_actors::kernel::fault::{Code, Fault};
///
/// let fault = Fault::new(Code::Unavailable, "the database is not reachable")
///     .because(std::io::Error::other("connection refused"));
/// assert_eq!(error_chain(&fault), "UNAVAILABLE: the database is not reachable: connection refused");
/// ```
pub fn error_chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for source in sources(error) {
        let source = source.to_string();
        if !text.ends_with(&source) {
            text = format!("{text}: {source}");
        }
    }
    text
}

/// The texts of the sources of `error`, joined by `: `; `None` when there is no source.
pub fn error_causes(error: &(dyn Error + 'static)) -> Option<String> {
    error.source().map(error_chain)
}

/// The last error of the chain, which was the first to happen.
pub fn root_cause<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    sources(error).last().unwrap_or(error)
}

/// The sources of `error`, from the direct one to the root cause.
fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |error| (*error).source())
}
