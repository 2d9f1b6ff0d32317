import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// Vite asks for a default export here. No address of another host may appear in what it builds: the node sends `default-src 'self'`.
export default defineConfig({
  base: "/_dashboard/",
  plugins: [svelte()],
  // The client packages are links to forge-ts/client; with one copy of Svelte their runes and ours are the same.
  resolve: { preserveSymlinks: true, conditions: ["browser"], dedupe: ["svelte", "@forge/client"] },
  build: {
    target: "es2023",
    // The first versions that know `light-dark()`: without a target Vite writes it out as two variables per colour.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // Files that small are cheaper inside than as a request, but the policy of the node forbids `data:` addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: { environment: "node", include: ["src/**/*.test.ts", "tests/**/*.test.ts"] },
});
