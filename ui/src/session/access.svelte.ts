// Who is at the screen: from a one-time link, or a token that was pasted, to a session that the node refuses one day.
//
//   redeeming ──ok──▶ in ──expired, forbidden, signed out──▶ out ──token pasted──▶ in
//       └──refused──▶ refused ──token pasted──▶ in
//
// A refused code changes nothing for a tab that is signed in: the way back through its history comes by the link again.

import type { Report } from "../parts/report";
import { type Bearer, bearerOf, forget, store, stored } from "./token";

export type Why = "unknown" | "expired" | "forbidden" | "signedOut";

export type Access =
  | { readonly is: "redeeming" }
  | { readonly is: "in"; readonly token: string; readonly bearer: Bearer | null }
  | { readonly is: "out"; readonly why: Why; readonly bearer: Bearer | null }
  | { readonly is: "refused"; readonly report: Report };

/** Redeems a one-time code. */
export type Redeem = (code: string) => Promise<{ readonly token: string } | { readonly report: Report }>;

export class Door {
  #access = $state.raw<Access>({ is: "out", why: "unknown", bearer: null });

  get access(): Access {
    return this.#access;
  }

  /** Opens with the code of the address, which leaves the address at once, or with the token of this tab. */
  async open(redeem: Redeem): Promise<void> {
    const address = new URL(location.href);
    const code = address.searchParams.get("code");
    const token = stored();
    if (code === null) {
      if (token !== null) this.enter(token);
      return;
    }
    address.searchParams.delete("code");
    history.replaceState(null, "", address);
    this.#access = { is: "redeeming" };
    const answer = await redeem(code);
    if ("token" in answer) this.enter(answer.token);
    else if (token !== null) this.enter(token);
    else this.#access = { is: "refused", report: answer.report };
  }

  enter(token: string): void {
    store(token);
    this.#access = { is: "in", token, bearer: bearerOf(token) };
  }

  /** Ends the session of this tab. */
  leave(why: Why): void {
    const bearer = this.#access.is === "in" ? this.#access.bearer : null;
    forget();
    this.#access = { is: "out", why, bearer };
  }
}

export const door = new Door();
