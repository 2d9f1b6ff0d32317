/** The route of the page: the project in the fragment of the address, `#/projects/<id>`. */

import type { ProjectId } from "../forge/api";

const PREFIX = "#/projects/";

const read = (): ProjectId | undefined =>
  location.hash.startsWith(PREFIX) ? (decodeURIComponent(location.hash.slice(PREFIX.length)) as ProjectId) : undefined;

class Route {
  #project = $state(read());

  constructor() {
    addEventListener("hashchange", () => (this.#project = read()));
  }

  get project(): ProjectId | undefined {
    return this.#project;
  }
}

export const route = new Route();
export const hrefOf = (project: ProjectId): string => `${PREFIX}${encodeURIComponent(project)}`;
