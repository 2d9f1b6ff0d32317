import { vitePreprocess } from "@sveltejs/vite-plugin-svelte";

// Vite and svelte-check both look for a default export here.
export default { preprocess: vitePreprocess(), compilerOptions: { runes: true } };
