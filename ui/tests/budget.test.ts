// What is shipped: how large it is, and that it asks nobody but its node.

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

test("what a page needs before it shows anything is small", () => {
  expect(gzipped((name) => name.endsWith(".js") && html.includes(name))).toBeLessThanOrEqual(ENTRY_BYTES_MAX);
});

test("everything together is small", () => {
  expect(files.map(({ name }) => name)).toContain("favicon.svg");
  expect(gzipped(() => true)).toBeLessThanOrEqual(TOTAL_BYTES_MAX);
});

test("no address of another host, apart from names", () => {
  // The namespaces of SVG and MathML, and where Svelte explains its errors: none of them is ever asked for.
  const names = /https?:\/\/(www\.w3\.org|svelte\.dev\/e)\//g;
  for (const { name, text } of files) expect(text.toString().replace(names, ""), name).not.toMatch(/https?:\/\/[a-z]/);
});

test("nothing in the page itself that the node's policy forbids", () => {
  expect(html).not.toMatch(/<script(?![^>]*\bsrc=)|\bstyle=|\bon[a-z]+=|data:/);
});
