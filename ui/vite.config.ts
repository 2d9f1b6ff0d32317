import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

// Vite requires a default export here. The built files may contain no address of another host: the node sends `default-src 'self'`.
export default defineConfig({
  base: "/_dashboard/",
  plugins: [svelte()],
  // The client packages are symbolic links to forge-ts/client. They have to use the same copy of Svelte as the dashboard.
  resolve: { preserveSymlinks: true, conditions: ["browser"], dedupe: ["svelte", "@forge/client"] },
  build: {
    target: "es2023",
    // The first versions that support `light-dark()`. For older ones Vite would replace it by two variables per colour.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // Small files are not inlined, since the content security policy of the node forbids `data:` addresses.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  test: { environment: "node", include: ["src/**/*.test.ts", "tests/**/*.test.ts"] },
});
