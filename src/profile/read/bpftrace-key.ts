import { ByteInterner, NONE, SLACK } from "./byte-interner.ts";
import { NO_LABEL, type RecordBuilder } from "./bpftrace-record.ts";
import { unescapeJson } from "./json-string.ts";

const NEWLINE = 10;
const TAB = 9;
const SPACE = 32;
const COMMA = 44;
const BACKSLASH = 92;
const LETTER_N = 110;

/**
 * Reads the keys of a map in bpftrace's JSON: the parts of the key joined by commas, each stack as a newline and a line per
 * frame. 0.23 escapes the key twice, 0.24 and later delete its spaces (frames lose their indentation, names their spaces).
 */
export class KeyParser {
  readonly #lines: ByteInterner;
  readonly #labels = new ByteInterner();
  readonly #pieces: (readonly number[])[] = [];
  readonly #record: RecordBuilder;
  #text = allocate(1 << 12);
  #spare = allocate(1 << 12);
  /** Whether keys are escaped twice; null until a key tells. */
  twice: boolean | null = null;

  constructor(lines: ByteInterner, record: RecordBuilder) {
    this.#lines = lines;
    this.#record = record;
  }

  /** Hands the parts of the key to the record. The bytes are the raw ones between the key's quotes. */
  parse(bytes: Uint8Array, start: number, end: number): void {
    if (end - start + SLACK + 1 > this.#text.bytes.length)
      this.#text = allocate((end - start) * 2 + SLACK + 1);
    const length = this.#unescape(unescapeJson(bytes, start, end, this.#text.bytes));
    // Lines are read up to a newline: this one is behind the text.
    this.#text.bytes[length] = NEWLINE;
    this.#readParts(length);
  }

  #unescape(length: number): number {
    const { bytes } = this.#text;
    this.twice ??= judgeEscapes(bytes, length);
    if (this.twice !== true) return length;
    if (length + SLACK + 1 > this.#spare.bytes.length) this.#spare = allocate(this.#text.bytes.length);
    const again = unescapeJson(bytes, 0, length, this.#spare.bytes);
    [this.#text, this.#spare] = [this.#spare, this.#text];
    return again;
  }

  #readParts(length: number): void {
    const { bytes, view } = this.#text;
    for (let place = 0; place <= length;) {
      const newline = Math.min(length, bytes.indexOf(NEWLINE, place));
      const labels = this.#labelsOf(view, place, newline);
      const opens = newline < length && labels.at(-1) === NO_LABEL;
      for (const label of opens ? labels.slice(0, -1) : labels) this.#record.label(label);
      place = newline + 1;
      if (!opens) continue;
      place = this.#readStack(place, length);
      this.#record.endStack();
      // A comma leads to the next part; without one the key ends here.
      if (place < length && bytes[place] === COMMA) place += 1;
      else if (place >= length) return;
    }
  }

  /** Returns where the stack ends: at the comma behind it, or at the key's end. */
  #readStack(start: number, length: number): number {
    const { bytes, view } = this.#text;
    const indented = bytes[start] === SPACE || bytes[start] === TAB;
    let previous = NONE;
    let place = start;
    while (place < length) {
      const first = bytes[place];
      const isFrame = indented ? first === SPACE || first === TAB : first !== COMMA;
      if (!isFrame) break;
      if (first === TAB) place += 1;
      else while (bytes[place] === SPACE) place += 1;
      const symbol = first !== TAB;
      previous = this.#lines.internCaller(previous, view, place, symbol);
      this.#record.frame(previous);
      place = this.#lines.lineEnd + 1;
    }
    return place;
  }

  #labelsOf(view: DataView, start: number, end: number): readonly number[] {
    const index = this.#labels.intern(view, start, end);
    const known = this.#pieces[this.#labels.note(index, 0) - 1];
    if (known !== undefined) return known;
    const labels = this.#labels
      .text(index)
      .split(",")
      .map((label) => this.#record.internLabel(label));
    this.#labels.setNote(index, 0, this.#pieces.push(labels));
    return labels;
  }
}

function allocate(size: number): { bytes: Buffer; view: DataView } {
  const bytes = Buffer.alloc(size);
  return { bytes, view: new DataView(bytes.buffer, bytes.byteOffset, bytes.length) };
}

/** A backslash and an n where a stack should begin mean one escape too many; a newline means none. */
function judgeEscapes(bytes: Uint8Array, length: number): boolean | null {
  for (let place = 0; place < length; place++) {
    if (bytes[place] === NEWLINE) return false;
    if (bytes[place] !== BACKSLASH || bytes[place + 1] !== LETTER_N) continue;
    if (bytes[place + 2] === SPACE && bytes[place + 9] === SPACE) return true;
    if (bytes[place + 2] === BACKSLASH && bytes[place + 3] === 116) return true;
  }
  return null;
}
