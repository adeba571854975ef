import type { Frame, Sample } from "../model.ts";
import type { Selection } from "./log.ts";

/** Frames root → leaf of a logged sample; empty for idle time. */
export type Draw = (thread: number, stack: number) => readonly Frame[];

/** All samples in their order, each of the same weight. */
export function* weighAll(selection: Selection, weightOfOne: number, draw: Draw): Generator<Sample> {
  for (const { thread, stack, count } of selection.walk())
    yield { stack: draw(thread, stack), weight: count * weightOfOne };
}

export interface Window {
  /** Kernel clock, seconds; not finite where the window is not known. */
  readonly from: number;
  readonly to: number;
  /** What one sample stands for, in seconds. */
  readonly period: number;
}

/** The samples of one thread where they were in time: gaps (empty stacks) while it did not run. In seconds. */
export function* weighThread(
  selection: Selection,
  thread: number,
  { from, to, period }: Window,
  draw: Draw,
): Generator<Sample> {
  let start = Number.isFinite(from) ? from : null;
  let drawn = 0;
  for (const { time, stack, count } of selection.walk(thread)) {
    if (time !== null) {
      // A sample stands for the period before it.
      start ??= time - period;
      const gap = time - period - start - drawn;
      if (gap > period / 2) {
        yield { stack: [], weight: gap };
        drawn += gap;
      }
    }
    yield { stack: draw(thread, stack), weight: count * period };
    drawn += count * period;
  }
  const rest = start === null || !Number.isFinite(to) ? 0 : to - start - drawn;
  if (rest > period / 2) yield { stack: [], weight: rest };
}
