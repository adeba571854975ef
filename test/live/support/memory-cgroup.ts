import { spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

const ROOT = "/sys/fs/cgroup/memory";

/** Memory cgroups v1 can be made here. */
export const canLimit = existsSync(join(ROOT, "memory.limit_in_bytes")) && process.getuid?.() === 0;

export interface MemoryCgroup extends AsyncDisposable {
  /** As the kernel prints it. */
  readonly path: string;
  /** The path below the mount point of our own namespace is the same. */
  readonly folder: string;
  child(name: string): MemoryCgroup;
  /** Runs a perl program inside and waits for its end; gives its pid and the signal that ended it. */
  perl(program: string): Promise<{ pid: number; signal: string | null }>;
}

/** A cgroup of its own, removed at the end with its children. `limit`: bytes, null for none. */
export function createMemoryCgroup(path: string, limit: number | null): MemoryCgroup {
  const folder = join(ROOT, path);
  mkdirSync(folder);
  if (limit !== null) writeFileSync(join(folder, "memory.limit_in_bytes"), String(limit));
  return {
    path,
    folder,
    child: (name) => createMemoryCgroup(`${path}/${name}`, null),
    perl: (program) =>
      new Promise((resolve, reject) => {
        const script = `echo $$ > ${folder}/cgroup.procs && exec perl -e "$1"`;
        const child = spawn("sh", ["-c", script, "sh", program], { stdio: "ignore" });
        child.on("error", reject);
        child.on("exit", (_, signal) => resolve({ pid: child.pid ?? 0, signal }));
      }),
    async [Symbol.asyncDispose]() {
      for (const name of readdirSync(folder)) {
        const inner = join(folder, name);
        if (statSync(inner).isDirectory()) rmdirSync(inner);
      }
      // The last process leaves a moment after its parent hears of it.
      for (let left = 50; left > 0 && readFileSync(join(folder, "cgroup.procs"), "utf8") !== ""; left -= 1)
        await delay(20);
      rmdirSync(folder);
    },
  };
}
