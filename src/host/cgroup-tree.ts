import { readdir, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import type { CgroupLayout } from "./mounts.ts";

/** A cgroup of the v2 tree and all below it, by the numbers that the kernel's programs see. */
export interface CgroupTree {
  /** As under the mount point: `/system.slice/web.service`. */
  readonly path: string;
  /** Its own number first. */
  readonly ids: readonly bigint[];
}

export type CgroupAnswer =
  | { readonly ok: true; readonly tree: CgroupTree }
  | { readonly ok: false; readonly why: string; readonly hint: string };

/** Each number is a comparison in the program that runs for every sample. */
const MOST_IDS = 512;

/**
 * Finds a cgroup by the path a user gives: from the root of the file system, from the mount point, or as `/proc/PID/cgroup` has it. A
 * cgroup's number is the inode of its folder (kernfs, 64-bit kernels since 5.5).
 */
export async function findCgroup(layout: CgroupLayout, text: string): Promise<CgroupAnswer> {
  const mount = layout.unified;
  if (mount === null) {
    return {
      ok: false,
      why: "this host has no cgroup v2 tree, and the kernel's programs know no other",
      hint: "boot with systemd.unified_cgroup_hierarchy=1, or use --pid or --comm",
    };
  }
  const path = posix.normalize(`/${isBelow(text, mount) ? text.slice(mount.length) : text}`);
  const folder = join(mount, path);
  const first = await readInode(folder);
  if (first === null) return { ok: false, ...explainMissing(layout, text, mount) };
  const ids = [first];
  const folders = [folder];
  for (let next = folders.pop(); next !== undefined; next = folders.pop()) {
    for (const child of await listFolders(next)) {
      const inode = await readInode(child);
      if (inode === null) continue;
      ids.push(inode);
      folders.push(child);
      if (ids.length > MOST_IDS) {
        return {
          ok: false,
          why: `it holds more than ${MOST_IDS} cgroups`,
          hint: `ls ${folder}   # name one further down`,
        };
      }
    }
  }
  return { ok: true, tree: { path, ids } };
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

function explainMissing(layout: CgroupLayout, text: string, mount: string): { why: string; hint: string } {
  const old = Object.entries(layout.controllers).find(([, folder]) => isBelow(text, folder));
  if (old !== undefined) {
    return {
      why: `it belongs to the cgroup v1 controller ${old[0]}; the kernel's programs see only the v2 tree at ${mount}`,
      hint: "use --pid or --comm",
    };
  }
  return { why: `there is no such folder under ${mount}`, hint: "grep ^0:: /proc/PID/cgroup" };
}

async function readInode(path: string): Promise<bigint | null> {
  return stat(path, { bigint: true }).then(
    (found) => (found.isDirectory() ? found.ino : null),
    () => null,
  );
}

async function listFolders(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isDirectory()).map((entry) => join(path, entry.name));
}
