import type { ByteSource } from "./byte-source.ts";
import type { SymbolLimits } from "./limits.ts";
import { layOut, type Pieces } from "./pieces.ts";
import { findLast } from "./radix-sort.ts";

/** Counts of what a perf map held. */
export interface PerfMapCounts {
  readonly entries: number;
  /** Lines that are not `start size name`. */
  readonly malformed: number;
  /** The file or the number of entries went over a limit: later entries are not known. */
  readonly truncated: boolean;
}

const CHUNK_BYTES = 1_048_576;
const NEWLINE = 10;
const SPACE = 32;
// start and size in hexadecimal, two spaces, and room for "0x" before each.
const HEAD_BYTES = 48;

/**
 * A `/tmp/perf-PID.map` as JIT compilers write it (perf's `jit-interface.txt`): lines of `start size name`, hexadecimal
 * without 0x, the name anything to the end of the line. It grows while the program runs; where code was moved and its
 * memory used again, the later line holds.
 *
 * Only 16 bytes an entry are held: names are read from the file when asked for.
 */
export class PerfMap {
  readonly #source: ByteSource;
  readonly #limits: SymbolLimits;
  readonly #budget: { left: number };
  #position = 0;
  #count = 0;
  #malformed = 0;
  #truncated = false;
  #skipping = false;
  #starts = new Float64Array(0);
  #sizes = new Uint32Array(0);
  #names = new Uint32Array(0);
  #index: Pieces | null = null;

  /** `budget.left`: how many entries all perf maps that share it may still take. */
  constructor(
    source: ByteSource,
    limits: SymbolLimits,
    budget: { left: number } = { left: limits.perfMapEntries },
  ) {
    this.#source = source;
    this.#limits = limits;
    this.#budget = budget;
  }

  get counts(): PerfMapCounts {
    return { entries: this.#count, malformed: this.#malformed, truncated: this.#truncated };
  }

  /** Reads what was appended since the last time; `fileSize` is the file's size now, in bytes. An unfinished last line waits. */
  update(fileSize: number): void {
    const end = Math.min(fileSize, this.#limits.perfMapBytes);
    if (fileSize > end) this.#truncated = true;
    while (this.#position < end) {
      const length = Math.min(CHUNK_BYTES, end - this.#position);
      const bytes = this.#source.read(this.#position, length);
      const used = bytes === null ? 0 : this.#readLines(bytes);
      if (used > 0) this.#position += used;
      else if (length < CHUNK_BYTES || bytes === null) return;
      else this.#skipLongLine();
    }
  }

  /** The number of the entry that covers `address`, or -1. */
  find(address: number): number {
    this.#index ??= layOut(this.#starts.subarray(0, this.#count), this.#sizes.subarray(0, this.#count));
    const piece = findLast(this.#index.starts, address);
    return piece === -1 || address >= this.#index.ends[piece]! ? -1 : this.#index.entries[piece]!;
  }

  /** The name of entry number `entry`, at most `nameBytes` of it, or null where the file cannot be read any more. */
  readName(entry: number): string | null {
    const offset = this.#names[entry];
    if (offset === undefined || entry >= this.#count) return null;
    const most = Math.min(this.#limits.nameBytes, this.#position - offset);
    for (const size of [Math.min(256, most), most]) {
      const bytes = this.#source.read(offset, size);
      if (bytes === null) return null;
      const end = bytes.indexOf(NEWLINE);
      if (end !== -1 || size === most) return bytes.toString("utf8", 0, end === -1 ? size : end);
    }
    return null;
  }

  /** Gives its memory back. It is not to be used after this. */
  close(): void {
    this.#budget.left += this.#starts.length;
  }

  /** Bytes of `bytes` that whole lines made up. */
  #readLines(bytes: Buffer): number {
    let from = 0;
    for (let end = bytes.indexOf(NEWLINE); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
      if (this.#skipping) this.#skipping = false;
      else if (end > from) this.#readLine(bytes, from, end);
      from = end + 1;
    }
    return from;
  }

  #readLine(bytes: Buffer, from: number, end: number): void {
    const limit = Math.min(end, from + HEAD_BYTES);
    const startEnd = findSpace(bytes, from, limit);
    const sizeEnd = findSpace(bytes, startEnd + 1, limit);
    const start = readHex(bytes, from, startEnd);
    const size = readHex(bytes, startEnd + 1, sizeEnd);
    if (!(start >= 0) || !(size >= 0) || sizeEnd + 1 >= end) {
      this.#malformed++;
      return;
    }
    if (size > 0) this.#add(start, Math.min(size, 0xffffffff), this.#position + sizeEnd + 1);
  }

  #add(start: number, size: number, name: number): void {
    if (name > 0xffffffff || (this.#count === this.#starts.length && !this.#grow())) {
      this.#truncated = true;
      return;
    }
    this.#starts[this.#count] = start;
    this.#sizes[this.#count] = size;
    this.#names[this.#count] = name;
    this.#count++;
    this.#index = null;
  }

  #grow(): boolean {
    const more = Math.max(1024, this.#starts.length);
    const length = Math.min(
      this.#starts.length + Math.min(more, this.#budget.left),
      this.#limits.perfMapEntries,
    );
    if (length <= this.#starts.length) return false;
    this.#budget.left -= length - this.#starts.length;
    const starts = new Float64Array(length);
    const sizes = new Uint32Array(length);
    const names = new Uint32Array(length);
    starts.set(this.#starts);
    sizes.set(this.#sizes);
    names.set(this.#names);
    [this.#starts, this.#sizes, this.#names] = [starts, sizes, names];
    return true;
  }

  /** No compiler writes a line as long as a chunk: all of it is passed over. */
  #skipLongLine(): void {
    if (!this.#skipping) this.#malformed++;
    this.#skipping = true;
    this.#position += CHUNK_BYTES;
  }
}

/** The position of the next space before `limit`, else `limit`. */
function findSpace(bytes: Buffer, from: number, limit: number): number {
  let at = from;
  while (at < limit && bytes[at] !== SPACE) at++;
  return at;
}

/** The hexadecimal number in a range of bytes; NaN where it is none or over 2^53 - 1. */
function readHex(bytes: Buffer, from: number, end: number): number {
  let at = from;
  if (bytes[at] === 0x30 && (bytes[at + 1] === 0x78 || bytes[at + 1] === 0x58)) at += 2;
  if (at >= end) return Number.NaN;
  let value = 0;
  for (; at < end; at++) {
    const digit = HEX[bytes[at]!]!;
    if (digit === 255) return Number.NaN;
    value = value * 16 + digit;
  }
  return value <= Number.MAX_SAFE_INTEGER ? value : Number.NaN;
}

const HEX = new Uint8Array(256).fill(255);
for (let digit = 0; digit < 16; digit++) {
  HEX[digit.toString(16).charCodeAt(0)] = digit;
  HEX[digit.toString(16).toUpperCase().charCodeAt(0)] = digit;
}
