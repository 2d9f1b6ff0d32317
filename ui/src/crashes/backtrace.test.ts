import { expect, test } from "vitest";
import { framesOf } from "./backtrace";

const BACKTRACE = [
  "   0: std::backtrace::Backtrace::force_capture",
  "   1: core::option::unwrap_failed",
  "   2: taskboard::tasks::create::{{closure}}",
  "             at ./src/tasks.rs:81:9",
  "   3: <taskboard::tasks::Create as forge_actors::app::handler::Handler>::run",
  "   4: <core::pin::Pin<P> as core::future::future::Future>::poll",
  "   5: <F as forge_actors::app::Run>::run",
  "   6: tokio::runtime::task::core::Core<T,S>::poll",
].join("\n");

test("the frames of the application come first, with the places where they are written", () => {
  const frames = framesOf(BACKTRACE);
  expect(frames.map((frame) => `${frame.own} ${frame.text.trim().slice(0, 2)}`)).toEqual(["true 2:", "true 3:", "false 0:", "false 1:", "false 4:", "false 5:", "false 6:"]);
  expect(frames[0]?.text).toContain("./src/tasks.rs:81:9");
});

test("no line is lost, and a text that is no backtrace stays as it is", () => {
  expect(framesOf(BACKTRACE).map((frame) => frame.text).join("\n").split("\n").sort()).toEqual(BACKTRACE.split("\n").sort());
  expect(framesOf("disabled backtrace")).toEqual([{ text: "disabled backtrace", own: false }]);
});
