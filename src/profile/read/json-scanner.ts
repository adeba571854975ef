const QUOTE = 34;
const BACKSLASH = 92;
const NEWLINE = 10;
const OPEN_OBJECT = 123;
const CLOSE_OBJECT = 125;
const OPEN_ARRAY = 91;
const CLOSE_ARRAY = 93;
const COMMA = 44;
/** No profile holds a longer name; without a limit a file of one endless string would have to be held in memory. */
const MAX_STRING_BYTES = 64 << 20;

/** Takes the tokens of a JSON text. Strings come as the raw bytes between their quotes, escapes and all. */
export interface JsonHandler {
  begin(object: boolean): void;
  end(): void;
  key(bytes: Uint8Array, start: number, end: number): void;
  string(bytes: Uint8Array, start: number, end: number): void;
  number(value: number): void;
  /** `true`, `false`, `null`. */
  literal(): void;
  /** The record that was open cannot go on: input ended or, with a record per line, a line did. */
  broken(): void;
  /** Only with a record per line: a line that is none. As much of it as is at hand. */
  otherLine?(bytes: Buffer, start: number, end: number): void;
}

/**
 * Splits JSON into tokens as the bytes come in, without holding more than one string: a map of bpftrace is one
 * line of hundreds of megabytes, longer than a JavaScript string can be. It never throws; what is no JSON is
 * skipped. It checks the nesting, not the grammar.
 */
export class JsonScanner {
  readonly #handler: JsonHandler;
  readonly #recordPerLine: boolean;
  /** true for an object, false for an array. */
  readonly #open: boolean[] = [];
  #expectsKey = false;
  /** A string or number that began in an earlier block. */
  #rest: Buffer = Buffer.alloc(0);
  #within: "nothing" | "string" | "escape" | "scalar" | "line" = "nothing";

  /**
   * With `recordPerLine` each line is a JSON object of its own: other lines are counted and skipped, and an unfinished
   * object ends with its line.
   */
  constructor(handler: JsonHandler, recordPerLine: boolean) {
    this.#handler = handler;
    this.#recordPerLine = recordPerLine;
  }

  push(bytes: Buffer, start: number, end: number): void {
    let place = start;
    if (this.#within === "string" || this.#within === "escape") place = this.#string(bytes, place, end);
    else if (this.#within === "scalar") place = this.#scalar(bytes, place, end);
    while (place < end) {
      const byte = bytes[place] ?? 0;
      if (this.#within === "line" || (this.#recordPerLine && this.#open.length === 0)) {
        place = this.#betweenRecords(bytes, place, end);
      } else if (byte === QUOTE) {
        place = this.#string(bytes, place + 1, end);
      } else if (byte === COMMA) {
        this.#expectsKey = this.#open.at(-1) ?? false;
        place += 1;
      } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
        this.#begin(byte === OPEN_OBJECT);
        place += 1;
      } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
        this.#end(byte === CLOSE_OBJECT);
        place += 1;
      } else if (byte >= 48 && byte <= 57) {
        place = this.#digits(bytes, place, end);
      } else if (isScalarByte(byte)) {
        place = this.#scalar(bytes, place, end);
      } else {
        if (byte === NEWLINE && this.#recordPerLine) this.#break();
        place += 1;
      }
    }
  }

  finish(): void {
    if (this.#within === "scalar") this.#useScalar(this.#rest, 0, this.#rest.length);
    if (this.#open.length > 0 || this.#within === "string" || this.#within === "escape") this.#break();
  }

  /** Skips what is no record, up to a `{` at the begin of a line. */
  #betweenRecords(bytes: Buffer, place: number, end: number): number {
    if (this.#within === "nothing") {
      const byte = bytes[place] ?? 0;
      if (byte === OPEN_OBJECT) {
        this.#begin(true);
        return place + 1;
      }
      if (byte === NEWLINE || byte === 13 || byte === 32) return place + 1;
      this.#within = "line";
      const lineEnd = bytes.indexOf(NEWLINE, place);
      this.#handler.otherLine?.(bytes, place, lineEnd < 0 ? end : Math.min(end, lineEnd));
    }
    const newline = bytes.indexOf(NEWLINE, place);
    if (newline < 0 || newline >= end) return end;
    this.#within = "nothing";
    return newline + 1;
  }

  #begin(object: boolean): void {
    this.#open.push(object);
    this.#expectsKey = object;
    this.#handler.begin(object);
  }

  #end(object: boolean): void {
    // A bracket that closes nothing, or the wrong thing, closes what is open: the rest stays readable.
    if (this.#open.pop() === undefined) return;
    this.#expectsKey = false;
    if (!object && this.#open.length === 0 && this.#recordPerLine) return this.#handler.broken();
    this.#handler.end();
  }

  #break(): void {
    if (this.#open.length === 0 && this.#within === "nothing") return;
    this.#open.length = 0;
    this.#within = "nothing";
    this.#rest = Buffer.alloc(0);
    this.#handler.broken();
  }

  /** Reads the rest of a string; `start` is behind its quote or at the begin of a block. */
  #string(bytes: Buffer, start: number, end: number): number {
    let place = this.#within === "escape" ? start + 1 : start;
    this.#within = "string";
    while (place < end) {
      const byte = bytes[place];
      if (byte === QUOTE) {
        this.#useString(bytes, start, place);
        return place + 1;
      }
      if (byte === NEWLINE && this.#recordPerLine) {
        this.#break();
        return place + 1;
      }
      place += byte === BACKSLASH ? 2 : 1;
    }
    if (place > end) this.#within = "escape";
    this.#keep(bytes, start, end);
    return end;
  }

  #useString(bytes: Buffer, start: number, end: number): void {
    this.#within = "nothing";
    const isKey = this.#expectsKey;
    this.#expectsKey = false;
    if (this.#rest.length === 0) {
      if (isKey) this.#handler.key(bytes, start, end);
      else this.#handler.string(bytes, start, end);
      return;
    }
    this.#keep(bytes, start, end);
    const whole = this.#rest;
    this.#rest = Buffer.alloc(0);
    if (isKey) this.#handler.key(whole, 0, whole.length);
    else this.#handler.string(whole, 0, whole.length);
  }

  /** A whole number that ends in this block, which is what most of a profile is made of. */
  #digits(bytes: Buffer, start: number, end: number): number {
    let value = 0;
    let place = start;
    for (; place < end; place++) {
      const digit = (bytes[place] ?? 0) - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (place === end || place - start > 15 || isScalarByte(bytes[place] ?? 0))
      return this.#scalar(bytes, start, end);
    this.#handler.number(value);
    return place;
  }

  #scalar(bytes: Buffer, start: number, end: number): number {
    let place = start;
    while (place < end && isScalarByte(bytes[place] ?? 0)) place += 1;
    if (place === end) {
      // It may go on in the next block.
      this.#within = "scalar";
      this.#keep(bytes, start, end);
      return end;
    }
    this.#within = "nothing";
    if (this.#rest.length === 0) {
      this.#useScalar(bytes, start, place);
      return place;
    }
    this.#keep(bytes, start, place);
    const whole = this.#rest;
    this.#rest = Buffer.alloc(0);
    this.#useScalar(whole, 0, whole.length);
    return place;
  }

  #useScalar(bytes: Buffer, start: number, end: number): void {
    if (end - start <= 15) {
      let value = 0;
      let place = start;
      for (; place < end; place++) {
        const digit = (bytes[place] ?? 0) - 48;
        if (digit < 0 || digit > 9) break;
        value = value * 10 + digit;
      }
      if (place === end) return this.#handler.number(value);
    }
    const text = bytes.toString("latin1", start, end);
    if (/^-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?$/.test(text)) this.#handler.number(Number(text));
    else this.#handler.literal();
  }

  #keep(bytes: Buffer, start: number, end: number): void {
    if (this.#rest.length + end - start > MAX_STRING_BYTES) return;
    this.#rest = Buffer.concat([this.#rest, bytes.subarray(start, end)]);
  }
}

function isScalarByte(byte: number): boolean {
  return (
    (byte >= 48 && byte <= 57) ||
    byte === 43 ||
    byte === 45 ||
    byte === 46 ||
    (byte >= 65 && byte <= 90) ||
    (byte >= 97 && byte <= 122)
  );
}
