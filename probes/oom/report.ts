import type { Finding } from "../../src/diagnose/finding.ts";
import type { EndInfo, SessionInfo } from "../../src/probe/define.ts";
import type { Block } from "../../src/probe/report.ts";
import { formatBytes, formatCount, formatSeconds, plural } from "../../src/text/format.ts";
import { findOwner } from "./log/cgroup-owner.ts";
import type { OomGroupFacts } from "./log/facts.ts";
import { sayName } from "./log/words.ts";
import type { OomSummary } from "./log/summarise.ts";
import type { OomReport } from "./record.ts";
import { rateOf, type SampleBook } from "./samples.ts";
import { growthCell, residentBytes, scopeKey, sizeCell } from "./words.ts";

export interface ReportInput {
  readonly session: SessionInfo;
  readonly end: EndInfo;
  readonly isSaved: boolean;
  readonly result: OomSummary;
  readonly findings: readonly Finding[];
  /** Kills the kernel's log held from before; null where it could not be read. */
  readonly earlier: readonly OomReport[] | null;
  readonly samples: SampleBook;
  /** What to say of SIGKILLs that processes sent; null for none. */
  readonly sigkills: string | null;
  /** The latest kills, oldest first. */
  readonly recent: readonly { readonly report: OomReport; readonly at: number }[];
}

const MAX_GROUPS = 20;
const MAX_HOLDERS = 8;
const GROUPS_WITH_TASKS = 3;
const MAX_LIVE = 12;

export function buildReport(input: ReportInput): Block[] {
  const { result } = input;
  return [
    { kind: "text", text: headerLine(input), tone: "dim" },
    headline(input),
    { kind: "findings", findings: input.findings },
    ...(result.groups.length > 0 ? [groupTable(result)] : []),
    ...result.groups.slice(0, GROUPS_WITH_TASKS).flatMap((group) => holderTable(group, input)),
    ...earlierLine(input),
    ...(input.sigkills === null
      ? []
      : [{ kind: "text" as const, text: input.sigkills, tone: "dim" as const }]),
    ...(input.isSaved ? [] : [lossLine(input)]),
  ];
}

function headerLine({ session, end, isSaved, samples }: ReportInput): string {
  if (isSaved)
    return `from the log ${typeof session.options["log"] === "string" ? session.options["log"] : "?"}`;
  const memory =
    samples.available === null || samples.total === null
      ? []
      : [`${formatBytes(samples.available)} of ${formatBytes(samples.total)} available`];
  return [session.host, `Linux ${session.kernel}`, formatSeconds(end.seconds), ...memory].join(" · ");
}

function headline({ result, end, isSaved }: ReportInput): Block {
  const time = isSaved ? "in this log" : `in ${formatSeconds(end.seconds)}`;
  if (result.kills === 0)
    return { kind: "headline", text: `The kernel killed nothing for want of memory ${time}`, tone: "good" };
  const groups = result.groups.length;
  const top = result.groups[0];
  const where =
    groups === 1 && top !== undefined
      ? `, ${placeOf(top)}`
      : `, in ${plural(groups, "place")}: most ${top === undefined ? "" : placeOf(top)}`;
  return {
    kind: "headline",
    text: `${plural(result.kills, "process", "processes")} killed for want of memory ${time}${where}`,
    tone: "bad",
  };
}

function placeOf(group: OomGroupFacts): string {
  if (group.manual > 0) return "asked for by hand (SysRq-f)";
  if (group.kind === "memcg") {
    return group.cgroup === null
      ? "in a memory cgroup the log does not name"
      : `by the limit of ${findOwner(group.cgroup).label}`;
  }
  if (group.kind === "host") return "the host itself was out of memory";
  if (group.kind === "cpuset") return "the nodes of a cpuset were out of memory";
  if (group.kind === "mempolicy") return "the nodes of a memory policy were out of memory";
  return "for a reason the log does not say";
}

function groupTable({ groups }: OomSummary): Block {
  const rest = groups.slice(MAX_GROUPS);
  return {
    kind: "table",
    title: "Where",
    columns: [
      { header: "KILLS", align: "right" },
      { header: "WHOSE MEMORY", shrink: 2 },
      { header: "LIMIT", align: "right" },
      { header: "IN USE", align: "right" },
      { header: "KILLED", shrink: 1 },
      { header: "LARGEST", align: "right" },
    ],
    rows: groups.slice(0, MAX_GROUPS).map((group) => [
      formatCount(group.kills),
      whose(group),
      group.kind === "memcg" ? sizeCell(group.limitBytes) : "–",
      sizeCell(group.usageBytes),
      group.victims
        .slice(0, 3)
        .map(({ comm, count }) => `${comm ?? "?"}${count > 1 ? ` ×${String(count)}` : ""}`)
        .join(", "),
      sizeCell(
        group.victims.reduce<number | null>(
          (most, { largestBytes }) => (largestBytes === null ? most : Math.max(most ?? 0, largestBytes)),
          null,
        ),
      ),
    ]),
    ...(rest.length > 0
      ? { more: `… and ${plural(rest.length, "more place")}: --format json has them all` }
      : {}),
  };
}

function whose(group: OomGroupFacts): string {
  const host = group.host === null ? "" : `${group.host}: `;
  if (group.kind === "memcg") return `${host}${group.cgroup ?? "a cgroup, not named"}`;
  if (group.manual > 0) return `${host}the host (by hand)`;
  return `${host}${group.kind === null ? "unknown" : group.kind === "host" ? "the host" : group.kind}`;
}

/** Who held the memory at the last kill of a group. */
function holderTable(group: OomGroupFacts, { samples, recent }: ReportInput): Block[] {
  const { sample } = group;
  if (sample.tasks.length === 0) return [];
  const at = recent.findLast(({ report }) => report.victim.pid === sample.victim.pid)?.at ?? null;
  const tasks = sample.tasks.slice(0, MAX_HOLDERS);
  const rest = sample.tasks.length + sample.tasksDropped - tasks.length;
  return [
    {
      kind: "table",
      title: `Who held the memory of ${whose(group)} at the last kill`,
      columns: [
        { header: "RESIDENT", align: "right" },
        { header: "ANON", align: "right" },
        { header: "SWAP", align: "right" },
        { header: "GROWTH", align: "right" },
        { header: "ADJ", align: "right" },
        { header: "PID", align: "right" },
        { header: "PROCESS", shrink: 1 },
        { header: "" },
      ],
      rows: tasks.map((task) => [
        sizeCell(task.rssBytes),
        sizeCell(task.anonBytes ?? (task.pid === sample.victim.pid ? sample.victim.anonRssBytes : null)),
        sizeCell(task.swapBytes),
        growthCell(
          task.growthBytesPerSecond ??
            (at === null ? null : rateOf(samples.growth(task.pid, task.comm, task.rssBytes, at))),
        ),
        task.oomScoreAdj === null ? "?" : String(task.oomScoreAdj),
        String(task.pid),
        task.comm,
        task.pid === sample.victim.pid ? "killed" : "",
      ]),
      ...(rest > 0 ? { more: `… and ${plural(rest, "smaller process", "smaller processes")}` } : {}),
    },
  ];
}

function earlierLine({ earlier }: ReportInput): Block[] {
  const last = earlier?.at(-1);
  if (earlier === null || last === undefined) return [];
  const key = scopeKey(last);
  const place = key === "(unknown)" ? "" : key === "(host)" ? " (host)" : ` in ${sayName(key)}`;
  return [
    {
      kind: "text",
      text: `${plural(earlier.length, "earlier kill")} since boot in the kernel's log, the last one ${sayName(last.victim.comm)}${place}.\nAll of them: trace oom --log dmesg`,
      tone: "dim",
    },
  ];
}

function lossLine({ end, result }: ReportInput): Block {
  if (end.lost === 0)
    return {
      kind: "text",
      text: `Nothing lost: ${plural(result.kills, "kill")} seen by the kernel's events or its log.`,
      tone: "dim",
    };
  return {
    kind: "text",
    text: `${plural(end.lost, "event")} lost before trace could read them; the kernel log was read all the same.`,
    tone: "warn",
  };
}

/** The latest kills, for the live page. */
export function liveTable(reports: readonly OomReport[]): Extract<Block, { kind: "table" }> {
  return {
    kind: "table",
    columns: [
      { header: "PID", align: "right" },
      { header: "KILLED", shrink: 1 },
      { header: "RESIDENT", align: "right" },
      { header: "LIMIT", align: "right" },
      { header: "WHOSE MEMORY", shrink: 2 },
      { header: "ASKED", shrink: 1 },
    ],
    rows: reports
      .slice(-MAX_LIVE)
      .map((report) => [
        report.victim.pid === null ? "?" : String(report.victim.pid),
        report.victim.comm ?? "?",
        sizeCell(residentBytes(report.victim)),
        report.scope.kind === "memcg" ? sizeCell(report.scope.limitBytes) : "–",
        scopeKey(report),
        report.invoker.comm ?? "?",
      ]),
  };
}
