import type { OomReport } from "../record.ts";
import type { OomLine } from "./lines.ts";

/**
 * Kills that may still gain something from the lines right after them: the `memory.oom.group` note comes after its
 * first victim, the reaper's line after that. Also keeps the last task table, which tells where victims of
 * rate-limited reports lived.
 */
export interface Settling {
  add(report: OomReport, prefix: string, seconds: number | null): void;
  group(host: string | null, cgroup: string, seconds: number | null): void;
  reaped(host: string | null, line: Extract<OomLine, { kind: "reaped" }>): void;
  /** Kills that the next line of this kind settles. */
  before(host: string | null, isHeader: boolean, seconds: number | null): OomReport[];
  /** Kills settled by time or by the number of records since. */
  idle(host: string | null, seconds: number | null): OomReport[];
  take(): OomReport[];
  readonly waiting: boolean;
}

/** Members of a group die in one loop; a console at 9600 baud needs about a fifth of a second a line. */
const GROUP_GAP_SECONDS = 1;
/** The reaper runs within a few scheduling delays (it retries for a second). */
const SETTLE_SECONDS = 2;
const SETTLE_RECORDS = 64;
const MAX_HELD = 256;
/** How long a task table says something about pids of later kills. */
const TABLE_SECONDS = 60;

interface ActiveGroup {
  host: string | null;
  cgroup: string;
  leader: OomReport;
  prefix: string;
  seconds: number | null;
}

function isNear(then: number | null, now: number | null, limit: number): boolean {
  return then === null || now === null || Math.abs(now - then) <= limit;
}

export function createSettling(): Settling {
  let held: OomReport[] = [];
  let prefixes = new WeakMap<OomReport, string>();
  let active: ActiveGroup | null = null;
  let records = 0;
  let lastSeconds: number | null = null;
  let table: {
    host: string | null;
    cgroup: string;
    comms: Map<number, string>;
    seconds: number | null;
  } | null = null;

  const take = (): OomReport[] => {
    const all = held;
    held = [];
    prefixes = new WeakMap();
    records = 0;
    return all;
  };

  const joinGroup = (report: OomReport, prefix: string, seconds: number | null): void => {
    if (active === null) return;
    const sameKill =
      active.host === report.host && active.prefix === prefix && report.missing.includes("summary");
    if (!sameKill || !isNear(active.seconds, seconds, GROUP_GAP_SECONDS)) {
      active = null;
      return;
    }
    const { leader } = active;
    active.seconds = seconds;
    // One event: who asked and what had run out is the leader's.
    report.scope = leader.scope;
    report.invoker = leader.invoker;
    report.memory = leader.memory;
    report.hostMemory = leader.hostMemory;
    report.gfpFlags = leader.gfpFlags;
    report.gfpMeaning = leader.gfpMeaning;
    report.order = leader.order;
    report.likelyCgroup = leader.likelyCgroup;
    report.missing = leader.missing;
    report.complete = leader.complete;
    report.interleaved = leader.interleaved;
    report.kernel = leader.kernel;
    report.group = { cgroup: active.cgroup, leaderPid: leader.victim.pid };
    const row = leader.tasks.find((task) => task.pid === report.victim.pid);
    report.victim.uid ??= row?.uid ?? null;
    report.victim.swapBytes ??= row?.swapBytes ?? null;
  };
  const rememberTable = (report: OomReport, seconds: number | null): void => {
    if (report.scope.kind !== "memcg" || report.scope.cgroup === null || report.tasks.length === 0) return;
    const comms = new Map(report.tasks.map((task) => [task.pid, task.comm]));
    table = { host: report.host, cgroup: report.scope.cgroup, comms, seconds };
  };
  const guessCgroup = (report: OomReport, seconds: number | null): void => {
    if (report.scope.cgroup !== null || report.scope.kind === "host" || table === null) return;
    if (table.host !== report.host || !isNear(table.seconds, seconds, TABLE_SECONDS)) return;
    const { pid, comm } = report.victim;
    if (pid !== null && comm !== null && table.comms.get(pid) === comm) report.likelyCgroup = table.cgroup;
  };

  return {
    get waiting() {
      return held.length > 0;
    },
    add(report, prefix, seconds) {
      joinGroup(report, prefix, seconds);
      guessCgroup(report, seconds);
      rememberTable(report, seconds);
      prefixes.set(report, prefix);
      held.push(report);
      records = 0;
      lastSeconds = seconds;
    },
    group(host, cgroup, seconds) {
      const leader = held.findLast((report) => report.host === host);
      if (leader === undefined || !isNear(lastSeconds, seconds, GROUP_GAP_SECONDS)) return;
      leader.group = { cgroup, leaderPid: leader.victim.pid };
      active = { host, cgroup, leader, prefix: prefixes.get(leader) ?? "", seconds };
    },
    reaped(host, line) {
      const report = held.findLast(
        (candidate) => candidate.host === host && candidate.victim.pid === line.pid,
      );
      if (report === undefined) return;
      report.reaped = {
        anonRssBytes: line.anon * 1024,
        fileRssBytes: line.file * 1024,
        shmemRssBytes: line.shmem * 1024,
      };
    },
    before(host, isHeader, seconds) {
      if (isHeader && active?.host === host) active = null;
      if (held.length > MAX_HELD) return take();
      return isHeader && !isNear(lastSeconds, seconds, SETTLE_SECONDS) ? take() : [];
    },
    idle(_host, seconds) {
      records += 1;
      const over = records > SETTLE_RECORDS || !isNear(lastSeconds, seconds, SETTLE_SECONDS);
      return held.length > 0 && over ? take() : [];
    },
    take,
  };
}
