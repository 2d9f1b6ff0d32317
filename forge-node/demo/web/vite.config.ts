import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

/** Where `forge-node start` listens while `npm run dev` serves the page. */
const NODE = "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [svelte()],
  build: { target: "es2022", modulePreload: { polyfill: false } },
  server: { proxy: { "/rpc": NODE, "/ws": { target: NODE, ws: true } } },
});
