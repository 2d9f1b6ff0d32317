// What people do on the demo's page.

const PASSWORD = "correct horse battery";

export async function signUp(page, name) {
  await page.getByRole("button", { name: "Sign up" }).click();
  await page.getByLabel("E-mail").fill(`${name.toLowerCase()}@example.com`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(PASSWORD);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("button", { name: "Sign out" }).waitFor();
}

export async function createProject(page, name) {
  await page.getByLabel("Name of a new project").fill(name);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name }).waitFor();
}
