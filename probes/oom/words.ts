import { formatBytes } from "../../src/text/format.ts";
import { secondsOf } from "../../src/evidence/kernel-log/line.ts";
import type { JsonObject } from "../../src/probe/define.ts";
import { findOwner } from "./log/cgroup-owner.ts";
import type { OomReport, OomTask, OomVictim, Pressure } from "./record.ts";

/** Bytes of a process in memory; null where the kernel gave no figure. */
export function residentBytes(victim: OomVictim): number | null {
  const { anonRssBytes, fileRssBytes, shmemRssBytes } = victim;
  if (anonRssBytes === null) return null;
  return anonRssBytes + (fileRssBytes ?? 0) + (shmemRssBytes ?? 0);
}

export function sizeCell(bytes: number | null): string {
  return bytes === null ? "?" : formatBytes(bytes);
}

/** "+2.1 MiB/s", or – where it was not seen before. */
export function growthCell(bytesPerSecond: number | null): string {
  if (bytesPerSecond === null) return "–";
  return `${bytesPerSecond < 0 ? "-" : "+"}${formatBytes(Math.abs(bytesPerSecond))}/s`;
}

/** The moment of a kill on the wall clock in seconds since the epoch; null where the log only counts from boot. */
export function wallSeconds(report: OomReport): number | null {
  return report.time?.kind === "wall" ? secondsOf(report.time) : null;
}

/** Whose limit it was: the key of `byCgroup`. */
export function scopeKey(report: OomReport): string {
  if (report.scope.kind === null) return "(unknown)";
  if (report.scope.kind !== "memcg") return "(host)";
  return report.scope.cgroup ?? report.likelyCgroup ?? "(unknown)";
}

/** Who a cgroup belongs to, by its path; null where there is none. */
function ownerFields(cgroup: string | null): JsonObject | null {
  if (cgroup === null) return null;
  const { kind, label, containerId, podUid, unit } = findOwner(cgroup);
  return { kind, label, containerId, podUid, unit };
}

function taskFields(task: OomTask): JsonObject {
  return { ...task };
}

/** The `oom` record without its envelope. */
export function recordFields(
  report: OomReport,
  growth: number | null,
  hostPressure: Pressure | null,
): JsonObject {
  const { memory, hostMemory, files, scope } = report;
  const pressure = scope.kind === "memcg" ? (files?.pressure ?? null) : hostPressure;
  return {
    source: report.source,
    scope: {
      ...scope,
      owner: ownerFields(scope.cgroup),
      pressure: pressure === null ? null : { ...pressure },
    },
    invoker: { ...report.invoker },
    victim: { ...report.victim, growthBytesPerSecond: growth, owner: ownerFields(report.victim.cgroup) },
    tasks: report.tasks.map(taskFields),
    stack: report.stack,
    kernelTime: report.time === null ? null : { ...report.time },
    monotonic: report.monotonic,
    logHost: report.host,
    order: report.order,
    gfpFlags: report.gfpFlags,
    gfpMeaning: report.gfpMeaning,
    swapBytes: memory?.swap?.usageBytes ?? files?.swapBytes ?? null,
    swapLimitBytes: memory?.swap?.limitBytes ?? files?.swapLimitBytes ?? null,
    hostFreeBytes: hostMemory?.freeBytes ?? null,
    hostTotalBytes: hostMemory?.totalBytes ?? null,
    group: report.group === null ? null : { ...report.group },
    likelyCgroup: report.likelyCgroup,
    complete: report.complete,
    missing: report.missing,
    suppressedBefore: report.suppressedBefore,
  };
}
