// The time zone of the browser, in which the pages show times.

import { dateTime } from "./format";

/** Europe/Berlin. */
export const ZONE = new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** 2026-11-29 14:03:09 Europe/Berlin, for texts that stand alone; without the date when it is today. */
export function zonedTime(iso: string): string {
  return `${dateTime(iso)} ${ZONE}`;
}
