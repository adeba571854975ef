import type { KernelThreadEvidence } from "../../src/evidence/kthreads/types.ts";
import type { Json, JsonObject } from "../../src/probe/define.ts";
import { roleOf, type ThreadRow } from "./threads.ts";
import type { Work } from "./work.ts";

/** The fact is what `collectKernelThreads` gave; a recording that was tampered with gives nothing. */
export function readEvidence(value: Json): KernelThreadEvidence | null {
  if (value === null || typeof value !== "object" || Array.isArray(value)) return null;
  const { time, threads, disks, received, memory } = value as JsonObject;
  const isWhole =
    typeof time === "number" &&
    Array.isArray(threads) &&
    Array.isArray(disks) &&
    Array.isArray(received) &&
    typeof memory === "object" &&
    memory !== null;
  return isWhole ? (value as unknown as KernelThreadEvidence) : null;
}

/** An entry of the summary's `threads`. */
export function threadRecord(thread: ThreadRow): JsonObject {
  return {
    pid: thread.pid,
    comm: thread.name,
    role: roleOf(thread),
    subsystem: thread.described?.subsystem ?? null,
    samples: thread.samples,
    cpuPercent: thread.cpuPercent,
    cpuSeconds: thread.cpuSeconds,
    voluntarySwitches: thread.voluntarySwitches,
    involuntarySwitches: thread.involuntarySwitches,
    disk: thread.disk === null ? null : { ...thread.disk },
  };
}

/** The summary's `work`. */
export function workRecord(work: Work): JsonObject {
  return {
    softirqs: work.vectors.map(({ own, ownCount, other, otherCount, ...row }) => ({
      ...row,
      ksoftirqd: { seconds: own, count: ownCount },
      outside: { seconds: other, count: otherCount },
    })),
    devices: work.devices.map(({ own, full, ...row }) => ({ ...row, byKsoftirqd: own, budgetUsedUp: full })),
    functions: work.functions.map(({ threads, ...row }) => ({
      ...row,
      threads: threads.map(({ pid }) => pid),
    })),
    commits: work.commits.map(({ disk, fsyncs, ...row }) => ({
      ...row,
      disk: disk === null ? null : { ...disk },
      fsyncs: fsyncs.map((caller) => ({ ...caller })),
    })),
    kswapd: {
      wakes: work.kswapdWakes,
      callers: work.kswapdCallers.map((row) => ({ ...row })),
      counters: { ...work.memory },
    },
    receivers: work.receivers.map((row) => ({ ...row })),
  };
}
