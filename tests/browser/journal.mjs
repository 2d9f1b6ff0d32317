// node journal.mjs <link into the dashboard>: who looks at the overview sees handlers panic, with their text.
// At the line `let them panic`, who started this script calls handlers of the nodes "first" and "second" that panic.

import { browse, tell } from "./browser.mjs";
import { fits } from "./dashboard.mjs";

const [link] = process.argv.slice(2);
if (!link) throw new Error("usage: node journal.mjs <link>");

await browse(async (visitors) => {
  const admin = await visitors.visit(link);
  const journal = admin.getByRole("region", { name: "Crashes" });
  const crash = (text) => journal.getByRole("article").filter({ hasText: text });
  await journal.getByText("No handler panicked and no actor failed.").waitFor();

  tell("the head says what this is the dashboard of");
  await admin.getByRole("banner").getByText("probe", { exact: true }).waitFor();
  await admin.getByRole("banner").getByText("production").waitFor();

  tell("another tab is signed in as well, and signs out both");
  const tab = await admin.context().newPage();
  await tab.goto(new URL("/_dashboard/actors", admin.url()).href);
  await tab.getByRole("treegrid").waitFor();
  tell("let them panic");
  for (const [text, who, node] of [
    ["the probe panics, as asked", "query probe.panic", "first"],
    ["the probe panics after its write, as asked", "mutation probe.put_and_panic", "second"],
    ["the probe panics in a job, as asked", "job jobs.explode", ""],
  ]) {
    await crash(text).filter({ hasText: who }).filter({ hasText: node }).first().waitFor();
  }
  await visitors.picture(admin, "journal");

  tell("a backtrace says where");
  await crash("the probe panics, as asked").getByText("Backtrace", { exact: true }).click();
  const first = crash("the probe panics, as asked").locator("pre span").first();
  await first.filter({ hasText: "probe::panic" }).waitFor();
  await crash("the probe panics, as asked").scrollIntoViewIfNeeded();
  await visitors.picture(admin, "backtrace");

  tell("of one node only");
  await admin.getByRole("combobox", { name: "Node" }).selectOption({ label: "second" });
  await crash("the probe panics, as asked").waitFor({ state: "detached" });
  await crash("the probe panics after its write, as asked").waitFor();

  tell("a narrow window, as of a phone, and of a laptop at 200 %");
  for (const [width, height] of [[390, 844], [640, 360]]) {
    await admin.setViewportSize({ width, height });
    for (const name of ["Overview", "Actors", "Jobs", "Crons"]) {
      await admin.getByRole("navigation", { name: "Pages" }).getByRole("link", { name }).click();
      await admin.getByRole("heading", { name, level: 1 }).waitFor({ state: "attached" });
      await fits(admin, `${name} at ${width}`);
      await visitors.picture(admin, `${name.toLowerCase()}-${width}`);
    }
  }
  await visitors.content(admin);

  await tab.getByRole("banner").getByRole("button", { name: "admin" }).click();
  await tab.getByRole("button", { name: "Sign out" }).click();
  await admin.getByText("Another tab ended the session of this browser.").waitFor();
  await fits(admin, "signed out");
});

tell("done");
