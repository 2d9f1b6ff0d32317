// node jobs.mjs <link into the dashboard>: an administrator looks for jobs among 100,000, and retries 10,000 of them.
// At the line `dispatch them`, who started this script fills the tables of the node "first", which has no jobs before: 10,000 dead letters of
// `jobs.quick` in the queue `quick`, one that waits for a year in the queue `work`, and 89,999 completed ones. At the line `more come`, it
// adds three to the completed ones.

import { browse, tell } from "./browser.mjs";
import { fits } from "./dashboard.mjs";

const [link] = process.argv.slice(2);
if (!link) throw new Error("usage: node jobs.mjs <link>");

await browse(async (visitors) => {
  const admin = await visitors.visit(link);
  const main = admin.getByRole("main");
  const jobs = admin.getByRole("table", { name: "Jobs" }).getByRole("row");
  const queue = (name) => admin.getByRole("table", { name: "Queues" }).getByRole("row").filter({ has: admin.getByRole("link", { name, exact: true }) });
  const tab = (name) => admin.getByRole("navigation", { name: "Jobs by status" }).getByRole("link", { name });
  const filter = admin.getByRole("combobox", { name: "Filter jobs" });
  const toast = (text) => admin.getByRole("status").getByText(text);
  const panel = admin.getByRole("complementary", { name: "Job" });
  const shown = () => jobs.locator("[data-row]").evaluateAll((links) => links.map((link) => link.dataset.row));
  const query = () => new URL(admin.url()).searchParams.get("q");

  tell("without jobs, the page shows the code of the first one");
  await admin.getByRole("navigation", { name: "Pages" }).waitFor();
  await admin.keyboard.press("g");
  await admin.keyboard.press("j");
  await main.getByText("No jobs yet").waitFor();
  await queue("work").getByText("runs").waitFor();
  await visitors.picture(admin, "jobs-none");
  await visitors.accessible(admin, "no jobs");

  tell("dispatch them");
  await tab("Dead letter 5,000+").waitFor();
  await main.getByText("100 jobs on this page").waitFor();
  await visitors.picture(admin, "jobs");
  await visitors.accessible(admin, "jobs");

  tell("rows keep their places while a person reads them");
  await tab("Completed").click();
  await jobs.filter({ hasText: "completed" }).nth(99).waitFor();
  await admin.keyboard.press("j");
  const before = await shown();
  tell("more come");
  await main.getByRole("button", { name: "Show 3 new jobs" }).waitFor();
  if ((await shown()).join() !== before.join()) throw new Error("the rows have moved");
  await main.getByRole("button", { name: "Show 3 new jobs" }).click();
  await main.getByRole("button", { name: "Show 3 new jobs" }).waitFor({ state: "detached" });
  const after = await shown();
  if (after.slice(3).join() !== before.slice(0, 97).join()) throw new Error("the new jobs are not above the others");

  tell("older pages");
  await main.getByRole("button", { name: "Older" }).click();
  await main.getByRole("button", { name: "Newest" }).waitFor();
  await jobs.locator(`[data-row="${after.at(-1)}"]`).waitFor({ state: "detached" });
  const older = await shown();
  if (older.length !== 100 || older[0] >= after.at(-1)) throw new Error("the older page does not follow the newest one");

  tell("the filter is completed, and is in the address");
  await admin.keyboard.press("/");
  await admin.keyboard.type("st");
  await admin.getByRole("option", { name: "status:" }).waitFor();
  await admin.keyboard.press("ArrowDown");
  await admin.keyboard.press("Enter");
  await admin.keyboard.type("dead");
  await admin.keyboard.press("ArrowDown");
  await admin.keyboard.press("Enter");
  await admin.keyboard.type("queue:qui");
  await admin.keyboard.press("ArrowDown");
  await visitors.accessible(admin, "the filter");
  await admin.keyboard.press("Enter");
  if (query() !== "status:dead_letter queue:quick ") throw new Error(`the filter is ${query()}`);
  await tab("Dead letter").and(admin.locator("[aria-current]")).waitFor();
  await filter.fill("status:dead_letter args.n:4711");
  // Each look goes a bounded way back, and says how far.
  const none = main.getByText(/No job that was dispatched after .* matches the filter/);
  const found = main.getByText("1 job on this page");
  await none.waitFor();
  while (!(await found.isVisible())) {
    const looked = await none.textContent();
    await main.getByRole("button", { name: "Search further back" }).click();
    await found.or(none.filter({ hasNotText: looked })).first().waitFor();
  }

  tell("a job, with every digit of its arguments");
  await admin.keyboard.press("j");
  await admin.keyboard.press("Enter");
  await panel.getByRole("heading", { name: "jobs.quick" }).waitFor();
  await panel.getByLabel("arguments", { exact: true }).getByText('"n": 4711').waitFor();
  await panel.getByText("the mail server refused").first().waitFor();
  await visitors.picture(admin, "job");
  await visitors.accessible(admin, "a job");

  tell("edit and clone");
  await panel.getByRole("button", { name: "Edit and clone" }).click();
  const clone = admin.getByRole("dialog", { name: "Edit and clone jobs.quick" });
  await clone.getByLabel("Arguments").fill('{"n": "seven"}');
  await clone.getByRole("button", { name: "Dispatch" }).click();
  await clone.getByRole("alert").waitFor();
  await clone.getByLabel("Arguments").fill('{"n": 9007199254740993}');
  await visitors.accessible(admin, "edit and clone");
  await clone.getByRole("button", { name: "Dispatch" }).click();
  await toast("is dispatched again").waitFor();
  await panel.getByLabel("arguments", { exact: true }).getByText("9007199254740993").waitFor();
  await panel.getByLabel("Status").getByText("completed").waitFor();
  await admin.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
  if (query() !== "status:dead_letter args.n:4711") throw new Error(`after the panel, the filter is ${query()}`);

  tell("why a job waits");
  await filter.fill("queue:work wait:scheduled");
  await jobs.filter({ hasText: "jobs.work" }).getByRole("link").click();
  await panel.getByLabel("Status").getByText(/It is scheduled for \d{4}-/).waitFor();
  await panel.getByRole("button", { name: "Cancel" }).click();
  await admin.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  await toast("jobs.work is cancelled").waitFor();
  await panel.getByLabel("Status").getByText("cancelled").waitFor();
  await admin.keyboard.press("Escape");

  tell("pause a queue, and take it back");
  await queue("work").getByRole("button", { name: "Pause work" }).click();
  await toast("work is paused").waitFor();
  await queue("work").getByText("paused").waitFor();
  await admin.getByRole("button", { name: "Undo" }).click();
  await queue("work").getByText("runs").waitFor();
  await queue("quick").getByRole("button", { name: "Limit quick" }).click();
  await admin.getByRole("dialog").getByRole("textbox").fill("50");
  await admin.getByRole("dialog").getByRole("button", { name: "Save" }).click();
  await queue("quick").getByText("0 of 50").waitFor();

  tell("selected jobs");
  await filter.fill("status:dead_letter");
  await jobs.filter({ hasText: "dead letter" }).nth(99).waitFor();
  await admin.keyboard.press("Enter");
  for (const key of ["j", "x", "j", "x"]) await admin.keyboard.press(key);
  await main.getByText("2 jobs selected").waitFor();
  await visitors.picture(admin, "jobs-selected");
  await visitors.accessible(admin, "selected jobs");
  await admin.keyboard.press("r");
  await toast("2 jobs retried").waitFor();

  tell("retry all that match");
  await main.getByRole("button", { name: "Bulk…" }).click();
  const bulk = admin.getByRole("dialog");
  await bulk.getByText("9,998 jobs match the filter; all of them can be retried.").waitFor();
  await visitors.accessible(admin, "bulk");
  const start = bulk.getByRole("button", { name: "Retry all" });
  if (await start.isEnabled()) throw new Error("many jobs are retried without a typed word");
  await bulk.getByRole("textbox").fill("retry");
  await start.click();
  await bulk.getByText(/of 9,998 jobs retried/).waitFor();
  await visitors.picture(admin, "bulk");
  await bulk.getByText("9,998 of 9,998 jobs retried").waitFor({ timeout: 90_000 });
  await bulk.getByRole("button", { name: "Show its job" }).click();
  await panel.getByRole("heading", { name: "forge.bulk_jobs" }).waitFor();
  await panel.getByLabel("Progress of the bulk").getByText("completed").waitFor();
  await admin.keyboard.press("Escape");
  await main.getByText("No job matches the filter").waitFor({ timeout: 60_000 });

  tell("what a link leads to that is not there");
  const other = await admin.context().newPage();
  await other.goto(new URL("/_dashboard/jobs?q=queue:work&sel=01a228a5-88d6-751f-a01b-e58337a0498b", admin.url()).href);
  await other.getByText("There is no such job").waitFor();
  await other.goto(new URL("/_dashboard/jobs?sel=nothing", admin.url()).href);
  await other.getByText("There is no such job").waitFor();

  tell("a narrow window");
  await admin.setViewportSize({ width: 390, height: 844 });
  await filter.fill("status:cancelled");
  await jobs.filter({ hasText: "jobs.work" }).waitFor();
  await fits(admin, "jobs at 390");
  await visitors.picture(admin, "jobs-390");
  await jobs.getByRole("link", { name: "jobs.work" }).click();
  await panel.getByText("cancelled").first().waitFor();
  await fits(admin, "a job at 390");
  await visitors.picture(admin, "job-390");
  await visitors.content(admin);
});
tell("done");
