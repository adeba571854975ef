import { counterDelta } from "../../src/diagnose/facts.ts";
import type { Finding } from "../../src/diagnose/finding.ts";
import type { NetDelta } from "../../src/evidence/net/types.ts";
import type { EndInfo, SessionInfo } from "../../src/probe/define.ts";
import type { Block } from "../../src/probe/report.ts";
import { formatEnd } from "../../src/reduce/address.ts";
import { describeResetReason } from "../../src/catalogue/load.ts";
import { hostTables } from "../../src/reduce/host-tables.ts";
import { formatCount, formatRate, formatSeconds, plural } from "../../src/text/format.ts";
import type { Kind } from "./flow.ts";
import type { ResetRow, RetransmitRow } from "./rows.ts";
import type { Share } from "./shares.ts";
import type { Totals } from "./totals.ts";

export interface ReportInput {
  readonly session: SessionInfo;
  readonly rows: readonly RetransmitRow[];
  readonly resets: readonly ResetRow[];
  readonly totals: Totals;
  readonly findings: readonly Finding[];
  readonly networks: readonly NetDelta[];
  readonly shares: readonly Share[];
  readonly end: EndInfo;
  readonly spark: readonly number[];
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
  const { session, end } = input;
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
    ...tellReasons(input.resets),
    ...shareTable(input),
    ...hostTables(pickNetworks(input)),
    ...lossLine(input),
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

/** The same for all rows of one connection. */
export function connectionKey(row: RetransmitRow): string {
  return JSON.stringify([row.netns?.inode, row.source, row.sourcePort, row.destination, row.destinationPort]);
}

export function sumSegments(rows: readonly RetransmitRow[]): number {
  return rows.reduce((sum, row) => sum + row.segments, 0);
}

/**
 * One line per connection, its kinds together, most segments first. `rates` (live): segments a second by connection; then those that send
 * again now come first. `hasSegments`: whether they are known, or events only.
 */
export function flowTable(
  rows: readonly RetransmitRow[],
  limit: number,
  hasSegments: boolean,
  rates: ReadonlyMap<string, number> | null = null,
): Extract<Block, { kind: "table" }> {
  const flows = [...Map.groupBy(rows, connectionKey).values()];
  const weigh = sumSegments;
  const rateOf = (group: readonly RetransmitRow[]) =>
    group[0] === undefined ? 0 : (rates?.get(connectionKey(group[0])) ?? 0);
  flows.sort((a, b) => rateOf(b) - rateOf(a) || weigh(b) - weigh(a));
  const isMany = rows.some((row) => row.netns?.name !== "host");
  return {
    kind: "table",
    columns: [
      { header: "SEGS", align: "right" },
      rates === null ? { header: "EVENTS", align: "right" } : { header: "/S", align: "right" },
      { header: "KINDS", shrink: 3 },
      { header: "STATE", shrink: 2 },
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
          rates === null
            ? formatCount(group.reduce((sum, { count }) => sum + count, 0))
            : formatRate(rateOf(group)),
          tellKinds(byKind),
          shortState(row.state),
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

/** As `ss` has it, where that is shorter. */
function shortState(state: string | null): string {
  return state === "ESTABLISHED" ? "ESTAB" : (state ?? "–");
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
        common(
          // Some ended before they could be asked for: the others speak for them.
          group.filter(({ comm }) => comm !== null),
          (row) => row.comm,
        ) ?? "–",
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

/** Where only some connections were asked for: the namespaces they were seen in, and those of the findings. */
function pickNetworks({ rows, resets, findings, networks, session }: ReportInput): readonly NetDelta[] {
  if (!["host", "port", "pid", "comm", "netns"].some((name) => session.options[name] !== undefined))
    return networks;
  const seen = new Set([...rows, ...resets, ...findings].flatMap(({ netns }) => netns?.inode ?? []));
  return networks.filter(({ netns }) => seen.has(netns.inode));
}

/** The reasons in words. What came in has none: the peer's kernel knows it. */
function tellReasons(resets: readonly ResetRow[]): Block[] {
  const reasons = [...new Set(resets.flatMap(({ reason }) => reason ?? []))];
  return reasons.slice(0, MAX_RESETS).flatMap((reason) => {
    const entry = describeResetReason(reason);
    return entry === null ? [] : [note(`${reason}: ${entry.meaning}`)];
  });
}

/** What was sent again as a part of all that was sent, per namespace, beside the kernel's own count. */
function shareTable({ shares, session }: ReportInput): Block[] {
  if (shares.length === 0) return [];
  const asked = ["host", "port", "pid", "comm"].filter((name) => session.options[name] !== undefined);
  const hasRefused = shares.some(({ refused }) => refused > 0);
  return [
    {
      kind: "table",
      title: "Sent again, by the kernel's own count",
      columns: [
        { header: "NETNS", shrink: 1 },
        { header: "SEGMENTS OUT", align: "right" },
        { header: "RetransSegs", align: "right" },
        { header: "SHARE", align: "right" },
        ...(hasRefused ? [{ header: "REFUSED", align: "right" as const }] : []),
        { header: "TRACED", align: "right" },
      ],
      rows: shares.map((row) => [
        row.netns.name ?? String(row.netns.inode),
        formatCount(row.sentSegments),
        formatCount(row.retransSegs),
        row.share === null ? "–" : `${(100 * row.share).toFixed(2)} %`,
        ...(hasRefused ? [formatCount(row.refused)] : []),
        row.traced === null ? "–" : formatCount(row.traced),
      ]),
    },
    ...(asked.length === 0
      ? []
      : [
          note(
            `TRACED is what was asked for with ${asked.map((name) => `--${name}`).join(", ")}; the rest is of all connections.`,
          ),
        ]),
    ...(hasRefused
      ? [
          note(
            session.tables["errField"] === true
              ? "REFUSED: counted as sent again, and refused on the way out of this host (firewall, full queue)."
              : "REFUSED: counted as sent again, and refused on the way out of this host (firewall, full queue). Before Linux 6.17 these have no event, so TRACED lacks them.",
          ),
        ]
      : []),
  ];
}

function note(text: string): Block {
  return { kind: "text", text, tone: "dim" };
}

/** What the totals leave out, if anything. */
function lossLine({ totals, end, session }: ReportInput): Block[] {
  const segments = session.tables["types"] === false ? "" : `${plural(totals.segments, "segment")} in `;
  const counted = `${segments}${plural(totals.events, "event")} counted`;
  const beyond = totals.unattributed + totals.unattributedResets;
  const isOfProcess = session.options["pid"] !== undefined || session.options["comm"] !== undefined;
  return [
    end.lost === 0
      ? note(
          `Nothing lost: ${counted}${beyond === 0 ? "" : `, ${formatCount(totals.unattributed)} of them and ${plural(totals.unattributedResets, "reset")} in no row (the kernel's table of connections was full)`}.`,
        )
      : {
          kind: "text",
          text: `${plural(end.lost, "event")} lost before trace could count ${end.lost === 1 ? "it" : "them"}: ${counted}; RetransSegs above is the kernel's own count.`,
          tone: "warn",
        },
    ...(isOfProcess && totals.ofUnknown > 0
      ? [
          note(
            `Left out: ${formatCount(totals.ofUnknown)} segments and resets of connections whose process is not known.`,
          ),
        ]
      : []),
  ];
}
