import { expect, test } from "vitest";
import { countsText } from "./bulk";

test("the result of a bulk in words", () => {
  expect(countsText('{"done":3,"skipped":0}')).toBe("3 runs changed");
  expect(countsText('{"done":1,"skipped":1200}')).toBe("1 run changed, 1,200 could not be changed any more");
  expect(countsText(null)).toBeNull();
  expect(countsText("7")).toBeNull();
});
