// The node's own functions (`forge.*`), as `forge-node generate --system` writes them.
import { action, mutation, query } from "@forge/client";

export type NodeId = string & { readonly __brand: "NodeId" };

/** State of an actor. */
export type ActorState =
  | { is: "starting" }
  | { is: "running" }
  | { is: "waiting"; until: string }
  | { is: "stopping" }
  | { is: "stopped" }
  | { is: "failed" };
/** In which order rows come. */
export type Sort = "tree" | "mailbox" | "rate" | "restarts" | "busy";
/** The message that an actor handles. */
export type Current = { name: string; forMs: number };
/** One actor of one node. */
export type Row = {
  node: NodeId;
  nodeName: string;
  path: string;
  name: string;
  depth: number;
  kind: string;
  state: ActorState;
  mailbox: number;
  mailboxMax: number;
  rate: number;
  handled: number;
  restarts: number;
  lastError: string | null;
  current: Current | null;
  /** Actors below it, at any depth. */
  children: number;
  supervisor: boolean;
  uptimeMs: number;
};
/** Some rows, and how many there are in all. */
export type Page = { at: string; total: number; rows: Row[] };

/** Which siblings restart with a child. */
export type Strategy = "oneForOne" | "oneForAll" | "restForOne";
/** How a supervisor restarts, and how often it still may. */
export type Supervision = { path: string; strategy: Strategy; restartsMax: number; restartsLeft: number; windowMs: number };
/** A step in the life of an actor. */
export type LifeEvent = { at: string; node: NodeId; path: string; kind: string; text: string };
/** Equal crashes of about one second. */
export type RecordedCrash = {
  node: NodeId;
  path: string;
  kind: string;
  cause: string;
  message: string | null;
  backtrace: string | null;
  restarts: number;
  occurrences: number;
  at: string;
};
/** One actor, its supervisor's view of it, and what happened to it. */
export type ActorDetail = {
  row: Row;
  supervisor: Supervision | null;
  supervisedBy: Supervision | null;
  chain: string[];
  events: LifeEvent[];
  crashes: RecordedCrash[];
};

/** How full a pool is. */
export type PoolUsage = { open: number; lent: number; waiting: number; max: number };
/** How full the pools are. */
export type DatabaseUsage = { write: PoolUsage; read: PoolUsage; locks: PoolUsage; control: PoolUsage };
/** How busy a node is: gauges of this moment, and counters since its start. */
export type Vitals = {
  sessions: number;
  subscriptions: number;
  queryGroups: number;
  ticks: number;
  lastTickMs: number;
  changeLagMs: number;
  calls: number;
  errors: number;
  inFlight: number;
  databaseUp: boolean;
  database: DatabaseUsage | null;
};
/** One peer, as a node sees it. */
export type PeerInfo = {
  node: NodeId;
  name: string;
  address: string;
  linked: boolean;
  since: string | null;
  rttMs: number | null;
  queue: number;
  dropped: number;
};
/** One registered node. */
export type NodeStatus = {
  id: NodeId;
  name: string;
  /** `joining`, `active`, `draining` or `dead`, as the registry has it. */
  state: string;
  roles: string[];
  version: string;
  address: string | null;
  startedAt: string;
  /** Its last sign of life, by the database's clock. */
  seenAt: string;
  /** The node that answers is this one. */
  here: boolean;
  /** How busy it is; null while it is not heard. */
  vitals: Vitals | null;
  /** Its links to the others. */
  peers: PeerInfo[];
};
/** Jobs by what they wait for. */
export type JobCounts = { pending: number; running: number; retry: number; failed: number };
/** The whole cluster at one moment. */
export type ClusterOverview = { at: string; nodes: NodeStatus[]; jobs: JobCounts; crashes24h: number; events: LifeEvent[] };

/** A token, and until when it is good. */
export type SignedIn = { token: string; expiresAt: string };

export const api = {
  forge: {
    /** One actor; null when there is none of that path, or its node is not heard. */
    actor: query<{ node: NodeId; path: string }, ActorDetail | null, never>("forge.actor"),
    /** Every node, what it is busy with, and what happened last. */
    overview: query<{ [key: string]: never }, ClusterOverview, never>("forge.overview"),
    /** Exchanges the code of a one-time link for a token; a second exchange of the same code is refused. */
    redeem: mutation<{ code: string }, SignedIn, never>("forge.redeem"),
    /** Stops an actor and starts it again. */
    restartActor: action<{ node: NodeId; path: string }, null, never>("forge.restartActor"),
    /** Stops an actor. One that a fixed supervisor started stays stopped until somebody restarts it, or its node starts again. */
    stopActor: action<{ node: NodeId; path: string }, null, never>("forge.stopActor"),
    /** A window over the actors of all nodes. */
    tree: query<
      {
        node?: NodeId | null | undefined;
        search?: string | null | undefined;
        sort?: Sort | null | undefined;
        collapsed?: string[] | null | undefined;
        offset: number;
        limit: number;
      },
      Page,
      never
    >("forge.tree"),
  },
} as const;
