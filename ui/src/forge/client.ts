// The connection of this page to the node that served it.

import { type Forge, createForge } from "@forge/client";
import { reportOf } from "../parts/report";
import type { Redeem } from "../session/access.svelte";
import { bearerOf } from "../session/token";
import { api } from "./api";

/** A connection as the bearer of `token`, which has no successor: when it ends, so does the session. */
export function connect(token: string): Forge {
  const endsAtMs = bearerOf(token)?.expiresAtMs ?? Infinity;
  const getToken = ({ forceRefresh }: { forceRefresh: boolean }) => (forceRefresh && endsAtMs <= Date.now() ? null : token);
  return createForge({ url: location.origin, getToken });
}

/** Redeems a one-time code, which needs no token. */
export const redeem: Redeem = async (code) => {
  const forge = createForge({ url: location.origin, getToken: () => null });
  const answer = await forge.call(api.forge.redeem, { code });
  forge.close();
  return answer.ok ? { token: answer.data.token } : { report: reportOf(answer.error) };
};
