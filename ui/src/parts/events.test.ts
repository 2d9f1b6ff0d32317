import { expect, test } from "vitest";
import { type EventKind, eventText } from "./events";

test.each<[{ kind: EventKind; text: string }, string]>([
  [{ kind: "started", text: "" }, "started"],
  [{ kind: "restarting", text: "in 100 ms" }, "restarts in 100 ms"],
  [{ kind: "crashed", text: "no space left" }, "crashed: no space left"],
  [{ kind: "joined", text: "" }, "node started"],
])("%o reads %s", (event, text) => expect(eventText(event)).toBe(text));
