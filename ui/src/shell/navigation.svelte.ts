// The route of the page, which is stored in the address of the browser.

import { type Page, type Route, DEFAULT_ROUTE, format, parse } from "./route";

const BASE = import.meta.env.BASE_URL;

class Navigation {
  #route = $state.raw<Route>(DEFAULT_ROUTE);

  get route(): Route {
    return this.#route;
  }

  /** Follows the browser's history, and handles clicks on links of the page, from now on. */
  start(): void {
    this.#read();
    addEventListener("popstate", () => this.#read());
    document.addEventListener("click", (event) => this.#follow(event));
  }

  /** Shows a page with its default route, as a new step in the browser's history. */
  open(page: Page): void {
    this.go({ ...DEFAULT_ROUTE, page, node: this.#route.node });
  }

  /** Shows another route, as a new step in the browser's history. */
  go(route: Route): void {
    this.#route = route;
    history.pushState(null, "", format(route, BASE));
  }

  /** Changes parts of the route without a step in the browser's history, for example while the user types a filter. */
  adjust(change: Partial<Route>): void {
    this.#route = { ...this.#route, ...change };
    history.replaceState(null, "", format(this.#route, BASE));
  }

  #read(): void {
    this.#route = parse(location.pathname, location.search, BASE);
  }

  #follow(event: MouseEvent): void {
    const link = event.target instanceof Element ? event.target.closest<HTMLAnchorElement>("a[href]") : null;
    // With a modifier the browser opens the link elsewhere.
    const elsewhere = event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey;
    if (link === null || elsewhere || event.defaultPrevented) return;
    if (link.origin !== location.origin || !link.pathname.startsWith(BASE) || link.hash !== "") return;
    event.preventDefault();
    this.go(parse(link.pathname, link.search, BASE));
  }
}

export const navigation = new Navigation();

/** The address of `route`, for links. */
export function hrefOf(route: Route): string {
  return format(route, BASE);
}
