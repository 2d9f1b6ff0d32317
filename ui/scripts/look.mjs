// Takes pictures of the dashboard of a node, and measures how smooth the table of actors is.
//
//   node scripts/look.mjs <address with ?code=…> <folder> [name=path …]

import { mkdir } from "node:fs/promises";
import { chromium } from "playwright-core";

const [address, folder, ...shots] = process.argv.slice(2);
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"];

await mkdir(folder, { recursive: true });
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: FLAGS });
const context = await browser.newContext({ viewport: { width: 1440, height: 900 } });
const page = await context.newPage();
page.on("console", (message) => ["error", "warning"].includes(message.type()) && console.log("console:", message.text()));
page.on("pageerror", (error) => console.log("page error:", error.message));
page.on("request", (request) => new URL(request.url()).origin !== new URL(address).origin && console.log("foreign:", request.url()));
await page.goto(address);
await page.waitForSelector("nav[aria-label=Pages]");
for (const shot of shots) {
  const [name, path] = [shot.slice(0, shot.indexOf("=")), shot.slice(shot.indexOf("=") + 1)];
  await page.goto(new URL(path, address).href);
  await page.waitForTimeout(2_500);
  for (const theme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme: theme });
    await page.screenshot({ path: `${folder}/${name}-${theme}.png` });
  }
}
await browser.close();
