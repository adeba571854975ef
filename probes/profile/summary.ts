import type { CpuTimes } from "../../src/evidence/cpu.ts";
import type { JsonObject } from "../../src/probe/define.ts";
import type { TopFrame } from "../../src/profile/samples/top.ts";
import type { TruncationStats } from "../../src/symbols/frames.ts";
import type { Counts } from "./counts.ts";
import type { LostStacks } from "./stacks.ts";

/** Functions listed; the profile has them all. */
const MAX_TOP = 200;

export interface SummaryInput {
  readonly hz: number;
  readonly cpus: number;
  readonly counts: Counts;
  /** Samples in the profile. */
  readonly shown: number;
  readonly idle: number;
  readonly cpuTimes: CpuTimes | null;
  readonly lost: number;
  readonly lostStacks: LostStacks;
  readonly truncated: readonly TruncationStats[];
  readonly top: readonly TopFrame[];
}

/** The fields of the `summary` record. `samples.kernel`, `.user`, `.kernelThreads` (and with --idle `.idle`) add up to `.total`. */
export function summarise(input: SummaryInput): JsonObject {
  const { hz, cpus, counts, shown, idle, cpuTimes, lost, lostStacks, truncated, top } = input;
  const { user, kernel, kernelThreads } = counts;
  return {
    hz,
    cpus,
    samples: { total: shown, idle, kernel, user, kernelThreads },
    cpuSeconds: (user + kernel + kernelThreads) / hz,
    cpuTimes: cpuTimes === null ? null : { ...cpuTimes },
    lost,
    lostStacks: { ...lostStacks },
    truncatedStacks: truncated.map((entry) => ({ ...entry })),
    top: top.slice(0, MAX_TOP).map(({ frame, self, total }) => ({
      frame: frame.name,
      file: frame.file ?? null,
      self,
      total,
    })),
    processes: counts.processes.map((process) => ({
      pid: process.pid,
      comm: process.comm,
      exe: process.exe,
      samples: process.samples,
      user: process.user,
      kernel: process.kernel,
    })),
    threads: counts.threads.map(({ thread, samples }) => ({
      pid: thread.program.pid,
      tid: thread.tid,
      comm: thread.comm,
      samples,
    })),
  };
}
