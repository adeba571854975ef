import type { MemcgCounter, MemcgMemory, MemcgStats } from "../record.ts";

const KIB = 1024;
/** PAGE_COUNTER_MAX in kB: 9007199254740988 (4 KiB pages, …28 with 64 KiB), on 32 bits 8589934588; = no limit. */
const NO_LIMIT_KB = 9_007_199_254_740_000;
const NO_LIMIT_KB_32 = 8_589_934_000;
const MAX_STATS = 512;

/** Counters and stats of one cgroup, collected line by line. */
export interface MemcgDraft {
  counters: Map<"memory" | "swap" | "memory+swap" | "kmem", MemcgCounter>;
  /** Path of the first "Memory cgroup stats for". */
  cgroup: string | null;
  stats: Map<string, number>;
}

export function createMemcgDraft(): MemcgDraft {
  return { counters: new Map(), cgroup: null, stats: new Map() };
}

/** kB as printed → bytes; the "no limit" values → null. */
export function parseLimit(kilobytes: number): number | null {
  if (kilobytes >= NO_LIMIT_KB) return null;
  return kilobytes >= NO_LIMIT_KB_32 && kilobytes <= NO_LIMIT_KB_32 + 999 ? null : kilobytes * KIB;
}

/** One `name value` line of memory.stat; returns whether it was one. */
export function addStatLine(draft: MemcgDraft, text: string): boolean {
  const match = /^\s*([a-z][a-z_0-9]*) (\d+)\s*$/.exec(text);
  if (match === null) return false;
  if (draft.stats.size < MAX_STATS) draft.stats.set(match[1] ?? "", Number(match[2]));
  return true;
}

/**
 * What follows "Memory cgroup stats for ": `PATH:` (5.x on, memory.stat follows in lines, on 5.3–6.0 inside the same
 * record) or `PATH: cache:0KB rss:…KB …` (up to 5.2: one line per cgroup of the subtree, figures of that cgroup alone).
 */
export function addStats(draft: MemcgDraft, text: string): void {
  const [head = "", ...lines] = text.split("\n");
  const inline = /^([\s\S]*?):((?: \w+:\d+KB)+)\s*$/.exec(head);
  const path = inline?.[1] ?? head.replace(/:?\s*$/, "");
  draft.cgroup ??= path;
  for (const [, name = "", value] of (inline?.[2] ?? "").matchAll(/(\w+):(\d+)KB/g)) {
    if (draft.stats.size < MAX_STATS)
      draft.stats.set(name, (draft.stats.get(name) ?? 0) + Number(value) * KIB);
  }
  for (const line of lines) addStatLine(draft, line);
}

function buildStats(draft: MemcgDraft): MemcgStats | null {
  if (draft.stats.size === 0) return draft.cgroup === null ? null : emptyStats(draft.cgroup);
  // v1 prints the cgroup alone as `rss` and its subtree, which is what the limit counts, as `total_rss`.
  const get = (...names: string[]): number | null => {
    for (const name of names) {
      const value = draft.stats.get(`total_${name}`) ?? draft.stats.get(name);
      if (value !== undefined) return value;
    }
    return null;
  };
  return {
    cgroup: draft.cgroup,
    anonBytes: get("anon", "rss"),
    fileBytes: get("file", "cache"),
    shmemBytes: get("shmem"),
    kernelBytes: get("kernel"),
    slabBytes: get("slab"),
    slabUnreclaimableBytes: get("slab_unreclaimable"),
    pageTableBytes: get("pagetables"),
    kernelStackBytes: get("kernel_stack"),
    sockBytes: get("sock"),
    fileDirtyBytes: get("file_dirty", "dirty"),
    fileWritebackBytes: get("file_writeback", "writeback"),
    swapBytes: get("swap"),
    raw: Object.fromEntries(draft.stats),
  };
}

function emptyStats(cgroup: string): MemcgStats {
  return {
    cgroup,
    anonBytes: null,
    fileBytes: null,
    shmemBytes: null,
    kernelBytes: null,
    slabBytes: null,
    slabUnreclaimableBytes: null,
    pageTableBytes: null,
    kernelStackBytes: null,
    sockBytes: null,
    fileDirtyBytes: null,
    fileWritebackBytes: null,
    swapBytes: null,
    raw: {},
  };
}

/** At the limit, but for the pages the last charge could not get and per-CPU batches (64 pages each). */
function isFull(counter: MemcgCounter | undefined): boolean {
  if (counter?.limitBytes == null || counter.limitBytes === 0) return false;
  return counter.usageBytes >= counter.limitBytes * 0.98;
}

/** The collected section as a record; null where not even the usage was printed. */
export function buildMemcg(draft: MemcgDraft): MemcgMemory | null {
  const memory = draft.counters.get("memory");
  if (memory === undefined) return null;
  const swap = draft.counters.get("swap") ?? null;
  const memorySwap = draft.counters.get("memory+swap") ?? null;
  const kernel = draft.counters.get("kmem") ?? null;
  const hit = isFull(memory)
    ? "memory"
    : isFull(memorySwap ?? undefined)
      ? "memory+swap"
      : isFull(kernel ?? undefined)
        ? "kmem"
        : null;
  return {
    ...memory,
    version: memorySwap !== null ? 1 : swap !== null ? 2 : null,
    swap,
    memorySwap,
    kernel,
    hit,
    stats: buildStats(draft),
  };
}
