// The functions of the node itself (`forge.*`), as `forge-node generate --system` writes them.
import { action, mutation, query } from "@forge/client";

export type NodeId = string & { readonly __brand: "NodeId" };

export type ActorState = "starting" | "running" | "waiting" | "stopping" | "stopped" | "failed";
export type NodeState = "joining" | "active" | "draining" | "dead";

export type PeerLink = { node: NodeId; state: string; rttMs: number | null };
export type NodeInfo = {
  id: NodeId;
  name: string;
  state: NodeState;
  roles: string[];
  version: string;
  startedAt: string;
  seenAt: string;
  address: string | null;
  self: boolean;
  peers: PeerLink[];
};
export type JobCounts = { pending: number; running: number; retry: number; failed: number };
export type FunctionCounts = { calls: number; errors: number; inFlight: number };
export type PoolInfo = { open: number; lent: number; max: number };
export type DatabaseInfo = { state: string; read: PoolInfo; write: PoolInfo };
export type NodeEvent = { at: string; node: NodeId; path: string; kind: string; text: string };
export type Overview = {
  at: string;
  nodes: NodeInfo[];
  sessions: number;
  subscriptions: number;
  queryGroups: number;
  ticks: number;
  lastTickMs: number;
  changeLagMs: number;
  jobs: JobCounts;
  functions: FunctionCounts;
  database: DatabaseInfo;
  crashes24h: number;
  events: NodeEvent[];
};

export type CurrentMessage = { name: string; forMs: number };
export type TreeRow = {
  node: NodeId;
  nodeName: string;
  path: string;
  name: string;
  depth: number;
  kind: string;
  state: ActorState;
  stateUntil: string | null;
  mailbox: number;
  mailboxMax: number;
  rate: number;
  handled: number;
  restarts: number;
  lastError: string | null;
  current: CurrentMessage | null;
  hasChildren: boolean;
  children: number;
  supervisor: boolean;
  uptimeMs: number | null;
};
export type Tree = { at: string; total: number; rows: TreeRow[] };
export type TreeSort = "tree" | "mailbox" | "rate" | "restarts" | "busy";
export type TreeArgs = {
  node?: NodeId | null;
  search?: string | null;
  sort?: TreeSort | null;
  collapsed?: string[] | null;
  offset: number;
  limit: number;
};

export type Strategy = "oneForOne" | "oneForAll" | "restForOne";
export type SupervisorState = { strategy: Strategy; restartsMax: number; windowMs: number; restartsLeft: number };
export type ActorEvent = { at: string; kind: string; text: string };
export type ActorCrash = { at: string; cause: string; location: string | null; backtrace: string | null; message: string | null };
export type Actor = TreeRow & { at: string; supervision: SupervisorState | null; chain: string[]; events: ActorEvent[]; crashes: ActorCrash[] };
export type Redeemed = { token: string; expiresAt: string };
export type ActorArgs = { node: NodeId; path: string };

export const api = {
  forge: {
    overview: query<Record<string, never>, Overview, never>("forge.overview"),
    tree: query<TreeArgs, Tree, never>("forge.tree"),
    actor: query<ActorArgs, Actor, never>("forge.actor"),
    restartActor: action<ActorArgs, null, never>("forge.restartActor"),
    stopActor: action<ActorArgs, null, never>("forge.stopActor"),
    redeem: mutation<{ code: string }, Redeemed, never>("forge.redeem"),
  },
} as const;
