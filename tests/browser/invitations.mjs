// node invitations.mjs <url of a node>: people are invited to a project. One joins, one declines, and one invitation is withdrawn; everyone sees
// what the others do without a reload.

import { browse, tell } from "./browser.mjs";
import { createProject, signUp } from "./demo.mjs";

const [url] = process.argv.slice(2);
if (!url) throw new Error("usage: node invitations.mjs <url>");

const invitations = (page) => page.getByRole("region", { name: "Invitations" });
const line = (page, email) => invitations(page).getByRole("listitem").filter({ hasText: email });
const received = (page) => page.getByRole("list", { name: "Invitations for you" });

async function invite(page, email, term) {
  await page.getByLabel("E-mail address to invite").fill(email);
  await page.getByLabel("The invitation is good for").selectOption({ label: term });
  await page.getByRole("button", { name: "Invite" }).click();
  await line(page, email).getByText("Waiting").waitFor();
}

async function pictures(visitors, page, name) {
  for (const [width, height] of [
    [390, 844],
    [1440, 900],
  ]) {
    await page.setViewportSize({ width, height });
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    if (beyond > 0) throw new Error(`${name} is ${beyond} pixels too wide for ${width}`);
    await visitors.picture(page, `${name}-${width}`);
  }
}

await browse(async (visitors) => {
  const [ana, ben, cleo] = [await visitors.visit(url), await visitors.visit(url), await visitors.visit(url)];
  await signUp(ana, "Ana");
  await signUp(ben, "Ben");
  await createProject(ana, "Garden");

  tell("ana invites ben, who has an account, and cleo, who has none yet");
  await invite(ana, "ben@example.com", "7 days");
  await line(ana, "ben@example.com").getByText("7 days left").waitFor();
  await line(ana, "ben@example.com").getByText("The mail that would be sent").click();
  await ana.getByText("Ana invites you to Garden").waitFor();
  await invite(ana, "cleo@example.com", "1 day");
  await line(ana, "cleo@example.com").getByText("24 h left").waitFor();
  await received(ben).getByText("Ana invites you to Garden").waitFor();
  await pictures(visitors, ana, "invitations");
  await visitors.accessible(ana, "the invitations to a project");
  await pictures(visitors, ben, "received");
  await visitors.accessible(ben, "the invitations of a person");

  tell("ben joins, and ana sees him among the members");
  await received(ben).getByRole("button", { name: "Join Garden" }).click();
  await ben.getByRole("heading", { name: "Garden" }).waitFor();
  await received(ben).waitFor({ state: "detached" });
  await line(ana, "ben@example.com").getByText("Joined").waitFor();
  await ana.getByRole("list", { name: "Members" }).getByText("Ben").waitFor();
  if ((await ben.getByRole("button", { name: "Withdraw" }).count()) > 0) throw new Error("a member may withdraw what the owner has offered");

  tell("cleo signs up, and what she could accept is withdrawn before her eyes");
  await signUp(cleo, "Cleo");
  await received(cleo).getByText("Ana invites you to Garden").waitFor();
  await line(ana, "cleo@example.com").getByRole("button", { name: "Withdraw" }).click();
  await line(ana, "cleo@example.com").getByText("Withdrawn").waitFor();
  await received(cleo).waitFor({ state: "detached" });

  tell("she is invited once more, and declines");
  await invite(ana, "cleo@example.com", "1 minute");
  await received(cleo).getByRole("button", { name: "Decline Garden" }).click();
  await received(cleo).waitFor({ state: "detached" });
  await line(ana, "cleo@example.com").getByText("Declined").waitFor();
  if ((await ana.getByRole("list", { name: "Members" }).getByText("Cleo").count()) > 0) throw new Error("who declines is a member");
  await pictures(visitors, ana, "answered");

  tell("who is a member is not invited");
  await ana.getByLabel("E-mail address to invite").fill("ben@example.com");
  await ana.getByRole("button", { name: "Invite" }).click();
  await ana.getByRole("log").getByText("ben@example.com is a member of this project already.").waitFor();
  await visitors.content(ana, ben, cleo);
});
tell("done");
