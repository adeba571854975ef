import type { OomReport } from "../record.ts";

/**
 * Room above what was in use when the limit was hit. A quarter is the usual first step; the true need is unknown,
 * because the kernel stopped the growth at the limit.
 */
export const HEADROOM = 1.25;

/** Memory and swap in use when the limit was hit; null where the log lacks the counters. */
export function neededBytes(report: OomReport): number | null {
  const { memory } = report;
  if (memory === null) return report.scope.usageBytes;
  const swap =
    memory.memorySwap === null
      ? (memory.swap?.usageBytes ?? 0)
      : memory.memorySwap.usageBytes - memory.usageBytes;
  return memory.usageBytes + Math.max(0, swap);
}

/** The smallest limit worth trying after one kill (bytes, not rounded): all that was in use, and a quarter more. */
export function suggestLimit(report: OomReport): number | null {
  const needed = neededBytes(report) ?? report.scope.limitBytes;
  return needed === null ? null : needed * HEADROOM;
}
