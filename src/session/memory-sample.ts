import { readdir, readFile } from "node:fs/promises";
import { performance } from "node:perf_hooks";
import { FORKED_WITHOUT_EXEC, TICKS_PER_SECOND } from "../host/process-stat.ts";
import type { Json } from "../probe/define.ts";
import { parsePressure, type MemoryCgroups } from "./memory-cgroups.ts";

/** Processes kept of one look: the largest. */
const MAX_PROCESSES = 100;
/** Files read at once: the event loop has other work to do. */
const CHUNK = 64;

/** Processes younger than this (seconds) are told with their age. */
const YOUNG = 180;

/** Pid, start, resident bytes, name, and the age where it says something. */
type Seen = [number, number, number, string] | [number, number, number, string, number];

/**
 * A light look at memory: `{took, available, total, pressure, cgroups, processes: [[pid, starttime, rssBytes, comm] …]}`, largest first; a fifth element is
 * the age in seconds of a young process that began with nothing in memory, because it runs a program of its own.
 * Reads one file a process (/proc/PID/stat, about 15 µs) and one or two a memory cgroup; `took` (seconds) tells the asker what it cost.
 */
export async function sampleMemory(
  pageSize: number,
  memoryCgroups: Pick<MemoryCgroups, "survey">,
): Promise<Json> {
  const started = performance.now();
  const cpu = process.cpuUsage();
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  const processes: Seen[] = [];
  const uptime = Number.parseFloat(await readFile("/proc/uptime", "latin1").catch(() => ""));
  for (let index = 0; index < pids.length; index += CHUNK) {
    const found = await Promise.all(
      pids.slice(index, index + CHUNK).map((pid) => readProcess(pid, pageSize, uptime)),
    );
    for (const process of found) if (process !== null && process[2] > 0) processes.push(process);
  }
  processes.sort((a, b) => b[2] - a[2]);
  const cgroups = await memoryCgroups.survey();
  const [meminfo, pressure] = await Promise.all([
    readFile("/proc/meminfo", "latin1").catch(() => ""),
    readFile("/proc/pressure/memory", "latin1").catch(() => ""),
  ]);
  const field = (name: string) => {
    const kib = new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(meminfo)?.[1];
    return kib === undefined ? null : Number(kib) * 1024;
  };
  const { user, system } = process.cpuUsage(cpu);
  return {
    // On a busy machine most of the time is waiting; other work of this process counts, too.
    took: Math.round(Math.min(performance.now() - started, (user + system) / 1000)) / 1000,
    available: field("MemAvailable"),
    total: field("MemTotal"),
    pressure: parsePressure(pressure),
    cgroups,
    processes: processes.slice(0, MAX_PROCESSES),
  };
}

/** Fields of proc_pid_stat(5): the name is in parentheses and may hold any of them. */
async function readProcess(pid: string, pageSize: number, uptime: number): Promise<Seen | null> {
  const text = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => null);
  if (text === null) return null;
  const end = text.lastIndexOf(")");
  const rest = text.slice(end + 2).split(" ");
  const start = Number(rest[19]);
  const pages = Number(rest[21]);
  if (!Number.isFinite(start) || !Number.isFinite(pages)) return null;
  const comm = text.slice(text.indexOf("(") + 1, end);
  const age = uptime - start / TICKS_PER_SECOND;
  const isTold = (Number(rest[6]) & FORKED_WITHOUT_EXEC) === 0 && age >= 0 && age < YOUNG;
  return isTold
    ? [Number(pid), start, pages * pageSize, comm, Math.round(age * TICKS_PER_SECOND) / TICKS_PER_SECOND]
    : [Number(pid), start, pages * pageSize, comm];
}

/** Who a task is, while it is there: `{cgroup, uid, oomScoreAdj, comm}`; the memory cgroup of v1, else the one of v2. */
export async function describeTask(pid: string): Promise<Json> {
  const read = (name: string) => readFile(`/proc/${pid}/${name}`, "utf8").catch(() => null);
  const [cgroup, status, adj, comm] = await Promise.all([
    read("cgroup"),
    read("status"),
    read("oom_score_adj"),
    read("comm"),
  ]);
  if (cgroup === null && status === null) return null;
  const path =
    /^\d+:(?:[^:\n]*,)?memory(?:,[^:\n]*)?:(.*)$/m.exec(cgroup ?? "") ?? /^0::(.*)$/m.exec(cgroup ?? "");
  const uid = /^Uid:\s+\d+\s+(\d+)/m.exec(status ?? "")?.[1];
  return {
    cgroup: path?.[1] ?? null,
    uid: uid === undefined ? null : Number(uid),
    oomScoreAdj: adj === null || !/^-?\d+\s*$/.test(adj) ? null : Number(adj),
    comm: comm === null ? null : comm.replace(/\n$/, ""),
  };
}
