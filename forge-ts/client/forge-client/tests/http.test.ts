import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { createForge, ForgeError, unwrap } from "../src/index.js";
import { api, task } from "./api.js";

const answers = (...bodies: [number, object | string][]) => {
  const fetch = vi.fn<typeof globalThis.fetch>();
  for (const [status, body] of bodies) {
    fetch.mockResolvedValueOnce(new Response(typeof body === "string" ? body : JSON.stringify(body), { status }));
  }
  return fetch;
};
const sent = (fetch: ReturnType<typeof answers>, call = 0) => {
  const [url, init] = fetch.mock.calls[call] ?? [];
  return { url: String(url), headers: (init?.headers ?? {}) as Record<string, string>, body: init?.body, method: init?.method };
};

beforeEach(() => void vi.stubGlobal("WebSocket", undefined));
afterEach(() => void vi.unstubAllGlobals());

test("a call is one request with arguments, token and trace", async () => {
  const fetch = answers([200, { data: task("a") }]);
  const forge = createForge({ url: "http://node.test/base", fetch, getToken: () => "token" });
  expect(await forge.call(api.tasks.find, { id: "a" })).toEqual({ ok: true, data: task("a") });
  const { url, headers, body, method } = sent(fetch);
  expect([method, url, body]).toEqual(["POST", "http://node.test/base/rpc/tasks.find", '{"id":"a"}']);
  expect(headers["authorization"]).toBe("Bearer token");
  expect(headers["traceparent"]).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-01$/);
});

test("errors of the handler are typed, errors of the system have a code", async () => {
  const app = { code: "TASK_NOT_FOUND", message: "gone", details: null, traceId: "t" };
  const system = { code: "OVERLOADED", message: "later", details: null, traceId: "t", retryAfterMs: 20 };
  const fetch = answers([404, { error: app }], [503, { error: system }]);
  const forge = createForge({ url: "http://node.test", fetch });
  expect(await forge.call(api.tasks.find, { id: "a" })).toEqual({
    ok: false,
    error: { kind: "app", app: { code: "TASK_NOT_FOUND", message: "gone", details: null }, message: "gone", traceId: "t" },
  });
  expect(await forge.call(api.tasks.find, { id: "a" })).toEqual({
    ok: false,
    error: { kind: "system", system: { code: "OVERLOADED", message: "later", traceId: "t", retryAfterMs: 20 } },
  });
  expect(sent(fetch).headers).not.toHaveProperty("authorization");
});

test("a refused token is replaced and the call repeated, once", async () => {
  const refused = { error: { code: "UNAUTHENTICATED", message: "expired", traceId: "t" } };
  const getToken = vi.fn(async ({ forceRefresh }: { forceRefresh: boolean }) => (forceRefresh ? "new" : "old"));
  const fetch = answers([401, refused], [200, { data: null }], [401, refused], [401, refused]);
  const forge = createForge({ url: "http://node.test", fetch, getToken });
  expect(await forge.call(api.tasks.ping)).toEqual({ ok: true, data: null });
  expect([0, 1].map((call) => sent(fetch, call).headers["authorization"])).toEqual(["Bearer old", "Bearer new"]);
  expect(await forge.call(api.tasks.ping)).toMatchObject({ ok: false, error: { system: { code: "UNAUTHENTICATED" } } });
  expect(fetch).toHaveBeenCalledTimes(4);
});

test("a token that cannot be fetched is an error, and no request is sent without it", async () => {
  const fetch = answers();
  const forge = createForge({ url: "http://node.test", fetch, getToken: () => Promise.reject(new Error("no")) });
  expect(await forge.call(api.tasks.ping)).toMatchObject({ ok: false, error: { system: { code: "UNAUTHENTICATED" } } });
  expect(fetch).not.toHaveBeenCalled();
});

test("a request without a response is UNAVAILABLE for a query, OUTCOME_UNKNOWN for others", async () => {
  const fetch = vi.fn().mockRejectedValue(new TypeError("connection reset"));
  const forge = createForge({ url: "http://node.test", fetch });
  expect(await forge.call(api.tasks.count, { project: "p" })).toMatchObject({ ok: false, error: { system: { code: "UNAVAILABLE" } } });
  expect(await forge.call(api.tasks.ping)).toMatchObject({ ok: false, error: { system: { code: "OUTCOME_UNKNOWN" } } });
  expect(fetch, "no request is repeated").toHaveBeenCalledTimes(2);
  vi.stubGlobal("navigator", { onLine: false });
  expect(await forge.call(api.tasks.ping)).toMatchObject({ ok: false, error: { system: { code: "OFFLINE" } } });
});

test("a response that does not come from a node is an error that names its status", async () => {
  const forge = createForge({ url: "http://node.test", fetch: answers([502, "<h1>Bad gateway</h1>"], [404, { message: "no" }]) });
  expect(await forge.call(api.tasks.clear)).toMatchObject({ ok: false, error: { system: { code: "OUTCOME_UNKNOWN" } } });
  const outcome = await forge.call(api.tasks.count, { project: "p" });
  expect(outcome).toMatchObject({ ok: false, error: { system: { code: "UNAVAILABLE", message: expect.stringContaining("404") } } });
});

test("a call can be aborted", async () => {
  const fetch = vi.fn((_: unknown, init?: RequestInit) => {
    return new Promise<Response>((_, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("aborted"))));
  });
  const forge = createForge({ url: "http://node.test", fetch: fetch as typeof globalThis.fetch });
  const controller = new AbortController();
  const outcome = forge.call(api.tasks.ping, {}, { signal: controller.signal });
  await vi.waitFor(() => expect(fetch).toHaveBeenCalled());
  controller.abort();
  expect(await outcome).toMatchObject({ ok: false, error: { system: { code: "CANCELLED" } } });
});

test("unwrap returns the data, or throws the failure", () => {
  expect(unwrap({ ok: true, data: 1 })).toBe(1);
  const error = { kind: "system", system: { code: "TIMEOUT", message: "too long", traceId: "t" } } as const;
  expect(() => unwrap({ ok: false, error })).toThrow(ForgeError);
  expect(() => unwrap({ ok: false, error })).toThrow("TIMEOUT: too long");
});
