import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { expect, test } from "vitest";

const BYTES_MAX = 8 * 1_024;

test("the client, minified and compressed, stays within its budget", async () => {
  const entry = fileURLToPath(new URL("../src/index.ts", import.meta.url));
  const built = await build({
    configFile: false,
    logLevel: "silent",
    build: { write: false, minify: true, target: "es2022", lib: { entry, formats: ["es"] } },
  });
  const [output] = Array.isArray(built) ? built : [];
  const code = output?.output.map((chunk) => (chunk.type === "chunk" ? chunk.code : "")).join("") ?? "";
  const bytes = gzipSync(code, { level: 9 }).length;
  console.log(`@forge/client: ${code.length} bytes, ${bytes} packed`);
  expect(code).toContain("forge.v1");
  expect(bytes).toBeLessThanOrEqual(BYTES_MAX);
});
