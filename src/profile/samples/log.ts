import { FloatList, IntList } from "../store/lists.ts";

/** More samples than this are only counted: 99 a second on 64 CPUs, all of them busy, are as many in 40 minutes. */
const MOST_IN_ORDER = 16_000_000;

/** Bits of a sample's number in a sorting key; the rest of the 53 is its time in steps of 100 µs (15 hours). */
const INDEX_BITS = 24;
const STEPS_PER_SECOND = 10_000;

/** Samples in the order of their time: which thread, which stack. 16 bytes each. */
export class SampleLog {
  readonly #times = new FloatList();
  readonly #threads = new IntList();
  readonly #stacks = new IntList();
  /** Samples that came when the log was full, by thread and stack. */
  readonly #rest = new Map<number, Map<number, number>>();
  #restCount = 0;

  get count(): number {
    return this.#times.length + this.#restCount;
  }

  /** Samples without a place in time. */
  get unordered(): number {
    return this.#restCount;
  }

  /** `time` in seconds, from any fixed moment. */
  add(time: number, thread: number, stack: number): void {
    if (this.#times.length < MOST_IN_ORDER) {
      this.#times.push(time);
      this.#threads.push(thread);
      this.#stacks.push(stack);
      return;
    }
    let stacks = this.#rest.get(thread);
    if (stacks === undefined) this.#rest.set(thread, (stacks = new Map()));
    stacks.set(stack, (stacks.get(stack) ?? 0) + 1);
    this.#restCount += 1;
  }

  /** The samples from `from` to `to` (seconds), in order; those without a place in time come last. */
  select(from: number, to: number): Selection {
    const times = this.#times.data;
    let first = Infinity;
    for (let index = 0; index < this.#times.length; index++) first = Math.min(first, times[index] ?? 0);
    const keys = new Float64Array(this.#times.length);
    let used = 0;
    for (let index = 0; index < this.#times.length; index++) {
      const time = times[index] ?? 0;
      if (time < from || time > to) continue;
      keys[used++] = Math.floor((time - first) * STEPS_PER_SECOND) * 2 ** INDEX_BITS + index;
    }
    const sorted = keys.subarray(0, used).sort();
    const order = new Int32Array(used);
    for (let place = 0; place < used; place++) order[place] = (sorted[place] ?? 0) % 2 ** INDEX_BITS;
    return new Selection(order, times, this.#threads.data, this.#stacks.data, this.#rest);
  }
}

export interface LoggedSample {
  /** Seconds; null where it has no place in time. */
  readonly time: number | null;
  readonly thread: number;
  readonly stack: number;
  /** How many samples this is. */
  readonly count: number;
}

/** Samples of a window of time, to be walked as often as needed. */
export class Selection {
  readonly #order: Int32Array;
  readonly #times: Float64Array;
  readonly #threads: Int32Array;
  readonly #stacks: Int32Array;
  readonly #rest: ReadonlyMap<number, ReadonlyMap<number, number>>;

  constructor(
    order: Int32Array,
    times: Float64Array,
    threads: Int32Array,
    stacks: Int32Array,
    rest: ReadonlyMap<number, ReadonlyMap<number, number>>,
  ) {
    this.#order = order;
    this.#times = times;
    this.#threads = threads;
    this.#stacks = stacks;
    this.#rest = rest;
  }

  /** `only`: of one thread. */
  *walk(only?: number): Generator<LoggedSample> {
    for (const index of this.#order) {
      const thread = this.#threads[index] ?? 0;
      if (only !== undefined && thread !== only) continue;
      const stack = this.#stacks[index] ?? 0;
      yield { time: this.#times[index] ?? 0, thread, stack, count: 1 };
    }
    for (const [thread, stacks] of this.#rest) {
      if (only !== undefined && thread !== only) continue;
      for (const [stack, count] of stacks) yield { time: null, thread, stack, count };
    }
  }
}
