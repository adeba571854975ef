import { addProfile, addSample, type ProfileData, type ProfileStore } from "../store/store.ts";
import { IntList } from "../store/lists.ts";
import { NO_STACK_FRAME } from "../model.ts";
import { ByteInterner, NONE } from "./byte-interner.ts";
import { isKernelAddress, KERNEL_FILE, splitModule, stripOffset } from "./frame-text.ts";
import { growPath } from "./folded.ts";
import { parseBareHead, parsePerfHead, type PerfHead } from "./perf-head.ts";
import {
  countIgnored,
  countMissing,
  createReport,
  type Block,
  type BlockReader,
  type ReadReport,
} from "./report.ts";

const NEWLINE = 10;
const TAB = 9;
const SPACE = 32;
const HASH = 35;
const RETURN = 13;
/** A longer head line is no head line: comm is 16 bytes, and the pattern below is slow on hostile text. */
const MAX_HEAD = 2048;

/**
 * Reads `perf script`, whatever fields it was asked for (`-F`): a head line (`comm pid [cpu] time: period event:`), a line per
 * frame from leaf to root, an empty line. One profile per event, in the order of the samples, one count per sample, the comm
 * at the root.
 */
export class PerfScriptReader implements BlockReader {
  readonly lines = true;
  readonly report: ReadReport = createReport("perf-script");
  readonly #store: ProfileStore;
  readonly #name: string;
  /** By event; "" where the events are left out. */
  readonly #events = new Map<string, ProfileData>();
  /** Samples without a head line, and their lines: how `-F ip,sym` prints them, or the rest of one whose head is missing. */
  #headless: ProfileData | null = null;
  #headlessLines = 0;
  /** Each line's note is its frame + 1, −1 for a line that is no frame. */
  readonly #lines = new ByteInterner();
  /** The open sample: where it goes, its comm (−1: none), its frames leaf first. */
  #data: ProfileData | null = null;
  #comm = -1;
  readonly #raw = new IntList(512);
  #path = new Int32Array(512);
  /** A line that is a head if a frame follows: `comm pid` alone looks like nothing. */
  #candidate: PerfHead | null = null;
  /** What this file has shown: heads, heads without time and event, such with the frame in the same line, frames, frames with a module. */
  #seen = { heads: false, bareHeads: false, bareSamples: false, frames: false, modules: false };
  /** The last frame line, and whether the input ends in the middle of a line. */
  #lastLine = NONE;
  #isCut = false;

  constructor(store: ProfileStore, name: string) {
    this.#store = store;
    this.#name = name;
  }

  push({ bytes, view, start, end }: Block): void {
    this.#isCut = bytes[end - 1] !== NEWLINE;
    if (this.#isCut) bytes[end] = NEWLINE;
    for (let line = start; line < end;) {
      if (bytes[line] === TAB) {
        if (this.#data === null) this.#beginUnseen();
        line = this.#readFrame(bytes, view, line);
        continue;
      }
      const newline = bytes.indexOf(NEWLINE, line);
      const stop = newline > line && bytes[newline - 1] === RETURN ? newline - 1 : newline;
      if (stop === line) this.#endGroup();
      else if (bytes[line] === HASH && this.#data === null) countIgnored(this.report, "comments");
      else if (!this.#readHead(bytes, line, stop)) this.#readOther(bytes, view, line, stop);
      line = newline + 1;
    }
  }

  finish(): void {
    if (this.#isCut && this.#isIncomplete()) this.#dropSample();
    this.#endSample();
    this.#dropCandidate();
    if (this.#headless === null || !this.#seen.heads) return;
    this.#store.profiles.splice(this.#store.profiles.indexOf(this.#headless), 1);
    this.report.samples -= this.#headless.stacks.length;
    this.report.damaged += this.#headlessLines;
  }

  #readFrame(bytes: Buffer, view: DataView, line: number): number {
    let start = line;
    while (bytes[start] === SPACE || bytes[start] === TAB) start += 1;
    const raw = this.#lines.internFrame(view, start, false);
    const known = this.#lines.note(raw, 0);
    const frame = known === 0 ? this.#learnFrame(raw) : known;
    if (frame > 0) this.#raw.push(frame - 1);
    else countIgnored(this.report, "source lines");
    this.#lastLine = raw;
    if (this.#data === this.#headless) this.#headlessLines += 1;
    return this.#lines.lineEnd + 1;
  }

  #learnFrame(raw: number): number {
    const text = this.#lines.text(raw);
    const frame = parsePerfFrame(text);
    const number = frame === null ? -1 : this.#store.frames.internText(frame.name, frame.file) + 1;
    this.#lines.setNote(raw, 0, number);
    if (frame !== null && !this.#isCut) {
      this.#seen.frames = true;
      if (text.endsWith(")")) this.#seen.modules = true;
    }
    return number;
  }

  #readHead(bytes: Buffer, line: number, stop: number): boolean {
    if (stop - line > MAX_HEAD) return false;
    const head = parsePerfHead(bytes.toString("utf8", line, stop));
    if (head === null) return false;
    this.#endSample();
    this.#dropCandidate();
    if (head !== "record") this.#begin(head);
    else if (!this.#countLost(bytes.toString("latin1", line, stop))) {
      countIgnored(this.report, "records that are no samples");
    }
    return true;
  }

  /** What is no head by itself: a frame or a source line of the open sample, or a line that the next one may explain. */
  #readOther(bytes: Buffer, view: DataView, line: number, stop: number): void {
    if (this.#data !== null && !this.#seen.bareSamples) {
      if (bytes[line] === SPACE) this.#readFrame(bytes, view, line);
      else this.report.damaged += 1;
      return;
    }
    this.#endGroup();
    this.#candidate = stop - line > MAX_HEAD ? null : parseBareHead(bytes.toString("utf8", line, stop));
    if (this.#candidate === null) this.report.damaged += 1;
    else if (this.#candidate.rest !== "") {
      this.#seen.bareSamples = true;
      this.#confirmCandidate();
    }
  }

  #begin(head: PerfHead): void {
    this.#seen.heads = true;
    const event = head.event ?? "";
    this.#data = this.#events.get(event) ?? this.#addEvent(event);
    this.#comm = head.comm === null ? -1 : this.#store.frames.internText(head.comm);
    const inline = head.rest === "" ? null : parsePerfFrame(head.rest);
    if (inline !== null) this.#raw.push(this.#store.frames.internText(inline.name, inline.file));
  }

  /** A frame, and no head before it that was known to be one. */
  #beginUnseen(): void {
    if (this.#candidate !== null) return this.#confirmCandidate();
    this.#headless ??= addProfile(this.#store, this.#name, "none", "time");
    this.#data = this.#headless;
    this.#comm = -1;
  }

  #confirmCandidate(): void {
    const head = this.#candidate;
    this.#candidate = null;
    if (head === null) return;
    this.#seen.bareHeads = true;
    this.#begin(head);
  }

  /** An empty line. Where heads are bare, one without frames is a sample without a stack. */
  #endGroup(): void {
    if (this.#candidate !== null && this.#seen.bareHeads) this.#confirmCandidate();
    this.#dropCandidate();
    this.#endSample();
  }

  #dropCandidate(): void {
    if (this.#candidate !== null) this.report.damaged += 1;
    this.#candidate = null;
  }

  #addEvent(event: string): ProfileData {
    const data = addProfile(
      this.#store,
      event === "" ? this.#name : `${this.#name} ${event}`,
      "none",
      "time",
    );
    this.#events.set(event, data);
    return data;
  }

  #countLost(text: string): boolean {
    const lost = /PERF_RECORD_LOST lost (\d+)/.exec(text);
    if (lost !== null) countMissing(this.report, "samples that perf lost", Number(lost[1]));
    return lost !== null;
  }

  /** Whether the last line of an input that was cut off is visibly not whole. */
  #isIncomplete(): boolean {
    if (this.#data === null) return false;
    if (this.#raw.length === 0) return this.#seen.frames;
    return this.#seen.modules && !this.#lines.text(this.#lastLine).endsWith(")");
  }

  #dropSample(): void {
    this.report.damaged += 1 + this.#raw.length;
    this.#raw.length = 0;
    this.#data = null;
  }

  #endSample(): void {
    if (this.#data === null) return;
    const raw = this.#raw.data;
    let length = 0;
    while (this.#raw.length + 1 > this.#path.length) this.#path = growPath(this.#path);
    if (this.#comm >= 0) this.#path[length++] = this.#comm;
    for (let place = this.#raw.length - 1; place >= 0; place--) this.#path[length++] = raw[place] ?? 0;
    if (length === 0) this.#path[length++] = this.#store.frames.intern(NO_STACK_FRAME);
    addSample(this.#data, this.#store.stacks.intern(this.#path, length), 1);
    this.report.samples += 1;
    this.#raw.length = 0;
    this.#data = null;
  }
}

/** Reads `7f12ab symbol+0x1f (module)`, null if it is no frame. */
export function parsePerfFrame(text: string): { name: string; file?: string } | null {
  const match = /^([0-9a-f]{1,16})(?: (.*))?$/s.exec(text);
  if (match === null) return null;
  const address = match[1] ?? "";
  const { symbol, module } = splitModule(match[2] ?? "");
  const name = stripOffset(symbol);
  if (isKernelAddress(address)) return { name: name === "" ? "[unknown]" : name, file: KERNEL_FILE };
  const known =
    module === null || module === "[unknown]" || module === "inlined"
      ? null
      : module.replace(/\+0x[0-9a-f]+$/, "");
  if (name !== "" && name !== "[unknown]") return known === null ? { name } : { name, file: known };
  if (known === null) return { name: "[unknown]" };
  // The map of a JIT is named after its process: code without a name is the same in every run.
  if (/^\/tmp\/perf-\d+\.map$/.test(known)) return { name: "[JIT]", file: "[JIT]" };
  return { name: `[${known.replace(/^\[(.*)\]$/s, "$1").replace(/^.*\//s, "")}]`, file: known };
}
