// tsc does not copy components. The build of the application compiles them, so their sources and types belong to the package.
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
