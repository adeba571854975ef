/**
 * One function on a stack. Two frames are the same one when `name`, `file` and `line` are equal.
 * `name` is shown as it is and may hold any text (symbols of traced programs are hostile data).
 */
export interface Frame {
  readonly name: string;
  /** `"[kernel]"` for kernel frames, the module for user frames: speedscope colours by it. */
  readonly file?: string;
  readonly line?: number;
}

/** The units speedscope's schema knows. Counts of events are `"none"`. */
export type Unit = "none" | "nanoseconds" | "microseconds" | "milliseconds" | "seconds" | "bytes";

export const UNITS: readonly Unit[] = [
  "none",
  "nanoseconds",
  "microseconds",
  "milliseconds",
  "seconds",
  "bytes",
];

export interface Sample {
  /** Root → leaf. Empty means "nothing ran": speedscope draws a gap of `weight`. */
  readonly stack: readonly Frame[];
  /** In the profile's unit, finite and ≥ 0. */
  readonly weight: number;
}

export interface Profile {
  readonly name: string;
  readonly unit: Unit;
  /** Read once, in this order. */
  readonly samples: Iterable<Sample>;
  /**
   * `"time"` (default): the order of the samples means something and is kept.
   * `"none"`: totals without an order (a map, for example): equal stacks are merged and the stacks sorted,
   * which viewers load faster.
   */
  readonly order?: "time" | "none";
}

/** What the node budget took away: totals stay exact, only detail is gone. */
export interface Pruned {
  /** Most tree nodes the file may have, over all its profiles; Infinity where only the depth was cut. */
  readonly budget: number;
  /** Different stacks that lost their leaf end, over all profiles. */
  readonly stacks: number;
  readonly profiles: readonly PrunedProfile[];
}

export interface PrunedProfile {
  readonly name: string;
  /** Different stacks that were cut. */
  readonly stacks: number;
  /** Their part of the profile's total, 0–1. */
  readonly share: number;
  /**
   * Samples that were summed up into one window of time because in their exact order they would need too many
   * nodes; 1 where the order is exact, null for a profile without order.
   */
  readonly window: number | null;
}

/** The frame that stands for what the node budget folded away. */
export const FOLDED_FRAME: Frame = { name: "[folded: too many small stacks to draw]" };
/** The frame of a sample that has no stack at all. */
export const NO_STACK_FRAME: Frame = { name: "[no stack]" };
