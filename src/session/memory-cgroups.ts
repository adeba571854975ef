import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Json } from "../probe/define.ts";

/** The memory cgroups of this host; what was seen of one is remembered for a while after it is gone. */
export interface MemoryCgroups {
  /**
   * A cgroup by its number, the first word of the key: the inode of its folder (kernfs, 64-bit kernels since 5.5), itself first, then its parents without the root:
   * `[{path, limitBytes, failcnt, swapBytes, swapLimitBytes, pressure: {some, full}} …]`; pressure in percent over 10 s. Null: there is none.
   */
  find(key: string): Promise<Json>;
  /** The cgroups nearest to a limit of their own: `[{path, limitBytes, usageBytes, workingSetBytes} …]`, the tightest first. */
  survey(): Promise<Json>;
}

/** Folders looked at in one walk. */
const MAX_FOLDERS = 20_000;
/** Cgroups that are gone and still remembered, by number. */
const MAX_GONE = 10_000;
/** What is no limit: v1 prints LONG_MAX rounded down to a page. */
const NO_LIMIT = 2 ** 62;
const MAX_TIGHT = 5;
/** Below this share of its limit the page cache in a cgroup is not looked at: it is not tight. */
const HALF = 0.5;
/** Folders looked at at once: the event loop has other work to do. */
const CHUNK = 32;

interface Seen {
  readonly path: string;
  readonly limitBytes: number | null;
}

/** `mount`: of the memory controller, or null. */
export function createMemoryCgroups(mount: string | null): MemoryCgroups {
  const seen = new Map<string, Seen>();

  /** Walks the tree, breadth first; with `wanted` only until that number is found. */
  async function walk(root: string, visit: (seen: Seen) => Promise<void>, wanted?: string): Promise<void> {
    let level = [""];
    let count = 0;
    while (level.length > 0 && count < MAX_FOLDERS) {
      const below: string[] = [];
      for (let index = 0; index < level.length && count < MAX_FOLDERS; index += CHUNK) {
        const folders = level.slice(index, index + CHUNK);
        count += folders.length;
        const inner = await Promise.all(
          folders.map(async (path) => {
            const folder = join(root, path);
            const info = await stat(folder, { bigint: true }).catch(() => null);
            if (info === null) return [];
            const found = { path, limitBytes: await readLimit(folder) };
            // Set anew, so that the latest stand last.
            seen.delete(String(info.ino));
            seen.set(String(info.ino), found);
            await visit(found);
            const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
            return entries.filter((entry) => entry.isDirectory()).map((entry) => `${path}/${entry.name}`);
          }),
        );
        below.push(...inner.flat());
        if (wanted !== undefined && seen.has(wanted)) return;
      }
      level = below;
    }
    for (const id of seen.keys()) {
      if (seen.size <= count + MAX_GONE) break;
      seen.delete(id);
    }
  }

  return {
    async find(key) {
      const [id = ""] = key.split(" ");
      if (mount === null) return null;
      if (!seen.has(id)) await walk(mount, async () => {}, id);
      const found = seen.get(id);
      if (found === undefined) return null;
      const limits = new Map([...seen.values()].map(({ path, limitBytes }) => [path, limitBytes]));
      const paths: string[] = [];
      for (let at = found.path; at !== ""; at = at.slice(0, at.lastIndexOf("/"))) paths.push(at);
      const chain = await Promise.all(
        paths.map((path) => describeCgroup(mount, path, limits.get(path) ?? null)),
      );
      return chain.length === 0 ? [{ path: "/", limitBytes: null }] : chain;
    },
    async survey() {
      if (mount === null) return null;
      const tight: { path: string; limitBytes: number; usageBytes: number; workingSetBytes: number }[] = [];
      await walk(mount, async ({ path, limitBytes }) => {
        if (limitBytes === null || limitBytes === 0) return;
        const usageBytes = await readFirst(join(mount, path), ["memory.current", "memory.usage_in_bytes"]);
        if (usageBytes === null) return;
        const cache = usageBytes < limitBytes * HALF ? 0 : await readInactive(join(mount, path));
        tight.push({ path, limitBytes, usageBytes, workingSetBytes: Math.max(0, usageBytes - cache) });
      });
      const share = (one: (typeof tight)[number]) => one.workingSetBytes / one.limitBytes;
      return tight.toSorted((a, b) => share(b) - share(a)).slice(0, MAX_TIGHT);
    },
  };
}

async function describeCgroup(mount: string, path: string, remembered: number | null): Promise<Json> {
  const folder = join(mount, path);
  const there = await stat(folder).catch(() => null);
  if (there === null)
    return {
      path,
      limitBytes: remembered,
      failcnt: null,
      swapBytes: null,
      swapLimitBytes: null,
      pressure: null,
    };
  const [limitBytes, failcnt, swapBytes, swapLimit, pressure] = await Promise.all([
    readLimit(folder),
    readFirst(folder, ["memory.failcnt"]),
    readFirst(folder, ["memory.swap.current"]),
    readFirst(folder, ["memory.swap.max"]),
    readFile(join(folder, "memory.pressure"), "latin1").catch(() => null),
  ]);
  return {
    path,
    limitBytes,
    failcnt,
    swapBytes,
    swapLimitBytes: swapLimit,
    pressure: pressure === null ? null : parsePressure(pressure),
  };
}

/** The stall shares of the last 10 s from a PSI file (percent); null where PSI is off. */
export function parsePressure(text: string): Json {
  const share = (name: string) => {
    const value = new RegExp(`^${name} avg10=([\\d.]+)`, "m").exec(text)?.[1];
    return value === undefined ? null : Number(value);
  };
  const some = share("some");
  return some === null ? null : { some, full: share("full") };
}

/** The first of the files that is there, as a number; null for none, `max`, or what is no limit. */
async function readFirst(folder: string, names: readonly string[]): Promise<number | null> {
  for (const name of names) {
    const text = await readFile(join(folder, name), "latin1").catch(() => null);
    if (text === null) continue;
    const value = Number(text.trim());
    return Number.isFinite(value) && value < NO_LIMIT ? value : null;
  }
  return null;
}

function readLimit(folder: string): Promise<number | null> {
  return readFirst(folder, ["memory.max", "memory.limit_in_bytes"]);
}

/** Page cache that the kernel takes back first: it counts as use, but presses nobody. */
async function readInactive(folder: string): Promise<number> {
  const text = await readFile(join(folder, "memory.stat"), "latin1").catch(() => "");
  const bytes = /^total_inactive_file (\d+)$/m.exec(text)?.[1] ?? /^inactive_file (\d+)$/m.exec(text)?.[1];
  return bytes === undefined ? 0 : Number(bytes);
}
