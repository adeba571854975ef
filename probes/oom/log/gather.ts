import { secondsOf } from "../../../src/evidence/kernel-log/line.ts";
import { isFollower, type OomReport } from "../record.ts";
import { findOwner } from "./cgroup-owner.ts";
import { type OomGroupFacts, REPEAT_SECONDS } from "./facts.ts";
import { neededBytes } from "./suggest.ts";

/** Reports in, groups out; constant memory per group. */
export interface Gatherer {
  add(report: OomReport): void;
  /** Groups, most kills first. */
  groups(): OomGroupFacts[];
  readonly kills: number;
  /** Kills of groups that did not fit. */
  readonly dropped: number;
}

const MAX_GROUPS = 1000;
const MAX_NAMES = 256;
const MAX_TIMES = 4096;
const MAX_TASKS = 64;

interface Open {
  facts: OomGroupFacts;
  times: number[];
  victims: Map<string | null, { count: number; largestBytes: number | null }>;
  cgroups: Map<string, number>;
  /** Pids of the last task table. */
  listed: Set<number> | null;
}

function victimBytes(report: OomReport): number | null {
  const { anonRssBytes, fileRssBytes, shmemRssBytes } = report.victim;
  return anonRssBytes === null ? null : anonRssBytes + (fileRssBytes ?? 0) + (shmemRssBytes ?? 0);
}

function max(a: number | null, b: number | null): number | null {
  if (a === null) return b;
  return b === null ? a : Math.max(a, b);
}

/** Half: a victim smaller than that was not chosen for its size. */
const SMALLER = 0.5;

function isUnfair(report: OomReport): boolean {
  const largest = report.tasks[0];
  const own = report.tasks.find((task) => task.pid === report.victim.pid);
  if (largest === undefined || own === undefined || own === largest) return false;
  return (own.rssBytes ?? 0) <= (largest.rssBytes ?? 0) * SMALLER;
}

function trim(report: OomReport): OomReport {
  return report.tasks.length <= MAX_TASKS ? report : { ...report, tasks: report.tasks.slice(0, MAX_TASKS) };
}

function start(report: OomReport): Open {
  const { scope } = report;
  const path = scope.kind === "memcg" ? scope.cgroup : null;
  return {
    facts: {
      kind: scope.kind,
      host: report.host,
      cgroup: path,
      ref: path === null ? null : { path, version: null, owner: findOwner(path), memorySwapLimited: false },
      kills: 0,
      events: 0,
      first: report.time,
      last: report.time,
      burst: null,
      restarts: 0,
      victims: [],
      victimCgroups: [],
      limitBytes: null,
      usageBytes: null,
      failcnt: null,
      neededBytes: null,
      manual: 0,
      grouped: 0,
      bare: 0,
      unfair: null,
      sample: trim(report),
    },
    times: [],
    victims: new Map(),
    cgroups: new Map(),
    listed: null,
  };
}

function addTime(open: Open, report: OomReport): void {
  const seconds = report.monotonic ?? (report.time === null ? null : secondsOf(report.time));
  if (seconds === null) return;
  // Only the last window matters for the burst: what is older can go. Logs may be out of order.
  open.times = open.times.filter((time) => Math.abs(seconds - time) <= REPEAT_SECONDS);
  open.times.push(seconds);
  if (open.times.length > MAX_TIMES) open.times.shift();
  const events = open.times.length;
  if (events <= (open.facts.burst?.events ?? 0)) return;
  open.facts.burst = { events, seconds: Math.max(...open.times) - Math.min(...open.times) };
}

function addFacts(open: Open, report: OomReport): void {
  const { facts } = open;
  const { memory, scope } = report;
  facts.kills += 1;
  facts.last = report.time ?? facts.last;
  if (!isFollower(report)) {
    const { pid } = report.victim;
    if (facts.events > 0 && !(pid !== null && open.listed?.has(pid) === true)) facts.restarts += 1;
    facts.events += 1;
    addTime(open, report);
  }
  if (report.tasks.length > 0) open.listed = new Set(report.tasks.map((task) => task.pid));
  if (report.group !== null) facts.grouped += 1;
  if (report.order === -1) facts.manual += 1;
  if (report.missing.length >= 5) facts.bare += 1;
  facts.limitBytes = scope.limitBytes ?? facts.limitBytes;
  facts.usageBytes = scope.usageBytes ?? facts.usageBytes;
  facts.failcnt = max(facts.failcnt, scope.failcnt);
  facts.neededBytes = max(facts.neededBytes, neededBytes(report));
  if (facts.ref !== null && memory !== null) {
    facts.ref.version = memory.version ?? facts.ref.version;
    facts.ref.memorySwapLimited = memory.memorySwap?.limitBytes != null;
  }
  if (isUnfair(report)) facts.unfair = trim(report);
  if (report.tasks.length > 0 || facts.sample.tasks.length === 0) facts.sample = trim(report);
}

function addVictim(open: Open, report: OomReport): void {
  const known = open.victims.get(report.victim.comm);
  if (known !== undefined) {
    known.count += 1;
    known.largestBytes = max(known.largestBytes, victimBytes(report));
  } else if (open.victims.size < MAX_NAMES) {
    open.victims.set(report.victim.comm, { count: 1, largestBytes: victimBytes(report) });
  }
  const { cgroup } = report.victim;
  if (cgroup !== null && (open.cgroups.has(cgroup) || open.cgroups.size < MAX_NAMES)) {
    open.cgroups.set(cgroup, (open.cgroups.get(cgroup) ?? 0) + 1);
  }
}

/** Groups kills by what had run out. A kill without a report joins the cgroup its pid was last listed in. */
export function createGatherer(): Gatherer {
  const open = new Map<string, Open>();
  let kills = 0;
  let dropped = 0;
  return {
    get kills() {
      return kills;
    },
    get dropped() {
      return dropped;
    },
    add(report) {
      kills += 1;
      const { kind, cgroup } = report.scope;
      const path = cgroup ?? (kind === "memcg" ? report.likelyCgroup : null);
      // A kill asked for by hand says nothing about the host's memory.
      const key = JSON.stringify([report.host, kind, path, report.order === -1]);
      let group = open.get(key);
      if (group === undefined) {
        if (open.size >= MAX_GROUPS) {
          dropped += 1;
          return;
        }
        group = start(path === cgroup ? report : { ...report, scope: { ...report.scope, cgroup: path } });
        open.set(key, group);
      }
      addFacts(group, report);
      addVictim(group, report);
    },
    groups: () =>
      [...open.values()]
        .map(({ facts, victims, cgroups }) => ({
          ...facts,
          victims: [...victims]
            .map(([comm, victim]) => ({ comm, ...victim }))
            .toSorted((a, b) => b.count - a.count || (b.largestBytes ?? 0) - (a.largestBytes ?? 0)),
          victimCgroups: [...cgroups]
            .map(([cgroup, count]) => ({ cgroup, count }))
            .toSorted((a, b) => b.count - a.count),
        }))
        .toSorted((a, b) => b.kills - a.kills),
  };
}
