// node crons.mjs <link into the dashboard>: an administrator looks at crons, runs one now, and pauses another one.
// At the line `create them`, who started this script fills the tables of the node "first", which has no crons before: `weekly` with a day of
// runs of every kind, and 40 others.

import { browse, tell } from "./browser.mjs";
import { fits } from "./dashboard.mjs";

const [link] = process.argv.slice(2);
if (!link) throw new Error("usage: node crons.mjs <link>");

await browse(async (visitors) => {
  const admin = await visitors.visit(link);
  const page = (text) => admin.getByRole("main").getByText(text);
  const row = (name) => admin.getByRole("row").filter({ has: admin.getByRole("link", { name, exact: true }) });
  const panel = (name) => admin.getByRole("complementary", { name: `Cron ${name}` });
  const toast = (text) => admin.getByRole("status").getByText(text);

  tell("without crons, the page shows the code of the first one");
  await admin.getByRole("navigation", { name: "Pages" }).waitFor();
  await admin.keyboard.press("g");
  await admin.keyboard.press("c");
  await page("No crons yet").waitFor();
  await page('#[forge::cron("0 9 * * MON-FRI", timezone = "Europe/Berlin")]').waitFor();
  await visitors.picture(admin, "crons-none");
  await visitors.accessible(admin, "no crons");

  tell("create them");
  await admin.getByRole("main").getByText("41 crons").waitFor();
  await row("weekly").getByText("Europe/Berlin").waitFor();
  await row("weekly").getByText("2 failed, 3 missed, 1 overlapped, 1 late, 1 in time").waitFor();
  await visitors.picture(admin, "crons");
  await visitors.accessible(admin, "crons");

  tell("a filter is in the address, and survives a panel");
  await admin.keyboard.press("/");
  await admin.keyboard.type("week");
  await admin.getByRole("main").getByText("1 cron", { exact: true }).waitFor();
  await admin.keyboard.press("Enter");
  await admin.keyboard.press("j");
  await admin.keyboard.press("Enter");
  await panel("weekly").getByRole("heading", { name: "Next runs" }).waitFor();
  const address = new URL(admin.url());
  if (address.searchParams.get("q") !== "week" || !address.searchParams.get("sel")) throw new Error(`the address is ${address}`);
  // Monday at eight in Berlin is seven or six o'clock in UTC.
  await panel("weekly").getByRole("row").filter({ hasText: / 08:00 CES?T\s*\d{4}-\d\d-\d\d 0[67]:00/ }).nth(4).waitFor();
  await panel("weekly").getByText("skipped: the run before was not finished").waitFor();
  await panel("weekly").getByText("3 times missed").waitFor();
  await panel("weekly").getByLabel("arguments", { exact: true }).getByText('"ms": 0').waitFor();
  await visitors.picture(admin, "cron");
  await visitors.accessible(admin, "a cron");

  tell("run now");
  await panel("weekly").getByRole("button", { name: "Run now" }).click();
  await toast("weekly runs now").waitFor();
  const requested = panel("weekly").getByRole("listitem").filter({ hasText: "requested by" });
  await requested.getByText("completed").waitFor();

  tell("pause, and take it back");
  await panel("weekly").getByRole("button", { name: "Pause" }).click();
  await toast("weekly is paused").waitFor();
  await panel("weekly").getByText("The times of the pause are not made up for.").waitFor();
  await row("weekly").getByText("paused").waitFor();
  await admin.getByRole("button", { name: "Undo" }).click();
  await toast("weekly is active again").waitFor();
  await row("weekly").getByText("active").waitFor();
  await panel("weekly").getByRole("button", { name: "Pause" }).waitFor();

  tell("what a link leads to that is not there");
  await admin.keyboard.press("Escape");
  await panel("weekly").waitFor({ state: "detached" });
  const tab = await admin.context().newPage();
  await tab.goto(new URL("/_dashboard/crons?state=paused&sel=nothing", admin.url()).href);
  await tab.getByText("There is no such cron").waitFor();
  await tab.getByText("No cron matches the filter").waitFor();

  tell("a narrow window");
  await admin.setViewportSize({ width: 390, height: 844 });
  await fits(admin, "crons at 390");
  await admin.getByRole("link", { name: "weekly", exact: true }).click();
  await panel("weekly").getByRole("heading", { name: "Next runs" }).waitFor();
  await fits(admin, "a cron at 390");
  await visitors.picture(admin, "cron-390");
  await visitors.content(admin);
});
tell("done");
