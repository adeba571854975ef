import { counterDelta } from "../../src/diagnose/facts.ts";
import type { Finding } from "../../src/diagnose/finding.ts";
import type { NetDelta } from "../../src/evidence/net/types.ts";
import type { EndInfo, SessionInfo } from "../../src/probe/define.ts";
import type { Block } from "../../src/probe/report.ts";
import { formatEnd } from "../../src/reduce/address.ts";
import { hostTables } from "../../src/reduce/host-tables.ts";
import { formatCount, formatRate, formatSeconds, plural } from "../../src/text/format.ts";
import type { Kind } from "./flow.ts";
import type { ResetRow, RetransmitRow } from "./rows.ts";

export interface ReportInput {
  readonly session: SessionInfo;
  readonly rows: readonly RetransmitRow[];
  readonly resets: readonly ResetRow[];
  readonly totals: Totals;
  readonly findings: readonly Finding[];
  readonly networks: readonly NetDelta[];
  readonly end: EndInfo;
  readonly spark: readonly number[];
}

export interface Totals {
  readonly events: number;
  readonly segments: number;
  readonly byKind: Readonly<Record<Kind, number>>;
  readonly sent: number;
  readonly received: number;
}

/** What the kernel itself counted (TcpRetransSegs), over all namespaces; null when one could not be read, or none. */
export function countedSegments(networks: readonly NetDelta[]): number | null {
  const isUnknown = networks.some(({ missing }) => missing.some(({ what }) => what.startsWith("/proc/net")));
  return networks.length === 0 || isUnknown
    ? null
    : networks.reduce((sum, network) => sum + counterDelta(network, "TcpRetransSegs"), 0);
}

const MAX_ROWS = 20;
const MAX_RESETS = 8;
const KIND_NAMES: Readonly<Record<Kind, string>> = {
  rto: "RTO",
  fast: "fast",
  tlp: "TLP",
  syn: "SYN",
  synack: "SYN-ACK",
  other: "other",
};

/** `SYN 3, RTO 2`, most first. */
export function tellKinds(byKind: Readonly<Partial<Record<Kind, number>>>): string {
  return (Object.keys(KIND_NAMES) as Kind[])
    .map((kind) => ({ kind, count: byKind[kind] ?? 0 }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count)
    .map(({ kind, count }) => `${KIND_NAMES[kind]} ${formatCount(count)}`)
    .join(", ");
}

export function buildReport(input: ReportInput): Block[] {
  const { session, end, totals } = input;
  return [
    {
      kind: "text",
      text: [session.host, `Linux ${session.kernel}`, formatSeconds(end.seconds)].join(" · "),
      tone: "dim",
    },
    headline(input),
    { kind: "findings", findings: input.findings },
    ...(input.rows.length === 0 ? [] : [flowTable(input.rows, MAX_ROWS, session.tables["types"] !== false)]),
    ...resetTable(input.resets),
    ...shareTable(input),
    ...hostTables(input.networks),
    {
      kind: "text",
      text:
        end.lost === 0
          ? `Nothing lost: ${session.tables["types"] === false ? "" : `${plural(totals.segments, "segment")} in `}${plural(totals.events, "event")} counted.`
          : `${plural(end.lost, "event")} lost before trace could read them; totals are exact but for events the kernel skipped.`,
      tone: end.lost === 0 ? "dim" : "warn",
    },
  ];
}

function headline({ totals, end, spark, session, networks }: ReportInput): Block {
  const resets =
    totals.sent + totals.received === 0
      ? ""
      : ` · ${plural(totals.sent, "reset")} sent, ${formatCount(totals.received)} received`;
  if (totals.segments === 0)
    return {
      kind: "headline",
      text: `No segment was sent again in ${formatSeconds(end.seconds)}${resets}`,
      tone: totals.sent + totals.received === 0 ? "good" : "strong",
    };
  if (session.tables["types"] === false) {
    const counted = countedSegments(networks);
    const rate = end.seconds > 0 ? ` (${formatRate(totals.events / end.seconds)}/s)` : "";
    return {
      kind: "headline",
      text: `Segments were sent again ${plural(totals.events, "time")}${rate}${counted === null ? "" : `, ${plural(counted, "segment")} by the kernel's own count`}${resets}`,
      spark,
      tone: "strong",
    };
  }
  const rate = end.seconds > 0 ? ` (${formatRate(totals.segments / end.seconds)}/s)` : "";
  return {
    kind: "headline",
    text: `${plural(totals.segments, "segment")} sent again${rate}: ${tellKinds(totals.byKind)}${resets}`,
    spark,
    tone: "strong",
  };
}

/** One line per connection, its kinds together, most segments first. `hasSegments`: whether they are known, or events only. */
export function flowTable(
  rows: readonly RetransmitRow[],
  limit: number,
  hasSegments: boolean,
): Extract<Block, { kind: "table" }> {
  const flows = [
    ...Map.groupBy(rows, (row) =>
      JSON.stringify([row.netns?.inode, row.source, row.sourcePort, row.destination, row.destinationPort]),
    ).values(),
  ];
  const weigh = (group: readonly RetransmitRow[]) => group.reduce((sum, row) => sum + row.segments, 0);
  flows.sort((a, b) => weigh(b) - weigh(a));
  const isMany = rows.some((row) => row.netns?.name !== "host");
  return {
    kind: "table",
    columns: [
      { header: "SEGS", align: "right" },
      { header: "EVENTS", align: "right" },
      { header: "KINDS", shrink: 2 },
      { header: "STATE", shrink: 3 },
      { header: "RTT", align: "right" },
      { header: "CWND", align: "right" },
      { header: "OWNER", shrink: 4 },
      ...(isMany ? [{ header: "NETNS", shrink: 5 }] : []),
      { header: "FLOW", overflow: true },
    ],
    rows: flows.slice(0, limit).flatMap((group) => {
      const [row] = group;
      if (row === undefined) return [];
      const byKind: Partial<Record<Kind, number>> = {};
      for (const { kind, segments } of group) byKind[kind] = (byKind[kind] ?? 0) + segments;
      return [
        [
          hasSegments ? formatCount(weigh(group)) : "–",
          formatCount(group.reduce((sum, { count }) => sum + count, 0)),
          tellKinds(byKind),
          row.state ?? "–",
          row.rttMs === null ? "–" : `${formatRate(row.rttMs)} ms`,
          row.cwnd === null ? "–" : formatCount(row.cwnd),
          row.comm ?? "–",
          ...(isMany ? [row.netns === null ? "–" : (row.netns.name ?? String(row.netns.inode))] : []),
          formatFlow(row),
        ],
      ];
    }),
    ...(flows.length > limit
      ? { more: `… and ${plural(flows.length - limit, "more connection")}: --format json has them all` }
      : {}),
  };
}

export function formatFlow(
  row: Pick<RetransmitRow, "source" | "sourcePort" | "destination" | "destinationPort">,
): string {
  if (row.source === null && row.destination === null) return "–";
  return `${formatEnd(row.source, row.sourcePort)} → ${formatEnd(row.destination, row.destinationPort)}`;
}

/** Resets by what they have in common: the port of the service, not that of each client. */
function resetTable(resets: readonly ResetRow[]): Block[] {
  if (resets.length === 0) return [];
  const groups = [
    ...Map.groupBy(resets, (row) => {
      const isServer = (row.sourcePort ?? 0) < (row.destinationPort ?? 0);
      const service = isServer
        ? [row.source, row.sourcePort, null]
        : [row.destination, null, row.destinationPort];
      return JSON.stringify([row.direction, row.reason, row.state, row.netns?.inode, service]);
    }).values(),
  ];
  const weigh = (group: readonly ResetRow[]) => group.reduce((sum, row) => sum + row.count, 0);
  groups.sort((a, b) => weigh(b) - weigh(a));
  const isMany = resets.some((row) => row.netns?.name !== "host");
  const common = <T>(group: readonly ResetRow[], pick: (row: ResetRow) => T): T | null => {
    const values = new Set(group.map(pick));
    return values.size === 1 ? ([...values][0] ?? null) : null;
  };
  return [
    {
      kind: "table",
      title: "Resets",
      columns: [
        { header: "COUNT", align: "right" },
        { header: "WAY" },
        { header: "REASON", shrink: 1 },
        { header: "STATE", shrink: 2 },
        { header: "OWNER", shrink: 3 },
        ...(isMany ? [{ header: "NETNS", shrink: 4 }] : []),
        { header: "FLOW", overflow: true },
      ],
      rows: groups.slice(0, MAX_RESETS).map((group) => [
        formatCount(weigh(group)),
        group[0]?.direction ?? "",
        group[0]?.reason ?? "–",
        group[0]?.state ?? "–",
        common(group, (row) => row.comm) ?? "–",
        ...(isMany ? [group[0]?.netns?.name ?? String(group[0]?.netns?.inode ?? "–")] : []),
        formatFlow({
          source: common(group, (row) => row.source),
          sourcePort: common(group, (row) => row.sourcePort),
          destination: common(group, (row) => row.destination),
          destinationPort: common(group, (row) => row.destinationPort),
        }),
      ]),
      ...(groups.length > MAX_RESETS
        ? { more: `… and ${plural(groups.length - MAX_RESETS, "more line")}: --format json has them all` }
        : {}),
    },
  ];
}

/** What was sent again as a part of all that was sent, per namespace, beside the kernel's own count. */
function shareTable({ rows, networks, session }: ReportInput): Block[] {
  const isFiltered = ["host", "port"].some((name) => session.options[name] !== undefined);
  const lines = networks.flatMap((network) => {
    const counted = counterDelta(network, "TcpRetransSegs");
    const seen = rows
      .filter((row) => row.netns?.inode === network.netns.inode)
      .reduce((sum, row) => sum + row.segments, 0);
    if (counted === 0 && seen === 0) return [];
    const out = counterDelta(network, "TcpOutSegs") + counted;
    const share = out === 0 ? "–" : `${((100 * counted) / out).toFixed(2)} %`;
    const name = network.netns.name ?? String(network.netns.inode);
    // Without the kernel's types no segment has a namespace.
    const traced = session.tables["types"] === false ? "–" : formatCount(seen);
    return [[name, formatCount(out), formatCount(counted), share, traced]];
  });
  if (lines.length === 0) return [];
  return [
    {
      kind: "table",
      title: `Sent again, by the kernel's own count${isFiltered ? " (all connections, not only those asked for)" : ""}`,
      columns: [
        { header: "NETNS", shrink: 1 },
        { header: "SEGMENTS OUT", align: "right" },
        { header: "RetransSegs", align: "right" },
        { header: "SHARE", align: "right" },
        { header: "TRACED", align: "right" },
      ],
      rows: lines,
    },
  ];
}
