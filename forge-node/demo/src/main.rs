//! The binary: it serves the handlers of this crate.

forge::main!(taskboard);
