import { join } from "node:path";
import { parseNamespaceInode } from "./container-hint.ts";
import { listNames, mapInBatches, readLinks, readText } from "./read.ts";

/** `/proc` reads under way at once: the thread pool has four threads, more only queue. */
const BATCH = 64;

/** Process ids under `/proc`, ascending. */
export async function listPids(root: string): Promise<number[]> {
  const names = await listNames(join(root, "/proc"));
  return names
    .filter((name) => /^[1-9]\d{0,9}$/.test(name))
    .map(Number)
    .toSorted((a, b) => a - b);
}

/** Process → inode of its network namespace; processes that are gone, or not ours to look at, are left out. */
export async function readNetnsByPid(root: string): Promise<Map<number, number>> {
  const pids = await listPids(root);
  const links = await readLinks(pids.map((pid) => `${root}/proc/${pid}/ns/net`));
  const found = new Map<number, number>();
  for (const [index, pid] of pids.entries()) {
    const inode = parseNamespaceInode(links[index] ?? null);
    if (inode !== null) found.set(pid, inode);
  }
  return found;
}

/** Name of a process as the kernel keeps it (15 bytes, chosen by the process: hostile data), or null when it is gone. */
export async function readComm(root: string, pid: number): Promise<string | null> {
  const text = await readText(join(root, `/proc/${pid}/comm`));
  return text === null ? null : text.replace(/\n$/, "");
}

/** Start of a process in clock ticks since boot: field 22 of `/proc/PID/stat` (proc(5)); null when it is gone. */
async function readStartTicks(root: string, pid: number): Promise<number | null> {
  const text = await readText(join(root, `/proc/${pid}/stat`));
  // The comm in parentheses may hold anything, parentheses too.
  const fields = text?.slice(text.lastIndexOf(")") + 2).split(" ");
  const ticks = fields?.[19];
  return ticks !== undefined && /^\d{1,15}$/.test(ticks) ? Number(ticks) : null;
}

/** The process that started first, of many; null when all are gone. */
export async function findOldest(root: string, pids: readonly number[]): Promise<number | null> {
  let oldest: { pid: number; start: number } | null = null;
  const starts = await mapInBatches(pids, BATCH, (pid) => readStartTicks(root, pid));
  for (const [index, start] of starts.entries()) {
    const pid = pids[index];
    if (start === null || pid === undefined) continue;
    if (oldest === null || start < oldest.start || (start === oldest.start && pid < oldest.pid)) {
      oldest = { pid, start };
    }
  }
  return oldest?.pid ?? null;
}
