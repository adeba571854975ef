import { sortAddresses } from "./radix-sort.ts";

/** Ranges without overlap, ascending: piece i is `starts[i]` to before `ends[i]` and belongs to entry `entries[i]`. */
export interface Pieces {
  readonly starts: Float64Array;
  readonly ends: Float64Array;
  readonly entries: Uint32Array;
}

/**
 * Cuts ranges that may overlap into pieces that do not: where several cover an address, the one given last has it.
 * A sweep from low to high with the ranges that are open in a heap: n log n however they overlap, at most 2 n pieces.
 */
export function layOut(starts: Float64Array, sizes: Uint32Array): Pieces {
  const order = sortAddresses(starts);
  const pieces = new PieceList(order.length * 2);
  const open = new LatestFirst(order.length);
  const endOf = (entry: number): number => starts[entry]! + sizes[entry]!;
  let position = 0;
  for (let i = 0; i <= order.length; i++) {
    const until = i < order.length ? starts[order[i]!]! : Infinity;
    while (open.size > 0 && position < until) {
      const entry = open.top;
      const end = Math.min(endOf(entry), until);
      if (end > position) pieces.add(position, end, entry);
      position = Math.max(position, end);
      if (endOf(entry) <= position) open.pop();
    }
    position = until;
    if (i < order.length) open.push(order[i]!);
  }
  return pieces.take();
}

class PieceList {
  #count = 0;
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #entries: Uint32Array;

  constructor(capacity: number) {
    this.#starts = new Float64Array(capacity);
    this.#ends = new Float64Array(capacity);
    this.#entries = new Uint32Array(capacity);
  }

  add(start: number, end: number, entry: number): void {
    const last = this.#count - 1;
    if (last >= 0 && this.#entries[last] === entry && this.#ends[last] === start) {
      this.#ends[last] = end;
      return;
    }
    this.#starts[this.#count] = start;
    this.#ends[this.#count] = end;
    this.#entries[this.#count] = entry;
    this.#count++;
  }

  take(): Pieces {
    return {
      starts: this.#starts.subarray(0, this.#count),
      ends: this.#ends.subarray(0, this.#count),
      entries: this.#entries.subarray(0, this.#count),
    };
  }
}

/** A heap of entry numbers, the highest on top. */
class LatestFirst {
  #size = 0;
  readonly #heap: Uint32Array;

  constructor(capacity: number) {
    this.#heap = new Uint32Array(capacity);
  }

  get size(): number {
    return this.#size;
  }

  get top(): number {
    return this.#heap[0] ?? 0;
  }

  push(entry: number): void {
    let at = this.#size++;
    while (at > 0) {
      const parent = (at - 1) >>> 1;
      if (this.#heap[parent]! >= entry) break;
      this.#heap[at] = this.#heap[parent]!;
      at = parent;
    }
    this.#heap[at] = entry;
  }

  pop(): void {
    const last = this.#heap[--this.#size] ?? 0;
    let at = 0;
    for (;;) {
      let child = at * 2 + 1;
      if (child >= this.#size) break;
      if (child + 1 < this.#size && this.#heap[child + 1]! > this.#heap[child]!) child++;
      if (this.#heap[child]! <= last) break;
      this.#heap[at] = this.#heap[child]!;
      at = child;
    }
    this.#heap[at] = last;
  }
}
