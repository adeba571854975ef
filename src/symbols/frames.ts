import { JIT_FRAME, type UserFrame } from "./frame.ts";

/** A frame for a profile: `file` is what flame graph viewers colour and group by. */
export interface NamedFrame {
  readonly name: string;
  readonly file: string;
  readonly line?: number;
}

export const KERNEL_FILE = "[kernel]";

// `tcp_sendmsg+0x3f`, `tcp_sendmsg+63`: one frame per call site would split every function.
const OFFSET = /\+(?:0x[0-9a-f]+|\d+)$/i;
const BARE_ADDRESS = /^(?:0x)?[0-9a-f]{8,16}$/i;

/** A symbol without the offset in it. `[module]+0x1a2b` stays: there the offset is all that is known. */
export function stripOffset(name: string): string {
  return name.startsWith("[") ? name : name.replace(OFFSET, "");
}

/** A kernel symbol as bpftrace or perf print it: without offset, marked as the kernel's; an address without a name is none. */
export function nameKernelFrame(printed: string): NamedFrame {
  const name = stripOffset(printed.trim());
  const unnamed = name === "" || name === "[unknown]" || BARE_ADDRESS.test(name);
  return { name: unnamed ? "[kernel]" : name, file: KERNEL_FILE };
}

/** A user frame for a profile: its source file where that is known, else its module. */
export function nameUserFrame(frame: UserFrame): NamedFrame {
  const named = { name: frame.name, file: frame.file ?? frame.module };
  return frame.line === undefined ? named : { ...named, line: frame.line };
}

/** Where stacks begin that were followed to their end: C start code, threads, Go's, Rust's on musl. */
const ROOTS = new Set([
  "_start",
  "__libc_start_main",
  "__libc_start_call_main",
  "start_thread",
  "clone",
  "clone3",
  "__clone",
  "__clone3",
  "_dl_start",
  "_dl_start_user",
  "thread_start",
  "runtime.goexit",
  "runtime.mstart",
]);

/** How many user stacks of one program could not be followed. */
export interface TruncationStats {
  readonly comm: string;
  /** User stacks seen, without the empty ones. */
  readonly stacks: number;
  /** Those that end after one frame, and after one or two. A stack that ends where threads begin is whole and in neither. */
  readonly afterOne: number;
  readonly afterTwo: number;
}

export interface TruncationCounter {
  /** Counts `weight` samples (default 1) of one user stack, leaf first. */
  add(comm: string, stack: readonly UserFrame[], weight?: number): void;
  /** Most stacks first. */
  result(): TruncationStats[];
}

const COMMS_MOST = 65_536;

/** Counts the stacks that end too early, which is what code compiled without frame pointers looks like. */
export function createTruncationCounter(): TruncationCounter {
  const counts = new Map<string, { stacks: number; afterOne: number; afterTwo: number }>();
  return {
    add(comm, stack, weight = 1) {
      if (stack.length === 0) return;
      const count = counts.get(comm) ?? { stacks: 0, afterOne: 0, afterTwo: 0 };
      if (!counts.has(comm) && counts.size < COMMS_MOST) counts.set(comm, count);
      count.stacks += weight;
      const depth = countCallers(stack);
      if (depth > 2 || ROOTS.has(stack[depth - 1]!.name)) return;
      count.afterTwo += weight;
      if (depth === 1) count.afterOne += weight;
    },
    result() {
      return [...counts].map(([comm, count]) => ({ comm, ...count })).toSorted((a, b) => b.stacks - a.stacks);
    },
  };
}

/** Frames without what comes after them that is no code: where a frame pointer is missing, the walk often ends in data. */
function countCallers(stack: readonly UserFrame[]): number {
  const last = stack.findLastIndex((frame) => frame.kind !== "unknown" || frame === JIT_FRAME);
  // Nothing is known of a process that ended too soon: then every frame counts.
  return last === -1 ? stack.length : last + 1;
}

// Fewer stacks than this say nothing; below this share the graph is good enough to read (Node: 2 %, python3 without: 56 %).
const STACKS_LEAST = 20;
const SHARE_LEAST = 0.1;

/** The sentence for the report, or null where there is nothing to explain. `comm` is as the system gave it: unescaped. */
export function explainTruncation(stats: TruncationStats): string | null {
  if (stats.stacks < STACKS_LEAST || stats.afterTwo / stats.stacks < SHARE_LEAST) return null;
  const mostlyOne = stats.afterOne * 2 >= stats.afterTwo;
  const share = Math.round((100 * (mostlyOne ? stats.afterOne : stats.afterTwo)) / stats.stacks);
  const frames = mostlyOne ? "one frame" : "one or two frames";
  return (
    `${share} % of user stacks of \`${stats.comm}\` end after ${frames}: the program or its libraries are compiled without ` +
    "frame pointers (-fno-omit-frame-pointer), so that their callers are missing from the flame graph"
  );
}
