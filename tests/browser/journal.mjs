// node journal.mjs <link into the dashboard>: who looks at the overview sees handlers panic, with their text.
// At the line `let them panic`, who started this script calls handlers of the nodes "first" and "second" that panic.

import { browse, tell } from "./browser.mjs";

const [link] = process.argv.slice(2);
if (!link) throw new Error("usage: node journal.mjs <link>");

await browse(async (visitors) => {
  const admin = await visitors.visit(link);
  const journal = admin.getByRole("region", { name: "Crashes" });
  const crash = (text) => journal.getByRole("article").filter({ hasText: text });
  await journal.getByText("No handler panicked and no actor failed.").waitFor();

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
  await crash("the probe panics, as asked").getByText("Backtrace").click();
  await crash("the probe panics, as asked").locator("pre").filter({ hasText: "probe" }).waitFor();
  await crash("the probe panics, as asked").scrollIntoViewIfNeeded();
  await visitors.picture(admin, "backtrace");

  tell("of one node only");
  await admin.getByRole("combobox", { name: "Node" }).selectOption({ label: "second" });
  await crash("the probe panics, as asked").waitFor({ state: "detached" });
  await crash("the probe panics after its write, as asked").waitFor();
  await visitors.content(admin);
});
tell("done");
