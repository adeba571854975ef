import { describeKernelThread } from "../../src/catalogue/load.ts";
import type { KernelThreadDescription } from "../../src/catalogue/types.ts";
import type {
  KernelThreadEvidence,
  KernelThreadState,
  MountedDisk,
} from "../../src/evidence/kthreads/types.ts";
import type { Options } from "../../src/probe/define.ts";

/** One kernel thread over the run. */
export interface ThreadRow {
  readonly pid: number;
  readonly name: string;
  /** Null where the catalogue does not know it. */
  readonly described: KernelThreadDescription | null;
  /** The mounted disk its name speaks of. */
  readonly disk: MountedDisk | null;
  readonly samples: number;
  /** CPU time by the kernel's own account, seconds; null for a thread that was not there at both ends. */
  readonly cpuSeconds: number | null;
  /** Of one CPU; from the samples where the kernel's account is missing. */
  readonly cpuPercent: number;
  readonly voluntarySwitches: number | null;
  readonly involuntarySwitches: number | null;
}

export interface SampledThread {
  readonly pid: number;
  readonly comm: string;
  readonly samples: number;
}

export interface ThreadInput {
  readonly before: KernelThreadEvidence | null;
  readonly after: KernelThreadEvidence | null;
  readonly sampled: readonly SampledThread[];
  readonly hz: number;
  /** Length of the run, for threads of which only samples are known. */
  readonly seconds: number;
  /** `--pid` and `--comm`. */
  readonly options: Options;
}

/** The kernel threads that were asked for, busiest first. */
export function listThreads({ before, after, sampled, hz, seconds, options }: ThreadInput): ThreadRow[] {
  const samples = new Map(sampled.map((thread) => [thread.pid, thread]));
  const first = new Map((before?.threads ?? []).map((thread) => [thread.pid, thread]));
  const last = (after?.threads ?? before?.threads ?? []).filter((thread) => isAsked(thread, options));
  const elapsed = before === null || after === null ? null : after.time - before.time;
  const disks = [...(after?.disks ?? []), ...(before?.disks ?? [])];
  const rows = last.map((thread): ThreadRow => {
    const count = samples.get(thread.pid)?.samples ?? 0;
    samples.delete(thread.pid);
    const start = first.get(thread.pid);
    return {
      ...describe(thread.pid, thread.name, disks),
      samples: count,
      ...account(thread, start?.started === thread.started ? start : null, after !== null),
      cpuPercent: percentOf(thread, start, elapsed) ?? toPercent(count / hz, seconds),
    };
  });
  // Threads that were gone when the second look was taken.
  for (const { pid, comm, samples: count } of samples.values()) {
    rows.push({
      ...describe(pid, first.get(pid)?.name ?? comm, disks),
      samples: count,
      cpuSeconds: null,
      cpuPercent: toPercent(count / hz, seconds),
      voluntarySwitches: null,
      involuntarySwitches: null,
    });
  }
  return rows.sort((a, b) => b.cpuPercent - a.cpuPercent || b.samples - a.samples || a.pid - b.pid);
}

/** The kernel compares 15 characters; the name in /proc of a worker goes on with its queue (`kworker/0:1-events`). */
const COMM_LENGTH = 15;

function isAsked({ pid, name }: KernelThreadState, { pid: wanted, comm }: Options): boolean {
  if (wanted !== undefined && pid !== wanted) return false;
  if (comm === undefined || name.slice(0, COMM_LENGTH) === comm) return true;
  return name.startsWith(comm) && comm.startsWith("kworker/") && /^[-+]/.test(name.slice(comm.length));
}

function describe(pid: number, name: string, disks: readonly MountedDisk[]) {
  const described = describeKernelThread(name);
  const device = described?.captures["device"];
  const disk = device === undefined ? null : (disks.find((entry) => entry.device === device) ?? null);
  return { pid, name, described, disk };
}

/** A thread that began during the run has all its time in it. */
function account(thread: KernelThreadState, start: KernelThreadState | null, isKnown: boolean) {
  const since = (now: number | null, then: number | null | undefined) =>
    now === null || !isKnown ? null : now - (then ?? 0);
  return {
    cpuSeconds: since(thread.cpuSeconds, start?.cpuSeconds),
    voluntarySwitches: since(thread.voluntarySwitches, start?.voluntarySwitches),
    involuntarySwitches: since(thread.involuntarySwitches, start?.involuntarySwitches),
  };
}

function percentOf(
  thread: KernelThreadState,
  start: KernelThreadState | undefined,
  elapsed: number | null,
): number | null {
  if (elapsed === null) return null;
  const before = start?.started === thread.started ? start.cpuSeconds : 0;
  return toPercent(thread.cpuSeconds - before, elapsed);
}

/** To a hundredth. */
function toPercent(cpuSeconds: number, seconds: number): number {
  return seconds > 0 ? Math.round((10_000 * cpuSeconds) / seconds) / 100 : 0;
}

/** What it is for, in an operator's words, with what its name says filled in. */
export function roleOf({ described, disk }: ThreadRow): string | null {
  if (described === null) return null;
  const where = disk === null ? "" : ` Here: ${disk.type} on ${disk.device}, mounted at ${disk.path}.`;
  return `${described.role}${where}`;
}
