import { addProfile, addSample, type ProfileData, type ProfileStore } from "../store/store.ts";
import { IntList } from "../store/lists.ts";
import { ByteInterner } from "./byte-interner.ts";
import { isKernelAddress, KERNEL_FILE, splitModule, stripOffset } from "./frame-text.ts";
import { growPath } from "./folded.ts";
import { countIgnored, createReport, type Block, type BlockReader, type ReadReport } from "./report.ts";

const NEWLINE = 10;
const TAB = 9;
const SPACE = 32;
const HASH = 35;
const RETURN = 13;
/** A longer head line is no head line: comm is 16 bytes, and the pattern below is slow on hostile text. */
const MAX_HEAD = 2048;

/**
 * Reads `perf script`: a head line (`comm pid [cpu] time: period event:`), a line per frame from leaf to root, an empty line. One
 * profile per event, in the order of the samples, one count per sample, the comm at the root.
 */
export class PerfScriptReader implements BlockReader {
  readonly lines = true;
  readonly report: ReadReport = createReport("perf-script");
  readonly #store: ProfileStore;
  readonly #name: string;
  readonly #events = new Map<string, ProfileData>();
  /** Each line's note is its frame + 1, −1 for a line that is no frame. */
  readonly #lines = new ByteInterner();
  #event: ProfileData | null = null;
  /** The current sample, leaf first, then turned around in `#path`. */
  readonly #raw = new IntList(512);
  #comm = 0;
  #path = new Int32Array(512);

  constructor(store: ProfileStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  push({ bytes, view, start, end }: Block): void {
    if (bytes[end - 1] !== NEWLINE) bytes[end] = NEWLINE;
    for (let line = start; line < end;) {
      const first = bytes[line];
      if (first === TAB && this.#event !== null) {
        line = this.#readFrame(bytes, view, line);
        continue;
      }
      const newline = bytes.indexOf(NEWLINE, line);
      const stop = newline > line && bytes[newline - 1] === RETURN ? newline - 1 : newline;
      if (stop === line) this.#endSample();
      else if (first === HASH && this.#event === null) countIgnored(this.report, "comments");
      else if (!this.#readHead(bytes, line, stop)) {
        if (this.#event === null || first !== SPACE) this.report.damaged += 1;
        else this.#readFrame(bytes, view, line);
      }
      line = newline + 1;
    }
  }

  finish(): void {
    this.#endSample();
  }

  #readFrame(bytes: Buffer, view: DataView, line: number): number {
    let start = line;
    while (bytes[start] === SPACE || bytes[start] === TAB) start += 1;
    const raw = this.#lines.internFrame(view, start, false);
    const known = this.#lines.note(raw, 0);
    const frame = known === 0 ? this.#learnFrame(raw) : known;
    if (frame > 0) this.#raw.push(frame - 1);
    else countIgnored(this.report, "source lines");
    return this.#lines.lineEnd + 1;
  }

  #learnFrame(raw: number): number {
    const frame = parsePerfFrame(this.#lines.text(raw));
    const number = frame === null ? -1 : this.#store.frames.internText(frame.name, frame.file) + 1;
    this.#lines.setNote(raw, 0, number);
    return number;
  }

  #readHead(bytes: Buffer, line: number, stop: number): boolean {
    if (stop - line > MAX_HEAD) return false;
    const head = parsePerfHead(bytes.toString("utf8", line, stop));
    if (head === null) return false;
    this.#endSample();
    this.#event = this.#events.get(head.event) ?? this.#addEvent(head.event);
    this.#comm = this.#store.frames.internText(head.comm);
    const inline = head.rest === "" ? null : parsePerfFrame(head.rest);
    if (inline !== null) this.#raw.push(this.#store.frames.internText(inline.name, inline.file));
    return true;
  }

  #addEvent(event: string): ProfileData {
    // The first event names nothing special: most files have only one.
    const data = addProfile(this.#store, `${this.#name} ${event}`, "none", "time");
    this.#events.set(event, data);
    return data;
  }

  #endSample(): void {
    if (this.#event === null) return;
    const raw = this.#raw.data;
    let length = 0;
    while (this.#raw.length + 1 > this.#path.length) this.#path = growPath(this.#path);
    this.#path[length++] = this.#comm;
    for (let place = this.#raw.length - 1; place >= 0; place--) this.#path[length++] = raw[place] ?? 0;
    addSample(this.#event, this.#store.stacks.intern(this.#path, length), 1);
    this.report.samples += 1;
    this.#raw.length = 0;
    this.#event = null;
  }
}

export interface PerfHead {
  readonly comm: string;
  readonly event: string;
  /** What follows the event: the frame itself, where perf recorded no call chain. */
  readonly rest: string;
}

/** Reads a sample's head line, null if it is none. The comm may hold spaces; cpu, flags, time and period may be missing. */
export function parsePerfHead(text: string): PerfHead | null {
  const match =
    /^ *(\S.*?) +(?:-?\d+)(?:\/-?\d+)? +(?:\[\d+\] +)?(?:[a-zA-Z.]{4,6} +)?(?:\d+\.\d+: +)?(?:\d+ +)?(\S+):(?: +(.*))?$/s.exec(
      text,
    );
  if (match === null) return null;
  return { comm: match[1] ?? "", event: match[2] ?? "", rest: (match[3] ?? "").trim() };
}

/** Reads `7f12ab symbol+0x1f (module)`, null if it is no frame. */
export function parsePerfFrame(text: string): { name: string; file?: string } | null {
  const match = /^([0-9a-f]{1,16})(?: (.*))?$/s.exec(text);
  if (match === null) return null;
  const address = match[1] ?? "";
  const { symbol, module } = splitModule(match[2] ?? "");
  const name = stripOffset(symbol);
  if (isKernelAddress(address)) return { name: name === "" ? "[unknown]" : name, file: KERNEL_FILE };
  const known = module === null || module === "[unknown]" || module === "inlined" ? null : module;
  if (name !== "" && name !== "[unknown]") return known === null ? { name } : { name, file: known };
  if (known === null) return { name: "[unknown]" };
  // The map of a JIT is named after its process: code without a name is the same in every run.
  if (/^\/tmp\/perf-\d+\.map$/.test(known)) return { name: "[JIT]", file: "[JIT]" };
  return { name: `[${known.replace(/^\[(.*)\]$/s, "$1").replace(/^.*\//s, "")}]`, file: known };
}
