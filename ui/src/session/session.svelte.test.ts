import { beforeEach, expect, test, vi } from "vitest";
import { TabSession, type Redeem } from "./session.svelte";

const accepted: Redeem = (code) => Promise.resolve({ token: `token of ${code}` });
const refused: Redeem = () => Promise.resolve({ report: { code: "UNAUTHENTICATED", message: "used before", traceId: "t1" } });

let storage: Map<string, string>;
let address: string;

function visit(href: string): void {
  address = href;
  vi.stubGlobal("location", { href });
}

beforeEach(() => {
  storage = new Map();
  vi.stubGlobal("sessionStorage", {
    getItem: (key: string) => storage.get(key) ?? null,
    setItem: (key: string, value: string) => storage.set(key, value),
    removeItem: (key: string) => storage.delete(key),
  });
  vi.stubGlobal("history", { replaceState: (_: unknown, __: string, to: URL) => (address = to.href) });
});

test("a code is removed from the address before it is redeemed, and begins a session", async () => {
  visit("http://node/_dashboard/actors?code=c1&q=x");
  const tabSession = new TabSession();
  const opened = tabSession.open(accepted);
  expect(address).toBe("http://node/_dashboard/actors?q=x");
  expect(tabSession.state.is).toBe("redeeming");
  await opened;
  expect(tabSession.state).toMatchObject({ is: "signedIn", token: "token of c1" });
  expect([...storage.values()]).toEqual(["token of c1"]);
});

test("a refused code keeps the reason", async () => {
  visit("http://node/_dashboard/?code=c1");
  const tabSession = new TabSession();
  await tabSession.open(refused);
  expect(tabSession.state).toMatchObject({ is: "codeRefused", report: { message: "used before" } });
});

test("a refused code does not end the session of a tab", async () => {
  storage.set("forge.token", "old");
  visit("http://node/_dashboard/?code=c1");
  const tabSession = new TabSession();
  await tabSession.open(refused);
  expect(tabSession.state).toMatchObject({ is: "signedIn", token: "old" });
});

test("the tab stores its token until the session ends", async () => {
  storage.set("forge.token", "old");
  visit("http://node/_dashboard/");
  const tabSession = new TabSession();
  await tabSession.open(accepted);
  expect(tabSession.state.is).toBe("signedIn");
  tabSession.end("expired");
  expect(tabSession.state).toMatchObject({ is: "signedOut", reason: "expired" });
  expect(storage.size).toBe(0);
});

test("without a token the tab is signed out", async () => {
  visit("http://node/_dashboard/");
  const tabSession = new TabSession();
  await tabSession.open(accepted);
  expect(tabSession.state).toEqual({ is: "signedOut", reason: "unknown", bearer: null });
});
