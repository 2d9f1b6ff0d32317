import { expect, test } from "vitest";
import { completeRuns } from "./completion";
import { readQuery } from "./query";

const NONE = {
  statuses: [],
  isEnded: null,
  workflow: null,
  version: null,
  key: null,
  id: null,
  parent: null,
  startedFrom: null,
  startedBefore: null,
  attributes: [],
  text: null,
};
const ID = "01a228a5-88d6-751f-a01b-e58337a0498b";

test("every field", () => {
  expect(readQuery("")).toEqual({ filter: NONE, problems: [] });
  const query = `status:failed,diverged workflow:onboard version:2 key:user-7 id:${ID} parent:${ID} attribute.plan:"very gold" attribute.seats:7 no funds`;
  expect(readQuery(query)).toEqual({
    filter: {
      ...NONE,
      statuses: ["failed", "diverged"],
      workflow: "onboard",
      version: 2,
      key: "user-7",
      id: ID,
      parent: ID,
      attributes: [
        { name: "plan", value: "very gold" },
        { name: "seats", value: "7" },
      ],
      text: "no funds",
    },
    problems: [],
  });
});

test("live, ended, and times in the browser's zone", () => {
  expect(readQuery("status:live").filter).toEqual({ ...NONE, isEnded: false });
  expect(readQuery("status:ended").filter).toEqual({ ...NONE, isEnded: true });
  expect(readQuery("status:live,ended").filter).toEqual(NONE);
  const { filter } = readQuery("from:2026-11-30T14:05 before:2026-12-01T00:00");
  expect(filter.startedFrom).toBe(new Date(2026, 10, 30, 14, 5).toISOString());
  expect(filter.startedBefore).toBe(new Date(2026, 11, 1).toISOString());
});

test("what has no meaning is said", () => {
  for (const query of ["status:faild", "version:two", "version:0", "id:7", "from:soon", "workflow:", "flow:onboard"]) {
    expect(readQuery(query).problems, query).toHaveLength(1);
  }
});

test("statuses and what has runs are offered", () => {
  const count = { count: 1, isMore: false };
  const versions = [
    { workflow: "flows.onboard", version: 1, status: "waiting", count },
    { workflow: "flows.onboard", version: 2, status: "waiting", count },
    { workflow: "flows.saga", version: 1, status: "failed", count },
  ] as const;
  const options = (query: string) => completeRuns(query, query.length, [...versions]).options.map(({ text }) => text);
  expect(options("wo")).toEqual(["workflow:"]);
  expect(options("workflow:")).toEqual(["workflow:flows.onboard ", "workflow:flows.saga "]);
  expect(options("version:")).toEqual(["version:1 ", "version:2 "]);
  expect(options("status:failed,com")).toEqual(["status:failed,compensating ", "status:failed,compensation_failed ", "status:failed,completed "]);
  expect(options("key:")).toEqual([]);
});
