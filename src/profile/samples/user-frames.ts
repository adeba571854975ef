import { JIT_FRAME, unknownFrame, type UserFrame } from "../../symbols/frame.ts";

/** A program that a process runs: exec and a used-again pid make a new one. */
export interface Program {
  readonly pid: number;
  /** Counts the programs seen under this pid. */
  readonly epoch: number;
  /** Its name when it was first seen. */
  readonly comm: string;
}

/** Addresses are asked for in batches; the first of a program at once, because it may not live long. */
const BATCH_SECONDS = 0.05;
const BATCH_ADDRESSES = 1000;

/** User space ends below this (five-level page tables: 2^56); what is above is no address, but data where a frame pointer was taken for one. */
const USER_SPACE_END = 2 ** 56;
const PAGE = 4096;

const UNKNOWN = unknownFrame("[unknown]");

interface Names {
  /** Leaf addresses and return addresses: what these name is the call before them. */
  readonly leaf: Map<number, UserFrame | null>;
  readonly caller: Map<number, UserFrame | null>;
  readonly wanted: { leaf: number[]; caller: number[] };
  wantedSince: number;
  isAsked: boolean;
}

export type AskFrames = (fact: string, key: string) => void;

/**
 * Names for the addresses of user stacks. They are asked for as facts, as soon as they are seen, because only a living process can be read;
 * the answers are in a recording.
 *
 * Key: `pid epoch round leaf,leaf,… caller,caller,… comm`, addresses in hexadecimal, `-` for none. Value: a list, leafs
 * first, of `[kind, name, module, file, line]`; `file` and `line` only where they are known.
 */
export class UserFrames {
  readonly #ask: AskFrames;
  readonly #programs = new Map<Program, Names>();
  readonly #byKey = new Map<string, Program>();
  readonly #due = new Set<Program>();
  #lastTick = -Infinity;

  constructor(ask: AskFrames) {
    this.#ask = ask;
  }

  /** The stack is going to be shown: `ip` and its callers (leaf first) need names. */
  want(program: Program, ip: number, callers: readonly number[], at: number): void {
    const names = this.#namesOf(program);
    if (isPlausible(ip)) this.#wantOne(program, names.leaf, names.wanted.leaf, ip, at);
    for (const address of callers)
      if (isPlausible(address)) this.#wantOne(program, names.caller, names.wanted.caller, address, at);
    if (!names.isAsked && this.#due.has(program)) this.#flush(program, 0);
  }

  /** Asks for what has waited long enough. */
  tick(at: number): void {
    if (at - this.#lastTick < BATCH_SECONDS / 2) return;
    this.#lastTick = at;
    for (const program of this.#due)
      if (at - this.#namesOf(program).wantedSince > BATCH_SECONDS) this.#flush(program, 0);
  }

  /** Asks for everything that is left, and once more for what had no name: a library or a compiler's code may have been too new. */
  finish(): void {
    for (const program of this.#due) this.#flush(program, 0);
    for (const [program, names] of this.#programs) {
      names.wanted.leaf = listUnknown(names.leaf);
      names.wanted.caller = listUnknown(names.caller);
      this.#flush(program, 1);
    }
  }

  /** True when the fact was an answer to this. */
  fact(fact: string, key: string, value: unknown): boolean {
    if (fact !== "frames") return false;
    const [pid = "", epoch = "", , leafs = "-", callers = "-"] = key.split(" ", 5);
    const program = this.#byKey.get(`${pid} ${epoch}`);
    const names = program === undefined ? undefined : this.#programs.get(program);
    if (names === undefined || !Array.isArray(value)) return true;
    const leaf = parseList(leafs);
    const caller = parseList(callers);
    for (const [index, entry] of (value as readonly unknown[]).entries()) {
      const frame = readFrame(entry);
      if (frame === null) continue;
      const address = index < leaf.length ? leaf[index] : caller[index - leaf.length];
      const map = index < leaf.length ? names.leaf : names.caller;
      const known = address === undefined ? undefined : (map.get(address) ?? null);
      if (address !== undefined && (known == null || known.kind === "unknown")) map.set(address, frame);
    }
    return true;
  }

  /**
   * The stack, leaf first, without what comes after its last frame of code: where a frame pointer is missing, that is data. Of
   * several frames in a row in a compiler's code without names, one is left: the others say nothing more.
   */
  name(program: Program, ip: number, callers: readonly number[]): UserFrame[] {
    const names = this.#programs.get(program);
    const frames = [names?.leaf.get(ip) ?? UNKNOWN];
    let end = 1;
    for (const address of callers) {
      const frame = names?.caller.get(address) ?? UNKNOWN;
      const isJit = frame.name === JIT_FRAME.name;
      if (isJit && frames.at(-1)?.name === JIT_FRAME.name) continue;
      frames.push(frame);
      if (frame.kind !== "unknown" || isJit) end = frames.length;
    }
    frames.length = end;
    return frames;
  }

  /** The innermost function alone. */
  leaf(program: Program, ip: number): UserFrame {
    return this.#programs.get(program)?.leaf.get(ip) ?? UNKNOWN;
  }

  #namesOf(program: Program): Names {
    const known = this.#programs.get(program);
    if (known !== undefined) return known;
    const names: Names = {
      leaf: new Map(),
      caller: new Map(),
      wanted: { leaf: [], caller: [] },
      wantedSince: 0,
      isAsked: false,
    };
    this.#programs.set(program, names);
    this.#byKey.set(`${program.pid} ${program.epoch}`, program);
    return names;
  }

  #wantOne(
    program: Program,
    map: Map<number, UserFrame | null>,
    wanted: number[],
    address: number,
    at: number,
  ): void {
    if (map.has(address)) return;
    map.set(address, null);
    wanted.push(address);
    if (this.#due.has(program)) return;
    this.#due.add(program);
    this.#namesOf(program).wantedSince = at;
  }

  #flush(program: Program, round: number): void {
    this.#due.delete(program);
    const names = this.#namesOf(program);
    names.isAsked = true;
    const { leaf, caller } = names.wanted;
    names.wanted.leaf = [];
    names.wanted.caller = [];
    for (let start = 0; start < Math.max(leaf.length, caller.length); start += BATCH_ADDRESSES) {
      const end = start + BATCH_ADDRESSES;
      const lists = `${printList(leaf.slice(start, end))} ${printList(caller.slice(start, end))}`;
      this.#ask("frames", `${program.pid} ${program.epoch} ${round} ${lists} ${program.comm}`);
    }
  }
}

function isPlausible(address: number): boolean {
  return address >= PAGE && address < USER_SPACE_END;
}

function listUnknown(map: ReadonlyMap<number, UserFrame | null>): number[] {
  return [...map].flatMap(([address, frame]) =>
    frame === null || frame.kind === "unknown" ? [address] : [],
  );
}

function printList(addresses: readonly number[]): string {
  return addresses.length === 0 ? "-" : addresses.map((address) => address.toString(16)).join(",");
}

function parseList(text: string): number[] {
  return text === "-" ? [] : text.split(",").map((word) => Number.parseInt(word, 16));
}

/** Their numbers are in recordings: new ones go to the end. */
const KINDS: readonly UserFrame["kind"][] = ["symbol", "jit", "module-offset", "unknown", "function"];

function readFrame(entry: unknown): UserFrame | null {
  if (!Array.isArray(entry)) return null;
  const [kind, name, module, file, line] = entry as readonly unknown[];
  const known = KINDS[Number(kind)];
  if (known === undefined || typeof name !== "string" || typeof module !== "string") return null;
  return {
    name,
    module,
    kind: known,
    ...(typeof file === "string" ? { file } : {}),
    ...(typeof line === "number" ? { line } : {}),
  };
}

/** A frame as it travels in a fact: the reverse of what the answer is read by. */
export function packFrame(frame: UserFrame): (string | number | null)[] {
  const short = [KINDS.indexOf(frame.kind), frame.name, frame.module];
  if (frame.file === undefined) return short;
  return frame.line === undefined ? [...short, frame.file] : [...short, frame.file, frame.line];
}
