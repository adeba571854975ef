import type { KernelTime } from "../../src/evidence/kernel-log/line.ts";

/**
 * The `oom` record of the public contract and what the log reader adds to it. Sizes are bytes; null is "not known",
 * never 0. All names (comm, cgroup, frames) are hostile text.
 */

/** What had run out: a memory cgroup's limit, the host, or the nodes a cpuset or memory policy allows. */
export type OomScopeKind = "memcg" | "host" | "cpuset" | "mempolicy";

export interface OomScope {
  kind: OomScopeKind | null;
  /** The cgroup whose limit was hit (`oom_memcg`), which may be a parent of the victim's. Null for the host. */
  cgroup: string | null;
  limitBytes: number | null;
  usageBytes: number | null;
  /** How often the limit was hit since the cgroup was made. */
  failcnt: number | null;
}

/** The task that asked for memory and so triggered the kill. It need not be the victim. */
export interface OomInvoker {
  /** The process; from a log the thread, which is what the kernel prints as PID. */
  pid: number | null;
  /** The thread. */
  tid: number | null;
  comm: string | null;
  /** As the kernel prints it, hexadecimal: "0xcc0". */
  gfpMask: string | null;
  /** 2^order pages were asked for; -1 = SysRq-f, nobody asked. */
  order: number | null;
  oomScoreAdj: number | null;
  /** A log tells it only where the invoker is the victim. */
  cgroup: string | null;
}

export interface OomVictim {
  /** Null only where the log was cut inside the number. */
  pid: number | null;
  comm: string | null;
  uid: number | null;
  /** The cgroup it lived in (`task_memcg`). */
  cgroup: string | null;
  totalVmBytes: number | null;
  anonRssBytes: number | null;
  fileRssBytes: number | null;
  shmemRssBytes: number | null;
  pageTableBytes: number | null;
  oomScoreAdj: number | null;
  /** From the task table. */
  swapBytes: number | null;
}

/** One row of the kernel's task table. */
export interface OomTask {
  pid: number;
  comm: string;
  uid: number | null;
  rssBytes: number | null;
  swapBytes: number | null;
  oomScoreAdj: number | null;
  /** Needs a second look at the task: a log alone cannot tell. */
  growthBytesPerSecond: number | null;
  tgid: number | null;
  totalVmBytes: number | null;
  /** Parts of `rssBytes`, printed from 6.9 on. */
  anonBytes: number | null;
  fileBytes: number | null;
  shmemBytes: number | null;
  pageTableBytes: number | null;
}

/** The contract's `oom` record without its envelope (`type`, `time`). */
export interface OomRecord {
  source: "live" | "log";
  scope: OomScope;
  invoker: OomInvoker;
  victim: OomVictim;
  tasks: OomTask[];
  /** Function names, root → leaf; the frames that only print the report are left out. */
  stack: string[] | null;
}

/** One counter of a memory cgroup: `usage …kB, limit …kB, failcnt …`. */
export interface MemcgCounter {
  usageBytes: number;
  /** Null = no limit set. */
  limitBytes: number | null;
  failcnt: number;
}

/** memory.stat of a cgroup in the words of cgroup v2, whichever version printed it. */
export interface MemcgStats {
  cgroup: string | null;
  anonBytes: number | null;
  fileBytes: number | null;
  /** Contained in `fileBytes`. */
  shmemBytes: number | null;
  kernelBytes: number | null;
  slabBytes: number | null;
  slabUnreclaimableBytes: number | null;
  pageTableBytes: number | null;
  kernelStackBytes: number | null;
  sockBytes: number | null;
  fileDirtyBytes: number | null;
  fileWritebackBytes: number | null;
  swapBytes: number | null;
  /** Every counter as printed: bytes for sizes, else counts. */
  raw: Record<string, number>;
}

/** Share of the last 10 s in which some or all tasks waited for memory (percent). */
export interface Pressure {
  readonly some: number;
  readonly full: number | null;
}

/** Figures of a memory cgroup that its files give and the kernel log may lack. */
export interface CgroupFiles {
  readonly failcnt: number | null;
  readonly swapBytes: number | null;
  readonly swapLimitBytes: number | null;
  readonly pressure: Pressure | null;
}

/** What the report says of the cgroup that hit its limit. */
export interface MemcgMemory extends MemcgCounter {
  /** Told by the counters printed: v1 has `memory+swap`, v2 `swap`. */
  version: 1 | 2 | null;
  /** v2. */
  swap: MemcgCounter | null;
  /** v1: memory and swap together. */
  memorySwap: MemcgCounter | null;
  /** v1. */
  kernel: MemcgCounter | null;
  /** Which counter stood at its limit. */
  hit: "memory" | "memory+swap" | "kmem" | null;
  stats: MemcgStats | null;
}

/** One zone of one node at the time of the kill. */
export interface ZoneMemory {
  node: number;
  zone: string;
  freeBytes: number | null;
  minBytes: number | null;
  lowBytes: number | null;
  highBytes: number | null;
  managedBytes: number | null;
  presentBytes: number | null;
  freeCmaBytes: number | null;
  /** Free blocks by order (index 0 = single pages), from the buddy list. */
  freeBlocks: number[] | null;
}

export interface HugePages {
  node: number | null;
  total: number;
  free: number;
  surplus: number;
  sizeBytes: number;
}

/** What a host-wide report says of the machine (Mem-Info). */
export interface HostMemory {
  totalBytes: number | null;
  reservedBytes: number | null;
  freeBytes: number | null;
  anonBytes: number | null;
  /** Page cache on the LRU lists, without shmem. */
  fileBytes: number | null;
  shmemBytes: number | null;
  unevictableBytes: number | null;
  slabReclaimableBytes: number | null;
  slabUnreclaimableBytes: number | null;
  pageTableBytes: number | null;
  kernelStackBytes: number | null;
  dirtyBytes: number | null;
  writebackBytes: number | null;
  swapTotalBytes: number | null;
  swapFreeBytes: number | null;
  zones: ZoneMemory[];
  hugePages: HugePages[];
  /** Printed where unreclaimable slab exceeds the user memory; largest first. */
  slabs: { name: string; usedBytes: number; totalBytes: number }[];
}

/** The parts a full report has; those the log lacks are listed in `missing`. */
export type OomPart = "header" | "stack" | "memory" | "tasks" | "summary";

/** Kills that belong together: `memory.oom.group` was set. */
export interface OomGroup {
  /** The cgroup whose `memory.oom.group` is set. */
  cgroup: string | null;
  /** Pid of the victim the kernel chose; the others died with it. */
  leaderPid: number | null;
}

/** A process that died because another one of its group was chosen: nothing that it held was the reason. */
export function isFollower({ group, victim }: Pick<OomReport, "group" | "victim">): boolean {
  return group !== null && group.leaderPid !== victim.pid;
}

/** One kill with all that is known of it. */
export interface OomReport extends OomRecord {
  time: KernelTime | null;
  /** Seconds since boot, where known. */
  monotonic: number | null;
  host: string | null;
  order: number | null;
  /** The symbolic names of `invoker.gfpMask`. */
  gfpFlags: string[];
  /** What they mean, one sentence; null without a mask. */
  gfpMeaning: string | null;
  memory: MemcgMemory | null;
  /** What the files of the cgroup that hit its limit said just after the kill; null from a log, and for the host. */
  files: CgroupFiles | null;
  hostMemory: HostMemory | null;
  pageSize: { bytes: number; known: boolean };
  /** Rows that did not fit the reader's bound. */
  tasksDropped: number;
  /** What the oom_reaper left behind, if it said so in time. */
  reaped: { anonRssBytes: number; fileRssBytes: number; shmemRssBytes: number } | null;
  group: OomGroup | null;
  /** Cgroup in whose task table this pid stood moments before, when the kill's own report was suppressed. */
  likelyCgroup: string | null;
  complete: boolean;
  missing: OomPart[];
  /** Lines of another report were between this one's: parts that cannot be told apart were left out. */
  interleaved: boolean;
  /** Kernel version string of the report, e.g. "6.1.0-50-amd64". */
  kernel: string | null;
  /** Kills whose report the kernel's rate limit had swallowed just before this one (`callbacks suppressed`). */
  suppressedBefore: number;
}

/** A report that ended without a kill line, or a cut one: never counted as a kill. */
export interface OomIncident {
  kind: "no-killable-process" | "already-exiting" | "panic" | "cut";
  time: KernelTime | null;
  monotonic: number | null;
  host: string | null;
  scope: OomScope;
  invoker: OomInvoker;
  /** The process the kernel had chosen, where the log got that far. */
  chosen: { pid: number; comm: string | null } | null;
}
