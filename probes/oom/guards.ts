import type { Finding } from "../../src/diagnose/finding.ts";
import { plural } from "../../src/text/format.ts";

/** Kills by programs that guard the memory (systemd-oomd, earlyoom …): not the kernel's, and told apart from them. */
export interface GuardBook {
  /** False where this kill was told already: a guard signals every thread. */
  add(sender: string, pid: number): boolean;
  findings(): Finding[];
  readonly count: number;
}

const MAX_PIDS = 1000;

export function createGuardBook(): GuardBook {
  const killed = new Map<string, Set<number>>();
  return {
    get count() {
      return [...killed.values()].reduce((sum, pids) => sum + pids.size, 0);
    },
    add(sender, pid) {
      const pids = killed.get(sender) ?? new Set();
      killed.set(sender, pids);
      if (pids.has(pid) || pids.size >= MAX_PIDS) return false;
      pids.add(pid);
      return true;
    },
    findings: () =>
      [...killed].map(([sender, pids]) => ({
        id: "userspace-killer",
        severity: "problem" as const,
        summary: `${sender} killed ${plural(pids.size, "process", "processes")}: a guard in user space, before the kernel had to`,
        count: pids.size,
        netns: null,
        evidence: [`SIGKILL from ${sender} to ${[...pids].slice(0, 8).join(", ")}`],
        check: [
          sender === "systemd-oomd"
            ? "journalctl -u systemd-oomd -n 50; oomctl"
            : `journalctl -t ${sender} -n 50`,
        ],
        fix: [],
      })),
  };
}
