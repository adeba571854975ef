import type { Finding } from "../../src/diagnose/finding.ts";
import type { NetDelta } from "../../src/evidence/net/types.ts";
import type { EndInfo, SessionInfo } from "../../src/probe/define.ts";
import type { Block } from "../../src/probe/report.ts";
import { formatCount, formatRate, formatSeconds, plural } from "../../src/text/format.ts";
import { describeDrop, explainBenign } from "./catalogue.ts";
import { fillTemplates } from "../../src/diagnose/templates.ts";
import { hostTables } from "../../src/reduce/host-tables.ts";
import type { Names } from "../../src/reduce/names.ts";
import { causeOf, formatFlow, groupCauses, type CauseRow, type FlowRow } from "./rows.ts";
import type { ReasonTable } from "./reasons.ts";

export interface ReportInput {
  readonly session: SessionInfo;
  readonly rows: readonly FlowRow[];
  readonly drops: number;
  readonly benign: number;
  readonly unattributed: number;
  readonly end: EndInfo;
  readonly spark: readonly number[];
  readonly showAll: boolean;
  readonly names: Names;
  readonly reasons: ReasonTable;
  readonly byReason: Readonly<Record<string, number>>;
  readonly findings: readonly Finding[];
  readonly networks: readonly NetDelta[];
}

const MAX_TABLE_ROWS = 20;
const MAX_REASONS_EXPLAINED = 5;
const MAX_CHECKS = 2;

export function buildReport(input: ReportInput): Block[] {
  const { rows, showAll, end } = input;
  const shown = rows.filter((row) => showAll || !row.benign);
  return [
    { kind: "text", text: headerLine(input), tone: "dim" },
    headline(input),
    { kind: "findings", findings: input.findings },
    causeTable(groupCauses(shown), end.seconds, MAX_TABLE_ROWS),
    // A finding says more than the catalogue.
    ...(input.findings.length > 0 ? [] : explainReasons(shown, input.names)),
    ...benignLine(input),
    ...hostTables(input.networks),
    lossLine(input),
  ];
}

function headerLine({ session, rows, end }: ReportInput): string {
  const spaces = new Set(rows.flatMap((row) => (row.netns === null ? [] : [row.netns.inode])));
  const parts = [session.host, `Linux ${session.kernel}`, formatSeconds(end.seconds)];
  if (spaces.size > 0) parts.push(`${plural(spaces.size, "network namespace")} with drops`);
  return parts.join(" · ");
}

function headline({ drops, benign, end, spark, session, findings }: ReportInput): Block {
  if (drops === 0) {
    const filtered = Object.keys(session.options).some((name) =>
      ["netns", "dev", "host", "port", "proto", "reason"].includes(name),
    );
    const time = end.seconds === 0 ? "before all probes were attached" : `in ${formatSeconds(end.seconds)}`;
    if (findings.some((finding) => finding.severity === "problem")) {
      return { kind: "headline", text: `No drop event ${time}, but the counters tell of loss`, tone: "warn" };
    }
    return {
      kind: "headline",
      text: `No packets${filtered ? " that match the filters" : ""} were dropped ${time}`,
      tone: "good",
    };
  }
  const rate = end.seconds > 0 ? ` (${formatRate(drops / end.seconds)}/s)` : "";
  const matter = drops - benign;
  const judged =
    benign === 0 ? "" : matter === 0 ? ", all of them benign" : `, ${formatCount(matter)} of them matter`;
  return {
    kind: "headline",
    text: `${plural(drops, "packet")} dropped${rate}${judged}`,
    spark,
    tone: matter === 0 ? "good" : "strong",
  };
}

/** The causes, most packets first. `seconds`: for the rate; null leaves the column out (live view). */
export function causeTable(
  causes: readonly CauseRow[],
  seconds: number | null,
  limit: number,
): Extract<Block, { kind: "table" }> {
  const isMany =
    new Set(causes.map((row) => row.netns?.inode)).size > 1 ||
    causes.some((row) => row.netns?.name !== "host");
  const shown = causes.slice(0, limit);
  const rest = causes.slice(limit);
  const columns = [
    { header: "PACKETS", align: "right" as const },
    ...(seconds === null ? [] : [{ header: "/S", align: "right" as const }]),
    { header: "REASON", shrink: 1 },
    { header: "HOOK" },
    { header: "WHERE", shrink: 3 },
    { header: "FLOW", overflow: true },
    { header: "DEV" },
    ...(isMany ? [{ header: "NETNS", shrink: 4 }] : []),
  ];
  return {
    kind: "table",
    columns,
    rows: shown.map((row) => [
      formatCount(row.count),
      ...(seconds === null ? [] : [seconds > 0 ? formatRate(row.count / seconds) : "–"]),
      row.reason ?? "(none)",
      row.hook ?? "–",
      row.location ?? "?",
      formatFlow(row),
      row.dev ?? "–",
      ...(isMany ? [row.netns === null ? "–" : (row.netns.name ?? String(row.netns.inode))] : []),
    ]),
    ...(rest.length > 0
      ? {
          more: `… and ${plural(rest.length, "more line")} with ${plural(
            rest.reduce((sum, row) => sum + row.count, 0),
            "packet",
          )}: --format json has them all`,
        }
      : {}),
  };
}

function explainReasons(rows: readonly FlowRow[], names: Names): Block[] {
  const groups = [
    ...Map.groupBy(rows, (row) =>
      row.reason === null || row.reason === "NOT_SPECIFIED"
        ? `${row.reason ?? ""}@${row.location ?? "?"}`
        : row.reason,
    ),
  ];
  const weigh = (group: readonly FlowRow[]) => group.reduce((sum, row) => sum + row.count, 0);
  groups.sort((a, b) => weigh(b[1]) - weigh(a[1]));
  return groups.slice(0, MAX_REASONS_EXPLAINED).flatMap(([, group]): Block[] => {
    const top = group[0];
    if (top === undefined) return [];
    const entry = describeDrop(top.reason, top.location);
    const label = `${causeOf(top)}${top.reason === "NOT_SPECIFIED" ? ` at ${top.location ?? "?"}` : ""}  ${formatCount(weigh(group))}`;
    if (entry === null) {
      return [
        {
          kind: "entry",
          label,
          text: "The catalogue does not know this one yet: the stack in the profile shows where the kernel gave up.",
        },
      ];
    }
    const place = top.netns === null ? null : names.netns(top.netns.inode);
    const { dev, destinationPort: port, source, destination } = top;
    const values = { place, dev, port, source, destination };
    const checks = fillTemplates(entry.check, values).slice(0, MAX_CHECKS);
    return [
      {
        kind: "entry",
        label,
        text: entry.meaning,
        details: checks.map((text, index) => ({ label: index === 0 ? "see" : "", text, verbatim: true })),
      },
    ];
  });
}

function benignLine({ rows, benign, showAll, reasons }: ReportInput): Block[] {
  if (benign === 0) return [];
  const hidden = rows.filter((row) => row.benign);
  const groups = [
    ...Map.groupBy(hidden, (row) =>
      row.reason === "NOT_SPECIFIED" ? `NOT_SPECIFIED at ${row.location ?? "?"}` : causeOf(row),
    ),
  ]
    .flatMap(([cause, [top, ...rest]]) => {
      if (top === undefined) return [];
      const count = [top, ...rest].reduce((sum, row) => sum + row.count, 0);
      return [{ cause, count, because: explainBenign(top.reason, top.location, reasons) }];
    })
    .toSorted((a, b) => b.count - a.count);
  const named = groups.slice(0, 4).map(({ cause, count }) => `${cause} ${formatCount(count)}`);
  const because = groups
    .slice(0, 2)
    .flatMap(({ cause, because: why }) => (why === null ? [] : [`${cause}: ${why}`]));
  const head = `${formatCount(benign)} benign${showAll ? "" : ", hidden"}: ${named.join(", ")}${groups.length > named.length ? ", …" : ""}.`;
  return [
    {
      kind: "text",
      text: [head, ...because, ...(showAll ? [] : ["--all shows them."])].join("\n"),
      tone: "dim",
    },
  ];
}

/** Flows from which on the kernel's tables may have been full (mapKeys of probe.ts). */
const TABLE_SIZE = 16_384;

function lossLine({ rows, drops, unattributed, end }: ReportInput): Block {
  const isTableFull = rows.length >= TABLE_SIZE;
  const counted = `${formatCount(drops)} drops counted, ${formatCount(unattributed)} unattributed`;
  if (end.lost === 0) {
    const full =
      unattributed === 0
        ? ""
        : isTableFull
          ? ": the flow table was full, narrow it down with --netns, --host or --port"
          : ": the last numbers are missing";
    return { kind: "text", text: `Nothing lost: ${counted}${full}.`, tone: "dim" };
  }
  return {
    kind: "text",
    text: `${plural(end.lost, "event")} lost before trace could read them; ${counted}. The totals per reason are exact but for events the kernel skipped.`,
    tone: "warn",
  };
}
