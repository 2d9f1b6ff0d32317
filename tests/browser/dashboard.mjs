// What an administrator does in the dashboard.

/** Row of the table of actors in which each of `texts` is a whole cell. */
const row = (page, ...texts) =>
  texts.reduce((rows, text) => rows.filter({ has: page.getByRole("gridcell", { name: text, exact: true }) }), page.getByRole("treegrid").getByRole("row"));

/** The sessions of a node. The narrower the window, the fewer columns: the path is always there, as a title. */
const sessions = (page, node) => row(page, node).filter({ has: page.locator('[title^="node/gateway/sessions/"]') });

/** Shows the actors whose path, kind or error has `text` in it. */
async function filter(page, text) {
  await page.getByRole("link", { name: "Actors" }).click();
  await page.getByLabel("Filter actors").fill(text);
}

/** Waits until `node` has exactly this many sessions; their ids. */
export async function sessionsOf(page, node, count) {
  await filter(page, "sessions");
  // The supervisor of sessions stands above them, so that an empty table is not taken for one without sessions.
  await row(page, node).filter({ has: page.getByTitle("node/gateway/sessions", { exact: true }) }).waitFor();
  if (count > 0) {
    await sessions(page, node)
      .nth(count - 1)
      .waitFor();
  }
  await sessions(page, node).nth(count).waitFor({ state: "detached" });
  return sessions(page, node).locator(".own").allTextContents();
}

/** Stops a session by the page's own button, and waits until its row is gone. Calls `asked` when the page asks whether it is meant. */
export async function stopSession(page, node, id, asked) {
  const one = row(page, id, node);
  await one.click();
  const drawer = page.getByRole("complementary", { name: `Actor ${id}` });
  await drawer.getByRole("button", { name: "Stop" }).click();
  const question = page.getByRole("dialog");
  await question.getByText("its client connects again").waitFor();
  await asked();
  await question.getByRole("button", { name: "Stop" }).click();
  await page.getByRole("status").getByText(`Stopped node/gateway/sessions/${id} on ${node}`).waitFor();
  await drawer.getByText("This actor is not there any more").waitFor();
  await one.waitFor({ state: "detached" });
  await drawer.getByRole("button", { name: "Close" }).click();
}

/** Fails when a control of the page is outside of the window, or the page can be scrolled sideways. */
export async function fits(page, what) {
  const outside = await page.evaluate(() => {
    const shown = [...document.querySelectorAll("header button, header select, nav[aria-label=Pages] a, main input")].filter((one) => one.checkVisibility());
    const beyond = shown.filter((one) => one.getBoundingClientRect().right > innerWidth + 0.5 || one.getBoundingClientRect().left < 0);
    const wide = document.documentElement.scrollWidth > innerWidth ? ["the page itself"] : [];
    return [...wide, ...beyond.map((one) => one.outerHTML.slice(0, 80))];
  });
  if (outside.length > 0) throw new Error(`${what}: outside of the window: ${outside.join(", ")}`);
}
