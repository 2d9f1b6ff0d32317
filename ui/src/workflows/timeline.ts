// The timeline of a run: a lane for each row of its journal, with a bar from its start to its end.

import type { WorkflowRow, WorkflowStatus, WorkflowStep } from "../forge/api";
import { count, plural } from "../parts/format";
import { type Scale, compressedScale, linearScale } from "./scale";
import { isStart, isWait } from "./step";

/** How a bar is drawn; the word of its state says the same. */
export type BarLook = "work" | "wait" | "undo" | "failed" | "retry" | "idle";

/** The bar of a lane, in shares of the width. `marks` are attempts that have failed. */
export type Bar = { readonly left: number; readonly width: number; readonly look: BarLook; readonly isOpen: boolean; readonly marks: readonly number[] };

const STANDING: readonly WorkflowStatus[] = ["paused", "diverged", "compensation_failed"];

/** The first and the last moment of a run and of the rows of its journal that are shown. */
export function rangeOf(run: Pick<WorkflowRow, "status" | "createdAt" | "finishedAt">, steps: readonly WorkflowStep[], isPart: boolean, nowMs: number): readonly [number, number] {
  const starts = steps.map(({ startedAt }) => Date.parse(startedAt));
  // A part of a long journal is shown from its first step on.
  const fromMs = isPart && starts.length > 0 ? least(starts) : Math.min(Date.parse(run.createdAt), least(starts));
  const ends = steps.map(({ finishedAt }) => (finishedAt === null ? nowMs : Date.parse(finishedAt)));
  const last = most(ends);
  // A run that stands still has no end, and neither has a part of its steps.
  const stands = run.finishedAt === null && STANDING.includes(run.status);
  const ended = run.finishedAt === null ? nowMs : Date.parse(run.finishedAt);
  return [fromMs, Math.max(last, (isPart || stands) && steps.length > 0 ? last : ended, fromMs + 1)];
}

/** The axis of a timeline: to scale, or with long waits evened out. */
export function axisOf([fromMs, toMs]: readonly [number, number], steps: readonly WorkflowStep[], isEven: boolean): Scale {
  if (!isEven) return linearScale(fromMs, toMs);
  const moments = steps.flatMap(({ startedAt, finishedAt }) => [Date.parse(startedAt), ...(finishedAt === null ? [] : [Date.parse(finishedAt)])]);
  return compressedScale(fromMs, toMs, moments);
}

/** The bar of a row of the journal. */
export function barOf(step: WorkflowStep, axis: Scale, nowMs: number): Bar {
  const [fromMs, toMs] = [Date.parse(step.startedAt), step.finishedAt === null ? nowMs : Date.parse(step.finishedAt)];
  const left = axis.at(fromMs);
  const marks = step.failedAttempts.map(({ at }) => axis.at(Date.parse(at)));
  return { left, width: Math.max(axis.at(Math.max(toMs, fromMs)) - left, 0), look: lookOf(step), isOpen: step.finishedAt === null && step.status !== "interrupted", marks };
}

function lookOf(step: WorkflowStep): BarLook {
  const { kind, status } = step;
  if (status === "failed") return "failed";
  if (status === "retrying") return "retry";
  if (status === "abandoned" || status === "skipped" || status === "interrupted") return "idle";
  if (kind === "compensation") return "undo";
  return isWait(kind) && !isStart(step) ? "wait" : "work";
}

/** How deep a position lies in groups of branches: 0 for `4`, 1 for `5.0.1`. */
export function depthOf(position: string): number {
  return Math.floor((position.split(".").length - 1) / 2);
}

function least(values: readonly number[]): number {
  return values.reduce((low, value) => Math.min(low, value), Infinity);
}

function most(values: readonly number[]): number {
  return values.reduce((high, value) => Math.max(high, value), -Infinity);
}

/** Whether a row of the journal is more than a step that has completed at its first attempt. */
export function needsAttention({ status, kind, failedAttempts }: WorkflowStep): boolean {
  return status !== "completed" || kind === "compensation" || failedAttempts.length > 0;
}

/** How many rows are shown, of `all`: "12 steps", "1,001 to 2,000 of 2,000 steps, 3 of them match". */
export function shownText({ steps, stepsBefore }: { readonly steps: readonly WorkflowStep[]; readonly stepsBefore: number }, shown: number, all: number): string {
  const text = steps.length >= all ? plural(all, "step") : `${count(stepsBefore + 1)} to ${count(stepsBefore + steps.length)} of ${plural(all, "step")}`;
  return shown === steps.length ? text : `${text}; ${count(shown)} of them shown`;
}
