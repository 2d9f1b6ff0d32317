import { beforeEach, expect, test, vi } from "vitest";
import { BrowserSession, type Redeem } from "./session.svelte";

const accepted: Redeem = (code) => Promise.resolve({ token: `token of ${code}` });
const refused: Redeem = () => Promise.resolve({ report: { code: "UNAUTHENTICATED", message: "used before", traceId: "t1" } });

let storage: Map<string, string>;
let address: string;
/** What another tab's change of the storage calls. */
let storageListeners: ((event: { key: string | null }) => void)[];

function changeElsewhere(token: string | null): void {
  if (token === null) storage.delete("forge.token");
  else storage.set("forge.token", token);
  storageListeners.forEach((listener) => listener({ key: "forge.token" }));
}

function tokenUntil(expiresAtMs: number): string {
  return `e30.${btoa(JSON.stringify({ sub: "ana", exp: Math.floor(expiresAtMs / 1_000) }))}.c2ln`;
}

function visit(href: string): void {
  address = href;
  vi.stubGlobal("location", { href });
}

beforeEach(() => {
  storage = new Map();
  storageListeners = [];
  vi.stubGlobal("addEventListener", (_: string, listener: (event: { key: string | null }) => void) => storageListeners.push(listener));
  vi.stubGlobal("localStorage", {
    getItem: (key: string) => storage.get(key) ?? null,
    setItem: (key: string, value: string) => storage.set(key, value),
    removeItem: (key: string) => storage.delete(key),
  });
  vi.stubGlobal("history", { replaceState: (_: unknown, __: string, to: URL) => (address = to.href) });
});

test("a code is removed from the address before it is redeemed, and begins a session", async () => {
  visit("http://node/_dashboard/actors?code=c1&q=x");
  const session = new BrowserSession();
  const opened = session.open(accepted);
  expect(address).toBe("http://node/_dashboard/actors?q=x");
  expect(session.state.is).toBe("redeeming");
  await opened;
  expect(session.state).toMatchObject({ is: "signedIn", token: "token of c1" });
  expect([...storage.values()]).toEqual(["token of c1"]);
});

test("a refused code keeps the reason", async () => {
  visit("http://node/_dashboard/?code=c1");
  const session = new BrowserSession();
  await session.open(refused);
  expect(session.state).toMatchObject({ is: "codeRefused", report: { message: "used before" } });
});

test("a refused code does not end the session", async () => {
  storage.set("forge.token", "old");
  visit("http://node/_dashboard/?code=c1");
  const session = new BrowserSession();
  await session.open(refused);
  expect(session.state).toMatchObject({ is: "signedIn", token: "old" });
});

test("the browser stores the token until the session ends", async () => {
  storage.set("forge.token", "old");
  visit("http://node/_dashboard/");
  const session = new BrowserSession();
  await session.open(accepted);
  expect(session.state.is).toBe("signedIn");
  session.end("expired");
  expect(session.state).toMatchObject({ is: "signedOut", reason: "expired" });
  expect(storage.size).toBe(0);
});

test("without a token nobody is signed in", async () => {
  visit("http://node/_dashboard/");
  const session = new BrowserSession();
  await session.open(accepted);
  expect(session.state).toEqual({ is: "signedOut", reason: "unknown", bearer: null });
});

test("a tab follows what another tab begins and ends", async () => {
  visit("http://node/_dashboard/");
  const session = new BrowserSession();
  await session.open(accepted);
  changeElsewhere("theirs");
  expect(session.state).toMatchObject({ is: "signedIn", token: "theirs" });
  changeElsewhere(null);
  expect(session.state).toMatchObject({ is: "signedOut", reason: "elsewhere" });
  changeElsewhere("again");
  session.end("forbidden");
  changeElsewhere(null);
  expect(session.state).toMatchObject({ is: "signedOut", reason: "forbidden" });
});

test("a stored token whose time is over is removed", async () => {
  storage.set("forge.token", tokenUntil(Date.now() - 2_000));
  visit("http://node/_dashboard/");
  const session = new BrowserSession();
  await session.open(accepted);
  expect(session.state).toMatchObject({ is: "signedOut", reason: "expired" });
  expect(storage.size).toBe(0);
  changeElsewhere(tokenUntil(Date.now() + 60_000));
  expect(session.state).toMatchObject({ is: "signedIn", bearer: { subject: "ana" } });
});
