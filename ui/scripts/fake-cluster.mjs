// A fake cluster: three nodes with a given number of actors, some of which change at every step.

/** @typedef {{ actors: number, trouble: boolean, bare: boolean }} FakeClusterOptions */

const RUNNING = { is: "running" };
const KINDS = ["Deliver", "Advance", "Claim", "Ping", "Flush", "Renew"];
/** Kinds of actors that run a periodic duty. */
const DUTIES = new Set(["history", "crash_expiry"]);
const OBSTACLE = "10.0.0.9:6432 is a transaction pooler; connect to Postgres itself, or to a pool in session mode";
const STARTED = Date.now() - 3 * 86_400_000 - 7_200_000;

/** Returns a generator of pseudo-random numbers with a fixed sequence, so that every run shows the same cluster. */
function random(seed) {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export class FakeCluster {
  #random = random(7);
  #calls = 81_224;
  #errors = 3;
  #ticks = 12_000;

  /** @param {FakeClusterOptions} options */
  constructor(options) {
    this.options = options;
    const names = options.bare ? ["node-1"] : ["node-1", "node-2", "node-3"];
    this.nodes = names.map((name, at) => ({ id: `0192f3a0-0000-7000-8000-00000000000${at + 1}`, name }));
    this.rows = this.nodes.flatMap((node, at) => this.#tree(node, at, options.bare ? 0 : Math.floor(options.actors / names.length)));
    this.byKey = new Map(this.rows.map((row) => [`${row.node}:${row.path}`, row]));
    this.events = this.#events();
  }

  /** Changes the figures of a fifth of the actors, and the counters of the nodes. */
  step() {
    for (let turn = 0; turn < this.rows.length / 5; turn += 1) {
      const row = this.rows[Math.floor(this.#random() * this.rows.length)];
      if (row.state !== RUNNING || row.stuckSince !== undefined) continue;
      const busy = this.#random() < 0.6;
      row.rate = busy ? this.#random() ** 3 * 240 : row.rate * 0.4 < 0.05 ? 0 : row.rate * 0.4;
      row.handled += Math.round(row.rate / 4);
      row.mailbox = busy && this.#random() < 0.3 ? Math.floor(this.#random() ** 6 * row.mailboxMax) : 0;
      row.current = busy && this.#random() < 0.2 ? this.#current(row) : null;
    }
    for (const row of this.rows) if (row.stuckSince !== undefined) row.current = this.#job(row, Date.now() - row.stuckSince);
    this.#calls += Math.floor(20 + this.#random() * 30);
    this.#ticks += Math.floor(2 + this.#random() * 6);
    if (this.options.trouble && this.#random() < 0.1) this.#errors += 1;
  }

  #current(row) {
    const forMs = Math.floor(this.#random() * 40);
    return row.kind === "worker" ? this.#job(row, forMs) : { name: KINDS[Math.floor(this.#random() * KINDS.length)], forMs, work: null };
  }

  /** A job that a worker runs, with a time limit of 30 s. */
  #job(row, forMs) {
    return { name: "Run", forMs, work: { handler: "mail.render", id: `0192f3a0-0000-7000-8000-0000${row.name}`, forMs, limitMs: 30_000 } };
  }

  overview() {
    const now = Date.now();
    const { bare, trouble } = this.options;
    const iso = (ms) => new Date(ms).toISOString();
    const nodes = this.nodes.map((node, at) => ({
      ...node,
      state: trouble && at === 2 ? "draining" : "active",
      roles: ["gateway", "worker"],
      version: "0.1.0",
      startedAt: iso(STARTED + at * 40_000),
      seenAt: iso(trouble && at === 1 ? now - 12_400 : now - 300),
      address: `http://10.0.0.${at + 1}:8080`,
      endedAt: null,
      lost: false,
      here: at === 0,
      statsAgeMs: trouble && at === 1 ? null : trouble && at === 2 ? 4_300 : 0,
      stats: trouble && at === 1 ? null : this.#stats(node, at),
      peers: this.nodes.filter((other) => other.id !== node.id).map((other) => this.#peer(other, trouble && (other.name === "node-2" || at === 1))),
    }));
    const jobs = { pending: 120 + Math.floor(this.#random() * 30), running: 32, retry: trouble ? 14 : 2, failed: trouble ? 3 : 0 };
    const process = (id, name, lost, startedMs, seenMs, endedMs) => ({ id, name, state: "dead", roles: ["worker"], version: "0.1.0", address: "http://10.0.0.9:8080", startedAt: iso(now - startedMs), seenAt: iso(now - seenMs), endedAt: iso(now - endedMs), lost });
    const gone = [process("0192f3a0-0000-7000-8000-0000000000a1", "node-4", false, 9e6, 190_000, 190_000)];
    if (trouble) gone.push(process("0192f3a0-0000-7000-8000-0000000000a2", "node-5", true, 9e6, 76_000, 66_000));
    const before = process("0192f3a0-0000-7000-8000-0000000000a3", "node-2", true, 9e6, 410_000, 400_000);
    const ended = bare ? [] : [...gone, before].map((node) => ({ ...node, meshAddress: null, protocol: 1 }));
    if (!bare) nodes.push(...gone.map((node) => ({ ...node, here: false, stats: null, statsAgeMs: null, peers: [] })));
    const application = { name: "taskboard", version: "0.3.0", environment: trouble ? "production" : "development" };
    return { at: iso(now), application, nodes, ended, jobs: bare ? { pending: 0, running: 0, retry: 0, failed: 0 } : jobs, crashes24h: trouble ? 5 : 0, events: bare ? [] : this.events };
  }

  /** The leaderships; the rows of a bare cluster are still to come. */
  leaders() {
    const now = Date.now();
    const { bare, trouble } = this.options;
    if (bare) return { at: new Date(now).toISOString(), leaders: [], ended: [] };
    const ago = (ms) => new Date(now - ms).toISOString();
    const term = (name, epoch, at, electedMs, renewedMs) => ({ name, epoch, nodeId: this.nodes[at].id, nodeName: this.nodes[at].name, electedAt: ago(electedMs), renewedAt: ago(renewedMs) });
    const leads = (...of) => ({ ...term(...of), resignedAt: null, state: "leading" });
    const leaders = [leads("changes", 4, 0, 9e6, 400), leads("jobs", 12, 1, 310_000, 700), leads("maintenance", 7, 0, 9e6, 400)];
    if (trouble) leaders[1] = { ...term("jobs", 12, 1, 310_000, 12_400), resignedAt: null, state: "expired" };
    if (trouble) leaders[2] = { ...term("maintenance", 7, 2, 9e6, 125_300), resignedAt: ago(125_000), state: "resigned" };
    const end = (name, epoch, at, electedMs, endedMs, reason) => ({ ...term(name, epoch, at, electedMs, endedMs + (reason === "lost" ? 3_100 : 300)), endedAt: ago(endedMs), reason });
    const ended = [end("jobs", 11, 2, 4e6, 310_000, "lost"), end("maintenance", 6, 1, 9e7, 9e6, "resigned"), end("changes", 3, 1, 9e7, 9e6, "resigned")];
    return { at: new Date(now).toISOString(), leaders, ended };
  }

  #peer(other, cut) {
    const link = cut ? { linked: false, since: null, rttMs: null, queue: 14, dropped: 3, error: "connection refused (os error 111)" } : { linked: true, since: null, rttMs: 0.3 + this.#random() * 0.4, queue: 0, dropped: 0, error: null };
    return { node: other.id, name: other.name, address: "10.0.0.9:7070", ...link };
  }

  #stats(node, at) {
    const { bare, trouble } = this.options;
    const sessions = this.rows.filter((row) => row.node === node.id && row.kind === "session").length;
    const pool = (lent, max) => ({ open: Math.min(lent + 3, max), lent, waiting: Math.max(0, lent - max), max });
    return {
      sessions: bare ? 1 : sessions,
      subscriptions: bare ? 1 : sessions * 3 + Math.floor(this.#random() * 40),
      queryGroups: bare ? 1 : 214,
      ticks: this.#ticks,
      lastTickMs: 0.8 + this.#random(),
      changeLagMs: bare ? 0 : 3 + this.#random() * 4,
      changeLagAgeMs: bare ? null : 4_000,
      calls: this.#calls,
      errors: this.#errors,
      inFlight: bare ? 0 : Math.floor(this.#random() * 6),
      databaseUp: true,
      database: {
        write: trouble && at === 0 ? { open: 8, lent: 8, waiting: 2, max: 8 } : pool(1, 8),
        read: pool(2 + Math.floor(this.#random() * 3), 8),
        live: pool(1, 7),
        locks: pool(1, 2),
        control: pool(0, 2),
      },
      election: { leaseMs: 3_000, obstacle: trouble && at === 0 ? OBSTACLE : null },
      figures: [{ subsystem: "jobs", name: "leases", value: 32, unit: "count" }],
    };
  }

  tree({ node, search, sort, collapsed, offset, limit }) {
    const folded = new Set(collapsed ?? []);
    const wanted = search ? search.toLowerCase() : null;
    let found = this.rows.filter((row) => (!node || row.node === node) && (!wanted || row.path.toLowerCase().includes(wanted) || row.kind.includes(wanted)));
    if (!sort || sort === "tree") {
      if (folded.size > 0) found = found.filter((row) => !ancestors(row.path).some((path) => folded.has(`${row.node}:${path}`)));
    } else {
      const by = { mailbox: (row) => row.mailbox, rate: (row) => row.rate, restarts: (row) => row.restarts, busy: (row) => row.current?.forMs ?? -1 }[sort];
      found = [...found].sort((a, b) => by(b) - by(a));
    }
    return { at: new Date().toISOString(), total: found.length, rows: found.slice(offset, offset + limit).map(shown) };
  }

  /** The actor, or null. */
  actor({ node, path }) {
    const row = this.byKey.get(`${node}:${path}`);
    if (row === undefined) return null;
    const ago = (ms) => new Date(Date.now() - ms).toISOString();
    const crash = { node, path, kind: row.kind, cause: row.lastError, message: "Deliver", backtrace: BACKTRACE, restarts: row.restarts, occurrences: 1, at: ago(48_000) };
    const supervision = (of) => of?.supervisor ? { path: of.path, strategy: of.depth === 0 ? "restForOne" : "oneForOne", restartsMax: 5, restartsLeft: of.restarts > 2 ? 1 : 5, windowMs: 10_000 } : null;
    const event = (ms, kind, text = "") => ({ at: ago(ms), node, path, kind, text });
    const crashed = [event(48_000, "crashed", row.lastError ?? ""), event(47_900, "restarting", "in 100 ms"), event(47_800, "started")];
    return {
      row: shown(row),
      supervisor: supervision(row),
      duty: DUTIES.has(row.kind) ? this.#duty(row, ago) : null,
      supervisedBy: supervision(this.byKey.get(`${node}:${path.slice(0, path.lastIndexOf("/"))}`)),
      chain: ancestors(path),
      events: [event(9e6, "started"), ...(row.restarts > 0 ? crashed : [])],
      crashes: row.lastError === null ? [] : [crash, { ...crash, at: ago(3_700_000), backtrace: null, message: null, occurrences: 12 }],
    };
  }

  #duty(row, ago) {
    const leading = row.node === this.nodes[0].id;
    const failed = this.options.trouble && row.kind === "crash_expiry";
    const outcome = failed ? { is: "failed", error: "DATABASE: canceling statement due to statement timeout" } : { is: "ok", handled: 120 };
    const lastRun = leading ? { startedAt: ago(252_000), durationMs: 4.2, outcome } : null;
    return { elected: true, leading, runningSince: null, lastRun, runs: leading ? 71 : 0, failures: failed ? 3 : 0, timedOut: failed ? 1 : 0 };
  }

  /** Crashes of handlers and of actors, newest first. */
  crashes({ node }) {
    if (!this.options.trouble) return [];
    const ago = (ms) => new Date(Date.now() - ms).toISOString();
    const crash = (row, ms) => ({ node: row.node, path: row.path, kind: row.kind, cause: row.lastError, message: "Deliver", backtrace: BACKTRACE, restarts: row.restarts, occurrences: 1, at: ago(ms) });
    const failed = this.rows.filter((row) => row.lastError !== null).map((row, at) => crash(row, 31_000 + 17_000 * at));
    const handler = { ...crash(this.rows[0], 12_000), path: "node/functions/tasks.create", kind: "mutation", cause: "index out of bounds: the len is 3 but the index is 7", message: null, occurrences: 12 };
    return [handler, ...failed].filter((one) => !node || one.node === node).slice(0, 20);
  }

  restart(row) {
    row.restarts += 1;
    row.state = { is: "waiting", until: new Date(Date.now() + 3_000).toISOString() };
    setTimeout(() => (row.state = RUNNING), 3_000);
  }

  #tree(node, at, actors) {
    const rows = [];
    const add = (path, kind, change = {}) => {
      const state = { state: RUNNING, mailbox: 0, mailboxMax: 1_000, rate: 0, handled: Math.floor(this.#random() * 9e5), restarts: 0, lastError: null, current: null };
      rows.push({ node: node.id, nodeName: node.name, path, kind, name: path === "node" ? node.name : path.split("/").at(-1), depth: path.split("/").length - 1, supervisor: false, children: 0, uptimeMs: Date.now() - STARTED, ...state, ...change });
    };
    const supervisor = { supervisor: true };
    add("node", "supervisor", supervisor);
    add("node/database", "supervisor", supervisor);
    for (const name of ["read_pool", "write_pool", "monitor"]) add(`node/database/${name}`, name);
    add("node/leader", "supervisor", supervisor);
    for (const name of ["elector", "history"]) add(`node/leader/${name}`, name);
    add("node/telemetry", "supervisor", supervisor);
    for (const name of ["metrics", "crash_sink", "crash_expiry", "logs"]) add(`node/telemetry/${name}`, name);
    add("node/cluster", "supervisor", supervisor);
    for (const name of ["registry", "mesh", "discovery"]) add(`node/cluster/${name}`, name);
    add("node/functions", "functions", { rate: 140 });
    add("node/reactor", "supervisor", supervisor);
    for (const name of ["tail", "ticker", "groups"]) add(`node/reactor/${name}`, name, { rate: 60 });
    add("node/jobs", "supervisor", supervisor);
    for (const name of ["claimer", "acknowledger", "rescuer"]) add(`node/jobs/${name}`, name);
    const workers = Math.floor(actors / 10);
    add("node/jobs/workers", "workers", supervisor);
    for (let index = 0; index < workers; index += 1) add(`node/jobs/workers/${hex(this.#random)}`, "worker");
    add("node/gateway", "supervisor", supervisor);
    add("node/gateway/listener", "listener");
    add("node/gateway/sessions", "sessions", supervisor);
    for (let index = 0; index < actors - workers; index += 1) add(`node/gateway/sessions/${hex(this.#random)}`, "session");
    const byPath = new Map(rows.map((row) => [row.path, row]));
    for (const row of rows) for (const path of ancestors(row.path)) byPath.get(path).children += 1;
    if (this.options.trouble) this.#addTrouble(byPath, rows, at);
    return rows;
  }

  #addTrouble(byPath, rows, at) {
    const crashed = "called `Option::unwrap()` on a `None` value";
    if (at === 0) {
      Object.assign(byPath.get("node/cluster/mesh"), { state: { is: "waiting", until: new Date(Date.now() + 3_600_000).toISOString() }, restarts: 3, lastError: "connection refused (os error 111)" });
      Object.assign(byPath.get("node/telemetry/logs"), { state: { is: "failed" }, restarts: 5, lastError: "no space left on device" });
      Object.assign(byPath.get("node/telemetry"), { restarts: 3 });
      Object.assign(byPath.get("node/reactor/groups"), { mailbox: 940, rate: 310, restarts: 1, lastError: crashed });
    }
    const workers = rows.filter((row) => row.kind === "worker");
    workers.slice(0, 2).forEach((row) => (row.stuckSince = Date.now() - 44_000));
    workers.slice(2, 3).forEach((row) => Object.assign(row, { state: { is: "starting" } }));
    rows.filter((row) => row.kind === "session").slice(3, 6).forEach((row) => Object.assign(row, { restarts: 2, lastError: crashed }));
  }

  #events() {
    const ago = (ms) => new Date(Date.now() - ms).toISOString();
    const [one] = this.nodes;
    const calm = [{ at: ago(400_000), node: one.id, path: "node/gateway/listener", kind: "started", text: "" }];
    if (!this.options.trouble) return calm;
    return [
      { at: ago(31_000), node: one.id, path: "node/telemetry/logs", kind: "crashed", text: "no space left on device" },
      { at: ago(31_400), node: one.id, path: "node/telemetry", kind: "budgetExhausted", text: "" },
      { at: ago(47_900), node: one.id, path: "node/reactor/groups", kind: "restarting", text: "in 100 ms" },
      { at: ago(48_000), node: one.id, path: "node/reactor/groups", kind: "crashed", text: "called `Option::unwrap()` on a `None` value" },
      ...calm,
    ];
  }
}

const BACKTRACE = Array.from({ length: 14 }, (_, at) => (at === 5 ? `  5: taskboard::tasks::create::{{closure}}\n        at ./src/tasks.rs:81:18` : `  ${at}: forge_actors::session::actor::Session::deliver_${at}\n        at forge-actors/src/session/actor.rs:${200 + at}:18`)).join("\n");

function shown({ stuckSince: _, ...row }) {
  return row;
}

function ancestors(path) {
  const names = path.split("/");
  return names.slice(0, -1).map((_, at) => names.slice(0, at + 1).join("/"));
}

function hex(random) {
  return Math.floor(random() * 2 ** 32).toString(16).padStart(8, "0");
}
