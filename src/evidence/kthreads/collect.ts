import { readFileSync } from "node:fs";
import { readdir, readFile, readlink } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import { setImmediate as breathe } from "node:timers/promises";
import { runTool } from "../../launch/tool.ts";
import {
  nameDisk,
  parseMountinfo,
  parseNetDev,
  parseReclaim,
  parseSchedstat,
  parseSwitches,
  parseThreadStat,
} from "./parse.ts";
import type { KernelThreadEvidence, KernelThreadState, MountedDisk, ReceivedPackets } from "./types.ts";

/** Threads read before others get their turn. Reading /proc takes no waiting, so it is done at once: 64 of them are 3 ms. */
const AT_ONCE = 64;

/** Namespaces without a process need a program each to look into them. */
const MOST_PLACES = 32;

/** Network namespaces whose devices are counted: those of processes found by `listNetns`. */
export interface NetnsPlace {
  readonly name: string | null;
  /** A process in it, null for none. */
  readonly pid: number | null;
  /** A path for `nsenter`, null for none. */
  readonly path: string | null;
}

/** Reads what the host says of its kernel threads now. What cannot be read is left out. */
export async function collectKernelThreads(places: readonly NetnsPlace[]): Promise<KernelThreadEvidence> {
  const [disks, received, vmstat] = await Promise.all([
    readDisks(),
    readReceived(places),
    readOrNothing("/proc/vmstat"),
  ]);
  const time = performance.now() / 1000;
  const threads = await readThreads();
  return { time, threads, disks, received, memory: parseReclaim(vmstat) };
}

async function readThreads(): Promise<KernelThreadState[]> {
  const threads: KernelThreadState[] = [];
  const pids = [2, ...(await listChildren())];
  for (const [index, pid] of pids.entries()) {
    const thread = readThread(pid);
    if (thread !== null) threads.push(thread);
    if (index % AT_ONCE === AT_ONCE - 1) await breathe();
  }
  return threads;
}

/** Children of kthreadd; where the kernel does not list them (CONFIG_PROC_CHILDREN), every process is looked at. */
async function listChildren(): Promise<number[]> {
  const listed = await readFile("/proc/2/task/2/children", "latin1").catch(() => null);
  if (listed !== null) return listed.trim().split(/ +/).map(Number);
  const entries = await readdir("/proc").catch(() => []);
  return entries.filter((name) => /^\d+$/.test(name) && name !== "2").map(Number);
}

function readThread(pid: number): KernelThreadState | null {
  const read = (file: string): string | null => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, "latin1");
    } catch {
      return null;
    }
  };
  const stat = parseThreadStat(read("stat") ?? "");
  if (stat === null) return null;
  const exact = parseSchedstat(read("schedstat") ?? "");
  const switches = parseSwitches(read("status") ?? "");
  return {
    pid: stat.pid,
    name: stat.name,
    cpuSeconds: exact ?? stat.cpuSeconds,
    isExact: exact !== null,
    voluntarySwitches: switches.voluntary,
    involuntarySwitches: switches.involuntary,
    started: stat.started,
  };
}

async function readDisks(): Promise<MountedDisk[]> {
  const text = await readOrNothing("/proc/self/mountinfo");
  return Promise.all(
    parseMountinfo(text).map(async (mount) => {
      const link = await readlink(`/sys/dev/block/${mount.number}`).catch(() => null);
      return nameDisk(mount, link?.split("/").at(-1) ?? null);
    }),
  );
}

async function readReceived(places: readonly NetnsPlace[]): Promise<ReceivedPackets[]> {
  const own = await readOrNothing("/proc/net/dev");
  const others = await Promise.all(
    places.slice(0, MOST_PLACES).map(async ({ name, pid, path }) => {
      if (pid !== null) return parseNetDev(await readOrNothing(`/proc/${pid}/net/dev`), name);
      if (path === null) return [];
      const result = await runTool("cat", ["/proc/self/net/dev"], { netns: path });
      return result.ok ? parseNetDev(result.stdout, name) : [];
    }),
  );
  return [...parseNetDev(own, null), ...others.flat()];
}

async function readOrNothing(path: string): Promise<string> {
  return readFile(path, "latin1").catch(() => "");
}
