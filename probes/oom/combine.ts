import type { CgroupFiles, OomPart, OomReport, OomScopeKind, OomTask } from "./record.ts";
import type { RequestEvent, VictimEvent } from "./events.ts";
import { explainGfp } from "./log/gfp.ts";
import { buildStack, scopeOfStack } from "./log/trace.ts";

/** What /proc said of a task while it was there. */
export interface TaskFacts {
  readonly cgroup: string | null;
  readonly uid: number | null;
  readonly oomScoreAdj: number | null;
  readonly comm: string | null;
}

/** A memory cgroup and its parents, itself first. */
export type CgroupChain = readonly (CgroupFiles & {
  readonly path: string;
  readonly limitBytes: number | null;
})[];

/** The sides of one kill. At least one of `event` and `report` is there. */
export interface KillSides {
  readonly event: VictimEvent | null;
  readonly request: RequestEvent | null;
  /** The victim's name as the tracepoint gave it. */
  readonly comm: string | null;
  readonly report: OomReport | null;
  readonly victim: TaskFacts | null;
  readonly invoker: TaskFacts | null;
  /** The invoker's cgroup as the kernel named it at the kill, and what is above it. */
  readonly cgroups: CgroupChain;
}

const CONSTRAINTS: readonly OomScopeKind[] = ["host", "cpuset", "mempolicy", "memcg"];

/** Root → leaf up to oom_kill_process, as a kprobe there would show it. */
function stackOf(event: VictimEvent): string[] | null {
  const leaf = event.frames.findIndex((frame) => /^oom_kill_process(?:\.|$)/.test(frame));
  return buildStack(leaf < 0 ? event.frames : event.frames.slice(leaf));
}

/** Whether the kernel killed the victim now. A process that was ending anyway is only marked, without a kill. */
export function isKill(event: VictimEvent): boolean {
  return event.frames.length === 0 || event.frames.some((frame) => frame.startsWith("__oom_kill_process"));
}

/** The kernel's report, or an empty one for a kill whose report it did not print. */
function startReport(sides: KillSides, pageSize: number): OomReport {
  if (sides.report !== null) return sides.report;
  return {
    source: "live",
    time: null,
    monotonic: sides.event?.monotonic ?? null,
    host: null,
    scope: { kind: null, cgroup: null, limitBytes: null, usageBytes: null, failcnt: null },
    invoker: {
      pid: null,
      tid: null,
      comm: null,
      gfpMask: null,
      order: null,
      oomScoreAdj: null,
      cgroup: null,
    },
    victim: {
      pid: sides.event?.pid ?? null,
      comm: null,
      uid: null,
      cgroup: null,
      totalVmBytes: null,
      anonRssBytes: null,
      fileRssBytes: null,
      shmemRssBytes: null,
      pageTableBytes: null,
      oomScoreAdj: null,
      swapBytes: null,
    },
    tasks: [],
    stack: null,
    order: null,
    gfpFlags: [],
    gfpMeaning: null,
    memory: null,
    files: null,
    hostMemory: null,
    pageSize: { bytes: pageSize, known: true },
    tasksDropped: 0,
    reaped: null,
    group: null,
    likelyCgroup: null,
    complete: false,
    missing: ["header", "stack", "memory", "tasks", "summary"],
    interleaved: false,
    kernel: null,
    suppressedBefore: 0,
  };
}

/** Text of the kernel that is empty was not delivered (bpftrace 0.23 reads this field wrongly). */
function named(text: string | null): string | null {
  return text === "" ? null : text;
}

/** A process that has ended is moved to the root: where it had lived is no longer known then. */
function liveCgroup(task: TaskFacts | null): string | null {
  return task === null || task.cgroup === "/" ? null : task.cgroup;
}

/** One kill from both sides: the log's figures where it has them, the event's and /proc's for the rest. */
export function combineKill(sides: KillSides, pageSize: number): OomReport {
  const base = startReport(sides, pageSize);
  const { event, request } = sides;
  if (event === null) return base;
  // The event's first: the log of a storm has stacks for some kills only, in other words (`oom_kill_process.cold`, `f [module]`).
  const stack = stackOf(event) ?? base.stack;
  // A group kill marks its members in the leader's context: same invoker, same stack.
  const constraint = request === null ? undefined : CONSTRAINTS[request.constraint];
  const kind = base.scope.kind ?? constraint ?? scopeOfStack(event.frames);
  const { victim, invoker, scope } = base;
  const isOwn = event.invoker.pid === event.pid;
  const oomScoreAdj = victim.oomScoreAdj ?? event.oomScoreAdj ?? sides.victim?.oomScoreAdj ?? null;
  const invokerCgroup = sides.cgroups[0]?.path ?? liveCgroup(sides.invoker);
  const victimCgroup = victim.cgroup ?? (isOwn ? invokerCgroup : null) ?? liveCgroup(sides.victim);
  // Only one limit above the task that asked: that is the one that was hit. Of several, which one is not known.
  const limited = kind === "memcg" ? sides.cgroups.filter(({ limitBytes }) => limitBytes !== null) : [];
  const hit = scope.cgroup === null && limited.length === 1 ? (limited[0] ?? null) : null;
  const limit = scope.cgroup ?? hit?.path ?? null;
  const files = sides.cgroups.find(({ path }) => path === limit) ?? null;
  const known = new Set<OomPart>([
    ...(stack === null ? [] : (["stack"] as const)),
    ...(kind === null ? [] : (["summary"] as const)),
    ...(request === null ? [] : (["header"] as const)),
  ]);
  const missing = base.missing.filter((part) => !known.has(part));
  return {
    ...base,
    source: "live",
    scope: {
      ...scope,
      kind,
      cgroup: limit,
      limitBytes: scope.limitBytes ?? request?.limitBytes ?? hit?.limitBytes ?? null,
      usageBytes: scope.usageBytes ?? request?.usageBytes ?? null,
      failcnt: scope.failcnt ?? files?.failcnt ?? null,
    },
    invoker: {
      pid: event.invoker.pid,
      tid: event.invoker.tid,
      comm: invoker.comm ?? event.invoker.comm,
      gfpMask: invoker.gfpMask ?? request?.gfpMask ?? null,
      order: invoker.order ?? request?.order ?? null,
      oomScoreAdj: invoker.oomScoreAdj ?? sides.invoker?.oomScoreAdj ?? (isOwn ? oomScoreAdj : null),
      cgroup: invoker.cgroup ?? (isOwn ? victimCgroup : invokerCgroup),
    },
    victim: {
      ...victim,
      comm: victim.comm ?? named(sides.comm) ?? sides.victim?.comm ?? null,
      uid: victim.uid ?? event.uid ?? sides.victim?.uid ?? null,
      cgroup: victimCgroup,
      totalVmBytes: victim.totalVmBytes ?? event.totalVmBytes,
      anonRssBytes: victim.anonRssBytes ?? event.anonRssBytes,
      fileRssBytes: victim.fileRssBytes ?? event.fileRssBytes,
      shmemRssBytes: victim.shmemRssBytes ?? event.shmemRssBytes,
      pageTableBytes: victim.pageTableBytes ?? event.pageTableBytes,
      oomScoreAdj,
    },
    stack,
    // Without the mask the stack still tells what the memory was for.
    gfpMeaning: base.gfpMeaning ?? explainGfp(base.gfpFlags, base.order ?? request?.order ?? null, stack),
    files,
    order: base.order ?? request?.order ?? null,
    // The limit may be a parent's: the victim's own cgroup is a guess and kept apart.
    likelyCgroup:
      base.likelyCgroup ??
      (kind === "memcg" && scope.cgroup === null && hit === null ? (victimCgroup ?? invokerCgroup) : null),
    missing,
    complete: missing.length === 0,
  };
}

/** The tasks with their growth, as `growthOf` knows it. */
export function withGrowth(
  report: OomReport,
  growthOf: (task: Pick<OomTask, "pid" | "comm" | "rssBytes">) => number | null,
): OomReport {
  return {
    ...report,
    tasks: report.tasks.map((task) => ({ ...task, growthBytesPerSecond: growthOf(task) })),
  };
}
