import type { HostMemory, HugePages, ZoneMemory } from "../record.ts";

const KIB = 1024;
const MAX_ZONES = 512;
const MAX_SLABS = 256;

/** Mem-Info collected line by line; page counts stay pages until the page size is known. */
export interface MemInfoDraft {
  pages: Map<string, number>;
  kernelStackKb: number | null;
  zones: Map<string, ZoneMemory>;
  hugePages: HugePages[];
  slabs: { name: string; usedBytes: number; totalBytes: number }[];
  inSlabs: boolean;
  swapTotalKb: number | null;
  swapFreeKb: number | null;
  ramPages: number | null;
  reservedPages: number | null;
  /** Size of an order-0 block in the buddy lists: the page size itself. */
  smallestBlockKb: number | null;
}

export function createMemInfo(): MemInfoDraft {
  return {
    pages: new Map(),
    kernelStackKb: null,
    zones: new Map(),
    hugePages: [],
    slabs: [],
    inSlabs: false,
    swapTotalKb: null,
    swapFreeKb: null,
    ramPages: null,
    reservedPages: null,
    smallestBlockKb: null,
  };
}

const NODE = /^Node (\d+) (active_anon:.*)$/;
/** Kernels without NUMA (most of 32 bits) name no node. */
const ZONE = /^(?:Node (\d+) )?(\w+) free:(\d+kB .*)$/;
const BUDDY = /^(?:Node (\d+) )?(\w+): (\d+\*\d+kB .*) = \d+kB/;
const HUGE =
  /^(?:Node (\d+) )?hugepages_total=(\d+) hugepages_free=(\d+) hugepages_surp=(\d+) hugepages_size=(\d+)kB/;
const SLAB = /^(\S.{0,63}?) +(\d+)KB +(\d+)KB$/;

function zoneOf(draft: MemInfoDraft, node: string, zone: string): ZoneMemory | null {
  const key = `${node} ${zone}`;
  const found = draft.zones.get(key);
  if (found !== undefined) return found;
  if (draft.zones.size >= MAX_ZONES) return null;
  const made: ZoneMemory = {
    node: Number(node),
    zone,
    freeBytes: null,
    minBytes: null,
    lowBytes: null,
    highBytes: null,
    managedBytes: null,
    presentBytes: null,
    freeCmaBytes: null,
    freeBlocks: null,
  };
  draft.zones.set(key, made);
  return made;
}

function addZone(draft: MemInfoDraft, match: RegExpExecArray): void {
  const zone = zoneOf(draft, match[1] ?? "0", match[2] ?? "");
  if (zone === null) return;
  const values = new Map<string, number>();
  for (const [, name = "", value] of `free:${match[3] ?? ""}`.matchAll(/(\w+): ?(\d+)k?B/gi)) {
    values.set(name, Number(value) * KIB);
  }
  zone.freeBytes = values.get("free") ?? null;
  zone.minBytes = values.get("min") ?? null;
  zone.lowBytes = values.get("low") ?? null;
  zone.highBytes = values.get("high") ?? null;
  zone.managedBytes = values.get("managed") ?? null;
  zone.presentBytes = values.get("present") ?? null;
  zone.freeCmaBytes = values.get("free_cma") ?? null;
}

function addBuddy(draft: MemInfoDraft, match: RegExpExecArray): void {
  const zone = zoneOf(draft, match[1] ?? "0", match[2] ?? "");
  const blocks = [...(match[3] ?? "").matchAll(/(\d+)\*(\d+)kB/g)];
  const smallest = Number(blocks[0]?.[2] ?? Number.NaN);
  if (Number.isFinite(smallest) && smallest > 0) draft.smallestBlockKb ??= smallest;
  if (zone !== null) zone.freeBlocks = blocks.map((block) => Number(block[1]));
}

function addSingle(draft: MemInfoDraft, text: string): boolean {
  const swap = /^(Free|Total) swap *= *(\d+)kB/.exec(text);
  if (swap !== null) {
    if (swap[1] === "Free") draft.swapFreeKb = Number(swap[2]);
    else draft.swapTotalKb = Number(swap[2]);
    return true;
  }
  const pages = /^(\d+) pages (RAM|reserved)\b/.exec(text);
  if (pages === null) return false;
  if (pages[2] === "RAM") draft.ramPages = Number(pages[1]);
  else draft.reservedPages = Number(pages[1]);
  return true;
}

/** One record of the Mem-Info section; returns whether it belonged there. */
export function addMemInfo(draft: MemInfoDraft, text: string): boolean {
  if (text.startsWith("Unreclaimable slab info:")) {
    draft.inSlabs = true;
    return true;
  }
  if (draft.inSlabs) {
    const slab = SLAB.exec(text);
    if (slab !== null && draft.slabs.length < MAX_SLABS) {
      const [, name = "", used, total] = slab;
      draft.slabs.push({ name, usedBytes: Number(used) * KIB, totalBytes: Number(total) * KIB });
      return true;
    }
    if (/^Name +Used +Total/.test(text)) return true;
  }
  // One record of several lines up to 6.x; consoles and syslog may show each line alone.
  if (
    /^\s*(?:active_anon|active_file|unevictable|slab_reclaimable|mapped|sec_pagetables|kernel_misc|free):\d+(?![\dk])/.test(
      text,
    )
  ) {
    for (const [, name = "", value] of text.matchAll(/(\w+):(\d+)(?![\dk])/g)) {
      if (draft.pages.size < 64) draft.pages.set(name, Number(value));
    }
    return true;
  }
  const zone = ZONE.exec(text);
  if (zone !== null) {
    addZone(draft, zone);
    return true;
  }
  const node = NODE.exec(text);
  if (node !== null) {
    const stack = /kernel_stack:(\d+)kB/.exec(node[2] ?? "")?.[1];
    if (stack !== undefined) draft.kernelStackKb = (draft.kernelStackKb ?? 0) + Number(stack);
    return true;
  }
  const buddy = BUDDY.exec(text);
  if (buddy !== null) {
    addBuddy(draft, buddy);
    return true;
  }
  const huge = HUGE.exec(text);
  if (huge !== null) {
    const [, at, total, free, surplus, size] = huge;
    if (draft.hugePages.length < MAX_ZONES) {
      draft.hugePages.push({
        node: at === undefined ? null : Number(at),
        total: Number(total),
        free: Number(free),
        surplus: Number(surplus),
        sizeBytes: Number(size) * KIB,
      });
    }
    return true;
  }
  return addSingle(draft, text);
}

function kb(value: number | null): number | null {
  return value === null ? null : value * KIB;
}

function sum(...values: (number | null)[]): number | null {
  return values.every((value) => value === null) ? null : values.reduce<number>((a, b) => a + (b ?? 0), 0);
}

/** The collected section in bytes. */
export function buildMemInfo(draft: MemInfoDraft, pageSize: number): HostMemory {
  const pages = (name: string): number | null => {
    const value = draft.pages.get(name);
    return value === undefined ? null : value * pageSize;
  };
  return {
    totalBytes: draft.ramPages === null ? null : draft.ramPages * pageSize,
    reservedBytes: draft.reservedPages === null ? null : draft.reservedPages * pageSize,
    freeBytes: pages("free"),
    anonBytes: sum(pages("active_anon"), pages("inactive_anon")),
    fileBytes: sum(pages("active_file"), pages("inactive_file")),
    shmemBytes: pages("shmem"),
    unevictableBytes: pages("unevictable"),
    slabReclaimableBytes: pages("slab_reclaimable"),
    slabUnreclaimableBytes: pages("slab_unreclaimable"),
    pageTableBytes: pages("pagetables"),
    kernelStackBytes: kb(draft.kernelStackKb),
    dirtyBytes: pages("dirty"),
    writebackBytes: pages("writeback"),
    swapTotalBytes: kb(draft.swapTotalKb),
    swapFreeBytes: kb(draft.swapFreeKb),
    zones: [...draft.zones.values()],
    hugePages: draft.hugePages,
    slabs: draft.slabs.toSorted((a, b) => b.totalBytes - a.totalBytes),
  };
}
