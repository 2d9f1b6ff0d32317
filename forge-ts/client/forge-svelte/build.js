// The compiler leaves components alone: the application's build compiles them. It needs them, and their types.
import { copyFileSync, writeFileSync } from "node:fs";

copyFileSync("src/ConnectionBadge.svelte", "dist/ConnectionBadge.svelte");
writeFileSync(
  "dist/ConnectionBadge.svelte.d.ts",
  `import type { Component } from "svelte";
import type { ConnectionState } from "@forge/client";
declare const ConnectionBadge: Component<{ labels?: Partial<Record<ConnectionState, string>> }>;
export default ConnectionBadge;
`,
);
