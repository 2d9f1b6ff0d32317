// A browser whose pages may reach the nodes under test and nothing else, and whose every complaint fails the test.

import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const PATIENCE_MS = 20_000;
/** With a folder in this variable, pictures of what is shown go there, in both themes. */
const PICTURES = process.env.FORGE_TEST_PICTURES;

export async function browse(work) {
  const executablePath = process.env.FORGE_TEST_CHROMIUM ?? PROGRAMS.find((path) => existsSync(path));
  if (!executablePath) throw new Error(`there is no Chromium: install Debian's package chromium, or name one in FORGE_TEST_CHROMIUM`);
  const quiet = ["--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", ...quiet] });
  try {
    await work(new Visitors(browser));
  } finally {
    await browser.close();
  }
}

class Visitors {
  #browser;
  #complaints = [];

  constructor(browser) {
    this.#browser = browser;
  }

  /** A person with a browser of their own, on the page of a node. */
  async visit(url) {
    const context = await this.#browser.newContext({ reducedMotion: "reduce" });
    context.setDefaultTimeout(PATIENCE_MS);
    await context.addInitScript(holdable);
    const page = await context.newPage();
    const origin = new URL(url).origin;
    page.on("pageerror", (error) => this.#complaints.push(`${origin}: ${error.message}`));
    page.on("console", (message) => {
      // The browser itself reports each connection that a stopped node did not take, and each refused call; the page shows both.
      const expected = message.text().includes("WebSocket connection to") || message.location().url.includes("/rpc/");
      if (message.type() === "error" && !expected) this.#complaints.push(`${origin}: ${message.text()}`);
    });
    page.on("request", (request) => {
      const reached = new URL(request.url());
      if (reached.host !== new URL(url).host && reached.protocol !== "data:") this.#complaints.push(`${origin} asked for ${request.url()}`);
    });
    await page.goto(url);
    // Lost when the page is loaded anew, which nothing here may need.
    await page.evaluate(() => (globalThis.neverReloaded = true));
    return page;
  }

  /** A picture of a page, for a person to look at. */
  async picture(page, name) {
    if (!PICTURES) return;
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: `${PICTURES}/${name}-${colorScheme}.png` });
    }
  }

  /** Fails when axe finds that a page is hard or impossible to use for some people, in either theme. */
  async accessible(page, what) {
    for (const colorScheme of ["light", "dark"]) {
      await page.emulateMedia({ colorScheme });
      await page.evaluate(AXE);
      const found = await page.evaluate(async () => {
        const { violations } = await globalThis.axe.run();
        return violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes[0].html.slice(0, 200)}`);
      });
      if (found.length > 0) throw new Error(`${what}, ${colorScheme}:\n${found.join("\n")}`);
    }
  }

  /** Fails if a page complained, or was loaded anew. */
  async content(...pages) {
    for (const page of pages) {
      if (!(await page.evaluate(() => globalThis.neverReloaded))) this.#complaints.push(`${page.url()} was loaded anew`);
    }
    if (this.#complaints.length > 0) throw new Error(this.#complaints.join("\n"));
  }
}

/** Lets a page find nobody where it connects, or lets it find its node again. */
export async function hold(page, held) {
  await page.evaluate((held) => (globalThis.wayIsHeld = held), held);
}

/** Runs in each page before its own scripts. */
function holdable() {
  const Real = globalThis.WebSocket;
  globalThis.WebSocket = class extends Real {
    constructor(url, protocols) {
      super(globalThis.wayIsHeld ? new URL("/nobody", url) : url, protocols);
    }
  };
}

/** One line for the test that started this script. */
export function tell(line) {
  process.stdout.write(`${line}\n`);
}
