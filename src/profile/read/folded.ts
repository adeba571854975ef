import { addProfile, addSample, type ProfileData, type ProfileStore } from "../store/store.ts";
import { NO_STACK_FRAME } from "../model.ts";
import { ByteInterner } from "./byte-interner.ts";
import { KERNEL_FILE } from "./frame-text.ts";
import { countIgnored, createReport, type Block, type BlockReader, type ReadReport } from "./report.ts";

const NEWLINE = 10;
const TAB = 9;
const HASH = 35;
const RETURN = 13;
const SPACE = 32;
const SEMICOLON = 59;

/** Reads folded stacks: `root;caller;leaf 12`, one a line. `_[k]` behind a frame marks the kernel's, as FlameGraph does. */
export class FoldedReader implements BlockReader {
  readonly lines = true;
  readonly report: ReadReport = createReport("folded");
  readonly #store: ProfileStore;
  readonly #data: ProfileData;
  /** Each name's note is its frame + 1. */
  readonly #names = new ByteInterner();
  #path = new Int32Array(512);

  constructor(store: ProfileStore, name: string) {
    this.#store = store;
    this.#data = addProfile(store, name);
  }

  push({ bytes, view, start, end }: Block): void {
    for (let line = start; line < end;) {
      const newline = bytes.indexOf(NEWLINE, line);
      const next = newline < 0 || newline >= end ? end : newline;
      let stop = next;
      while (stop > line && isBlank(bytes[stop - 1] ?? 0)) stop -= 1;
      if (stop > line) this.#readLine(bytes, view, line, stop);
      line = next + 1;
    }
  }

  finish(): void {
    if (this.#data.stacks.length === 0)
      this.#store.profiles.splice(this.#store.profiles.indexOf(this.#data), 1);
  }

  #readLine(bytes: Buffer, view: DataView, line: number, stop: number): void {
    let space = stop - 1;
    while (space >= line && bytes[space] !== SPACE && bytes[space] !== TAB) space -= 1;
    const weight = space < line ? null : parseWeight(bytes, space + 1, stop);
    if (weight === null) {
      if (bytes[line] === HASH) countIgnored(this.report, "comments");
      else this.report.damaged += 1;
      return;
    }
    if (weight < 0) return countIgnored(this.report, "entries with a negative value");
    let length = 0;
    let end = space;
    while (end > line && isBlank(bytes[end - 1] ?? 0)) end -= 1;
    for (let start = line; start < end;) {
      const separator = bytes.indexOf(SEMICOLON, start);
      const frameEnd = separator < 0 || separator > end ? end : separator;
      if (frameEnd > start) {
        if (length === this.#path.length) this.#path = growPath(this.#path);
        this.#path[length++] = this.#frameOf(view, start, frameEnd);
      }
      start = frameEnd + 1;
    }
    if (length === 0) this.#path[length++] = this.#store.frames.intern(NO_STACK_FRAME);
    addSample(this.#data, this.#store.stacks.intern(this.#path, length), weight);
    this.report.samples += 1;
  }

  #frameOf(view: DataView, start: number, end: number): number {
    const raw = this.#names.intern(view, start, end);
    const known = this.#names.note(raw, 0);
    if (known > 0) return known - 1;
    const text = this.#names.text(raw);
    const frame = text.endsWith("_[k]")
      ? this.#store.frames.internText(text.slice(0, -4), KERNEL_FILE)
      : this.#store.frames.internText(text);
    this.#names.setNote(raw, 0, frame + 1);
    return frame;
  }
}

function isBlank(byte: number): boolean {
  return byte === SPACE || byte === TAB || byte === RETURN;
}

export function growPath(path: Int32Array): Int32Array<ArrayBuffer> {
  const wider = new Int32Array(path.length * 2);
  wider.set(path);
  return wider;
}

function parseWeight(bytes: Buffer, start: number, stop: number): number | null {
  if (stop - start <= 15) {
    let value = 0;
    let place = start;
    for (; place < stop; place++) {
      const digit = (bytes[place] ?? 0) - 48;
      if (digit < 0 || digit > 9) break;
      value = value * 10 + digit;
    }
    if (place === stop && stop > start) return value;
  }
  const text = bytes.toString("latin1", start, stop);
  return /^-?\d+(?:\.\d+)?(?:e[-+]?\d+)?$/.test(text) && Number.isFinite(Number(text)) ? Number(text) : null;
}
