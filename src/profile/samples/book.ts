import type { UserFrame } from "../../symbols/frame.ts";
import { nameKernelFrame } from "../../symbols/frames.ts";
import type { Frame } from "../model.ts";
import { parseUserStack, splitKernelStack, type CallersRecord, type SampleRecord } from "./record.ts";
import { UserFrames, type AskFrames, type Program } from "./user-frames.ts";

/** A program in a process, as far as samples and facts tell. */
export interface ProgramEntry extends Program {
  readonly index: number;
  /** Its main thread's name, the last one seen; null until one was. */
  mainComm: string | null;
  /** File name of the executable; null where it is not known, and for kernel threads. */
  exe: string | null;
  kernelThread: boolean;
}

export interface ThreadEntry {
  readonly index: number;
  readonly program: ProgramEntry;
  readonly tid: number;
  /** The last one seen. */
  comm: string;
}

/** What is the same in all samples of one stack. */
export interface StackEntry {
  readonly program: ProgramEntry;
  readonly isKernelMode: boolean;
  /** Its callers came by a number, and `ip` belongs before them; else the list of callers is the whole user stack. */
  readonly isWalked: boolean;
  readonly ip: number;
  /** Number in the list of kernel stacks, -1 for none. */
  readonly kernel: number;
  /** Number in the list of callers, -1 for none. */
  readonly callers: number;
  /** The kernel was interrupted, but its stack did not come. */
  readonly isKernelLost: boolean;
}

interface CallersEntry {
  addresses: number[];
  /** Records they were told by so far; 0 as long as nothing was, and for stacks that came as text. */
  pieces: number;
  /** Programs whose samples have these callers: they need names once they are told. */
  readonly wantedBy: Set<ProgramEntry>;
}

export const LOST_FRAME: Frame = { name: "[callers lost]", file: "[unknown]" };
const LOST_KERNEL_FRAME: Frame = { name: "[kernel stack lost]", file: "[kernel]" };
const NO_FRAMES: readonly Frame[] = [];

/**
 * Who was sampled and with which stacks: everything that many samples share, once. Stacks are kept as they came (kernel
 * text, user addresses) and named when asked for.
 */
export class SampleBook {
  readonly programs: ProgramEntry[] = [];
  readonly threads: ThreadEntry[] = [];
  readonly stacks: StackEntry[] = [];
  readonly frames: UserFrames;
  readonly #ask: AskFrames;
  /** The newest program of a pid. */
  readonly #byPid = new Map<number, ProgramEntry>();
  readonly #byKey = new Map<string, ProgramEntry>();
  readonly #byThread = new Map<number, ThreadEntry>();
  /** By program and callers, then by instruction pointer or, below zero, by kernel stack. */
  readonly #byStack = new Map<number, Map<number, number>>();
  readonly #kernelTexts: string[] = [];
  readonly #byKernelText = new Map<string, number>();
  readonly #callers: CallersEntry[] = [];
  readonly #byCallers = new Map<string, number>();
  readonly #kernelFrames = new Map<string, Frame>();
  readonly #userFrames = new Map<UserFrame, Frame>();
  readonly #namedFrames = new Map<string, Frame>();

  /** `ask`: how facts are asked for (`process` and `frames`). */
  constructor(ask: AskFrames) {
    this.#ask = ask;
    this.frames = new UserFrames(ask);
  }

  /** Takes one sample in; `at`: seconds of the session. */
  add(sample: SampleRecord, at: number): { thread: ThreadEntry; stack: number; entry: StackEntry } {
    const program = this.#findProgram(sample);
    const thread = this.#findThread(program, sample);
    const kernel = this.#internKernel(sample.kernel);
    const callers = this.#internCallers(sample);
    const isKernelMode = sample.mode === "unknown" ? kernel !== -1 : sample.mode !== "user";
    const isWalked = sample.callers !== null;
    const outer = program.index * 2 ** 32 + callers + 1;
    let inner = this.#byStack.get(outer);
    if (inner === undefined) this.#byStack.set(outer, (inner = new Map()));
    const key = isWalked ? sample.ip : -1 - 2 * (kernel + 1) - (isKernelMode ? 1 : 0);
    const known = inner.get(key);
    if (known !== undefined) return { thread, stack: known, entry: this.#stackAt(known) };
    const isKernelLost = kernel === -1 && (sample.mode === "kernel" || sample.mode === "kernel-thread");
    const stack = this.stacks.length;
    const entry = { program, isKernelMode, isWalked, ip: sample.ip, kernel, callers, isKernelLost };
    this.stacks.push(entry);
    inner.set(key, stack);
    this.#wantNames(entry, at);
    return { thread, stack, entry };
  }

  /** Takes in what the callers' number of user samples stands for. */
  addCallers(record: CallersRecord, at: number): void {
    const entry = this.#callers[this.#callersOf(record.callers)];
    if (entry === undefined) return;
    // Told before, or a piece before it is missing: then it hangs in the air.
    if (entry.pieces !== record.group) return;
    entry.pieces += 1;
    const end = record.addresses.indexOf(0);
    const addresses = end < 0 ? record.addresses : record.addresses.slice(0, end);
    entry.addresses.push(...addresses);
    for (const program of entry.wantedBy) this.frames.want(program, 0, addresses, at);
  }

  fact(fact: string, key: string, value: unknown): void {
    if (this.frames.fact(fact, key, value) || fact !== "process") return;
    const program = this.#byKey.get(key);
    if (program === undefined || value === null || typeof value !== "object") return;
    const { comm, exe, kernelThread } = value as { comm?: unknown; exe?: unknown; kernelThread?: unknown };
    if (typeof comm === "string") program.mainComm ??= comm;
    if (typeof exe === "string") program.exe = exe;
    if (kernelThread === true) program.kernelThread = true;
  }

  /** The process' name: its main thread's, else that of the thread seen first. */
  commOf(program: ProgramEntry): string {
    return program.mainComm ?? program.comm;
  }

  /** For people: with the executable where the name does not say it (`MainThread (node)`). */
  labelOf(program: ProgramEntry): string {
    const comm = this.commOf(program);
    return program.exe === null || comm.startsWith(program.exe.slice(0, 15)) || program.kernelThread
      ? comm
      : `${comm} (${program.exe})`;
  }

  /** User frames of a stack, leaf first; empty for none. */
  userFrames(stack: number): readonly UserFrame[] {
    const { program, ip, callers, isWalked } = this.#stackAt(stack);
    if (callers === -1) return [];
    const addresses = this.#callers[callers]?.addresses ?? [];
    if (isWalked) return this.frames.name(program, ip, addresses);
    return this.frames.name(program, addresses[0] ?? 0, addresses.slice(1));
  }

  /** Whether the callers of a sample in user mode were never told. */
  isCallersLost(stack: number): boolean {
    const { callers, isWalked } = this.#stackAt(stack);
    return isWalked && this.#callers[callers]?.pieces === 0;
  }

  /** Frames root → leaf, user part first, then the kernel's. */
  framesOf(stack: number): readonly Frame[] {
    const entry = this.#stackAt(stack);
    const user = this.userFrames(stack).map((frame) => this.#toFrame(frame));
    const kernel = entry.kernel === -1 ? NO_FRAMES : this.#nameKernel(entry.kernel);
    return [
      ...(this.isCallersLost(stack) ? [LOST_FRAME] : []),
      ...user.reverse(),
      ...kernel,
      ...(entry.isKernelLost ? [LOST_KERNEL_FRAME] : []),
    ];
  }

  /** The frame on top of a stack. */
  leafOf(stack: number): Frame {
    const { program, kernel, callers, isWalked, ip, isKernelLost } = this.#stackAt(stack);
    if (isKernelLost) return LOST_KERNEL_FRAME;
    if (kernel !== -1) {
      const text = this.#kernelTexts[kernel] ?? "";
      const start = text.search(/\S/);
      const end = text.indexOf("\n", start);
      return this.#kernelFrame(text.slice(start, end < 0 ? undefined : end));
    }
    const address = isWalked ? ip : (this.#callers[callers]?.addresses[0] ?? 0);
    return this.#toFrame(this.frames.leaf(program, address));
  }

  #findProgram(sample: SampleRecord): ProgramEntry {
    const known = this.#byPid.get(sample.pid);
    const isMain = sample.pid === sample.tid;
    if (known !== undefined && (!isMain || known.mainComm === null || known.mainComm === sample.comm)) {
      if (isMain) known.mainComm = sample.comm;
      return known;
    }
    const program: ProgramEntry = {
      index: this.programs.length,
      pid: sample.pid,
      epoch: known === undefined ? 0 : known.epoch + 1,
      comm: sample.comm,
      mainComm: isMain ? sample.comm : null,
      exe: null,
      kernelThread: sample.mode === "kernel-thread",
    };
    this.programs.push(program);
    this.#byPid.set(sample.pid, program);
    const key = `${program.pid} ${program.epoch}`;
    this.#byKey.set(key, program);
    if (sample.mode !== "kernel-thread") this.#ask("process", key);
    return program;
  }

  #findThread(program: ProgramEntry, sample: SampleRecord): ThreadEntry {
    const key = program.index * 2 ** 32 + sample.tid;
    let thread = this.#byThread.get(key);
    if (thread === undefined) {
      thread = { index: this.threads.length, program, tid: sample.tid, comm: sample.comm };
      this.threads.push(thread);
      this.#byThread.set(key, thread);
    } else thread.comm = sample.comm;
    return thread;
  }

  #internKernel(text: string): number {
    if (text === "" || text === "\n") return -1;
    let known = this.#byKernelText.get(text);
    if (known === undefined) {
      known = this.#kernelTexts.push(text) - 1;
      this.#byKernelText.set(text, known);
    }
    return known;
  }

  #internCallers(sample: SampleRecord): number {
    if (sample.callers !== null) return this.#callersOf(sample.callers);
    if (sample.user === "" || sample.user === "\n") return -1;
    const key = `=${sample.user}`;
    const known = this.#byCallers.get(key);
    if (known !== undefined) return known;
    const addresses = parseUserStack(sample.user);
    const index =
      addresses.length === 0 ? -1 : this.#callers.push({ addresses, pieces: 0, wantedBy: new Set() }) - 1;
    this.#byCallers.set(key, index);
    return index;
  }

  #callersOf(hash: string): number {
    let known = this.#byCallers.get(hash);
    if (known === undefined) {
      known = this.#callers.push({ addresses: [], pieces: 0, wantedBy: new Set() }) - 1;
      this.#byCallers.set(hash, known);
    }
    return known;
  }

  #wantNames({ program, ip, callers, isWalked }: StackEntry, at: number): void {
    const entry = this.#callers[callers];
    if (entry === undefined) return;
    const { addresses } = entry;
    const isNew = !entry.wantedBy.has(program);
    entry.wantedBy.add(program);
    if (isWalked) this.frames.want(program, ip, isNew ? addresses : [], at);
    else if (isNew) this.frames.want(program, addresses[0] ?? 0, addresses.slice(1), at);
  }

  #stackAt(stack: number): StackEntry {
    const entry = this.stacks[stack];
    if (entry === undefined) throw new RangeError(`no stack ${stack}`);
    return entry;
  }

  #nameKernel(kernel: number): Frame[] {
    return splitKernelStack(this.#kernelTexts[kernel] ?? "")
      .map((line) => this.#kernelFrame(line))
      .reverse();
  }

  #kernelFrame(line: string): Frame {
    const frame = nameKernelFrame(line);
    const known = this.#kernelFrames.get(frame.name);
    if (known === undefined) this.#kernelFrames.set(frame.name, frame);
    return known ?? frame;
  }

  #toFrame(frame: UserFrame): Frame {
    const known = this.#userFrames.get(frame);
    if (known !== undefined) return known;
    const key = `${frame.name.length} ${frame.name} ${frame.line ?? ""} ${frame.file ?? frame.module}`;
    const named: Frame = this.#namedFrames.get(key) ?? {
      name: frame.name,
      file: frame.file ?? frame.module,
      ...(frame.line === undefined ? {} : { line: frame.line }),
    };
    this.#namedFrames.set(key, named);
    this.#userFrames.set(frame, named);
    return named;
  }
}
