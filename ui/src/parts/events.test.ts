import { expect, test } from "vitest";
import { sentence } from "./events";

test.each([
  [{ kind: "started", text: "" }, "started"],
  [{ kind: "restarting", text: "in 100 ms" }, "restarts in 100 ms"],
  [{ kind: "crashed", text: "no space left" }, "crashed: no space left"],
  [{ kind: "migrated", text: "to node-2" }, "migrated: to node-2"],
])("%o reads %s", (event, text) => expect(sentence(event)).toBe(text));
