import { beforeEach, expect, test, vi } from "vitest";
import { Door, type Redeem } from "./access.svelte";

const accepted: Redeem = (code) => Promise.resolve({ token: `token of ${code}` });
const refused: Redeem = () => Promise.resolve({ report: { code: "UNAUTHENTICATED", message: "used before", traceId: "t1" } });

let kept: Map<string, string>;
let address: string;

function visit(href: string): void {
  address = href;
  vi.stubGlobal("location", { href });
}

beforeEach(() => {
  kept = new Map();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
    removeItem: (key: string) => kept.delete(key),
  });
  vi.stubGlobal("history", { replaceState: (_: unknown, __: string, to: URL) => (address = to.href) });
});

test("a code becomes a token, and leaves the address before it is redeemed", async () => {
  visit("http://node/_dashboard/actors?code=c1&q=x");
  const door = new Door();
  const opened = door.open(accepted);
  expect(address).toBe("http://node/_dashboard/actors?q=x");
  expect(door.access.is).toBe("redeeming");
  await opened;
  expect(door.access).toMatchObject({ is: "in", token: "token of c1" });
  expect([...kept.values()]).toEqual(["token of c1"]);
});

test("a refused code says why", async () => {
  visit("http://node/_dashboard/?code=c1");
  const door = new Door();
  await door.open(refused);
  expect(door.access).toMatchObject({ is: "refused", report: { message: "used before" } });
});

test("a refused code does not sign a tab out", async () => {
  kept.set("forge.token", "old");
  visit("http://node/_dashboard/?code=c1");
  const door = new Door();
  await door.open(refused);
  expect(door.access).toMatchObject({ is: "in", token: "old" });
});

test("the tab remembers its token until it leaves", async () => {
  kept.set("forge.token", "old");
  visit("http://node/_dashboard/");
  const door = new Door();
  await door.open(accepted);
  expect(door.access.is).toBe("in");
  door.leave("expired");
  expect(door.access).toMatchObject({ is: "out", why: "expired" });
  expect(kept.size).toBe(0);
});

test("without a token one has to sign in", async () => {
  visit("http://node/_dashboard/");
  const door = new Door();
  await door.open(accepted);
  expect(door.access).toEqual({ is: "out", why: "unknown", bearer: null });
});
