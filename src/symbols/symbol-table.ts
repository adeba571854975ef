import { findLast, sortAddresses } from "./radix-sort.ts";

/** How a symbol's name is to be shown and found. */
export interface SymbolName {
  readonly text: string;
  /** The name in the file was longer than the limit. */
  readonly cut: boolean;
}

/** What kind of thing a symbol is, best first where two have one address. */
export const RANK = { function: 0, indirect: 1, label: 2 } as const;
export const BINDING = { global: 0, weak: 1, local: 2 } as const;
export type Rank = (typeof RANK)[keyof typeof RANK];
export type Binding = (typeof BINDING)[keyof typeof BINDING];

// An inner symbol can end before the one around it does (assembler). Deeper nesting than this is not followed.
const ENCLOSING_MOST = 16;
// A file can hold millions of names for one address: so much of them is compared, and so often; then the first one stays.
const COMPARED_BYTES = 64;
const COMPARISONS_MOST = 500_000;
const UNDERSCORE = 0x5f;

/** Takes symbols in any order, in about 30 bytes each, and makes the sorted table of them. */
export class SymbolCollector {
  #count = 0;
  #comparisons = 0;
  readonly #starts: Float64Array;
  readonly #sizes: Float64Array;
  readonly #bounds: Float64Array;
  readonly #names: Uint32Array;
  readonly #kinds: Uint8Array;

  /** `capacity`: no more than this many symbols are taken. */
  constructor(capacity: number) {
    this.#starts = new Float64Array(capacity);
    this.#sizes = new Float64Array(capacity);
    this.#bounds = new Float64Array(capacity);
    this.#names = new Uint32Array(capacity);
    this.#kinds = new Uint8Array(capacity);
  }

  /**
   * `size` 0: up to the next symbol, but not past `bound`, the end of the section or segment. `name`: where its name starts in the
   * table's names. Positional, because it is called a hundred thousand times before the compiler notices.
   */
  add(start: number, size: number, bound: number, name: number, rank: Rank, binding: Binding): void {
    const i = this.#count;
    if (i >= this.#starts.length) return;
    this.#starts[i] = start;
    this.#sizes[i] = size;
    this.#bounds[i] = bound;
    this.#names[i] = name;
    this.#kinds[i] = (size > 0 ? 0 : 16) | (rank << 2) | binding;
    this.#count = i + 1;
  }

  /** One symbol per address, ascending. `names` is a string table: names end with a NUL byte. */
  build(names: Buffer): SymbolTable {
    const order = sortAddresses(this.#starts.subarray(0, this.#count));
    const chosen = this.#chooseOnePerAddress(order, names);
    const starts = new Float64Array(chosen.length);
    const ends = new Float64Array(chosen.length);
    const offsets = new Uint32Array(chosen.length);
    for (let i = 0; i < chosen.length; i++) {
      const symbol = chosen[i]!;
      const start = this.#starts[symbol]!;
      const size = this.#sizes[symbol]!;
      const next = i + 1 < chosen.length ? this.#starts[chosen[i + 1]!]! : Infinity;
      starts[i] = start;
      ends[i] = Math.min(size > 0 ? start + size : next, this.#bounds[symbol]!);
      offsets[i] = this.#names[symbol]!;
    }
    return new SymbolTable(starts, ends, offsets, names);
  }

  #chooseOnePerAddress(order: Uint32Array, names: Buffer): Uint32Array {
    const chosen = new Uint32Array(order.length);
    let count = 0;
    let functionEnd = -1;
    for (let i = 0; i < order.length;) {
      let best = order[i]!;
      const start = this.#starts[best]!;
      for (i++; i < order.length && this.#starts[order[i]!] === start; i++) {
        if (this.#isBetter(order[i]!, best, names)) best = order[i]!;
      }
      const isLabel = ((this.#kinds[best]! >> 2) & 3) === RANK.label;
      // A label within a function (hand-written assembler) would split it in two.
      if (isLabel && start < functionEnd) continue;
      if (!isLabel) functionEnd = Math.max(functionEnd, start + this.#sizes[best]!);
      chosen[count++] = best;
    }
    return chosen.slice(0, count);
  }

  /**
   * Of several names for one address the one an operator knows: `write`, not `__GI___write`; `acosh`, not `acoshf32x`.
   * After that any rule will do that does not depend on the order in the file.
   */
  #isBetter(a: number, b: number, names: Buffer): boolean {
    const kinds = (this.#kinds[a]! >> 2) - (this.#kinds[b]! >> 2);
    if (kinds !== 0) return kinds < 0;
    if (++this.#comparisons > COMPARISONS_MOST) return false;
    const nameA = this.#names[a]!;
    const nameB = this.#names[b]!;
    const underscores = countUnderscores(names, nameA) - countUnderscores(names, nameB);
    if (underscores !== 0) return underscores < 0;
    const bindings = (this.#kinds[a]! & 3) - (this.#kinds[b]! & 3);
    if (bindings !== 0) return bindings < 0;
    const lengths = measureName(names, nameA) - measureName(names, nameB);
    return lengths === 0 ? compareNames(names, nameA, nameB) < 0 : lengths < 0;
  }
}

/** Symbols sorted by address, in 20 bytes each and their string table; names are decoded when asked for. */
export class SymbolTable {
  readonly #starts: Float64Array;
  readonly #ends: Float64Array;
  readonly #offsets: Uint32Array;
  readonly #names: Buffer;

  /** `starts` ascending; the arrays are of one length. */
  constructor(starts: Float64Array, ends: Float64Array, offsets: Uint32Array, names: Buffer) {
    this.#starts = starts;
    this.#ends = ends;
    this.#offsets = offsets;
    this.#names = names;
  }

  get count(): number {
    return this.#starts.length;
  }

  /** Memory held, in bytes. */
  get bytes(): number {
    return this.#starts.length * 20 + this.#names.length;
  }

  /** The number of the innermost symbol that covers `address`, or -1. */
  find(address: number): number {
    const last = findLast(this.#starts, address);
    const least = Math.max(0, last - ENCLOSING_MOST);
    for (let i = last; i >= least; i--) if (address < this.#ends[i]!) return i;
    return -1;
  }

  /** The name of symbol number `index`, as it is in the file, at most `most` bytes of it. */
  readName(index: number, most: number): SymbolName {
    const offset = this.#offsets[index] ?? this.#names.length;
    const end = this.#names.indexOf(0, offset);
    const whole = end === -1 ? this.#names.length : end;
    const stop = Math.min(whole, offset + most);
    return { text: this.#names.toString("utf8", offset, stop), cut: stop < whole };
  }

  startOf(index: number): number {
    return this.#starts[index] ?? Number.NaN;
  }
}

export const NO_SYMBOLS = new SymbolTable(
  new Float64Array(0),
  new Float64Array(0),
  new Uint32Array(0),
  Buffer.alloc(0),
);

/** Leading underscores; those of a mangled name (`_Z…`, `_R…`) say nothing. */
function countUnderscores(names: Buffer, offset: number): number {
  let at = offset;
  while (at < offset + 8 && names[at] === UNDERSCORE) at++;
  const count = at - offset;
  const mangled = count === 1 && (names[at] === 0x5a || names[at] === 0x52);
  return mangled ? 0 : count;
}

/** Its length, as far as it matters. */
function measureName(names: Buffer, offset: number): number {
  let length = 0;
  while (length < COMPARED_BYTES && (names[offset + length] ?? 0) !== 0) length++;
  return length;
}

function compareNames(names: Buffer, a: number, b: number): number {
  for (let i = 0; i < COMPARED_BYTES; i++) {
    const left = names[a + i] ?? 0;
    const right = names[b + i] ?? 0;
    if (left !== right) return left - right;
    if (left === 0) return 0;
  }
  return 0;
}
