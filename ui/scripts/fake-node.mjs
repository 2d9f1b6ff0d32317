// A fake node: serves dist/ and speaks the WebSocket protocol for a fake cluster, to develop and measure the dashboard without a node.
//
//   node scripts/fake-node.mjs [--port 4400] [--actors 10000] [--trouble] [--bare] [--interval 250] [--fail forge.tree]

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { parseArgs } from "node:util";
import { WebSocketServer } from "ws";
import { FakeCluster } from "./fake-cluster.mjs";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "4400" },
    actors: { type: "string", default: "10000" },
    interval: { type: "string", default: "250" },
    trouble: { type: "boolean", default: false },
    bare: { type: "boolean", default: false },
    fail: { type: "string" },
  },
});

const DIST = new URL("../dist/", import.meta.url).pathname;
const BASE = "/_dashboard/";
const CODE = "welcome";
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };
const POLICY = "default-src 'self'; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";
const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

const cluster = new FakeCluster({ actors: Number(values.actors), trouble: values.trouble, bare: values.bare });
const sessions = new Set();
setInterval(() => {
  cluster.step();
  for (const session of sessions) session.transition();
}, Number(values.interval));

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url ?? "/", "http://node");
  if (request.method === "POST" && pathname.startsWith("/rpc/")) return call(pathname.slice(5), request, response);
  if (!pathname.startsWith(BASE)) return response.writeHead(302, { location: BASE }).end();
  const inside = normalize(pathname.slice(BASE.length));
  const file = extname(inside) === "" ? "index.html" : inside;
  try {
    const body = await readFile(join(DIST, file));
    response.writeHead(200, { "content-type": TYPES[extname(file)] ?? "application/octet-stream", "content-security-policy": POLICY }).end(body);
  } catch {
    response.writeHead(404).end();
  }
});

async function call(name, request, response) {
  let body = "";
  for await (const chunk of request) body += chunk;
  const answer = run(name, JSON.parse(body || "{}"), (request.headers.authorization ?? "").replace("Bearer ", ""));
  const status = "error" in answer ? 400 : 200;
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
}

/** The response body of a call. */
function run(name, args, token) {
  if (name === "forge.redeem") return args.code === CODE ? { data: { token: tokenOf(["admin"]), expiresAt: new Date(Date.now() + 3_600_000).toISOString() } } : fault("UNAUTHENTICATED", "The code is used or too old");
  if (token === "") return fault("UNAUTHENTICATED", "No token");
  const { exp = 0, roles = [] } = claimsOf(token);
  if (exp * 1_000 < Date.now()) return fault("UNAUTHENTICATED", "The token has expired");
  if (!roles.includes("admin")) return fault("PERMISSION_DENIED", "This takes the role admin");
  if (name === values.fail) return fault("INTERNAL", "Something went wrong");
  if (name === "forge.overview") return { data: cluster.overview() };
  if (name === "forge.leaders") return { data: cluster.leaders() };
  if (name === "forge.tree") return { data: cluster.tree(args) };
  if (name === "forge.actor") return { data: cluster.actor(args) };
  if (name === "forge.crashes") return { data: cluster.crashes(args) };
  const row = cluster.byKey.get(`${args.node}:${args.path}`);
  if (row === undefined) return fault("NOT_FOUND", `The fake node has no ${name}`);
  if (row.kind === "listener") return fault("CONFLICT", "The listener is stopping already");
  if (name === "forge.restartActor") cluster.restart(row);
  if (name === "forge.stopActor") row.state = { is: "stopped" };
  return { data: null };
}

function fault(code, message) {
  return { error: { code, message, details: null, traceId: TRACE } };
}

function tokenOf(roles) {
  const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
  return `${part({ alg: "HS256" })}.${part({ sub: "ana", exp: Math.floor(Date.now() / 1_000) + 3_600, roles })}.c2lnbmVk`;
}

function claimsOf(token) {
  return JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString() || "{}");
}

class Session {
  #subscriptions = new Map();
  #version = 0;
  #token = "";

  constructor(socket) {
    this.socket = socket;
    socket.on("message", (text) => this.#receive(JSON.parse(text)));
    socket.on("close", () => sessions.delete(this));
  }

  transition() {
    if (this.#subscriptions.size > 0) this.#advance([...this.#subscriptions.keys()]);
  }

  #receive(frame) {
    if (frame.type === "hello") {
      this.#token = frame.token ?? "";
      const known = this.#token !== "";
      this.#send({ type: "welcome", session: "1", node: cluster.nodes[0].id, contract: frame.contract ?? null, subject: known ? "ana" : null, expiresAt: known ? new Date(Date.now() + 3_600_000).toISOString() : null, pingMs: 25_000 });
    } else if (frame.type === "sub") {
      this.#subscriptions.set(frame.id, frame);
      this.#advance([frame.id]);
    } else if (frame.type === "unsub") this.#subscriptions.delete(frame.id);
    else if (frame.type === "ping") this.#send({ type: "pong", id: frame.id });
    else if (frame.type === "auth") {
      this.#token = frame.token ?? "";
      this.#send({ type: "auth", subject: frame.token === null ? null : "ana", expiresAt: null });
    } else if (frame.type === "mut") {
      const answer = run(frame.name, frame.args, this.#token);
      this.#send({ type: "mutResult", id: frame.id, ...answer });
      if (!("error" in answer)) this.#send({ type: "transition", from: this.#version, to: ++this.#version, mods: [], applied: [frame.id] });
    }
  }

  #advance(ids) {
    const mods = ids.map((id) => {
      const { name, args } = this.#subscriptions.get(id);
      const answer = run(name, args, this.#token);
      if ("error" in answer) this.#subscriptions.delete(id);
      return "error" in answer ? { id, error: answer.error } : { id, snapshot: answer.data, version: `${Date.now().toString(16)}${this.#version}` };
    });
    const from = this.#version;
    this.#version += 1;
    this.#send({ type: "transition", from, to: this.#version, mods, applied: [] });
  }

  #send(frame) {
    this.socket.send(JSON.stringify(frame));
  }
}

new WebSocketServer({ server, path: "/ws", handleProtocols: () => "forge.v1" }).on("connection", (socket) => sessions.add(new Session(socket)));
server.listen(Number(values.port), "127.0.0.1", () => console.log(`http://127.0.0.1:${values.port}${BASE}?code=${CODE}`));
