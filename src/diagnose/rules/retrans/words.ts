import { formatCount, plural } from "../../../text/format.ts";
import { counterDelta, findNetwork, type Facts, type Owner } from "../../facts.ts";
import { countSegments, type ResetFlow, type RetransFlow, type RetransKind } from "./facts.ts";

const KIND_WORDS: Readonly<Record<RetransKind, string>> = {
  rto: "after a timeout",
  fast: "after acknowledgements showed a gap",
  tlp: "as loss probes",
  syn: "SYN",
  synack: "SYN-ACK",
  other: "for another reason",
};

/** `12 after a timeout, 3 as loss probes`. */
export function tellKinds(flows: readonly RetransFlow[]): string {
  const kinds = Object.keys(KIND_WORDS) as RetransKind[];
  return kinds
    .map((kind) => ({ kind, count: flows.reduce((sum, flow) => sum + (flow.byKind[kind] ?? 0), 0) }))
    .filter(({ count }) => count > 0)
    .sort((a, b) => b.count - a.count)
    .map(({ kind, count }) => `${formatCount(count)} ${KIND_WORDS[kind]}`)
    .join(", ");
}

export function sumResets(resets: readonly ResetFlow[]): number {
  return resets.reduce((total, reset) => total + reset.count, 0);
}

/** `nginx (pid 812)` of the processes behind them, each once; a name with many pids (a program that is started again and again) once. */
export function tellOwners(resets: readonly ResetFlow[]): string[] {
  const owners = resets.flatMap(({ owner }) => owner ?? []);
  return [...Map.groupBy(owners, ({ comm }) => comm)].map(([comm, group]) => {
    const pids = [...new Set(group.map(({ pid }) => pid))];
    return pids.length === 1
      ? tellProcess({ comm, pid: pids[0] ?? 0 })
      : `${comm} (${pids.length} processes, pid ${pids[0]} …)`;
  });
}

/** `nginx (pid 812)`; one that ended before it told its name is `pid 812`. */
function tellProcess({ comm, pid }: Owner): string {
  return comm === "?" ? `pid ${pid}` : `${comm} (pid ${pid})`;
}

const bracket = (address: string) => (address.includes(":") ? `[${address}]` : address);

/** The far ends in as few words as are true: `10.0.0.2:443`, `10.0.0.2`, `port 443 of 14 hosts`, `14 hosts`. */
export function tellTargets(
  flows: readonly RetransFlow[],
  far: "destination" | "source" = "destination",
): string {
  const port = far === "destination" ? "destinationPort" : "sourcePort";
  const hosts = [...new Set(flows.flatMap((flow) => flow[far] ?? []))];
  const ports = new Set(flows.map((flow) => flow[port]));
  const onePort = ports.size === 1 ? ([...ports][0] ?? null) : null;
  const [host] = hosts;
  if (hosts.length === 1 && host !== undefined)
    return onePort === null ? host : `${bracket(host)}:${onePort}`;
  const many = plural(hosts.length, "host");
  return onePort === null ? many : `port ${onePort} of ${many}`;
}

/** The same for both ends of a connection: each can have something to send again. */
function connectionOf({ source, sourcePort, destination, destinationPort }: RetransFlow): string {
  return [`${source} ${sourcePort}`, `${destination} ${destinationPort}`].sort().join(" ");
}

/** The flows of each connection, the end that sent more first; the connections with most first. */
function groupEnds(flows: readonly RetransFlow[]): RetransFlow[][] {
  const ends = [...flows].sort((a, b) => b.segments - a.segments);
  return [...Map.groupBy(ends, connectionOf).values()];
}

/** `10.0.0.1:40000 → 10.0.0.2:443` of the connections with most segments, seen from the end that sent more. */
export function listFlows(flows: readonly RetransFlow[], most = 3): string {
  const connections = groupEnds(flows);
  const shown = connections
    .slice(0, most)
    .flatMap(([first, ...others]) =>
      first === undefined ? [] : [{ ...first, segments: first.segments + countSegments(others) }],
    );
  const texts = shown.map((flow) => {
    const end = (address: string | null, port: number | null) => `${bracket(address ?? "*")}:${port ?? "*"}`;
    const owner = flow.owner === null ? "" : ` by ${tellProcess(flow.owner)}`;
    return `${end(flow.source, flow.sourcePort)} → ${end(flow.destination, flow.destinationPort)}${owner}, ${plural(flow.segments, "segment")}`;
  });
  const rest = connections.length - shown.length;
  return `${texts.join("; ")}${rest > 0 ? `; and ${plural(rest, "more connection")}` : ""}`;
}

/** Part of all segments of that namespace that were sent again, 0–1; null when the counters were not read. */
export function shareOf(facts: Facts, netns: number | null, segments: number): number | null {
  const network = findNetwork(facts, netns);
  if (network === null) return null;
  const all = counterDelta(network, "TcpOutSegs") + counterDelta(network, "TcpRetransSegs");
  return all === 0 ? null : Math.min(1, segments / all);
}

export function formatShare(share: number): string {
  const percent = share * 100;
  return `${percent >= 10 ? Math.round(percent) : percent >= 0.1 ? percent.toFixed(1) : percent.toFixed(2)} %`;
}

/** From this many on a pattern is one. */
const MANY = 4;

/** What many connections have in common, and what that points at; empty for a few, or where they have nothing in common. */
export function tellPattern(flows: readonly RetransFlow[]): string[] {
  if (flows.length < MANY) return [];
  const count = (pick: (flow: RetransFlow) => unknown) => new Set(flows.map(pick)).size;
  const hosts = count((flow) => flow.destination);
  const ports = count((flow) => flow.destinationPort);
  const own = count((flow) => flow.sourcePort);
  const all = formatCount(flows.length);
  if (hosts === 1)
    return [
      ports === 1
        ? `pattern: all ${all} connections go to one port of one host: that service, or the way to it`
        : `pattern: all ${all} connections go to one host, on ${ports} ports: that host, or the way to it`,
    ];
  if (ports === 1)
    return [
      `pattern: one port of ${hosts} hosts: something on the way treats that port differently, or all of them are loaded alike`,
    ];
  if (own === 1)
    return [
      `pattern: all from port ${flows[0]?.sourcePort ?? "?"} here to ${hosts} hosts: what this service's clients share, most likely this host's own link`,
    ];
  return hosts >= MANY
    ? [
        `pattern: ${hosts} hosts have nothing in common but this one: its own link, its uplink or its provider`,
      ]
    : [];
}

/** `41 segments of 3 connections to 10.0.0.2:443`. */
export function tellWhat(flows: readonly RetransFlow[]): string {
  const connections = groupEnds(flows);
  const main = connections.flatMap(([first]) => first ?? []);
  return `${plural(countSegments(flows), "segment")} of ${plural(connections.length, "connection")} to ${tellTargets(main)}`;
}

/** The same with its verb: `… were sent again`. */
export function tellSentAgain(flows: readonly RetransFlow[]): string {
  return `${tellWhat(flows)} ${countSegments(flows) === 1 ? "was" : "were"} sent again`;
}
