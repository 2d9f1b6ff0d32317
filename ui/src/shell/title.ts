// The title of the browser's tab: the page, and of what.

import type { ApplicationInfo } from "../forge/api";
import type { Page } from "./route";

const NAMES: Readonly<Record<Page, string>> = { overview: "Overview", actors: "Actors", jobs: "Jobs", workflows: "Workflows", crons: "Crons", missing: "Not found" };

export function titleOf(page: Page, application: ApplicationInfo | undefined): string {
  const of = application === undefined ? "Forge" : `${application.name} (${application.environment})`;
  return `${NAMES[page]} · ${of}`;
}
