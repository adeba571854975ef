import { findOwner } from "../cgroup-owner.ts";
import type { OomGroupFacts } from "../facts.ts";
import { findHolders } from "../holders.ts";
import { roundUpSize, sayBytes, sayName, sayShare, shellWord, sizeWord } from "../words.ts";
import { fragmentation } from "./allocator.ts";
import type { OomRule } from "./rule.ts";
import { sayHolders, sayScope, sayTrigger, sayVictims } from "./subject.ts";

function sayMemory(facts: OomGroupFacts): string[] {
  const memory = facts.sample.hostMemory;
  if (memory === null) return [];
  const lines: string[] = [];
  if (memory.totalBytes !== null) {
    const usable = memory.totalBytes - (memory.reservedBytes ?? 0);
    lines.push(`RAM: ${sayBytes(usable)} usable, ${sayBytes(memory.freeBytes)} free`);
    lines.push(
      `in it: anonymous ${sayBytes(memory.anonBytes)} (${sayShare(memory.anonBytes ?? 0, usable)}), page cache ${sayBytes(memory.fileBytes)}, shared ${sayBytes(memory.shmemBytes)}, slab ${sayBytes((memory.slabReclaimableBytes ?? 0) + (memory.slabUnreclaimableBytes ?? 0))}, page tables ${sayBytes(memory.pageTableBytes)}`,
    );
  }
  for (const zone of memory.zones) {
    if (zone.freeBytes === null || zone.minBytes === null || zone.freeBytes > zone.minBytes) continue;
    lines.push(
      `node ${String(zone.node)} zone ${sayName(zone.zone)}: ${sayBytes(zone.freeBytes)} free, below its minimum of ${sayBytes(zone.minBytes)}`,
    );
  }
  if (memory.swapTotalBytes !== null) {
    lines.push(
      memory.swapTotalBytes === 0
        ? "swap: none"
        : `swap: ${sayBytes(memory.swapFreeBytes)} free of ${sayBytes(memory.swapTotalBytes)}`,
    );
  }
  return lines;
}

/** Commands that bound the unit with most of the memory, if the log names its cgroup (it does for victims only). */
function boundHog(facts: OomGroupFacts): string[] {
  const { victim } = facts.sample;
  const holders = findHolders(facts.sample);
  if (holders === null || victim.cgroup === null || holders.largest.pid !== victim.pid) return [];
  const owner = findOwner(victim.cgroup);
  const rss = holders.largest.rssBytes;
  if (rss === null) return [];
  const bound = `MemoryHigh=${sizeWord(roundUpSize(rss * 0.75))}`;
  return owner.kind === "systemd" && owner.unit !== null
    ? [`systemctl set-property ${shellWord(owner.unit)} ${bound}`]
    : [
        `# start ${sayName(holders.largest.comm)} with a bound of its own: systemd-run --scope -p ${bound} -- COMMAND`,
      ];
}

/** Keeps a service alive at the next shortage: a reserve for its memory and a lower score for its processes. */
function protect(facts: OomGroupFacts): string[] {
  const { cgroup, pid } = facts.sample.victim;
  const owner = cgroup === null ? null : findOwner(cgroup);
  const victim = facts.victims[0]?.largestBytes ?? null;
  const isService = owner?.kind === "systemd" && owner.unit?.endsWith(".service") === true;
  if (owner === null || owner.unit === null || !isService) {
    // The hog itself is better bound than protected.
    if (findHolders(facts.sample)?.largest.pid === pid) return [];
    return [
      ...(owner?.kind === "cgroup" && cgroup !== null && cgroup !== "/" && victim !== null
        ? [`echo ${String(roundUpSize(victim))} > ${shellWord(`/sys/fs/cgroup${cgroup}/memory.low`)}`]
        : []),
      `# start ${sayName(facts.sample.victim.comm)} so that it is killed last: choom -n -500 -- COMMAND`,
    ];
  }
  const unit = shellWord(owner.unit);
  const reserve =
    victim === null ? [] : [`systemctl set-property ${unit} MemoryLow=${sizeWord(roundUpSize(victim))}`];
  return [...reserve, `systemctl edit ${unit}   # [Service] OOMScoreAdjust=-500: killed last`];
}

const GIB = 1024 ** 3;
/** A swap file is half of the memory, between these, in steps of the smaller one. */
const SWAP_LEAST = GIB / 2;
const SWAP_MOST = 4 * GIB;
/** Swap takes anonymous and shared memory only: where those were less than this share of all, it would not have helped. */
const SWAPPABLE_SHARE = 0.25;

/** A swap file where there is no swap and it would have helped; not on a Kubernetes node, whose kubelet does not start with swap. */
function addSwap({ sample }: OomGroupFacts): string[] {
  const { hostMemory: memory, victim } = sample;
  if (memory?.swapTotalBytes !== 0 || memory.totalBytes === null) return [];
  const isNode = [victim.cgroup, sample.invoker.cgroup].some(
    (cgroup) => cgroup?.includes("kubepods") === true,
  );
  const swappable = (memory.anonBytes ?? 0) + (memory.shmemBytes ?? 0);
  const isLittle = memory.anonBytes !== null && swappable < SWAPPABLE_SHARE * memory.totalBytes;
  if (isNode || isLittle) return [];
  const half = Math.ceil(memory.totalBytes / 2 / SWAP_LEAST) * SWAP_LEAST;
  const size = sizeWord(Math.min(SWAP_MOST, half));
  return [
    `fallocate -l ${size} /swapfile && chmod 600 /swapfile && mkswap /swapfile && swapon /swapfile   # on btrfs instead: btrfs filesystem mkswapfile --size ${size} /swapfile && swapon /swapfile`,
  ];
}

/** The host itself had no memory left. */
export const hostOutOfMemory: OomRule = (facts) => {
  if (facts.kind !== "host" || facts.manual > 0) return null;
  // That one tells the same kills, and why.
  if (fragmentation(facts) !== null) return null;
  return {
    id: "oom-host",
    severity: "problem",
    summary: `${sayScope(facts)} ran out of memory: ${sayVictims(facts)}`,
    count: facts.kills,
    netns: null,
    evidence: [...sayMemory(facts), ...sayHolders(facts), ...sayTrigger(facts)],
    check: [
      "free -m",
      "ps -eo pid,rss,oom_score_adj,comm --sort=-rss | head -n 15",
      "grep -E 'Slab|SUnreclaim|Shmem:|Committed_AS|HugePages_Total' /proc/meminfo",
    ],
    fix: [...boundHog(facts), ...protect(facts), ...addSwap(facts)],
  };
};

/** Zones that had memory to spare, which the task was not allowed to take. */
function sayRoomy(facts: OomGroupFacts): string[] {
  const zones = facts.sample.hostMemory?.zones ?? [];
  return zones.flatMap(({ node, zone, freeBytes, highBytes }) =>
    zone !== "DMA" && freeBytes !== null && highBytes !== null && freeBytes > highBytes
      ? [
          `node ${String(node)} zone ${sayName(zone)} had ${sayBytes(freeBytes)} free, above its high mark of ${sayBytes(highBytes)}`,
        ]
      : [],
  );
}

/** Not the whole host: the nodes a cpuset or a memory policy allows were empty. */
export const allowedNodes: OomRule = (facts) => {
  if (facts.kind !== "cpuset" && facts.kind !== "mempolicy") return null;
  const what = facts.kind === "cpuset" ? "cpuset.mems" : "a memory policy (mbind, set_mempolicy, numactl)";
  return {
    id: facts.kind === "cpuset" ? "oom-cpuset" : "oom-mempolicy",
    severity: "problem",
    summary: `The memory nodes that ${what} allows ran out while others may have had some: ${sayVictims(facts)}`,
    count: facts.kills,
    netns: null,
    evidence: [...sayMemory(facts), ...sayRoomy(facts), ...sayHolders(facts), ...sayTrigger(facts)],
    check: [
      "numactl --hardware",
      "numastat -m | head -n 20",
      "grep -H . /sys/fs/cgroup/*/cpuset.mems 2>/dev/null",
    ],
    fix: facts.kind === "cpuset" ? ["# add nodes to cpuset.mems of the victim's cpuset, or move it"] : [],
  };
};
