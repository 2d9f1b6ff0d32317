// The built files in dist/: their size, and that they request nothing from another host.

import { readFileSync, readdirSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";

const ENTRY_BYTES_MAX = 40_000;
const TOTAL_BYTES_MAX = 250_000;

const DIST = new URL("../dist/", import.meta.url);
const files = readdirSync(DIST, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => ({ name: entry.name, text: readFileSync(`${entry.parentPath}/${entry.name}`) }));
const html = readFileSync(new URL("index.html", DIST), "utf8");

function gzipped(wanted: (name: string) => boolean): number {
  return files.filter(({ name }) => wanted(name)).reduce((sum, { text }) => sum + gzipSync(text, { level: 9 }).length, 0);
}

test("the scripts of the entry page are within their limit", () => {
  expect(gzipped((name) => name.endsWith(".js") && html.includes(name))).toBeLessThanOrEqual(ENTRY_BYTES_MAX);
});

test("all files together are within their limit", () => {
  expect(files.map(({ name }) => name)).toContain("favicon.svg");
  expect(gzipped(() => true)).toBeLessThanOrEqual(TOTAL_BYTES_MAX);
});

test("no file contains an address of another host", () => {
  // The namespaces of SVG and MathML, and the addresses in Svelte's error messages: the page requests none of them.
  const names = /https?:\/\/(www\.w3\.org|svelte\.dev\/e)\//g;
  for (const { name, text } of files) expect(text.toString().replace(names, ""), name).not.toMatch(/https?:\/\/[a-z]/);
});

test("the page has no inline script or style, which the policy of the node forbids", () => {
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|\bstyle=|\bon[a-z]+=|data:/);
});
