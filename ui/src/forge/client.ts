// The connection of this page to the node that served it.

import { type Forge, createForge } from "@forge/client";
import { reportOf } from "../parts/report";
import type { Redeem } from "../session/access.svelte";
import { bearerOf } from "../session/token";
import { api } from "./api";

/** A scroll through the table leaves windows behind; the node need not go on filling them. */
const LINGER_MS = 500;

/** A connection as the bearer of `token`, which has no successor: when it ends, so does the session. */
export function connect(token: string): Forge {
  const endsAtMs = bearerOf(token)?.expiresAtMs ?? Infinity;
  const getToken = ({ forceRefresh }: { forceRefresh: boolean }) => (forceRefresh && endsAtMs <= Date.now() ? null : token);
  return createForge({ url: "/", getToken, lingerMs: LINGER_MS });
}

/** Redeems a one-time code, which needs no token. */
export const redeem: Redeem = async (code) => {
  const forge = createForge({ url: "/" });
  const answer = await forge.call(api.forge.redeem, { code });
  forge.close();
  return answer.ok ? { token: answer.data.token } : { report: reportOf(answer.error) };
};
