import type { Frame } from "../../src/profile/model.ts";
import type { SampleBook, ThreadEntry } from "../../src/profile/samples/book.ts";
import type { Selection } from "../../src/profile/samples/log.ts";
import { takeFields } from "../../src/profile/samples/record.ts";

/** What a thread was doing when it was sampled, as the tracepoints saw it. */
export interface Context {
  /** Number of its stack in the book. */
  readonly stack: number;
  /** Softirq vector, null for none. */
  readonly vector: number | null;
  /** Low 32 bits of the work function's address, null for none. */
  readonly work: number | null;
}

/** Reads the head of a `T` record, `T vector+1 function`, and where the S record in it begins; null when it is none. */
export function parseContext(
  text: string,
): { vector: number | null; work: number | null; start: number } | null {
  const head = takeFields(text, 3);
  if (head === null || head.fields[0] !== "T") return null;
  const [, vector = "", work = ""] = head.fields;
  if (!/^\d{1,3}$/.test(vector) || !/^[0-9a-f]{1,16}$/.test(work)) return null;
  const low = Number.parseInt(work.slice(-8), 16);
  return {
    vector: vector === "0" ? null : Number(vector) - 1,
    work: work === "0" ? null : low,
    start: head.end,
  };
}

/** Contexts, each once. */
export class ContextBook {
  readonly list: Context[] = [];
  readonly #byKey = new Map<string, number>();

  intern(context: Context): number {
    const key = `${context.stack} ${context.vector ?? ""} ${context.work ?? ""}`;
    let known = this.#byKey.get(key);
    if (known === undefined) {
      known = this.list.push(context) - 1;
      this.#byKey.set(key, known);
    }
    return known;
  }
}

export interface Labels {
  vector(this: void, vector: number): string;
  work(this: void, work: number): string;
}

/** Frames of kernel threads: thread → work function, softirq vector → stack. */
export class Drawing {
  readonly #book: SampleBook;
  readonly #contexts: ContextBook;
  readonly #labels: Labels;
  readonly #frames = new Map<string, Frame>();
  readonly #drawn = new Map<string, readonly Frame[]>();

  constructor(book: SampleBook, contexts: ContextBook, labels: Labels) {
    this.#book = book;
    this.#contexts = contexts;
    this.#labels = labels;
  }

  /** `name`: how the thread is called as a root. */
  draw(context: number, name: string): readonly Frame[] {
    const key = `${context} ${name}`;
    const known = this.#drawn.get(key);
    if (known !== undefined) return known;
    const entry = this.#contexts.list[context];
    if (entry === undefined) return [];
    const { stack, vector, work } = entry;
    const frames = [
      this.#frame(name, "[kernel thread]"),
      ...(work === null ? [] : [this.#frame(this.#labels.work(work), "[work function]")]),
      ...(vector === null ? [] : [this.#frame(this.#labels.vector(vector), "[softirq]")]),
      ...this.#book.framesOf(stack),
    ];
    this.#drawn.set(key, frames);
    return frames;
  }

  #frame(name: string, file: string): Frame {
    const key = `${file}${name}`;
    let frame = this.#frames.get(key);
    if (frame === undefined) this.#frames.set(key, (frame = { name, file }));
    return frame;
  }
}

/** Samples of the window by what they were about. */
export interface ContextCounts {
  readonly total: number;
  /** By context and thread: what is drawn. */
  readonly stacks: readonly {
    readonly context: number;
    readonly thread: ThreadEntry;
    readonly count: number;
  }[];
  /** Most samples first. */
  readonly threads: readonly { readonly thread: ThreadEntry; readonly samples: number }[];
  /** Key `tid,vector`. */
  readonly vectors: ReadonlyMap<string, number>;
  /** Key `tid,function`. */
  readonly work: ReadonlyMap<string, number>;
}

export function countContexts(
  book: SampleBook,
  contexts: ContextBook,
  selection: Selection,
  isWanted: (pid: number) => boolean,
): ContextCounts {
  const stacks = new Map<string, { context: number; thread: ThreadEntry; count: number }>();
  const threads = new Map<ThreadEntry, number>();
  const vectors = new Map<string, number>();
  const work = new Map<string, number>();
  let total = 0;
  const add = (map: Map<string, number>, key: string, count: number) =>
    map.set(key, (map.get(key) ?? 0) + count);
  for (const { thread: index, stack: context, count } of selection.walk()) {
    const thread = book.threads[index];
    const entry = contexts.list[context];
    if (thread === undefined || entry === undefined || !isWanted(thread.tid)) continue;
    total += count;
    threads.set(thread, (threads.get(thread) ?? 0) + count);
    const key = `${context} ${index}`;
    const known = stacks.get(key);
    if (known === undefined) stacks.set(key, { context, thread, count });
    else known.count += count;
    if (entry.vector !== null) add(vectors, `${thread.tid},${entry.vector}`, count);
    if (entry.work !== null) add(work, `${thread.tid},${entry.work}`, count);
  }
  return {
    total,
    stacks: [...stacks.values()],
    threads: [...threads]
      .map(([thread, samples]) => ({ thread, samples }))
      .sort((a, b) => b.samples - a.samples || a.thread.tid - b.thread.tid),
    vectors,
    work,
  };
}
