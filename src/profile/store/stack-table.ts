import { IntList } from "./lists.ts";

/** Every different stack once, as frame ids root → leaf, all in one array: 4 bytes a frame. */
export class StackTable {
  /** Frame ids of all stacks, one after the other. */
  readonly ids = new IntList(1 << 16);
  /** `starts[stack]` … `starts[stack + 1]` is the stack's place in `ids`. */
  readonly starts = new IntList(1 << 12);
  #hashes = new IntList(1 << 12);
  /** Open addressing; 0 is free, else stack + 1. */
  #slots = new Int32Array(1 << 13);

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
    const stack = this.count;
    this.#slots[slot] = stack + 1;
    this.#hashes.push(hash);
    this.ids.reserve(length);
    this.ids.data.set(length === path.length ? path : path.subarray(0, length), this.ids.length);
    this.ids.length += length;
    this.starts.push(this.ids.length);
    if (stack * 2 > mask) this.#grow();
    return stack;
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
    for (let stack = 0; stack < this.count; stack++) {
      let slot = this.#hashes.at(stack) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = stack + 1;
    }
    this.#slots = slots;
  }
}
