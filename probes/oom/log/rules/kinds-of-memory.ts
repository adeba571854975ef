import { sayBytes, sayName, sayShare } from "../words.ts";
import type { OomGroupFacts } from "../facts.ts";
import type { OomRule } from "./rule.ts";
import { sayScope } from "./subject.ts";

/** Half: then it, not the processes' own memory, is what filled the limit. */
const MOST = 0.5;
/** The kernel's own part is normally a few percent; a quarter asks for an explanation. */
const KERNEL = 0.25;
/** Pages under way to disk cannot be dropped; a third of a limit in that state starves the rest. */
const DIRTY = 0.3;

function usableBytes(facts: OomGroupFacts): number | null {
  if (facts.kind === "memcg") return facts.usageBytes;
  const memory = facts.sample.hostMemory;
  return memory?.totalBytes == null ? null : memory.totalBytes - (memory.reservedBytes ?? 0);
}

/** tmpfs, /dev/shm and shared anonymous memory: a kill does not free what lies in files. */
export const sharedMemory: OomRule = (facts) => {
  const whole = usableBytes(facts);
  const shmem = facts.sample.memory?.stats?.shmemBytes ?? facts.sample.hostMemory?.shmemBytes ?? null;
  if (whole === null || shmem === null || shmem < whole * MOST) return null;
  return {
    id: "oom-shared-memory",
    severity: "problem",
    summary: `${sayShare(shmem, whole)} of the memory of ${sayScope(facts)} is shared memory or tmpfs files; killing processes does not free files`,
    count: facts.kills,
    netns: null,
    evidence: [`shmem ${sayBytes(shmem)} of ${sayBytes(whole)}`],
    check: ["df -h -t tmpfs", "ipcs -m", "grep -E 'Shmem' /proc/meminfo"],
    fix: [
      "# remove files from the tmpfs that grew (/dev/shm, /tmp, /run), or bound it: mount -o remount,size=256M /dev/shm",
    ],
  };
};

/** The kernel's own memory. */
export const kernelMemory: OomRule = (facts) => {
  const whole = usableBytes(facts);
  const { memory, hostMemory } = facts.sample;
  const kernel =
    facts.kind === "memcg"
      ? (memory?.stats?.kernelBytes ?? memory?.kernel?.usageBytes ?? memory?.stats?.slabBytes ?? null)
      : hostMemory === null
        ? null
        : (hostMemory.slabUnreclaimableBytes ?? 0) +
          (hostMemory.pageTableBytes ?? 0) +
          (hostMemory.kernelStackBytes ?? 0);
  if (whole === null || kernel === null || kernel < whole * KERNEL) return null;
  const slabs = (hostMemory?.slabs ?? [])
    .slice(0, 3)
    .map((slab) => `slab ${sayName(slab.name)}: ${sayBytes(slab.totalBytes)}`);
  const stats = memory?.stats ?? null;
  const known: [string, number | null][] = [
    ["slab", stats?.slabBytes ?? null],
    ["page tables", stats?.pageTableBytes ?? null],
    ["stacks", stats?.kernelStackBytes ?? null],
    ["sockets", stats?.sockBytes ?? null],
  ];
  const rest = (kernel ?? 0) - known.reduce((sum, [, bytes]) => sum + (bytes ?? 0), 0);
  const split = known.flatMap(([name, bytes]) => (bytes === null ? [] : [`${name} ${sayBytes(bytes)}`]));
  const parts = [
    `kernel memory ${sayBytes(kernel)} of ${sayBytes(whole)}`,
    ...(facts.kind === "memcg" && split.length > 0
      ? [
          `of it: ${split.join(", ")}${rest > (kernel ?? 0) * KERNEL ? `; ${sayBytes(rest)} are whole pages (buffers of pipes, large tables)` : ""}`,
        ]
      : []),
    ...(hostMemory === null
      ? []
      : [
          `unreclaimable slab ${sayBytes(hostMemory.slabUnreclaimableBytes)}, page tables ${sayBytes(hostMemory.pageTableBytes)}, stacks ${sayBytes(hostMemory.kernelStackBytes)}`,
        ]),
    ...slabs,
  ];
  return {
    id: "oom-kernel-memory",
    severity: "suspicious",
    summary: `${sayShare(kernel, whole)} of the memory of ${sayScope(facts)} is the kernel's own, on behalf of processes or leaked`,
    count: facts.kills,
    netns: null,
    evidence: parts,
    check: [
      "slabtop -o -s c | head -n 20",
      "grep -E 'Slab|SUnreclaim|PageTables|KernelStack|Percpu|VmallocUsed' /proc/meminfo",
    ],
    fix: [],
  };
};

/** Written faster than the disk takes it. */
export const dirtyCache: OomRule = (facts) => {
  const whole = usableBytes(facts);
  const stats = facts.sample.memory?.stats;
  if (whole === null || stats == null) return null;
  const dirty = (stats.fileDirtyBytes ?? 0) + (stats.fileWritebackBytes ?? 0);
  if (dirty < whole * DIRTY) return null;
  return {
    id: "oom-dirty-cache",
    severity: "suspicious",
    summary: `${sayShare(dirty, whole)} of the memory of ${sayScope(facts)} waits to be written to disk: writes are faster than the disk`,
    count: facts.kills,
    netns: null,
    evidence: [
      `dirty ${sayBytes(stats.fileDirtyBytes)}, under writeback ${sayBytes(stats.fileWritebackBytes)}`,
    ],
    check: [
      "grep -E 'Dirty|Writeback:' /proc/meminfo",
      "sysctl vm.dirty_bytes vm.dirty_ratio vm.dirty_background_ratio",
    ],
    fix: ["sysctl -w vm.dirty_background_bytes=67108864 vm.dirty_bytes=268435456"],
  };
};

/** What the kernel's own counters do not explain: drivers, a balloon, memory taken at boot. */
export const unaccounted: OomRule = (facts) => {
  const memory = facts.sample.hostMemory;
  const whole = usableBytes(facts);
  if (facts.kind !== "host" || memory === null || whole === null || memory.anonBytes === null) return null;
  const huge = memory.hugePages.reduce((sum, pool) => sum + pool.total * pool.sizeBytes, 0);
  const known =
    memory.anonBytes +
    (memory.fileBytes ?? 0) +
    (memory.freeBytes ?? 0) +
    (memory.unevictableBytes ?? 0) +
    (memory.slabReclaimableBytes ?? 0) +
    (memory.slabUnreclaimableBytes ?? 0) +
    (memory.pageTableBytes ?? 0) +
    (memory.kernelStackBytes ?? 0) +
    huge;
  const rest = whole - known;
  if (rest < whole * KERNEL) return null;
  return {
    id: "oom-unaccounted",
    severity: "suspicious",
    summary: `${sayBytes(rest)} (${sayShare(rest, whole)}) of the RAM is in none of the kernel's lists: a driver, a balloon or a leak of pages`,
    count: facts.kills,
    netns: null,
    evidence: [
      `usable ${sayBytes(whole)}; processes, page cache, slab, page tables, huge pages and free memory explain ${sayBytes(known)}`,
    ],
    check: [
      "lsmod | grep -E 'balloon|zfs|nvidia|amdgpu|i915|vmw'",
      "grep -E 'Percpu|VmallocUsed|HardwareCorrupted' /proc/meminfo",
    ],
    fix: [],
  };
};

/** Memory set aside for huge pages and not used. */
export const hugePages: OomRule = (facts) => {
  const whole = usableBytes(facts);
  const pools = facts.sample.hostMemory?.hugePages ?? [];
  const free = pools.reduce((sum, pool) => sum + pool.free * pool.sizeBytes, 0);
  // Below a twentieth of the RAM giving them back would not have saved the victim.
  if (facts.kind !== "host" || whole === null || free < whole * 0.05) return null;
  const total = pools.reduce((sum, pool) => sum + pool.total * pool.sizeBytes, 0);
  return {
    id: "oom-huge-pages",
    severity: "problem",
    summary: `${sayBytes(free)} of reserved huge pages stood empty while the host was out of memory`,
    count: facts.kills,
    netns: null,
    evidence: [
      `huge pages: ${sayBytes(total)} reserved, ${sayBytes(free)} of it free; nothing else can use them`,
    ],
    check: ["grep -i huge /proc/meminfo", "sysctl vm.nr_hugepages"],
    fix: [
      `# set vm.nr_hugepages to what is used: sysctl -w vm.nr_hugepages=${String(pools.reduce((sum, pool) => sum + (pool.sizeBytes === 2097152 ? pool.total - pool.free : 0), 0))}`,
    ],
  };
};
