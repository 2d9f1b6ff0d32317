/** Which project the address names: `#/projects/<id>`. */

import type { ProjectId } from "../forge/api";

const HEAD = "#/projects/";

const read = (): ProjectId | undefined =>
  location.hash.startsWith(HEAD) ? (decodeURIComponent(location.hash.slice(HEAD.length)) as ProjectId) : undefined;

class Place {
  #project = $state(read());

  constructor() {
    addEventListener("hashchange", () => (this.#project = read()));
  }

  get project(): ProjectId | undefined {
    return this.#project;
  }
}

export const place = new Place();
export const addressOf = (project: ProjectId): string => `${HEAD}${encodeURIComponent(project)}`;
