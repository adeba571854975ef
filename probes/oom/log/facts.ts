import type { KernelTime } from "../../../src/evidence/kernel-log/line.ts";
import type { OomReport, OomScopeKind } from "../record.ts";
import type { CgroupRef } from "./commands.ts";

/** Victims of one name. */
export interface VictimFacts {
  comm: string | null;
  count: number;
  largestBytes: number | null;
}

/** Kills with one cause: the same cgroup's limit, or the same host. Derived from the reports, no judgement. */
export interface OomGroupFacts {
  kind: OomScopeKind | null;
  /** Host named by the log, for logs of several. */
  host: string | null;
  /** The cgroup whose limit was hit; null for the host or where the log does not say. */
  cgroup: string | null;
  ref: CgroupRef | null;
  kills: number;
  /** Times the OOM killer ran: a group kill is one. */
  events: number;
  first: KernelTime | null;
  last: KernelTime | null;
  /** Most events within REPEAT_SECONDS, and the seconds they took; null without times. */
  burst: { events: number; seconds: number } | null;
  /** Events whose victim was not in the task table of the kill before: it was started since. */
  restarts: number;
  victims: VictimFacts[];
  /** Cgroups the victims lived in, most kills first. */
  victimCgroups: { cgroup: string; count: number }[];
  limitBytes: number | null;
  usageBytes: number | null;
  failcnt: number | null;
  /** Largest memory + swap in use at any of the kills. */
  neededBytes: number | null;
  /** Kills by SysRq-f: all of the group, or none. */
  manual: number;
  /** Kills in groups (`memory.oom.group`). */
  grouped: number;
  /** Kills without a report of their own (rate limit). */
  bare: number;
  /** A kill whose victim was less than half as large as another process. */
  unfair: OomReport | null;
  /** The latest report with a task table, else the latest; its tasks are the largest 64. */
  sample: OomReport;
}

/** Kills this close together are one story: a restart delay and a minute of growth fit in. */
export const REPEAT_SECONDS = 120;
