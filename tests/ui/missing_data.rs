//! Types in the signature of a handler that clients do not know.

use forge::prelude::*;

struct Filter {
    done: bool,
}

struct Line {
    text: String,
}

#[forge::query]
async fn list(_ctx: &QueryContext, filter: Filter, more: Vec<Filter>) -> Result<Vec<Line>> { //~ 3
    Ok(Vec::new())
}

#[forge::mutation]
async fn create(_ctx: &MutationContext, line: Option<Line>) -> Result<()> { //~
    Ok(())
}

#[forge::error]
enum LineError {
    /// The line is too long.
    #[code("TOO_LONG", status = 409)]
    TooLong { line: Line }, //~
}

fn main() {}
