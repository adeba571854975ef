import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Json } from "../probe/define.ts";

/** Folders looked at in one walk. */
const MAX_FOLDERS = 20_000;
/** What is no limit: v1 prints LONG_MAX rounded down to a page. */
const NO_LIMIT = 2 ** 62;

/**
 * Finds a memory cgroup by its number, the inode of its folder (kernfs, 64-bit kernels since 5.5): `[{path, limitBytes}, …]`, itself first,
 * then its parents without the root. Null when there is none, or no more. `mount`: of the memory controller, or null.
 */
export function createCgroupFinder(mount: string | null): (id: string) => Promise<Json> {
  const paths = new Map<string, string>();
  return async (id) => {
    if (mount === null) return null;
    if (!paths.has(id)) await walk(mount, paths, id);
    const path = paths.get(id);
    if (path === undefined) return null;
    const chain: Json[] = [];
    for (let at = path; at !== ""; at = at.slice(0, at.lastIndexOf("/")))
      chain.push({ path: at, limitBytes: await readLimit(join(mount, at)) });
    return chain.length === 0 ? [{ path: "/", limitBytes: null }] : chain;
  };
}

async function walk(mount: string, paths: Map<string, string>, wanted: string): Promise<void> {
  const folders = [""];
  let seen = 0;
  for (let next = folders.shift(); next !== undefined && seen < MAX_FOLDERS; next = folders.shift()) {
    seen += 1;
    const folder = join(mount, next);
    const info = await stat(folder, { bigint: true }).catch(() => null);
    if (info === null) continue;
    paths.set(String(info.ino), next);
    if (String(info.ino) === wanted) return;
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    for (const entry of entries) if (entry.isDirectory()) folders.push(`${next}/${entry.name}`);
  }
}

async function readLimit(folder: string): Promise<number | null> {
  for (const name of ["memory.max", "memory.limit_in_bytes"]) {
    const text = await readFile(join(folder, name), "latin1").catch(() => null);
    if (text === null) continue;
    const bytes = Number(text.trim());
    return Number.isFinite(bytes) && bytes < NO_LIMIT ? bytes : null;
  }
  return null;
}
