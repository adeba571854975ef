import { plural } from "../../../../src/text/format.ts";
import type { ZoneMemory } from "../../record.ts";
import { sayBytes, sayName } from "../words.ts";
import type { OomRule } from "./rule.ts";
import { sayScope, sayTrigger, sayVictims } from "./subject.ts";

/** Swap this full gives no room: the last percent are bad slots and per-CPU reserves. */
const FULL = 0.02;

function hasBlock(zone: ZoneMemory, order: number): boolean {
  return (zone.freeBlocks ?? []).some((count, index) => index >= order && count > 0);
}

/** Free pages, but no block of the size asked for. */
export const fragmentation: OomRule = (facts) => {
  const report = facts.sample;
  const { order, hostMemory } = report;
  if (facts.kind !== "host" || order === null || order <= 0 || hostMemory === null) return null;
  // The first 16 MiB are kept for old devices: what is free there serves nobody else.
  const roomy = hostMemory.zones.filter(
    (zone) => zone.zone !== "DMA" && (zone.freeBytes ?? 0) > (zone.highBytes ?? Number.POSITIVE_INFINITY),
  );
  if (roomy.length === 0 || roomy.some((zone) => hasBlock(zone, order))) return null;
  const block = 2 ** order * report.pageSize.bytes;
  return {
    id: "oom-fragmentation",
    severity: "problem",
    summary: `Memory was free on ${sayScope(facts)} but in pieces, no block of ${sayBytes(block)} (order ${String(order)}): ${sayVictims(facts)}`,
    count: facts.kills,
    netns: null,
    evidence: [
      ...roomy.map(
        (zone) =>
          `node ${String(zone.node)} zone ${sayName(zone.zone)}: ${sayBytes(zone.freeBytes)} free, above its high mark of ${sayBytes(zone.highBytes)}; blocks by order ${(zone.freeBlocks ?? []).join(" ")}`,
      ),
      ...sayTrigger(facts),
    ],
    check: ["cat /proc/buddyinfo", "grep -E 'compact_(fail|success|stall)' /proc/vmstat"],
    fix: [
      "sysctl -w vm.compact_memory=1",
      'sysctl -w vm.min_free_kbytes="$(( $(sysctl -n vm.min_free_kbytes) * 2 ))"',
    ],
  };
};

/** A device or a flag needed memory from a low zone while a higher one had plenty. */
export const lowZone: OomRule = (facts) => {
  const { hostMemory, gfpFlags } = facts.sample;
  if (facts.kind !== "host" || hostMemory === null) return null;
  const wanted = gfpFlags.some((flag) => /^(?:__)?GFP_DMA32$/.test(flag))
    ? "DMA32"
    : gfpFlags.some((flag) => /^(?:__)?GFP_DMA$/.test(flag))
      ? "DMA"
      : null;
  const roomy = hostMemory.zones.filter(
    (zone) =>
      zone.zone !== "DMA" &&
      zone.zone !== wanted &&
      (zone.freeBytes ?? 0) > (zone.highBytes ?? Number.POSITIVE_INFINITY),
  );
  if (wanted === null || roomy.length === 0) return null;
  return {
    id: "oom-low-zone",
    severity: "suspicious",
    summary: `Only zone ${wanted} was out of memory: a device driver asked for low memory, other zones had some`,
    count: facts.kills,
    netns: null,
    evidence: roomy.map(
      (zone) => `node ${String(zone.node)} zone ${sayName(zone.zone)}: ${sayBytes(zone.freeBytes)} free`,
    ),
    check: ["grep -E '^Node|free |min |high ' /proc/zoneinfo"],
    fix: ["sysctl -w vm.lowmem_reserve_ratio='64 64 32 0 0'"],
  };
};

/** Swap is configured and used up. */
export const swapFull: OomRule = (facts) => {
  const memory = facts.sample.hostMemory;
  if (memory?.swapTotalBytes == null || memory.swapFreeBytes === null || memory.swapTotalBytes === 0)
    return null;
  if (memory.swapFreeBytes > memory.swapTotalBytes * FULL) return null;
  return {
    id: "oom-swap-full",
    severity: "info",
    summary: `Swap was full too: ${sayBytes(memory.swapFreeBytes)} free of ${sayBytes(memory.swapTotalBytes)}`,
    count: facts.kills,
    netns: null,
    evidence: [`Free swap ${sayBytes(memory.swapFreeBytes)}, Total swap ${sayBytes(memory.swapTotalBytes)}`],
    check: [
      "swapon --show",
      'for f in /proc/[0-9]*/status; do awk \'/^Name|^VmSwap/ {printf "%s ", $2} END {print ""}\' "$f"; done | sort -k2 -n | tail -n 10',
    ],
    fix: [],
  };
};

/** A cgroup without swap of its own. */
export const cgroupSwapFull: OomRule = (facts) => {
  const swap = facts.sample.memory?.swap;
  if (facts.kind !== "memcg" || swap?.limitBytes == null || swap.limitBytes === 0) return null;
  if (swap.usageBytes < swap.limitBytes * (1 - FULL)) return null;
  return {
    id: "oom-cgroup-swap-full",
    severity: "info",
    summary: `The swap of ${sayScope(facts)} was used up too: ${sayBytes(swap.usageBytes)} of ${sayBytes(swap.limitBytes)}`,
    count: facts.kills,
    netns: null,
    evidence: [`swap: ${sayBytes(swap.usageBytes)} in use, limit ${sayBytes(swap.limitBytes)}`],
    check: [],
    fix: [],
  };
};

/** Someone pressed SysRq-f. */
export const manual: OomRule = (facts) => {
  if (facts.manual === 0) return null;
  return {
    id: "oom-manual",
    severity: "info",
    summary: `${plural(facts.manual, "kill")} ${facts.manual === 1 ? "was" : "were"} asked for by hand (SysRq-f, echo f > /proc/sysrq-trigger): memory had not run out`,
    count: facts.manual,
    netns: null,
    evidence: ["the report says order=-1, which only SysRq-f does"],
    check: ["sysctl kernel.sysrq"],
    fix: [],
  };
};
