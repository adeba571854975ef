import { FORKED_WITHOUT_EXEC, TICKS_PER_SECOND } from "../../src/host/process-stat.ts";

/** One victim as the kernel told it when it was chosen. Sizes in bytes, null where this kernel does not give them. */
export interface VictimEvent {
  /** Seconds since boot. */
  readonly monotonic: number;
  readonly invoker: { readonly tid: number; readonly pid: number; readonly comm: string };
  readonly pid: number;
  readonly totalVmBytes: number | null;
  readonly anonRssBytes: number | null;
  readonly fileRssBytes: number | null;
  readonly shmemRssBytes: number | null;
  readonly pageTableBytes: number | null;
  readonly uid: number | null;
  readonly oomScoreAdj: number | null;
  /** Number of the invoker's memory cgroup, for a question `memory-cgroup`. */
  readonly cgroupId: string | null;
  /** Function names, leaf → root, as the kernel has them. */
  readonly frames: readonly string[];
}

/** What the request for memory was; null where the constraint does not apply. */
export interface RequestEvent {
  readonly monotonic: number;
  readonly tid: number;
  /** enum oom_constraint: 0 none, 1 cpuset, 2 memory policy, 3 memory cgroup. */
  readonly constraint: number;
  readonly order: number;
  readonly gfpMask: string;
  /** Of the cgroup whose limit was hit; null for the host, and for a cgroup without a limit. */
  readonly limitBytes: number | null;
  readonly usageBytes: number | null;
}

/** When a process began, in a process's own memory: at its exec, so close to its start that the difference does not show. */
export interface BirthEvent {
  readonly pid: number;
  /** Seconds from its start to this event. */
  readonly age: number;
  /** As /proc/PID/stat counts it (ticks since boot). */
  readonly startTicks: number;
}

export type OomEvent =
  | { readonly kind: "birth"; readonly event: BirthEvent | null }
  | { readonly kind: "victim"; readonly event: VictimEvent }
  | { readonly kind: "name"; readonly pid: number; readonly comm: string }
  | { readonly kind: "target"; readonly pid: number; readonly comm: string }
  | { readonly kind: "request"; readonly event: RequestEvent }
  | {
      readonly kind: "sigkill";
      readonly sender: { readonly pid: number; readonly comm: string };
      readonly pid: number;
    }
  | { readonly kind: "skipped"; readonly count: number };

/** Splits off `count` fields; the rest, which may hold tabs, is the last one. Null when there are fewer. */
function split(text: string, count: number): string[] | null {
  const fields: string[] = [];
  let start = 0;
  while (fields.length < count) {
    const end = text.indexOf("\t", start);
    if (end < 0) return null;
    fields.push(text.slice(start, end));
    start = end + 1;
  }
  return [...fields, text.slice(start)];
}

/** Whole decimal numbers, or null. */
function numbers(fields: readonly string[]): number[] | null {
  return fields.every((field) => /^-?\d{1,20}$/.test(field)) ? fields.map(Number) : null;
}

const KIB = (value: number | undefined): number | null =>
  value === undefined || value < 0 ? null : value * 1024;

/** Reads a record of oom.bt; null when the text is none. `pageSize`: bytes. */
export function parseEvent(text: string, pageSize: number): OomEvent | null {
  const tag = text.slice(0, 2);
  if (tag === "V\t") return parseVictim(text.slice(2));
  if (tag === "K\t") return parseRequest(text.slice(2), pageSize);
  if (tag === "W\t" || tag === "X\t") {
    const fields = split(text.slice(2), 1);
    const pid = numbers(fields?.slice(0, 1) ?? [""])?.[0];
    return pid === undefined
      ? null
      : { kind: tag === "W\t" ? "name" : "target", pid, comm: fields?.[1] ?? "" };
  }
  if (tag === "B\t") return parseBirth(text.slice(2));
  if (tag === "U\t") {
    const fields = split(text.slice(2), 3);
    const [, sender, pid] = numbers(fields?.slice(0, 3) ?? [""]) ?? [];
    if (sender === undefined || pid === undefined) return null;
    return { kind: "sigkill", pid, sender: { pid: sender, comm: fields?.[3] ?? "" } };
  }
  if (tag === "S\t") {
    const count = numbers([text.slice(2)])?.[0];
    return count === undefined ? null : { kind: "skipped", count };
  }
  return null;
}

/** The two clocks of a machine that was never asleep differ by less (ns): of one that was, it is not known which of them `nsecs` follows. */
const NEVER_ASLEEP = 10_000_000;
/** Nanoseconds in a tick of /proc/PID/stat. */
const TICK = 1e9 / TICKS_PER_SECOND;

/** Null as the event: nothing that its age says of its memory. */
function parseBirth(text: string): OomEvent | null {
  const figures = numbers(text.split("\t"));
  if (figures?.length !== 5) return null;
  const [pid = 0, nsecs = 0, boot = 0, monotonic = 0, flags = 0] = figures;
  const isKnown = (flags & FORKED_WITHOUT_EXEC) === 0 && boot - monotonic < NEVER_ASLEEP && nsecs >= boot;
  const event = { pid, age: (nsecs - boot) / 1e9, startTicks: Math.floor(boot / TICK) };
  return { kind: "birth", event: isKnown ? event : null };
}

function parseVictim(text: string): OomEvent | null {
  const fields = split(text, 13);
  const figures = fields === null ? null : numbers(fields.slice(0, 11));
  if (fields === null || figures === null) return null;
  const [nsecs = 0, tid = 0, invoker = 0, pid = 0, vm, anon, file, shmem, tables, uid = -1, adj = 0] =
    figures;
  const hasFigures = (vm ?? -1) >= 0;
  return {
    kind: "victim",
    event: {
      monotonic: nsecs / 1e9,
      invoker: { tid, pid: invoker, comm: fields[13] ?? "" },
      pid,
      totalVmBytes: KIB(vm),
      anonRssBytes: KIB(anon),
      fileRssBytes: KIB(file),
      shmemRssBytes: KIB(shmem),
      pageTableBytes: KIB(tables),
      // An id beyond 2^31 is printed as a negative number; -1 is nobody's.
      uid: hasFigures && uid !== -1 ? uid >>> 0 : null,
      oomScoreAdj: hasFigures ? adj : null,
      // Decimal text: it can be larger than a number holds.
      cgroupId: /^[1-9]\d{0,19}$/.test(fields[11] ?? "") ? (fields[11] ?? null) : null,
      frames: (fields[12] ?? "").split("\n").flatMap((line) => cleanFrame(line.trim()) ?? []),
    },
  };
}

/** `out_of_memory+532` → `out_of_memory`; null for a bare address or nothing. */
function cleanFrame(text: string): string | null {
  const name = text.replace(/\+(?:0x[0-9a-f]+|\d+)$/, "");
  return name === "" || /^(?:0x)?[0-9a-f]{8,}$/i.test(name) ? null : name;
}

/** PAGE_COUNTER_MAX is LONG_MAX / PAGE_SIZE pages: whatever is near it is no limit. */
const NO_LIMIT = 2 ** 62;

function parseRequest(text: string, pageSize: number): OomEvent | null {
  const figures = numbers(text.split("\t"));
  if (figures?.length !== 8) return null;
  const [nsecs = 0, tid = 0, constraint = 0, order = 0, mask = 0, , limit = 0, usage = 0] = figures;
  const isMemcg = constraint === 3;
  const limitBytes = limit * pageSize;
  return {
    kind: "request",
    event: {
      monotonic: nsecs / 1e9,
      tid,
      constraint,
      order,
      gfpMask: `0x${mask.toString(16)}`,
      limitBytes: isMemcg && limit > 0 && limitBytes < NO_LIMIT ? limitBytes : null,
      usageBytes: isMemcg ? usage * pageSize : null,
    },
  };
}
