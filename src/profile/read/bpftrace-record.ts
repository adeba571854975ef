import { addProfile, addSample, isWeight, type ProfileData, type ProfileStore } from "../store/store.ts";
import { IntList } from "../store/lists.ts";
import { NO_STACK_FRAME } from "../model.ts";
import type { ByteInterner } from "./byte-interner.ts";
import { KERNEL_FILE, parseFrameText } from "./frame-text.ts";
import type { Part } from "./part.ts";
import { countIgnored, type ReadReport } from "./report.ts";

/** An empty part of a key: an empty stack or an empty string. */
export const NO_LABEL = -1;

/** Which note of a line is its frame in a user's stack, and which in the kernel's: frame number + 1, then 1 + the evidence. */
const USER = 0;
const KERNEL = 1;
const EVIDENCE_BITS = 2;

/** One bpftrace map: its entries become one profile if at least one of them holds a stack. */
interface MapState {
  readonly data: ProfileData;
  stacks: number;
  /** By position of the stack in the key: how often it was seen to be the kernel's, minus how often the user's. */
  readonly votes: number[];
}

/** The entries of one map that a part of a file holds. */
export interface MapPart {
  readonly map: string;
  /** Entries with at least one stack. */
  readonly withStack: number;
  /** Stack numbers and weights of the entries. */
  readonly stacks: Int32Array<ArrayBuffer>;
  readonly weights: Float64Array<ArrayBuffer>;
}

/** Which maps' stacks are the kernel's, learnt from the head of a file for the first entries of the rest. */
export type Votes = ReadonlyMap<string, readonly number[]>;

/**
 * Puts map entries together from the parts of their keys. A stack that is known to be the kernel's goes to the leaf end, the
 * user's below it, and everything else of the key (comm, pid) becomes frames at the root, in the key's order.
 */
export class RecordBuilder {
  readonly #store: ProfileStore;
  readonly #name: string;
  readonly #report: ReadReport;
  readonly #votes: Votes;
  readonly #lines: ByteInterner;
  readonly #maps = new Map<string, MapState>();
  /** The current entry. */
  #map: MapState | null = null;
  readonly #raw = new IntList(512);
  readonly #ends = new IntList(8);
  readonly #positions = new IntList(8);
  readonly #labels = new IntList(8);
  #position = 0;

  /** `lines` has the lines whose numbers are handed to `frame`; its notes are used here. */
  constructor(store: ProfileStore, name: string, report: ReadReport, votes: Votes, lines: ByteInterner) {
    this.#store = store;
    this.#name = name;
    this.#report = report;
    this.#votes = votes;
    this.#lines = lines;
  }

  begin(map: string): void {
    this.#map = this.#maps.get(map) ?? this.#addMap(map);
    this.#raw.length = 0;
    this.#ends.length = 0;
    this.#positions.length = 0;
    this.#labels.length = 0;
    this.#position = 0;
  }

  /** The frame number of a part of a key that is no stack, −1 for an empty one. */
  internLabel(text: string): number {
    return text === "" ? NO_LABEL : this.#store.frames.internText(text);
  }

  /** A part of the key that is no stack, or an empty stack. */
  label(frame: number): void {
    if (frame !== NO_LABEL) this.#labels.push(frame);
    this.#position += 1;
  }

  /** The next frame of the current stack, leaf first. */
  frame(raw: number): void {
    this.#raw.push(raw);
  }

  endStack(): void {
    const start = this.#ends.length === 0 ? 0 : this.#ends.at(this.#ends.length - 1);
    if (this.#raw.length > start) {
      this.#ends.push(this.#raw.length);
      this.#positions.push(this.#position);
    }
    this.#position += 1;
  }

  /** Adds the entry to its profile; a weight that cannot be drawn makes it count as ignored. */
  finish(weight: number): void {
    const map = this.#map;
    if (map === null) return;
    if (!isWeight(weight)) return countIgnored(this.#report, "entries with a negative value");
    if (this.#ends.length > 0) map.stacks += 1;
    addSample(map.data, this.#appendStack(map), weight);
    this.#report.samples += 1;
  }

  /** Takes maps without any stack out of the store: they are tables, not profiles. */
  close(): void {
    for (const map of this.#maps.values()) {
      if (map.stacks > 0) continue;
      this.#store.profiles.splice(this.#store.profiles.indexOf(map.data), 1);
      this.#report.samples -= map.data.stacks.length;
      countIgnored(this.#report, "entries of maps without stacks", map.data.stacks.length);
    }
  }

  /** Copies of what the maps hold so far. */
  listMaps(): MapPart[] {
    return [...this.#maps].map(([map, { data, stacks }]) => ({
      map,
      withStack: stacks,
      stacks: data.stacks.data.slice(0, data.stacks.length),
      weights: data.weights.data.slice(0, data.weights.length),
    }));
  }

  /** Adds the entries of another builder, whose frames and stacks come with them. */
  absorb(part: Pick<Part, "frames" | "ids" | "starts" | "maps">): void {
    const { frames, stacks } = this.#store;
    const numbers = Int32Array.from(part.frames, ({ name, file, line }) =>
      frames.internText(name, file, line),
    );
    const first = stacks.count;
    stacks.ids.reserve(part.ids.length);
    const base = stacks.ids.length;
    const { ids, starts } = part;
    const into = stacks.ids.data;
    // Millions of numbers, while the other threads wait: iterators would take a second.
    for (let place = 0; place < ids.length; place++) into[base + place] = numbers[ids[place] ?? 0] ?? 0;
    for (let stack = 1; stack < starts.length; stack++) stacks.close(base + (starts[stack] ?? 0));
    for (const { map: name, withStack, stacks: list, weights } of part.maps) {
      const map = this.#maps.get(name) ?? this.#addMap(name);
      map.stacks += withStack;
      for (let index = 0; index < list.length; index++)
        addSample(map.data, first + (list[index] ?? 0), weights[index] ?? 0);
    }
  }

  votes(): Votes {
    return new Map([...this.#maps].map(([name, map]) => [name, map.votes]));
  }

  #addMap(name: string): MapState {
    const data = addProfile(this.#store, name === "@" ? this.#name : name);
    const map = { data, stacks: 0, votes: [...(this.#votes.get(name) ?? [])] };
    this.#maps.set(name, map);
    return map;
  }

  /** Writes the entry's frames root → leaf behind the other stacks. */
  #appendStack(map: MapState): number {
    const { stacks } = this.#store;
    stacks.ids.reserve(this.#labels.length + this.#raw.length + 1);
    const path = stacks.ids.data;
    const start = stacks.ids.length;
    let length = start;
    for (let label = 0; label < this.#labels.length; label++) path[length++] = this.#labels.at(label);
    const kernel = this.#findKernelStack(map);
    for (let stack = 0; stack < this.#ends.length; stack++) {
      if (stack !== kernel) length = this.#copyStack(stack, false, length);
    }
    if (kernel >= 0) length = this.#copyStack(kernel, true, length);
    if (length === start) path[length++] = this.#store.frames.intern(NO_STACK_FRAME);
    return stacks.close(length);
  }

  #copyStack(stack: number, kernel: boolean, length: number): number {
    const start = stack === 0 ? 0 : this.#ends.at(stack - 1);
    const raw = this.#raw.data;
    const path = this.#store.stacks.ids.data;
    const which = kernel ? KERNEL : USER;
    for (let place = this.#ends.at(stack) - 1; place >= start; place--) {
      const line = raw[place] ?? 0;
      const note = this.#lines.note(line, which);
      path[length++] = ((note === 0 ? this.#learnFrame(line, which) : note) >> EVIDENCE_BITS) - 1;
    }
    return length;
  }

  /** Which of the entry's stacks is the kernel's, −1 for none: by its root, else by what this map's others were. */
  #findKernelStack(map: MapState): number {
    let best = -1;
    let bestScore = 0;
    for (let stack = 0; stack < this.#positions.length; stack++) {
      const position = this.#positions.at(stack);
      const root = this.#evidenceOf(this.#raw.at(this.#ends.at(stack) - 1));
      if (root !== 0) map.votes[position] = (map.votes[position] ?? 0) + root;
      const score = root === 0 ? Math.sign(map.votes[position] ?? 0) : root * 2;
      if (score > bestScore) {
        best = stack;
        bestScore = score;
      }
    }
    if (best >= 0 || this.#positions.length < 2) return best;
    // Nothing tells: `@[kstack, ustack]` is how nearly everybody writes it.
    return (map.votes[this.#positions.at(0)] ?? 0) < 0 ? -1 : 0;
  }

  /** 1 if the line can only be the kernel's, −1 if only a user's, else 0. */
  #evidenceOf(line: number): number {
    const note = this.#lines.note(line, USER);
    return ((note === 0 ? this.#learnFrame(line, USER) : note) & ((1 << EVIDENCE_BITS) - 1)) - 1;
  }

  /** Reads a line that was not seen before in this kind of stack, and notes what it is. */
  #learnFrame(line: number, which: 0 | 1): number {
    const parsed = parseFrameText(this.#lines.text(line));
    const { name, file } = parsed.frame;
    const isKernel = which === KERNEL || (parsed.kernel === true && file !== undefined);
    const number = this.#store.frames.internText(name, isKernel ? KERNEL_FILE : file) + 1;
    const evidence = parsed.kernel === null ? 1 : parsed.kernel ? 2 : 0;
    const note = (number << EVIDENCE_BITS) | evidence;
    this.#lines.setNote(line, which, note);
    return note;
  }
}
