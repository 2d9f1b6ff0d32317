//! The conformance application as a program.

use forge_tests::probe;

forge::main!(probe);
