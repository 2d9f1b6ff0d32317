// node workflows.mjs <link into the dashboard>: an administrator looks at runs of workflows, and does what can be done with them.
// At the line `start runs`, who started this script starts runs on the node "first", which has none before: `flows.start_mix` with the bell 1,
// a listener, a run with 2,000 steps, a saga whose journal does not fit its code, and three runs of `gone.flow`, which has no code: one with the id
// `user-7` and the attribute `plan`, which waits for an event, one whose compensation has failed, and one that has failed.

import { browse, tell } from "./browser.mjs";
import { fits } from "./dashboard.mjs";

const [link] = process.argv.slice(2);
if (!link) throw new Error("usage: node workflows.mjs <link>");

await browse(async (visitors) => {
  const admin = await visitors.visit(link);
  const main = admin.getByRole("main");
  const runs = admin.getByRole("table", { name: "Runs" }).getByRole("row");
  const steps = admin.getByRole("table", { name: "Steps" }).getByRole("row");
  const filter = admin.getByRole("combobox", { name: "Filter runs" });
  const tab = (name) => admin.getByRole("navigation", { name: "Runs by status" }).getByRole("link", { name });
  const toast = (text) => admin.getByRole("status").getByText(text);
  const dialog = admin.getByRole("dialog");
  const panel = admin.getByRole("complementary", { name: "Step" });
  const state = main.getByLabel("Status", { exact: true });
  const button = (name) => main.getByRole("group", { name: "Actions", exact: true }).getByRole("button", { name });
  const address = () => new URL(admin.url());

  /** Lists the runs that match, which have these texts in their rows, and no others. */
  async function list(query, ...texts) {
    await filter.fill(query);
    const rows = runs.filter({ has: admin.locator("[data-row]") });
    for (const hasNotText of texts) await rows.filter({ hasNotText }).first().waitFor({ state: "detached" });
    await rows.first().waitFor();
  }

  /** Lists the runs that match, and opens the newest one. */
  async function open(query, ...texts) {
    await list(query, ...texts);
    await runs.getByRole("link").first().click();
    await state.waitFor();
  }

  async function toList() {
    await admin.keyboard.press("Escape");
    await filter.waitFor();
  }

  tell("without runs, the page shows the code of the first workflow");
  await admin.getByRole("navigation", { name: "Pages" }).waitFor();
  await admin.keyboard.press("g");
  await admin.keyboard.press("w");
  await main.getByText("No workflows have run yet").waitFor();
  await visitors.picture(admin, "workflows-none");
  await visitors.accessible(admin, "no runs");

  tell("start runs");
  await tab("Diverged 1").waitFor();
  await tab("Compensation failed 1").waitFor();
  await main.getByText("gone.flow version 1").waitFor();
  await runs.filter({ hasText: "no code" }).nth(1).waitFor();
  await visitors.picture(admin, "workflows");
  await visitors.accessible(admin, "runs");

  tell("the filter is completed, and is in the address");
  await admin.keyboard.press("/");
  await admin.keyboard.type("status:div");
  await admin.getByRole("option", { name: "status:diverged" }).waitFor();
  await admin.keyboard.press("ArrowDown");
  await admin.keyboard.press("Enter");
  await tab("Diverged").and(admin.locator("[aria-current]")).waitFor();
  if (address().searchParams.get("q") !== "status:diverged ") throw new Error(`the filter is ${address().search}`);
  await filter.fill("status:faild");
  await main.getByText("is no status").waitFor();
  if (await main.getByRole("button", { name: "Bulk…" }).isEnabled()) throw new Error("a bulk is offered for a filter that leaves a part out");

  tell("a run that has diverged says where the code differs");
  await list("status:diverged", "diverged");
  await filter.press("Enter");
  await admin.keyboard.press("j");
  await admin.keyboard.press("Enter");
  await state.getByText("The journal has at").waitFor();
  await state.getByText("`reserve` (call)").waitFor();
  await state.getByText("`do 1` (call)").waitFor();
  await steps.filter({ hasText: "the code differs" }).waitFor();
  if (!/\/_dashboard\/workflows\/[0-9a-f-]{36}$/.test(address().pathname)) throw new Error(`the run has the address ${address()}`);
  await visitors.picture(admin, "run-diverged");
  await visitors.accessible(admin, "a run that has diverged");
  await button("Retry").first().click();
  await toast("flows.saga: the run is ready").waitFor();
  await state.getByText("diverged", { exact: true }).waitFor();
  await toList();
  if (address().searchParams.get("q") !== "status:diverged") throw new Error(`after the run, the filter is ${address().search}`);

  tell("a saga that has failed was compensated in reverse order");
  await open("workflow:flows.saga status:failed", "flows.saga", "failed");
  await state.getByText("the saga fails, as asked").waitFor();
  await main.getByText("8 steps", { exact: true }).waitFor();
  await steps.filter({ hasText: "takes back 4" }).getByText("compensated").waitFor();
  await visitors.picture(admin, "run-saga");
  await visitors.accessible(admin, "a saga");
  await main.getByRole("button", { name: "Hide what went well" }).click();
  await main.getByText("8 steps; 4 of them shown").waitFor();
  await main.getByRole("button", { name: "Hide what went well" }).click();
  await main.getByRole("button", { name: "Even out waits" }).click();
  if (address().searchParams.get("scale") !== "even") throw new Error("the scale is not in the address");

  tell("a step, and a fork from it");
  await steps.getByRole("link", { name: "do 2", exact: true }).first().click();
  await panel.getByLabel("arguments of the step", { exact: true }).getByText("do 2").waitFor();
  await visitors.picture(admin, "run-step");
  await visitors.accessible(admin, "a step");
  const before = address().pathname;
  await panel.getByRole("button", { name: "Retry from this step…" }).click();
  await dialog.getByRole("button", { name: "Retry" }).click();
  await dialog.getByRole("alert").getByText("compensated").waitFor();
  await visitors.accessible(admin, "a refused retry");
  await dialog.getByRole("button", { name: "Back" }).click();
  await admin.keyboard.press("Escape");
  await panel.waitFor({ state: "detached" });
  await button("Fork…").click();
  await dialog.getByLabel("From step").fill("1");
  await dialog.getByRole("button", { name: "Fork" }).click();
  await toast("the new run goes on behind 0 steps").waitFor();
  await main.getByLabel("attributes", { exact: true }).getByText("forkedFrom").waitFor();
  if (address().pathname === before) throw new Error("the page of the new run is not shown");

  tell("pause, resume and signal a run");
  await toList();
  await open("workflow:flows.listener", "flows.listener");
  await state.getByText(/waits for the signal flows.nudge since .*, without a time limit/).waitFor();
  await button("Pause").click();
  await state.getByText("paused", { exact: true }).waitFor();
  await button("Resume").click();
  await state.getByText("waiting", { exact: true }).waitFor();
  await button("Signal…").click();
  await dialog.getByLabel("Payload").fill("{n: 1}");
  await dialog.getByText("The payload is no JSON.").waitFor();
  await visitors.accessible(admin, "a signal");
  await dialog.getByLabel("Payload").fill('{"n": 1}');
  await dialog.getByRole("button", { name: "Send" }).click();
  await steps.filter({ hasText: "received" }).waitFor();
  await button("Signal…").click();
  await dialog.getByLabel("Payload").fill('{"n": 2}');
  await dialog.getByRole("button", { name: "Send" }).click();
  await state.getByText("completed", { exact: true }).waitFor();
  await main.getByLabel("result", { exact: true }).getByText("2").waitFor();
  if ((await button("Cancel…").count()) > 0) throw new Error("a run that has ended can be cancelled");

  tell("what a run waits for, and that no node has its code");
  await toList();
  await open("attribute.plan:gold", "gone.flow", "waiting");
  await state.getByText(/waits for accounts.email_verified `user-7` since 2 h.*, times out in 2[12] h/).waitFor();
  await state.getByText("No code:").waitFor();
  await visitors.picture(admin, "run-waiting");
  await visitors.accessible(admin, "a run that waits");

  tell("skip a compensation");
  await toList();
  await open("status:compensation_failed", "compensation failed");
  await visitors.picture(admin, "run-compensation-failed");
  await button("Skip the compensation…").click();
  await dialog.getByText("It takes back step 1").waitFor();
  await dialog.getByLabel("Reason").fill("paid back by hand");
  await dialog.getByRole("button", { name: "Skip" }).click();
  await toast("the compensation of `account` is skipped").waitFor();
  await steps.filter({ hasText: "skipped by a person" }).waitFor();

  tell("terminate a run, for a reason");
  await button("Terminate…").click();
  await dialog.getByLabel("Reason").fill("a mistake");
  await visitors.accessible(admin, "terminate");
  await dialog.getByRole("button", { name: "Terminate" }).click();
  await state.getByText("a mistake").waitFor();

  tell("two thousand steps, a thousand at a time");
  await toList();
  await open("workflow:runs.steps", "runs.steps");
  await main.getByText("1,001 to 2,000 of 2,000 steps").waitFor();
  await visitors.picture(admin, "run-long");
  if ((await steps.count()) > 60) throw new Error(`${await steps.count()} rows are drawn`);
  await main.getByRole("button", { name: "Earlier steps" }).click();
  await main.getByText("1 to 1,000 of 2,000 steps").waitFor();
  await main.getByRole("button", { name: "Newest steps" }).click();
  await main.getByText("1,001 to 2,000 of 2,000 steps").waitFor();

  tell("cancel all that match");
  await toList();
  await filter.fill("workflow:flows.waiter");
  await main.getByText("3 runs on this page").waitFor();
  await main.getByRole("button", { name: "Bulk…" }).click();
  await dialog.getByRole("radio", { name: "Cancel" }).check();
  await dialog.getByText("3 runs match the filter; all of them can be cancelled.").waitFor();
  await visitors.picture(admin, "workflows-bulk");
  await visitors.accessible(admin, "bulk");
  await dialog.getByRole("button", { name: "Cancel all" }).click();
  await dialog.getByText("3 runs changed").waitFor();
  await dialog.getByLabel("Progress of the bulk").getByText("completed").waitFor();
  await dialog.getByRole("button", { name: "Close" }).last().click();
  await runs.filter({ hasText: "cancelled" }).nth(2).waitFor();

  tell("start a run, and cancel it for a reason");
  await main.getByRole("button", { name: "Start a run…" }).click();
  await dialog.getByText("Choose a workflow.").waitFor();
  if (await dialog.getByRole("button", { name: "Start" }).isEnabled()) throw new Error("a start without a workflow is offered");
  await dialog.getByRole("combobox", { name: "Workflow" }).selectOption("flows.waiter");
  await dialog.getByText("Takes an event within a time limit").waitFor();
  const written = dialog.getByLabel("Arguments, as JSON");
  if ((await written.inputValue()) !== '{\n  "bell": 0,\n  "limitMs": 0,\n  "beforeMs": 0\n}') throw new Error(`the arguments begin as ${await written.inputValue()}`);
  await dialog.getByLabel("What the arguments are").getByText("limitMs").waitFor();
  await visitors.picture(admin, "workflows-start");
  await visitors.accessible(admin, "the start of a run");
  await written.fill('{"bell": 9}');
  await dialog.getByLabel("Key, as JSON").fill("bell-9");
  await dialog.getByText("The key is not JSON: put a text into double quotes.").waitFor();
  await dialog.getByLabel("Key, as JSON").fill('"bell-9"');
  await dialog.getByLabel("If a run has this key already").selectOption("start nothing, and say so");
  await dialog.getByRole("button", { name: "Start" }).click();
  await dialog.getByRole("alert").getByText("`limitMs` is required; `beforeMs` is required").waitFor();
  await visitors.accessible(admin, "a refused start");
  await written.fill('{"bell": 9, "limitMs": 600000, "beforeMs": 0}');
  await dialog.getByLabel("Reason").fill("rung by hand");
  await dialog.getByRole("button", { name: "Start" }).click();
  await toast("flows.waiter: the run is started").waitFor();
  await state.getByText("waiting", { exact: true }).waitFor();
  await main.getByText("bell-9").first().waitFor();
  await button("Cancel…").click();
  await dialog.getByLabel("Reason").fill("no bell");
  await visitors.accessible(admin, "cancel");
  await dialog.getByRole("button", { name: "Cancel", exact: true }).click();
  await state.getByText(/the run was cancelled by .+: no bell/).waitFor();
  await toList();
  await filter.fill("workflow:flows.waiter");
  await runs.filter({ hasText: "bell-9" }).waitFor();

  tell("what a link leads to that is not there");
  const other = await admin.context().newPage();
  for (const id of ["01a228a5-88d6-751f-a01b-e58337a0498b", "nothing"]) {
    await other.goto(new URL(`/_dashboard/workflows/${id}`, admin.url()).href);
    await other.getByText("There is no such run").waitFor();
  }

  tell("a narrow window");
  await admin.setViewportSize({ width: 390, height: 844 });
  await filter.fill("");
  await runs.filter({ hasText: "flows.saga" }).first().waitFor();
  await fits(admin, "runs at 390");
  await visitors.picture(admin, "workflows-390");
  // What completes the filter covers the button.
  await filter.blur();
  await main.getByRole("button", { name: "Start a run…" }).click();
  await dialog.getByRole("combobox", { name: "Workflow" }).selectOption("flows.saga");
  await fits(admin, "the start of a run at 390");
  await visitors.picture(admin, "workflows-start-390");
  await dialog.getByRole("button", { name: "Back" }).click();
  const queries = { failed: "workflow:flows.saga status:failed", diverged: "status:diverged", waiting: "attribute.plan:gold" };
  for (const [name, query] of Object.entries(queries)) {
    await open(query, name);
    await fits(admin, `a run at 390: ${name}`);
    await visitors.picture(admin, `run-${name}-390`);
    await toList();
  }
  await visitors.content(admin);
});
tell("done");
