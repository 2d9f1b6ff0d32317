// The browser's address as state.

import { type Page, type Place, START, format, parse } from "./place";

const BASE = import.meta.env.BASE_URL;

class Navigation {
  #place = $state.raw<Place>(START);

  get place(): Place {
    return this.#place;
  }

  /** Follows the browser, and the links of the page, from now on. */
  start(): void {
    this.#read();
    addEventListener("popstate", () => this.#read());
    document.addEventListener("click", (event) => this.#follow(event));
  }

  /** Shows a page; the reader's way back leads here. */
  open(page: Page): void {
    this.go({ ...START, page, node: this.#place.node });
  }

  /** Shows another place; the reader's way back leads here. */
  go(place: Place): void {
    this.#place = place;
    history.pushState(null, "", format(place, BASE));
  }

  /** Changes the view in its place: what one types or folds is no step of a journey. */
  adjust(change: Partial<Place>): void {
    this.#place = { ...this.#place, ...change };
    history.replaceState(null, "", format(this.#place, BASE));
  }

  #read(): void {
    this.#place = parse(location.pathname, location.search, BASE);
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

/** The address of a place, for links. */
export function hrefOf(place: Place): string {
  return format(place, BASE);
}
