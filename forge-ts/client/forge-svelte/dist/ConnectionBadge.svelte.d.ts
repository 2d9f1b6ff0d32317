import type { Component } from "svelte";
import type { ConnectionState } from "@forge/client";
declare const ConnectionBadge: Component<{ labels?: Partial<Record<ConnectionState, string>> }>;
export default ConnectionBadge;
