// Opens the dashboard of a node in Chromium and takes pictures of pages, or measures the frame times of the actor table.
//
//   node scripts/browser.mjs <address with ?code=…> pictures <folder> <name=path …>
//   node scripts/browser.mjs <address with ?code=…> frames

import { mkdir } from "node:fs/promises";
import { chromium } from "playwright-core";

const [address, command, ...rest] = process.argv.slice(2);
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"];
const MEASURE_MS = 10_000;

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
const context = await browser.newContext({ viewport: { width: Number(process.env.WIDTH ?? 1440), height: 900 } });
const page = await context.newPage();
page.on("console", (message) => ["error", "warning"].includes(message.type()) && console.log("console:", message.text()));
page.on("pageerror", (error) => console.log("page error:", error.message));
page.on("request", (request) => new URL(request.url()).host !== new URL(address).host && console.log("foreign:", request.url()));
await page.goto(address);
await page.waitForSelector("nav[aria-label=Pages]");
if (command === "pictures") await pictures(rest[0], rest.slice(1));
else await frames();
await browser.close();

async function pictures(folder, shots) {
  await mkdir(folder, { recursive: true });
  for (const shot of shots) {
    const [name, path] = [shot.slice(0, shot.indexOf("=")), shot.slice(shot.indexOf("=") + 1)];
    await page.goto(new URL(path, address).href);
    await page.waitForTimeout(2_500);
    for (const theme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme: theme });
      await page.screenshot({ path: `${folder}/${name}-${theme}.png` });
    }
  }
}

/** Prints the times between frames while only figures change, while the wheel scrolls, and while the scroll bar is dragged. */
async function frames() {
  await page.goto(new URL("/_dashboard/actors", address).href);
  await page.waitForSelector("[role=row] .own");
  const total = await page.getAttribute("[role=treegrid]", "aria-rowcount");
  console.log(`${Number(total) - 1} actors, ${await page.locator(".actor-row").count()} rows drawn`);
  const inspector = await context.newCDPSession(page);
  await inspector.send("Performance.enable");
  const spent = async () => Object.fromEntries((await inspector.send("Performance.getMetrics")).metrics.map(({ name, value }) => [name, value * 1_000]));
  for (const [name, pxPerFrame] of [["still", 0], ["wheel", 40], ["drag", 3_000]]) {
    const before = await spent();
    const times = await page.evaluate(measure, { pxPerFrame, ms: MEASURE_MS });
    const after = await spent();
    const each = (metric) => ((after[metric] - before[metric]) / times.length).toFixed(1);
    times.sort((a, b) => a - b);
    const at = (share) => times[Math.floor((times.length - 1) * share)].toFixed(1);
    console.log(`${name.padEnd(6)} ${times.length} frames, p50 ${at(0.5)} ms, p95 ${at(0.95)} ms, p99 ${at(0.99)} ms, max ${at(1)} ms; of a frame: scripts ${each("ScriptDuration")} ms, styles ${each("RecalcStyleDuration")} ms, layout ${each("LayoutDuration")} ms`);
  }
}

function measure({ pxPerFrame, ms }) {
  const table = document.querySelector("[role=treegrid]");
  const times = [];
  return new Promise((resolve) => {
    let step = pxPerFrame;
    const frame = (before) => (now) => {
      if (before > 0) times.push(now - before);
      const last = table.scrollTop;
      table.scrollTop += step;
      if (step !== 0 && table.scrollTop === last) step = -step;
      if (performance.now() > end) resolve(times);
      else requestAnimationFrame(frame(now));
    };
    const end = performance.now() + ms;
    requestAnimationFrame(frame(0));
  });
}
