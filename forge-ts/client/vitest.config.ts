import { svelte } from "@sveltejs/vite-plugin-svelte";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string) => fileURLToPath(new URL(path, import.meta.url));

// Tests run against the sources, not against dist/.
export default defineConfig({
  resolve: { alias: { "@forge/client": source("forge-client/src/index.ts") } },
  test: {
    projects: [
      { extends: true, test: { name: "client", environment: "node", include: ["forge-client/tests/**/*.test.ts"] } },
      {
        extends: true,
        plugins: [svelte({ configFile: false })],
        resolve: { conditions: ["browser"] },
        test: { name: "svelte", environment: "happy-dom", include: ["forge-svelte/tests/**/*.test.ts"] },
      },
    ],
  },
});
