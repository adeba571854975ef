import type { SampleBook } from "../../src/profile/samples/book.ts";
import { createTruncationCounter, type TruncationStats } from "../../src/symbols/frames.ts";
import type { Counts } from "./counts.ts";

/** User stacks that ended early, by process name, most stacks first. */
export function countTruncated(book: SampleBook, counts: Counts): TruncationStats[] {
  const counter = createTruncationCounter();
  for (const [stack, count] of counts.stacks) {
    const entry = book.stacks[stack];
    if (entry === undefined || book.isCallersLost(stack)) continue;
    counter.add(book.labelOf(entry.program), book.userFrames(stack), count);
  }
  return counter.result();
}

export interface LostStacks {
  /** Samples whose kernel stack did not come. */
  readonly kernel: number;
  /** Samples in user mode of which only the innermost function is known. */
  readonly user: number;
}

/** Samples that are counted, but whose stack bpftrace had no room for. */
export function countLost(book: SampleBook, counts: Counts): LostStacks {
  let kernel = 0;
  let user = 0;
  for (const [stack, count] of counts.stacks) {
    if (book.stacks[stack]?.isKernelLost === true) kernel += count;
    if (book.isCallersLost(stack)) user += count;
  }
  return { kernel, user };
}

/** Samples in code of a compiler that left no names, by process label, most first. */
export function countUnnamedJit(book: SampleBook, counts: Counts): { label: string; samples: number }[] {
  const byLabel = new Map<string, number>();
  for (const [stack, count] of counts.stacks) {
    const entry = book.stacks[stack];
    if (entry === undefined || book.userFrames(stack)[0]?.name !== "[jit]") continue;
    const label = book.labelOf(entry.program);
    byLabel.set(label, (byLabel.get(label) ?? 0) + count);
  }
  return [...byLabel].map(([label, samples]) => ({ label, samples })).sort((a, b) => b.samples - a.samples);
}
