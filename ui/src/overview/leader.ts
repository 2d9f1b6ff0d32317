// The appearance of leaderships and of terms that have ended. All times are by the database's clock.

import type { EndedTerm, LeaderInfo } from "../forge/api";
import { ago, span } from "../parts/format";
import type { Status } from "../parts/status";

/** Whether the node still leads, with the age of its last renewal. */
export function statusOfLeader(leader: LeaderInfo, nowMs: number): Status {
  const renewed = `renewed ${ago(nowMs - Date.parse(leader.renewedAt))}`;
  switch (leader.state) {
    case "leading":
      return { shape: "dot", tone: "ok", word: renewed };
    case "expired":
      return { shape: "cross", tone: "bad", word: `no leader, last ${renewed}` };
    case "resigned":
      return { shape: "ring", tone: "warn", word: leader.resignedAt === null ? "resigned" : `resigned ${ago(nowMs - Date.parse(leader.resignedAt))}` };
  }
}

/** How a term ended: "resigned now", "lost 3 min ago". */
export function statusOfEnded(term: EndedTerm, nowMs: number): Status {
  const ended = `${term.reason} ${ago(nowMs - Date.parse(term.endedAt))}`;
  switch (term.reason) {
    case "resigned":
      return { shape: "square", tone: "dim", word: ended };
    case "lost":
      return { shape: "cross", tone: "warn", word: ended };
  }
}

/** How long the node led. A leader that was lost is known to have led until it wrote that down last, which it does once a minute. */
export function ledFor({ electedAt, renewedAt, endedAt, reason }: EndedTerm): string {
  const led = span(Date.parse(reason === "lost" ? renewedAt : endedAt) - Date.parse(electedAt));
  return reason === "lost" ? `at least ${led}` : led;
}
