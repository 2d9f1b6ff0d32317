//! What does not compile, and what the compiler says then: the mistakes that people make with the attributes.
//!
//! What does compile is in `attributes`, since a passing case here would link a second copy of every dependency.
//! `TRYBUILD=overwrite cargo test -p forge-tests trybuild` rewrites the expected messages; read the difference before committing it.

#[test]
fn mistakes_are_explained() {
    let cases = ::trybuild::TestCases::new();
    cases.compile_fail("ui/*.rs");
}
