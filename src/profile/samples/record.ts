/** Where the CPU was when a sample was taken. `unknown`: the program could not tell; a sample without kernel frames was in user mode. */
export type SampleMode = "user" | "kernel" | "kernel-thread" | "unknown";

/** One sample as a program tells it. Texts are data of the traced system. */
export interface SampleRecord {
  /** The kernel's clock, in nanoseconds. */
  readonly nsecs: number;
  readonly pid: number;
  readonly tid: number;
  readonly cpu: number;
  readonly mode: SampleMode;
  /** Instruction pointer, 0 where it was not told. */
  readonly ip: number;
  /** Kernel frames as bpftrace prints them, leaf first; empty where there are none, or where the stack got lost. */
  readonly kernel: string;
  /** User frames as bpftrace prints them, leaf first. */
  readonly user: string;
  /** Stands for the callers of `ip` in user mode, told by a `V` record; null where `user` holds the stack. */
  readonly callers: string | null;
  readonly comm: string;
}

/** A piece of the callers that a number stands for: `group` counts the pieces from 0, leaf first. */
export interface CallersRecord {
  readonly callers: string;
  readonly group: number;
  readonly addresses: readonly number[];
}

const MODES: readonly SampleMode[] = ["unknown", "kernel", "kernel-thread"];

/** Reads an `S` record: `S time pid tid cpu mode ip Kstack Ustack Ccomm`, separated by tabs. Null when it is none. */
export function parseStackSample(text: string): SampleRecord | null {
  const head = takeFields(text, 7);
  if (head === null || head.fields[0] !== "S") return null;
  const stacks = takeStacks(text, head.end);
  const [, nsecs, pid, tid, cpu, mode, ip] = head.fields;
  const numbers = readNumbers(nsecs, pid, tid, cpu);
  const place = MODES[Number(mode)];
  if (stacks === null || numbers === null || place === undefined) return null;
  return { ...numbers, mode: place, ip: parseHex(ip ?? ""), ...stacks, callers: null };
}

/** Reads a `u` record: `u time pid tid cpu ip callers comm`. Null when it is none. */
export function parseUserSample(text: string): SampleRecord | null {
  const head = takeFields(text, 7);
  if (head === null || head.fields[0] !== "u") return null;
  const [, nsecs, pid, tid, cpu, ip, callers] = head.fields;
  const numbers = readNumbers(nsecs, pid, tid, cpu);
  if (numbers === null || callers === undefined || !/^[0-9a-f]{1,16}$/.test(callers)) return null;
  const comm = text.slice(head.end);
  return { ...numbers, mode: "user", ip: parseHex(ip ?? ""), kernel: "", user: "", callers, comm };
}

/** Reads a `V` record: `V callers group address address …`. Null when it is none. */
export function parseCallers(text: string): CallersRecord | null {
  const head = takeFields(text, 3);
  if (head === null || head.fields[0] !== "V") return null;
  const [, callers = "", group = ""] = head.fields;
  if (!/^[0-9a-f]{1,16}$/.test(callers) || !/^\d{1,3}$/.test(group)) return null;
  const addresses = parseHexList(text, head.end);
  return addresses === null ? null : { callers, group: Number(group), addresses };
}

const ZERO = 48;
const LETTER_A = 97;
const SPACE = 32;

/** Hexadecimal numbers with a space between two of them, to the end of the text; null when something else is there. */
function parseHexList(text: string, start: number): number[] | null {
  const numbers: number[] = [];
  let value = 0;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === SPACE) {
      numbers.push(value);
      value = 0;
      continue;
    }
    const digit = code >= LETTER_A ? code - LETTER_A + 10 : code - ZERO;
    if (!(digit >= 0 && digit < 16)) return null;
    value = value * 16 + digit;
  }
  numbers.push(value);
  return numbers;
}

/**
 * Reads the addresses of a user stack that bpftrace printed without names: a line a frame, the address first, with or
 * without 0x. Lines that are no address are left out.
 */
export function parseUserStack(text: string): number[] {
  return [...text.matchAll(/^[ \t]*(?:0x)?([0-9a-f]{1,16})(?=[ \t\n]|$)/gm)].map((match) =>
    parseHex(match[1] ?? ""),
  );
}

/** Lines of a kernel stack, leaf first. */
export function splitKernelStack(text: string): string[] {
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
}

/** The first `count` fields of a line and where the rest begins; null when there are fewer. */
export function takeFields(text: string, count: number): { fields: string[]; end: number } | null {
  const fields: string[] = [];
  let start = 0;
  while (fields.length < count) {
    const end = text.indexOf("\t", start);
    if (end < 0) return null;
    fields.push(text.slice(start, end));
    start = end + 1;
  }
  return { fields, end: start };
}

/**
 * `Kstack\tUstack\tCcomm` at `start`. Kernel symbols and bare addresses hold no tab followed by U or C, and the name, which can
 * hold anything, comes last.
 */
export function takeStacks(
  text: string,
  start: number,
): { kernel: string; user: string; comm: string } | null {
  const user = text.indexOf("\tU", start);
  const comm = user < 0 ? -1 : text.indexOf("\tC", user + 2);
  if (comm < 0 || text[start] !== "K") return null;
  return {
    kernel: text.slice(start + 1, user),
    user: text.slice(user + 2, comm),
    comm: text.slice(comm + 2),
  };
}

/** The time and the numbers that every sample has; null where one is none. */
function readNumbers(
  nsecs = "",
  pid = "",
  tid = "",
  cpu = "",
): { nsecs: number; pid: number; tid: number; cpu: number } | null {
  const numbers = { nsecs: Number(nsecs), pid: Number(pid), tid: Number(tid), cpu: Number(cpu) };
  return /^\d{1,19}$/.test(nsecs) && Object.values(numbers).every((value) => value >= 0) ? numbers : null;
}

/** NaN where it is none. Beyond 2^53 not exact: nothing of user space is there. */
export function parseHex(text: string): number {
  return /^[0-9a-f]{1,16}$/.test(text) ? Number.parseInt(text, 16) : NaN;
}
