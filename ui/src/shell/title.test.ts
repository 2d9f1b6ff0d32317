import { expect, test } from "vitest";
import { titleOf } from "./title";

test("the title names the page, the application and where it runs", () => {
  expect(titleOf("actors", { name: "taskboard", version: "0.1.0", environment: "staging" })).toBe("Actors · taskboard (staging)");
  expect(titleOf("overview", undefined)).toBe("Overview · Forge");
});
