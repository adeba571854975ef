import { formatBytes, formatCount, formatSeconds, plural } from "../../../src/text/format.ts";
import { isFollower, type OomReport, type OomTask } from "../record.ts";
import { findOwner } from "./cgroup-owner.ts";
import { findHolders, type Holder } from "./holders.ts";
import { ordinal, roundUpSize, sayBytes, sayName, sayProcess, sayShare } from "./words.ts";
import { suggestLimit } from "./suggest.ts";

/** What is known beside the report itself. */
export interface KillContext {
  /** When it was: a time of day or a date, as the reader's log has it; null where unknown. */
  readonly when: string | null;
  /** Times the same place was out of memory within `seconds`, this one included. */
  readonly repeats: { readonly count: number; readonly seconds: number } | null;
  /** How much a process grew, where it was seen before. */
  growthOf(task: Pick<OomTask, "pid" | "comm" | "rssBytes">): Growth | null;
}

/** Change of a process's resident memory over the seconds before the kill. */
export interface Growth {
  readonly bytes: number;
  readonly seconds: number;
}

/** More than this above what was in use before is growth, the rest is noise. */
const NOTABLE = 1024 ** 2;
/** From here on files in memory are the matter, not processes. */
const MOSTLY = 0.5;
/** Twice can be chance; three times is a pattern. */
const LOOP = 3;
const MAX_HOLDERS = 3;

function sayCause(report: OomReport): string {
  const { scope } = report;
  if (report.order === -1) return "asked for by hand (SysRq-f)";
  if (scope.kind === "memcg") {
    const path = scope.cgroup ?? report.likelyCgroup;
    const where = path === null ? "a memory cgroup" : sayName(findOwner(path).label);
    const sure = scope.cgroup === null && path !== null ? "probably " : "";
    return `${sure}${where} reached its memory limit${scope.limitBytes === null ? "" : ` of ${sayBytes(scope.limitBytes)}`}`;
  }
  if (scope.kind === "cpuset") return "the nodes of its cpuset had no memory left";
  if (scope.kind === "mempolicy") return "the nodes of its memory policy had no memory left";
  return scope.kind === "host" ? "the host had no memory left" : "out of memory";
}

/** The figures behind the cause: what was in use, how often it happened. */
function sayFigures(report: OomReport, { repeats }: KillContext): string[] {
  const { scope, memory, hostMemory } = report;
  const again =
    repeats === null || repeats.count < 2
      ? []
      : [
          `${ordinal(repeats.count)} kill here within ${formatSeconds(repeats.seconds)}${repeats.count < LOOP ? "" : ": a loop"}`,
        ];
  if (scope.kind === "memcg") {
    return [
      ...(scope.usageBytes === null || scope.usageBytes === scope.limitBytes
        ? []
        : [`${sayBytes(scope.usageBytes)} in use`]),
      ...(scope.failcnt === null ? [] : [`limit hit ${plural(scope.failcnt, "time")}`]),
      ...(memory?.swap == null || memory.swap.usageBytes === 0
        ? []
        : [`swap ${sayBytes(memory.swap.usageBytes)}`]),
      ...again,
    ];
  }
  if (hostMemory === null || hostMemory.totalBytes === null) return again;
  const swap =
    hostMemory.swapTotalBytes === 0
      ? "no swap"
      : `swap ${sayBytes(hostMemory.swapFreeBytes)} free of ${sayBytes(hostMemory.swapTotalBytes)}`;
  return [`${sayBytes(hostMemory.freeBytes)} free of ${sayBytes(hostMemory.totalBytes)}`, swap, ...again];
}

function sayAsked(report: OomReport): string | null {
  const { invoker, victim } = report;
  if (invoker.comm === null) return null;
  const order = report.order === null || report.order < 0 ? "" : `, order ${String(report.order)}`;
  const isThread = invoker.tid !== null && invoker.tid !== invoker.pid;
  const own = invoker.pid === victim.pid ? victim.comm : null;
  const thread = isThread
    ? `, a thread of ${own === null ? "" : `${sayName(own)} `}(${String(invoker.pid)})`
    : "";
  const who = `${sayProcess(invoker.comm, invoker.tid ?? invoker.pid)}${thread}${order}`;
  return report.gfpMeaning === null ? who : `${who}. ${report.gfpMeaning}`;
}

function sayVictim({ victim }: OomReport): string | null {
  if (victim.anonRssBytes === null) return null;
  const uid = victim.uid === null ? "" : `uid ${String(victim.uid)}, `;
  const swap =
    victim.swapBytes === null || victim.swapBytes === 0 ? "" : `, swap ${sayBytes(victim.swapBytes)}`;
  const where = victim.cgroup === null ? "" : `; in ${sayName(victim.cgroup)}`;
  const adj = victim.oomScoreAdj === null ? "" : `, oom_score_adj ${String(victim.oomScoreAdj)}`;
  return `${uid}anonymous ${sayBytes(victim.anonRssBytes)}, file ${sayBytes(victim.fileRssBytes)}, shared ${sayBytes(victim.shmemRssBytes)}, page tables ${sayBytes(victim.pageTableBytes)}${swap}${adj}${where}`;
}

function sayHolder(holder: Holder, total: number, context: KillContext): string {
  const who =
    holder.processes === 1
      ? sayProcess(holder.comm, holder.largest.pid)
      : `${formatCount(holder.processes)} × ${sayName(holder.comm)}`;
  const growth = holder.processes === 1 ? context.growthOf(holder.largest) : null;
  const grew =
    growth === null || growth.bytes < NOTABLE
      ? ""
      : `, grew ${formatBytes(growth.bytes)} in ${formatSeconds(growth.seconds)}`;
  return `${who} ${sayBytes(holder.rssBytes)} (${sayShare(holder.rssBytes, total)}${grew})`;
}

/** How bad it is and what to do first. The report at the end has the commands. */
function sayNext(report: OomReport, context: KillContext): string {
  const figures = sayFigures(report, context).join(", ");
  return `${figures === "" ? "" : `${figures[0]?.toUpperCase() ?? ""}${figures.slice(1)}. `}${sayAdvice(report)}`;
}

function sayAdvice(report: OomReport): string {
  const { scope, memory, victim } = report;
  if (report.order === -1) return "Nothing: memory had not run out";
  const top = findHolders(report)?.byName[0];
  const name = sayName(top?.comm ?? victim.comm);
  if (scope.kind === "cpuset" || scope.kind === "mempolicy")
    return "Allow it more nodes, or free memory on these";
  if (scope.kind === "host")
    return report.order !== null && report.order > 1
      ? "See whether memory was short or only in pieces: cat /proc/buddyinfo"
      : `Look at what ${name} needs: bound it (MemoryHigh=), or add memory or swap`;
  if (scope.kind !== "memcg") return `Look at what ${name} needs`;
  const shmem = memory?.stats?.shmemBytes ?? 0;
  if (scope.usageBytes !== null && shmem > scope.usageBytes * MOSTLY)
    return `Remove files from its tmpfs: ${formatBytes(shmem)} are shared memory, which no kill frees`;
  const kernel = memory?.stats?.kernelBytes ?? memory?.kernel?.usageBytes ?? 0;
  if (scope.usageBytes !== null && kernel > scope.usageBytes * MOSTLY)
    return `Look at what its processes keep open (pipes, sockets, files): ${formatBytes(kernel)} are the kernel's memory on their behalf`;
  const limit = suggestLimit(report);
  if (scope.cgroup === null || limit === null) return `Find its limit, and look for growth in ${name}`;
  return `Raise the limit to at least ${formatBytes(roundUpSize(limit))}, or look for growth in ${name}`;
}

function describeFollower(report: OomReport, when: string): string[] {
  const { victim, group } = report;
  const own = sayVictim(report);
  const where = group?.cgroup == null ? "its cgroup" : sayName(group.cgroup);
  return [
    `${when}${sayProcess(victim.comm, victim.pid)} was killed together with process ${String(group?.leaderPid)}: ${sayCause(report)}`,
    ...(own === null ? [] : [`victim  ${own}`]),
    `next    It need not be at fault: memory.oom.group is set in ${where}, so all its processes die when one is chosen`,
  ];
}

/** A kill in five lines for a reader, fewer where the kernel told less; names are escaped. */
export function describeKill(report: OomReport, context: KillContext): string[] {
  const { victim } = report;
  const when = context.when === null ? "" : `${context.when}  `;
  if (isFollower(report) && report.group?.leaderPid != null) return describeFollower(report, when);
  const holders = findHolders(report);
  const held = holders?.byName
    .slice(0, MAX_HOLDERS)
    .map((holder) => sayHolder(holder, holders.totalRssBytes, context));
  const lines: readonly (readonly [string, string | null])[] = [
    ["asked  ", sayAsked(report)],
    ["victim ", sayVictim(report)],
    ["held by", held?.join(", ") ?? null],
    ["next   ", sayNext(report, context)],
  ];
  return [
    `${when}${sayProcess(victim.comm, victim.pid)} was killed: ${sayCause(report)}`,
    ...lines.flatMap(([label, text]) => (text === null ? [] : [`${label} ${text}`])),
  ];
}
