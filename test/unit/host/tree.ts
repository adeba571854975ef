import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";

/** Text of a file, the target of a link, or a program. */
export type Entry = string | Uint8Array | { readonly link: string } | { readonly program: string };

/** Makes a folder with these files for one test and gives its path: a root for the `root` options. */
export function makeTree(entries: Readonly<Record<string, Entry>>): string {
  const root = mkdtempSync(join(tmpdir(), "trace-host-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  for (const [path, entry] of Object.entries(entries)) {
    const full = join(root, path);
    mkdirSync(dirname(full), { recursive: true });
    if (typeof entry === "string" || entry instanceof Uint8Array) writeFileSync(full, entry);
    else if ("link" in entry) symlinkSync(entry.link, full);
    else {
      writeFileSync(full, entry.program);
      chmodSync(full, 0o755);
    }
  }
  return root;
}

/** A process in a network namespace: its files under `/proc/PID`. */
export function makeProcess(
  pid: number,
  options: { netns: number; comm: string; cgroup?: string; start?: number },
): Record<string, Entry> {
  const { netns, comm, cgroup = "/", start = pid } = options;
  const fields = ["S", "1", ...Array.from({ length: 17 }, () => "0"), String(start), "0", "0"];
  return {
    [`proc/${pid}/ns/net`]: { link: `net:[${netns}]` },
    [`proc/${pid}/comm`]: `${comm}\n`,
    [`proc/${pid}/stat`]: `${pid} (${comm}) ${fields.join(" ")}\n`,
    [`proc/${pid}/cgroup`]: `0::${cgroup}\n`,
  };
}
