//! The conformance application as a program.

forge::main!(forge_tests::probe);
