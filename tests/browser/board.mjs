// node board.mjs <url of the node "first"> <url of the node "second"> <link into the dashboard of the first>: two people on two nodes share
// a board, and what one of them does, the other sees without a reload; an administrator stops a session.
// At the line `stop the node`, the first node is stopped and started again on the same port by who started this script.

import { browse, hold, tell } from "./browser.mjs";
import { sessionsOf, stopSession } from "./dashboard.mjs";
import { createProject, signUp } from "./demo.mjs";

const [first, second, link] = process.argv.slice(2);
if (!link) throw new Error("usage: node board.mjs <url> <url> <link>");
const card = (page, title) => page.getByRole("article").filter({ hasText: title });
const column = (page, name) => page.getByRole("region", { name });
const isIn = (page, name, title) => column(page, name).getByRole("article").filter({ hasText: title }).waitFor();
const badge = (page, state) => page.locator(`header [data-state="${state}"]`).waitFor();

async function add(page, title) {
  await page.getByLabel("Title of a new task").fill(title);
  await page.keyboard.press("Enter");
}

await browse(async (visitors) => {
  const ana = await visitors.visit(first);
  const ben = await visitors.visit(second);

  tell("a wrong password is told in words, also one that is too short to be a password");
  await ana.getByLabel("E-mail").fill("nobody@example.com");
  await ana.getByLabel("Password").fill("short");
  await ana.getByRole("button", { name: "Sign in" }).last().click();
  await ana.getByRole("alert").getByText("There is no user with this e-mail address and password").waitFor();

  tell("two people sign up");
  await signUp(ana, "Ana");
  await signUp(ben, "Ben");
  await badge(ana, "live");
  await badge(ben, "live");

  tell("a project is shared, and appears at the other one");
  await createProject(ana, "Garden");
  await add(ana, "Plant the apple tree");
  await ana.getByLabel("E-mail of a new member").fill("ben@example.com");
  await ana.keyboard.press("Enter");
  await ben.getByRole("heading", { name: "Garden" }).waitFor();
  await isIn(ben, "Open", "Plant the apple tree");

  tell("a task that one adds appears at the other");
  await add(ana, "Order seeds");
  await isIn(ben, "Open", "Order seeds");

  tell("by keyboard: ben moves it, and it stays in his hands");
  await card(ben, "Order seeds").getByRole("button", { name: "Move to Doing" }).focus();
  await ben.keyboard.press("Enter");
  await isIn(ana, "Doing", "Order seeds");
  await isIn(ben, "Doing", "Order seeds");
  const held = await ben.evaluate(() => document.activeElement?.closest("article")?.textContent ?? "");
  if (!held.includes("Order seeds")) throw new Error(`the focus is not on the moved card but on: ${held}`);

  tell("ben takes it, ana renames it");
  await card(ben, "Order seeds").getByLabel("Assigned to").selectOption({ label: "Ben" });
  await card(ana, "Order seeds").locator("select").filter({ has: ana.locator("option:checked", { hasText: "Ben" }) }).waitFor();
  await card(ana, "Order seeds").getByRole("button", { name: "Order seeds", exact: true }).click();
  await ana.getByLabel("Title", { exact: true }).fill("Order seeds and bulbs");
  await ana.keyboard.press("Enter");
  await isIn(ben, "Doing", "Order seeds and bulbs");

  tell("ben is noticed of what is his now, once");
  await ben.getByRole("button", { name: "Notices, 1 new" }).click();
  await ben.getByText("Order seeds and bulbs is yours now").waitFor();
  await visitors.picture(ben, "notices");
  await ben.keyboard.press("Escape");
  await ben.getByRole("button", { name: "Notices", exact: true }).waitFor({ timeout: 60_000 });

  tell("ana imports tasks, and sees how far the import is");
  await ana.getByRole("button", { name: "Import…" }).click();
  await ana.getByLabel("One title on each line").fill(Array.from({ length: 120 }, (_, number) => `Bed ${number}`).join("\n"));
  await visitors.picture(ana, "import");
  await ana.getByRole("button", { name: "Import 120" }).click();
  await ana.getByRole("progressbar", { name: "Import" }).waitFor();
  await ana.getByText("120 tasks are imported.").waitFor();
  await isIn(ben, "Open", "Bed 119");

  tell("latency");
  const lags = [];
  for (let index = 0; index < 10; index++) {
    const begun = performance.now();
    await add(ana, `Step ${index}`);
    await isIn(ben, "Open", `Step ${index}`);
    lags.push(performance.now() - begun);
  }
  tell(`from a keystroke of one to the page of the other: median ${lags.sort((a, b) => a - b)[5].toFixed(0)} ms`);
  await visitors.content(ana, ben);

  tell("the dashboard shows the sessions of both nodes");
  const admin = await visitors.visit(link);
  // The session of the dashboard itself, on the first node, is not counted.
  for (const node of ["first", "second"]) await admin.getByRole("article", { name: node }).getByText("1 session,").waitFor();
  await visitors.picture(admin, "overview");
  // Ana's, and the dashboard's own.
  const onFirst = await sessionsOf(admin, "first", 2);
  const [bens] = await sessionsOf(admin, "second", 1);
  await visitors.picture(admin, "sessions");

  tell("a session that is stopped there comes back as another one, and its tab sees what it has missed");
  await hold(ben, true);
  await stopSession(admin, "second", bens, () => visitors.picture(admin, "stop"));
  await badge(ben, "reconnecting");
  await sessionsOf(admin, "second", 0);
  await add(ana, "Added while Ben was away");
  await isIn(ana, "Open", "Added while Ben was away");
  if ((await card(ben, "Added while Ben was away").count()) > 0) throw new Error("a tab without a session has heard of a change");
  await hold(ben, false);
  await badge(ben, "live");
  await isIn(ben, "Open", "Added while Ben was away");
  const [next] = await sessionsOf(admin, "second", 1);
  if (next === bens) throw new Error("the row of the stopped session is still there");
  const others = await sessionsOf(admin, "first", 2);
  if (others.some((id) => !onFirst.includes(id))) throw new Error("another session than the stopped one has changed");
  await visitors.content(ana, ben, admin);
  await admin.close();

  tell("stop the node");
  await badge(ana, "reconnecting");
  await add(ana, "Written without a node");
  await card(ana, "Written without a node").waitFor();
  tell("start the node");
  await badge(ana, "live");
  await isIn(ana, "Open", "Written without a node");
  await ana.locator("article:not(.unsent)").filter({ hasText: "Written without a node" }).waitFor();
  await isIn(ben, "Open", "Written without a node");
  if ((await card(ana, "Written without a node").count()) !== 1) throw new Error("what was sent again happened twice");

  tell("a deleted task goes everywhere");
  await card(ben, "Plant the apple tree").getByRole("button", { name: "Delete" }).click();
  await card(ana, "Plant the apple tree").waitFor({ state: "detached" });
  await ben.getByRole("log").getByText("Deleted “Plant the apple tree”.").waitFor();
  await ben.getByRole("button", { name: "Undo" }).click();
  await isIn(ana, "Open", "Plant the apple tree");

  tell("who signs out sees nothing any more, and another person nothing of it");
  await visitors.content(ana, ben);
  await ben.getByRole("button", { name: "Sign out" }).click();
  await ben.getByLabel("Password").waitFor();
  await signUp(ben, "Cleo");
  await ben.getByText("Welcome, Cleo").waitFor();
  if ((await ben.getByText("Garden").count()) > 0) throw new Error("a project of somebody else is shown");
  await visitors.content(ana, ben);

  tell("a project with more tasks than a page");
  await createProject(ben, "Many");
  await ben.evaluate(addMany, 210);
  await ben.getByText("The newest 200 tasks are shown.").waitFor();
  await ben.getByRole("button", { name: "Show older tasks" }).click();
  await column(ben, "Open").getByRole("button", { name: "Many 0", exact: true }).waitFor();
  await column(ben, "Open").getByRole("heading").getByText("210").waitFor();
  await visitors.content(ana, ben);
});
tell("done");

/** Runs in the page: adds tasks to the project of the address, as the user who is signed in. */
async function addMany(count) {
  const { token } = JSON.parse(localStorage.getItem("taskboard.session"));
  const project = decodeURIComponent(location.hash.slice("#/projects/".length));
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  for (let index = 0; index < count; index++) {
    const answer = await fetch("/rpc/tasks.create", { method: "POST", headers, body: JSON.stringify({ project, title: `Many ${index}` }) });
    if (!answer.ok) throw new Error(await answer.text());
  }
}
