import type { Frame, Profile } from "../../src/profile/model.ts";
import type { SampleBook, ThreadEntry } from "../../src/profile/samples/book.ts";
import type { WeighedStack } from "../../src/profile/samples/top.ts";
import type { Selection } from "../../src/profile/samples/log.ts";
import { weighAll, weighThread } from "../../src/profile/samples/timeline.ts";
import { IDLE, type Counts, type ThreadCount } from "./counts.ts";

const KERNEL_THREAD: Frame = { name: "[kernel thread]", file: "[kernel]" };

/** Threads with a profile of their own: those with a hundredth of all samples at least, up to this many. */
const MOST_THREADS = 20;
const LEAST_SHARE = 0.01;

export interface ProfileInput {
  readonly book: SampleBook;
  readonly drawing: Drawing;
  readonly selection: Selection;
  readonly counts: Counts;
  readonly hz: number;
  /** Kernel clock, seconds; not finite where the window is not known. */
  readonly from: number;
  readonly to: number;
}

/** Stacks as they are drawn, with their process as root; each is made once. */
export class Drawing {
  readonly #book: SampleBook;
  readonly #roots = new Map<string, Frame>();
  readonly #drawn = new Map<string, readonly Frame[]>();
  readonly #own = new Map<number, readonly Frame[]>();

  constructor(book: SampleBook) {
    this.#book = book;
  }

  /** Without root. */
  own(stack: number): readonly Frame[] {
    let frames = this.#own.get(stack);
    if (frames === undefined) this.#own.set(stack, (frames = this.#book.framesOf(stack)));
    return frames;
  }

  /** Process → thread, where it has a name of its own → user functions → kernel functions. */
  whole(stack: number, thread: ThreadEntry): readonly Frame[] {
    const { program } = thread;
    const key = `${stack} ${thread.comm}`;
    const known = this.#drawn.get(key);
    if (known !== undefined) return known;
    const comm = this.#book.commOf(program);
    const roots = program.kernelThread
      ? [KERNEL_THREAD, this.#root(thread.comm, "[kernel]")]
      : [
          this.#root(this.#book.labelOf(program), "[process]"),
          ...(thread.comm === comm || thread.tid === program.pid
            ? []
            : [this.#root(thread.comm, "[thread]")]),
        ];
    const frames = [...roots, ...this.own(stack)];
    this.#drawn.set(key, frames);
    return frames;
  }

  #root(name: string, file: string): Frame {
    const key = `${file}${name}`;
    let frame = this.#roots.get(key);
    if (frame === undefined) this.#roots.set(key, (frame = { name, file }));
    return frame;
  }
}

/** The stacks of the window with their process as root; threads are not told apart. */
export function* weighWithRoot(book: SampleBook, counts: Counts, drawing: Drawing): Generator<WeighedStack> {
  const roots = new Map<string, Frame>();
  for (const [stack, count] of counts.stacks) {
    const entry = book.stacks[stack];
    if (entry === undefined) continue;
    const name = book.labelOf(entry.program);
    const root = roots.get(name) ?? { name, file: "[process]" };
    roots.set(name, root);
    yield { frames: [root, ...drawing.own(stack)], count };
  }
}

/** "all" in CPU seconds and in samples, then the busiest threads, each along the time of the run. */
export function buildProfiles(input: ProfileInput): Profile[] {
  const { book, drawing, selection, counts, hz, from, to } = input;
  const window = { from, to, period: 1 / hz };
  const own = (_: number, stack: number) => drawing.own(stack);
  const whole = (thread: number, stack: number): readonly Frame[] => {
    const entry = book.threads[thread];
    return stack === IDLE || entry === undefined ? [] : drawing.whole(stack, entry);
  };
  const total = counts.user + counts.kernel + counts.kernelThreads;
  if (total + counts.idle === 0) return [];
  const threads = counts.threads
    .slice(0, MOST_THREADS)
    .filter(({ samples }) => samples >= LEAST_SHARE * total);
  return [
    { name: "all", unit: "seconds", samples: weighAll(selection, 1 / hz, whole) },
    { name: "all, in samples", unit: "none", order: "none", samples: weighAll(selection, 1, whole) },
    ...threads.map((entry): Profile => ({
      name: nameThread(book, entry, hz),
      unit: "seconds",
      samples: weighThread(selection, entry.thread.index, window, own),
    })),
  ];
}

function nameThread(book: SampleBook, { thread, samples }: ThreadCount, hz: number): string {
  const { program, tid } = thread;
  const time = `${(samples / hz).toFixed(2)} s`;
  if (program.kernelThread) return `${thread.comm} [kernel thread ${tid}] ${time}`;
  const who = `${book.labelOf(program)} [${program.pid}]`;
  return tid === program.pid ? `${who} ${time}` : `${who} thread ${thread.comm} [${tid}] ${time}`;
}
