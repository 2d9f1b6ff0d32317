//! Functions that cannot be tests.

use forge::prelude::*;
use forge::testing::TestContext;

#[forge::test]
fn not_async(cx: TestContext) {} //~

#[forge::test]
async fn no_context() {} //~

#[forge::test]
async fn borrowed(cx: &TestContext) {} //~

#[forge::test]
async fn context_of_a_query(ctx: &QueryContext) {} //~

#[forge::test]
async fn more_than_a_context(cx: TestContext, title: String) {} //~

#[forge::test]
async fn a_pattern((cx, other): (TestContext, u8)) {} //~

#[forge::test]
async fn generic<T>(cx: TestContext) {} //~

#[forge::test(nodes = 3)] //~
async fn options(cx: TestContext) {}

#[forge::test]
#[test] //~
async fn made_twice(cx: TestContext) {}

#[forge::test] //~
struct Creates;

struct Tests;

impl Tests {
    #[forge::test]
    async fn method(&self, cx: TestContext) {} //~
}

fn main() {}
