// Formats of numbers and times. Each text fits its column, and small numbers are exact.

import type { BoundedCount } from "../forge/api";

const GROUPED = new Intl.NumberFormat("en");

/** 12,345. */
export function count(value: number): string {
  return GROUPED.format(value);
}

/** 12,345, or 5,000+ when there are more than were counted; "?" when none were counted, but there may be some. */
export function bounded({ count: value, isMore }: BoundedCount): string {
  if (value === 0 && isMore) return "?";
  return isMore ? `${count(value)}+` : count(value);
}

/** 12,345 up to 99,999, then 123k, 4.5M. */
export function short(value: number): string {
  if (value < 100_000) return count(Math.round(value));
  if (value < 1_000_000) return `${Math.floor(value / 1_000)}k`;
  return `${(Math.floor(value / 100_000) / 10).toFixed(1)}M`;
}

/** Events per second: 0, 0.4, 12, 3,400. */
export function rate(value: number): string {
  if (value <= 0) return "0";
  if (value < 0.1) return "<0.1";
  return value < 10 ? trim(value.toFixed(1)) : short(value);
}

/** 0.4 ms, 12 ms, 3.2 s, 4 min 12 s, 3 h 4 min, 12 d 3 h: at most two units. */
export function duration(ms: number): string {
  if (ms < 10) return `${trim(Math.max(ms, 0).toFixed(1))} ms`;
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  if (ms < 10_000) return `${trim((ms / 1_000).toFixed(1))} s`;
  const seconds = Math.floor(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return two(seconds, 60, "min", 1, "s");
  if (seconds < 86_400) return two(seconds, 3_600, "h", 60, "min");
  return two(seconds, 86_400, "d", 3_600, "h");
}

/** A duration in whole seconds and more, for texts that change with the clock of the page, once a second. */
export function span(ms: number): string {
  return ms < 1_000 ? "0 s" : duration(ms < 10_000 ? Math.floor(ms / 1_000) * 1_000 : ms);
}

/** "now", "12 s ago". */
export function ago(ms: number): string {
  return ms < 1_000 ? "now" : `${span(ms)} ago`;
}

/** 14:03:09 in the time zone of the browser. */
export function clockTime(iso: string): string {
  return new Date(iso).toLocaleTimeString("en-GB");
}

/** 2026-11-29 14:03:09 in the time zone of the browser; without the date when it is today. */
export function dateTime(iso: string): string {
  const at = new Date(iso);
  const time = clockTime(iso);
  return at.toDateString() === new Date().toDateString() ? time : `${at.toLocaleDateString("sv-SE")} ${time}`;
}

/** 2026-11-29 14:03:09 in UTC. */
export function utcTime(iso: string): string {
  return new Date(iso).toISOString().slice(0, 19).replace("T", " ");
}

/** "1 job", "3 jobs". */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** "a", "a and b", "a, b and c". */
export function list(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}

function trim(text: string): string {
  return text.replace(/\.0+$/, "");
}

function two(seconds: number, large: number, largeName: string, small: number, smallName: string): string {
  const rest = Math.floor((seconds % large) / small);
  const whole = `${Math.floor(seconds / large)} ${largeName}`;
  return rest === 0 ? whole : `${whole} ${rest} ${smallName}`;
}
