import { randomInt } from "node:crypto";
import { IntList } from "../store/lists.ts";

/** Bytes that must be readable behind every range handed in: words are read four bytes at a time. */
export const SLACK = 8;

/** No string. */
export const NONE = 0;

const NEWLINE = 10;
const PLUS = 43;

/**
 * A string is kept as one record of 32-bit words, its number is the record's place: everything a look-up needs comes into the
 * cache together. LENGTH in bytes; NOTES, two words for the user of this class, 0 at first; FIRST and SECOND, the strings that
 * came after it, each with its length and its last four bytes, so that a wrong guess costs no look at another record; from
 * TEXT on the bytes, padded with zeros. The record at 0 is that of NONE.
 */
const LENGTH = 0;
const NOTES = 1;
const FIRST = 3;
const SECOND = 6;
const GUESS_LENGTH = 1;
const GUESS_TAIL = 2;
const TEXT = 9;

/**
 * Numbers byte strings: equal bytes get equal numbers. No JavaScript string is made for a line that was seen before, which
 * is what makes reading fast. The hash has a random start, so that a file cannot be built to make every line collide.
 */
export class ByteInterner {
  readonly #records = new IntList(1 << 14);
  /** Open addressing: the numbers by their hash. */
  #slots = new Int32Array(1 << 12);
  #count = 0;
  readonly #seed = randomInt(2 ** 31);
  /** Where the line of the last `internFrame` or `internCaller` ended: the place of its newline. */
  lineEnd = 0;

  constructor() {
    this.#records.length = TEXT;
  }

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
   * The same for the line that follows `previous` (NONE at the leaf). In a profile the caller of a function is mostly one of
   * the two it had last, and comparing is cheaper than searching.
   */
  internCaller(previous: number, view: DataView, start: number, offset: boolean): number {
    if (this.#matchFrame(previous + FIRST, view, start, offset)) {
      return this.#records.data[previous + FIRST] ?? NONE;
    }
    if (this.#matchFrame(previous + SECOND, view, start, offset)) {
      return this.#records.data[previous + SECOND] ?? NONE;
    }
    const index = this.internFrame(view, start, offset);
    this.#guessNext(previous, index);
    return index;
  }

  /** The string again, as UTF-8 (bytes that are none become U+FFFD). */
  text(index: number): string {
    const { data } = this.#records;
    const start = data.byteOffset + (index + TEXT) * 4;
    return Buffer.from(data.buffer, start, data[index + LENGTH] ?? 0).toString("utf8");
  }

  /** What the user of this class noted about a string, 0 if nothing. */
  note(index: number, which: 0 | 1): number {
    return this.#records.data[index + NOTES + which] ?? 0;
  }

  setNote(index: number, which: 0 | 1, value: number): void {
    this.#records.data[index + NOTES + which] = value;
  }

  /** Whether the line at `start` is the one that `guess` (FIRST or SECOND of a record) names. */
  #matchFrame(guess: number, view: DataView, start: number, offset: boolean): boolean {
    const { data } = this.#records;
    const length = data[guess + GUESS_LENGTH] ?? 0;
    let place = start + length;
    if (length === 0 || place + SLACK > view.byteLength) return false;
    if (view.getInt32(place - 4, true) !== data[guess + GUESS_TAIL]) return false;
    if (!this.#equals(data[guess] ?? NONE, view, start, length)) return false;
    if (offset && view.getUint8(place) === PLUS) {
      place += 1;
      while (isDigit(view.getUint8(place))) place += 1;
    }
    this.lineEnd = place;
    return view.getUint8(place) === NEWLINE;
  }

  /** `index` came after `previous`: the older of the two guesses goes. Strings below four bytes are no guess. */
  #guessNext(previous: number, index: number): void {
    const { data } = this.#records;
    const length = data[index + LENGTH] ?? 0;
    if (length < 4) return;
    data[previous + SECOND] = data[previous + FIRST] ?? NONE;
    data[previous + SECOND + GUESS_LENGTH] = data[previous + FIRST + GUESS_LENGTH] ?? 0;
    data[previous + SECOND + GUESS_TAIL] = data[previous + FIRST + GUESS_TAIL] ?? 0;
    data[previous + FIRST] = index;
    data[previous + FIRST + GUESS_LENGTH] = length;
    data[previous + FIRST + GUESS_TAIL] = this.#tailOf(index, length);
  }

  /** The last four of `length` bytes. */
  #tailOf(index: number, length: number): number {
    const { data } = this.#records;
    const word = index + TEXT + (length >> 2);
    const shift = (length & 3) * 8;
    if (shift === 0) return data[word - 1] ?? 0;
    return ((data[word - 1] ?? 0) >>> shift) | ((data[word] ?? 0) << (32 - shift));
  }

  /** Looks up the bytes `start` … `end`; `hash` covers the whole words before `place`. */
  #find(hash: number, view: DataView, start: number, end: number, place: number): number {
    const rest = end - place;
    const tail = rest === 0 ? 0 : view.getInt32(place, true) & ((1 << (rest * 8)) - 1);
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = finish(hash, tail, rest) & mask;
    for (;;) {
      const index = slots[slot] ?? NONE;
      if (index === NONE) break;
      if (this.#equals(index, view, start, end - start)) return index;
      slot = (slot + 1) & mask;
    }
    return this.#add(slot, view, start, end);
  }

  #equals(index: number, view: DataView, start: number, length: number): boolean {
    const { data } = this.#records;
    if (data[index + LENGTH] !== length) return false;
    let word = index + TEXT;
    const wordsEnd = start + (length & ~3);
    let place = start;
    // Two at a time: half the branches.
    for (; place + 4 < wordsEnd; place += 8, word += 2) {
      const first = (data[word] ?? 0) ^ view.getInt32(place, true);
      const second = (data[word + 1] ?? 0) ^ view.getInt32(place + 4, true);
      if ((first | second) !== 0) return false;
    }
    if (place < wordsEnd && data[word++] !== view.getInt32(place, true)) return false;
    const rest = length & 3;
    return rest === 0 || data[word] === (view.getInt32(wordsEnd, true) & ((1 << (rest * 8)) - 1));
  }

  #add(slot: number, view: DataView, start: number, end: number): number {
    const index = this.#records.length;
    const length = end - start;
    const words = (length + 3) >> 2;
    this.#records.reserve(TEXT + words);
    const { data } = this.#records;
    data[index + LENGTH] = length;
    for (let word = 0; word < words; word++) {
      data[index + TEXT + word] = view.getInt32(start + word * 4, true);
    }
    const rest = length & 3;
    if (rest !== 0) {
      const last = index + TEXT + words - 1;
      data[last] = (data[last] ?? 0) & ((1 << (rest * 8)) - 1);
    }
    this.#records.length = index + TEXT + words;
    this.#slots[slot] = index;
    this.#count += 1;
    if (this.#count * 2 > this.#slots.length) this.#grow();
    return index;
  }

  #grow(): void {
    const slots = new Int32Array(this.#slots.length * 4);
    const mask = slots.length - 1;
    for (const index of this.#slots) {
      if (index === NONE) continue;
      let slot = this.#hashRecord(index) & mask;
      while (slots[slot] !== NONE) slot = (slot + 1) & mask;
      slots[slot] = index;
    }
    this.#slots = slots;
  }

  #hashRecord(index: number): number {
    const { data } = this.#records;
    const length = data[index + LENGTH] ?? 0;
    const textEnd = index + TEXT + (length >> 2);
    let hash = this.#seed;
    for (let word = index + TEXT; word < textEnd; word++) hash = mix(hash, data[word] ?? 0);
    return finish(hash, (length & 3) === 0 ? 0 : (data[textEnd] ?? 0), length & 3);
  }
}

function mix(hash: number, word: number): number {
  const mixed = Math.imul(hash ^ word, 0x9e3779b1);
  return (mixed << 13) | (mixed >>> 19);
}

/** Takes in the last `rest` bytes, and spreads the hash over all its bits. */
function finish(hash: number, tail: number, rest: number): number {
  let mixed = Math.imul(hash ^ tail ^ rest, 0x85ebca6b);
  mixed ^= mixed >>> 13;
  mixed = Math.imul(mixed, 0xc2b2ae35);
  return mixed ^ (mixed >>> 16);
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
