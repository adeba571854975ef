import type { Finding } from "../../src/diagnose/finding.ts";
import { formatBytes, formatCount, plural } from "../../src/text/format.ts";
import { sayName, sayProcess } from "./log/words.ts";

/** A SIGKILL that a process sent: not the kernel's OOM killer, however much the end looks the same (exit status 137). */
export interface Sigkill {
  readonly sender: { readonly pid: number; readonly comm: string };
  readonly target: {
    readonly pid: number;
    readonly comm: string | null;
    readonly uid: number | null;
    readonly cgroup: string | null;
    /** At the last look before. */
    readonly rssBytes: number | null;
  };
  /** The sender is a program that guards the memory (systemd-oomd, earlyoom …). */
  readonly guard: boolean;
}

/** Collects them, in bounded memory. */
export interface SigkillBook {
  add(kill: Sigkill): void;
  /** Kills that were not told one by one: too many in a second. */
  skip(count: number): void;
  /** `totalBytes`: of the host, to tell a large process from a small one. */
  findings(totalBytes: number | null): Finding[];
  /** A line for the report; null where there was none but the guards'. */
  line(): string | null;
  readonly guards: number;
  readonly others: number;
}

/** Comms of the programs that kill to keep memory free; the kernel keeps 15 bytes of a name. */
const GUARDS = new Set([
  "systemd-oomd",
  "earlyoom",
  "nohang",
  "oomd",
  "lmkd",
  "bustd",
  "low-memory-mon",
  "low-memory-moni",
]);

const MAX_PAIRS = 1000;
const MAX_PIDS = 1000;
/** A process with at least this share of the host's memory is worth a finding: its end freed something. */
const LARGE = 0.05;
const MAX_NAMED = 4;

export function isGuard(comm: string): boolean {
  return GUARDS.has(comm);
}

export function createSigkillBook(): SigkillBook {
  const guards = new Map<string, Sigkill[]>();
  const pairs = new Map<string, { sender: string; target: string; count: number }>();
  let largest: Sigkill | null = null;
  let others = 0;
  let guarded = 0;
  return {
    get guards() {
      return guarded;
    },
    get others() {
      return others;
    },
    add(kill) {
      const { sender, target } = kill;
      if (kill.guard) {
        guarded += 1;
        const kills = guards.get(sender.comm) ?? [];
        guards.set(sender.comm, kills);
        if (kills.length < MAX_PIDS) kills.push(kill);
        return;
      }
      others += 1;
      if ((target.rssBytes ?? 0) > (largest?.target.rssBytes ?? 0)) largest = kill;
      const key = JSON.stringify([sender.comm, target.comm]);
      const pair = pairs.get(key);
      if (pair !== undefined) pair.count += 1;
      else if (pairs.size < MAX_PAIRS)
        pairs.set(key, { sender: sender.comm, target: sayName(target.comm), count: 1 });
    },
    skip(count) {
      others += count;
    },
    findings(totalBytes) {
      const found = [...guards].map(([sender, kills]) => guardFinding(sender, kills));
      const held = largest?.target.rssBytes ?? 0;
      return largest === null || totalBytes === null || held < totalBytes * LARGE
        ? found
        : [...found, largeFinding(largest, held)];
    },
    line() {
      if (others === 0) return null;
      const named = [...pairs.values()].toSorted((a, b) => b.count - a.count).slice(0, MAX_NAMED);
      const words = named.map(
        ({ sender, target, count }) =>
          `${sayName(sender)} → ${target}${count === 1 ? "" : ` ×${formatCount(count)}`}`,
      );
      const more = pairs.size > named.length ? ", …" : "";
      return `${plural(others, "SIGKILL")} came from processes, not from the kernel's OOM killer: ${words.join(", ")}${more}`;
    },
  };
}

function sayTarget({ target }: Sigkill): string {
  const size = target.rssBytes === null ? "" : `, ${formatBytes(target.rssBytes)}`;
  const where = target.cgroup === null ? "" : ` in ${sayName(target.cgroup)}`;
  return `${sayProcess(target.comm, target.pid)}${size}${where}`;
}

function guardFinding(sender: string, kills: readonly Sigkill[]): Finding {
  const unit = sender === "systemd-oomd" ? "journalctl -u systemd-oomd -n 50; oomctl" : null;
  return {
    id: "userspace-killer",
    severity: "problem",
    summary: `${sender} killed ${plural(kills.length, "process", "processes")}: a guard in user space, before the kernel had to`,
    count: kills.length,
    netns: null,
    evidence: kills.slice(0, 8).map((kill) => `SIGKILL from ${sayName(sender)} to ${sayTarget(kill)}`),
    check: [unit ?? `journalctl -t ${sender} -n 50`],
    fix: [],
  };
}

function largeFinding(kill: Sigkill, held: number): Finding {
  const { sender, target } = kill;
  return {
    id: "sigkill-by-process",
    severity: "info",
    summary: `${sayProcess(sender.comm, sender.pid)} killed ${sayProcess(target.comm, target.pid)}, which held ${formatBytes(held)}: not the kernel's OOM killer, though it ends with status 137 as well`,
    count: 1,
    netns: null,
    evidence: [`SIGKILL from ${sayProcess(sender.comm, sender.pid)} to ${sayTarget(kill)}`],
    check: [`ps -o pid,ppid,lstart,args -p ${String(sender.pid)}`],
    fix: [],
  };
}
