import type { Profile } from "../../src/profile/model.ts";
import type { SampleBook } from "../../src/profile/samples/book.ts";
import type { Selection } from "../../src/profile/samples/log.ts";
import { weighAll, weighThread, type Draw, type Window } from "../../src/profile/samples/timeline.ts";
import type { ContextCounts, Drawing } from "./contexts.ts";

const MOST_THREADS = 20;

export interface ProfileInput {
  readonly book: SampleBook;
  readonly selection: Selection;
  readonly counts: ContextCounts;
  readonly drawing: Drawing;
  /** How a thread is called, by its id. */
  readonly nameOf: (tid: number, comm: string) => string;
  readonly isWanted: (pid: number) => boolean;
  readonly window: Window;
}

/** "all" in CPU seconds and in samples, then the busiest threads, each along the time of the run. */
export function buildProfiles(input: ProfileInput): Profile[] {
  const { book, selection, counts, drawing, nameOf, isWanted, window } = input;
  if (counts.total === 0) return [];
  const draw: Draw = (index, context) => {
    const thread = book.threads[index];
    return thread === undefined ? [] : drawing.draw(context, nameOf(thread.tid, thread.comm));
  };
  const all = function* (weight: number) {
    for (const sample of weighAll(selection, weight, (index, context) => {
      const thread = book.threads[index];
      return thread === undefined || !isWanted(thread.tid) ? [] : draw(index, context);
    }))
      if (sample.stack.length > 0) yield sample;
  };
  return [
    { name: "all kernel threads", unit: "seconds", samples: all(window.period) },
    { name: "all kernel threads, in samples", unit: "none", order: "none", samples: all(1) },
    ...counts.threads.slice(0, MOST_THREADS).map(({ thread, samples }): Profile => ({
      name: `${nameOf(thread.tid, thread.comm)} [${thread.tid}] ${(samples * window.period).toFixed(2)} s`,
      unit: "seconds",
      samples: weighThread(selection, thread.index, window, draw),
    })),
  ];
}
