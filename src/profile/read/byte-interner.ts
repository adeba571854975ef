import { randomInt } from "node:crypto";
import { IntList } from "../store/lists.ts";

/** Bytes that must be readable behind every range handed in: words are read four bytes at a time. */
export const SLACK = 8;

const NEWLINE = 10;
const PLUS = 43;

/**
 * Numbers byte strings: equal bytes get equal numbers, in the order of their first appearance. No JavaScript string is
 * made for a line that was seen before, which is what makes reading fast. The hash has a random start, so
 * that a file cannot be built to make every line collide.
 */
export class ByteInterner {
  /** All strings, each from a word boundary and padded with zero bytes. */
  #words = new IntList(1 << 14);
  #starts = new IntList(1 << 10);
  #lengths = new IntList(1 << 10);
  #hashes = new IntList(1 << 10);
  #slots = new Int32Array(1 << 12);
  readonly #seed = randomInt(2 ** 31);

  get count(): number {
    return this.#lengths.length;
  }

  /** Where the line of the last `internFrame` or `matchFrame` ended: the place of its newline. */
  lineEnd = 0;

  /** The number of the bytes `start` … `end` of `view`, which needs SLACK more bytes behind `end`. */
  intern(view: DataView, start: number, end: number): number {
    let hash = this.#seed;
    let place = start;
    for (; place + 4 <= end; place += 4) hash = mix(hash, view.getInt32(place, true));
    return this.#find(hash, view, start, end, place);
  }

  /**
   * The number of the line that begins at `start`, its `+123` at the end left out if `offset` is set. One pass finds the
   * newline, which must exist, and the hash.
   */
  internFrame(view: DataView, start: number, offset: boolean): number {
    let hash = this.#seed;
    // The hash one to three words before, for the offset that is left out in the end.
    let before1 = hash;
    let before2 = hash;
    let before3 = hash;
    let place = start;
    for (;;) {
      const word = view.getInt32(place, true);
      const newlines = word ^ 0x0a0a0a0a;
      if (((newlines - 0x01010101) & ~newlines & 0x80808080) !== 0) break;
      before3 = before2;
      before2 = before1;
      before1 = hash;
      hash = mix(hash, word);
      place += 4;
    }
    let newline = place;
    while (view.getUint8(newline) !== NEWLINE) newline += 1;
    this.lineEnd = newline;
    const end = offset ? skipOffset(view, start, newline) : skipReturn(view, start, newline);
    if (end >= place) return this.#find(hash, view, start, end, place);
    const back = (place - end + 3) >> 2;
    if (back > 3 || place - 4 * back < start) return this.intern(view, start, end);
    const known = back === 1 ? before1 : back === 2 ? before2 : before3;
    return this.#find(known, view, start, end, place - 4 * back);
  }

  /**
   * Whether the line at `start` is the one that `internFrame` numbered `index`: in a profile the caller of a function
   * is mostly the one it had last time, and comparing is cheaper than searching.
   */
  matchFrame(index: number, view: DataView, start: number, offset: boolean): boolean {
    const length = this.#lengths.data[index] ?? 0;
    let place = start + length;
    if (place + SLACK > view.byteLength || !this.#equals(index, view, start, length)) return false;
    if (offset && view.getUint8(place) === PLUS) {
      place += 1;
      while (isDigit(view.getUint8(place))) place += 1;
    }
    this.lineEnd = place;
    return view.getUint8(place) === NEWLINE;
  }

  /** The string again, as UTF-8 (bytes that are none become U+FFFD). */
  text(index: number): string {
    const words = this.#words.data;
    const start = words.byteOffset + this.#starts.at(index) * 4;
    return Buffer.from(words.buffer, start, this.#lengths.at(index)).toString("utf8");
  }

  /** Looks up the bytes `start` … `end`; `hash` covers the whole words before `place`. */
  #find(hash: number, view: DataView, start: number, end: number, place: number): number {
    const rest = end - place;
    const tail = rest === 0 ? 0 : view.getInt32(place, true) & ((1 << (rest * 8)) - 1);
    let mixed = Math.imul(hash ^ tail ^ rest, 0x85ebca6b);
    mixed ^= mixed >>> 13;
    mixed = Math.imul(mixed, 0xc2b2ae35);
    mixed ^= mixed >>> 16;
    const slots = this.#slots;
    const mask = slots.length - 1;
    const hashes = this.#hashes.data;
    let slot = mixed & mask;
    for (;;) {
      const entry = slots[slot] ?? 0;
      if (entry === 0) break;
      if (hashes[entry - 1] === mixed && this.#equals(entry - 1, view, start, end - start)) return entry - 1;
      slot = (slot + 1) & mask;
    }
    return this.#add(slot, mixed, view, start, end, place, tail);
  }

  #equals(index: number, view: DataView, start: number, length: number): boolean {
    if (this.#lengths.data[index] !== length) return false;
    const words = this.#words.data;
    let word = this.#starts.data[index] ?? 0;
    const wordsEnd = start + (length & ~3);
    for (let place = start; place < wordsEnd; place += 4) {
      if (words[word++] !== view.getInt32(place, true)) return false;
    }
    const rest = length & 3;
    return rest === 0 || words[word] === (view.getInt32(wordsEnd, true) & ((1 << (rest * 8)) - 1));
  }

  #add(
    slot: number,
    hash: number,
    view: DataView,
    start: number,
    end: number,
    wordsEnd: number,
    tail: number,
  ): number {
    const index = this.count;
    this.#slots[slot] = index + 1;
    this.#hashes.push(hash);
    this.#lengths.push(end - start);
    this.#starts.push(this.#words.length);
    for (let place = start; place < wordsEnd; place += 4) this.#words.push(view.getInt32(place, true));
    if (wordsEnd < end) this.#words.push(tail);
    if (index * 2 > this.#slots.length) this.#grow();
    return index;
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 4);
    const mask = slots.length - 1;
    for (let index = 0; index < this.count; index++) {
      let slot = this.#hashes.at(index) & mask;
      while (slots[slot] !== 0) slot = (slot + 1) & mask;
      slots[slot] = index + 1;
    }
    this.#slots = slots;
  }
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return (mixed << 13) | (mixed >>> 19);
}

function isDigit(byte: number): boolean {
  return byte >= 48 && byte <= 57;
}

/** Where a `+123` before the end of the line begins, or the line's end. */
function skipOffset(view: DataView, start: number, newline: number): number {
  const end = skipReturn(view, start, newline);
  let place = end - 1;
  while (place > start && isDigit(view.getUint8(place))) place -= 1;
  return place > start && place < end - 1 && view.getUint8(place) === PLUS ? place : end;
}

function skipReturn(view: DataView, start: number, newline: number): number {
  return newline > start && view.getUint8(newline - 1) === 13 ? newline - 1 : newline;
}
