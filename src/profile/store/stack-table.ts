import { IntList } from "./lists.ts";

/** Stacks as frame ids root → leaf, all in one array: 4 bytes a frame. */
export class StackTable {
  /** Frame ids of all stacks, one after the other. */
  readonly ids = new IntList(1 << 16);
  /** `starts[stack]` … `starts[stack + 1]` is the stack's place in `ids`. */
  readonly starts = new IntList(1 << 12);
  #hashes = new IntList(1 << 12);
  /** Open addressing; 0 is free, else stack + 1. */
  #slots = new Int32Array(1 << 13);
  #interned = 0;

  constructor() {
    this.starts.push(0);
  }

  get count(): number {
    return this.starts.length - 1;
  }

  start(stack: number): number {
    return this.starts.at(stack);
  }

  depth(stack: number): number {
    return this.starts.at(stack + 1) - this.starts.at(stack);
  }

  /** The number of the stack in `path[0 … length)`, a new one if it was not seen before. */
  intern(path: Int32Array, length: number): number {
    let hash = length;
    for (let index = 0; index < length; index++) {
      hash = Math.imul(hash ^ (path[index] ?? 0), 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    const mask = this.#slots.length - 1;
    let slot = hash & mask;
    for (;;) {
      const entry = this.#slots[slot] ?? 0;
      if (entry === 0) break;
      if (this.#hashes.at(entry - 1) === hash && this.#equals(entry - 1, path, length)) return entry - 1;
      slot = (slot + 1) & mask;
    }
    const stack = this.append(path, length);
    this.#slots[slot] = stack + 1;
    this.#hashes.set(stack, hash);
    this.#interned += 1;
    if (this.#interned * 2 > mask) this.#grow();
    return stack;
  }

  /**
   * Takes the stack without looking whether it is there already. For profiles without order whose stacks are mostly
   * different, as the keys of a map: the tree merges equal ones anyway.
   */
  append(path: Int32Array, length: number): number {
    const { ids } = this;
    ids.reserve(length);
    const { data, length: start } = ids;
    for (let index = 0; index < length; index++) data[start + index] = path[index] ?? 0;
    return this.close(start + length);
  }

  /** For callers that write the frames behind `ids.length` themselves, with room reserved: a stack ends at `end`. */
  close(end: number): number {
    this.ids.length = end;
    this.starts.push(end);
    return this.count - 1;
  }

  #equals(stack: number, path: Int32Array, length: number): boolean {
    if (this.depth(stack) !== length) return false;
    const { data } = this.ids;
    const start = this.start(stack);
    for (let index = 0; index < length; index++) if (data[start + index] !== path[index]) return false;
    return true;
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 2);
    const mask = slots.length - 1;
    for (const entry of this.#slots) {
      if (entry === 0) continue;
      let slot = this.#hashes.at(entry - 1) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = entry;
    }
    this.#slots = slots;
  }
}
