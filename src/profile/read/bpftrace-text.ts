import type { ProfileStore } from "../store/store.ts";
import { ByteInterner, NONE } from "./byte-interner.ts";
import { NO_LABEL, RecordBuilder, type MapPart, type Votes } from "./bpftrace-record.ts";
import { countNote } from "./bpftrace-notes.ts";
import { parseMapValue, type MapValue } from "./bpftrace-value.ts";
import type { Part } from "./part.ts";
import {
  countIgnored,
  countMissing,
  createReport,
  type Block,
  type BlockReader,
  type ReadReport,
} from "./report.ts";

const NEWLINE = 10;
const RETURN = 13;
const TAB = 9;
const SPACE = 32;
const COMMA = 44;
const COLON = 58;
const AT = 64;
const CLOSE = 93;

/** A piece of a key that is no frame line: its labels, and whether a stack begins behind it. */
interface KeyPiece {
  readonly map: string | null;
  /** Frame numbers, NO_LABEL for an empty part. */
  readonly labels: readonly number[];
  readonly opens: boolean;
}

/**
 * Reads what bpftrace prints for maps as text: `@name[`, frame lines (four spaces, eight since 0.23, or a tab), `, ` between the
 * parts of the key, `]: value`. Stacks may be at any place of the key, be empty, and stand in several maps.
 * The format has no quoting: a comm with a newline in it can imitate an entry. The JSON output cannot be forged.
 */
export class BpftraceTextReader implements BlockReader {
  readonly lines = true;
  readonly report: ReadReport = createReport("bpftrace");
  readonly #lines = new ByteInterner();
  readonly #keys = new ByteInterner();
  readonly #pieces: KeyPiece[] = [];
  readonly #record: RecordBuilder;
  /** "outside" of an entry, in a "stack" of its key, or behind a "label" (which a newline may continue). */
  #state: "outside" | "stack" | "label" = "outside";
  /** Lines of the current entry, to count them if it turns out damaged. */
  #size = 0;

  constructor(store: ProfileStore, name: string, votes: Votes = new Map()) {
    this.#record = new RecordBuilder(store, name, this.report, votes, this.#lines);
  }

  push({ bytes, view, start, end }: Block): void {
    // Only the very last line of the input can lack its newline: the slack has room for one.
    if (bytes[end - 1] !== NEWLINE) bytes[end] = NEWLINE;
    for (let line = start; line < end;) {
      const first = bytes[line];
      if ((first === SPACE || first === TAB) && this.#state !== "outside") {
        line = this.#readFrames(bytes, view, line, end);
        continue;
      }
      // These lines are short: the call of indexOf would cost more than the search.
      let newline = line;
      while (bytes[newline] !== NEWLINE) newline += 1;
      const stop = newline > line && bytes[newline - 1] === RETURN ? newline - 1 : newline;
      this.#readOther(bytes, view, line, stop);
      line = newline + 1;
    }
  }

  finish(): void {
    this.#abandon();
    this.#record.close();
  }

  /** Ends this part of a file: what its maps hold, those without stacks too, because the other part's may have some. */
  endPart(): MapPart[] {
    this.#abandon();
    return this.#record.listMaps();
  }

  /** Adds what another reader found in the rest of the file. */
  absorb({ report, ...part }: Part): void {
    this.#record.absorb(part);
    this.report.samples += report.samples;
    this.report.damaged += report.damaged;
    for (const [reason, count] of report.ignored) countIgnored(this.report, reason, count);
    for (const [what, count] of report.missing) countMissing(this.report, what, count);
  }

  votes(): Votes {
    return this.#record.votes();
  }

  /** The hot path: nearly all lines are frames, and nearly all of them were seen before. */
  #readFrames(bytes: Buffer, view: DataView, line: number, end: number): number {
    const lines = this.#lines;
    let previous = NONE;
    let start = line;
    while (start < end) {
      const first = bytes[start];
      if (first !== SPACE && first !== TAB) break;
      start += 1;
      // A tab is perf's style, in which the address tells calls apart: the line as a whole is what repeats.
      const symbol = first === SPACE;
      if (symbol) while (bytes[start] === SPACE) start += 1;
      previous = lines.internCaller(previous, view, start, symbol);
      this.#record.frame(previous);
      this.#size += 1;
      start = lines.lineEnd + 1;
    }
    return start;
  }

  #readOther(bytes: Buffer, view: DataView, line: number, stop: number): void {
    if (bytes[line] === AT) {
      const named = this.#nameEnd(bytes, line, stop);
      if (named > 0) return this.#readHeader(bytes, view, line, stop);
    }
    if (this.#state === "outside") return this.#readOutside(bytes, line, stop);
    this.#size += 1;
    if (this.#state === "stack") {
      this.#record.endStack();
      if (bytes[line] === CLOSE) return this.#readEnd(bytes, view, line, line + 1, stop);
      if (bytes[line] === COMMA && bytes[line + 1] === SPACE) {
        return this.#readEnd(bytes, view, line + 2, line + 2, stop);
      }
      return this.#abandon();
    }
    // A newline in a comm: the label goes on here.
    if (line < stop) this.#readEnd(bytes, view, line, line, stop);
  }

  /** `@name[` … : 0 if the line is something else. */
  #nameEnd(bytes: Buffer, line: number, stop: number): number {
    let place = line + 1;
    while (place < stop && isNameByte(bytes[place] ?? 0)) place += 1;
    return place < stop && bytes[place] === 91 ? place : 0;
  }

  #readHeader(bytes: Buffer, view: DataView, line: number, stop: number): void {
    this.#abandon();
    this.#size = 1;
    this.#readEnd(bytes, view, line, line, stop, true);
  }

  /**
   * Reads the rest of a line that is no frame: labels, then either the end of the entry or the begin of a stack. `key` is
   * where the labels begin.
   */
  #readEnd(bytes: Buffer, view: DataView, line: number, key: number, stop: number, head = false): void {
    // `]: 123`, by far the most frequent end, without making a string.
    let digits = stop;
    while (digits > line && (bytes[digits - 1] ?? 0) >= 48 && (bytes[digits - 1] ?? 0) <= 57) digits -= 1;
    const plain = stop > digits && stop - digits <= 15 && isEndMark(bytes, digits - 3, line);
    if (plain) {
      let value = 0;
      for (let place = digits; place < stop; place++) value = value * 10 + (bytes[place] ?? 48) - 48;
      this.#usePiece(this.#pieceOf(view, key, digits - 3, head), true);
      return this.#close(value);
    }
    const mark = findEndMark(bytes, line, stop);
    if (mark >= 0) {
      const value = parseMapValue(bytes.toString("utf8", mark + 2, stop));
      if (value !== "other" || isTypedValue(bytes, mark + 2, stop)) {
        this.#usePiece(this.#pieceOf(view, key, mark, head), true);
        return this.#close(value);
      }
    }
    this.#usePiece(this.#pieceOf(view, key, stop, head), false);
  }

  #usePiece(piece: KeyPiece, ended: boolean): void {
    if (piece.map !== null) this.#record.begin(piece.map);
    for (const label of piece.labels) this.#record.label(label);
    if (ended && piece.opens) this.#record.label(NO_LABEL);
    this.#state = piece.opens ? "stack" : "label";
  }

  /** Only a `head` names the map: a comm may look like one. */
  #pieceOf(view: DataView, start: number, end: number, head: boolean): KeyPiece {
    if (end < start) return { map: null, labels: [], opens: false };
    const index = this.#keys.intern(view, start, end);
    const which = head ? 1 : 0;
    const known = this.#pieces[this.#keys.note(index, which) - 1];
    if (known !== undefined) return known;
    const { labels, ...rest } = parseKeyPiece(this.#keys.text(index), head);
    const piece = { ...rest, labels: labels.map((label) => this.#record.internLabel(label)) };
    this.#keys.setNote(index, which, this.#pieces.push(piece));
    return piece;
  }

  #close(value: MapValue): void {
    if (value === "histogram") countIgnored(this.report, "histograms");
    else if (value === "other") countIgnored(this.report, "entries whose value is no number");
    else this.#record.finish(value);
    this.#state = "outside";
    this.#size = 0;
  }

  /** The current entry has no end: what there is of it is counted as damaged. */
  #abandon(): void {
    if (this.#state !== "outside") this.report.damaged += this.#size;
    this.#state = "outside";
    this.#size = 0;
  }

  /** A frame or an end outside of an entry is the rest of one whose head is missing. Banners and tables are neither. */
  #readOutside(bytes: Buffer, line: number, stop: number): void {
    if (line === stop) return;
    const first = bytes[line];
    const indented =
      first === TAB ||
      (first === SPACE && stop - line > 4 && bytes.toString("latin1", line, line + 4) === "    ");
    const end = /^(?:, .*)?\]: -?\d+$/s.test(bytes.toString("latin1", line, Math.min(stop, line + 300)));
    if (indented || end) this.report.damaged += 1;
    else if (first === AT) countIgnored(this.report, "values without a key");
    else if (!countNote(bytes.toString("latin1", line, Math.min(stop, line + 300)), this.report)) {
      countIgnored(this.report, "other lines");
    }
  }
}

/** Whether `]: ` begins at `place`. */
function isEndMark(bytes: Buffer, place: number, line: number): boolean {
  return place >= line && bytes[place] === CLOSE && bytes[place + 1] === COLON && bytes[place + 2] === SPACE;
}

/** The last `]:` of a line, −1 if there is none. */
function findEndMark(bytes: Buffer, line: number, stop: number): number {
  for (let place = stop - 2; place >= line; place--) {
    if (bytes[place] === CLOSE && bytes[place + 1] === COLON) return place;
  }
  return -1;
}

/** Values that are legal but cannot be drawn: tuples, booleans, strings without a bracket. */
function isTypedValue(bytes: Buffer, start: number, stop: number): boolean {
  return /^ [^\]]*$/s.test(bytes.toString("latin1", start, stop));
}

function isNameByte(byte: number): boolean {
  return (
    (byte >= 48 && byte <= 57) || (byte >= 65 && byte <= 90) || byte === 95 || (byte >= 97 && byte <= 122)
  );
}

/** Splits the text between two stacks. `@name[` in front names the map; an empty last part is where a stack begins. */
function parseKeyPiece(
  text: string,
  isHead: boolean,
): { map: string | null; labels: readonly string[]; opens: boolean } {
  const head = isHead ? /^(@\w*)\[/.exec(text) : null;
  const rest = head === null ? text : text.slice(head[0].length);
  const parts = rest.split(", ");
  const opens = parts.at(-1) === "";
  return { map: head?.[1] ?? null, labels: opens ? parts.slice(0, -1) : parts, opens };
}
