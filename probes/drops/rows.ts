import type { Names } from "../../src/reduce/names.ts";
import type { FlowCount } from "../../src/reduce/packet-counters.ts";
import { protocolName, type FlowKey, type Hook } from "../../src/reduce/packet-flow.ts";
import { isBenign } from "./catalogue.ts";
import type { ReasonTable } from "./reasons.ts";

/** A flow as people and records name it. */
export interface FlowRow {
  readonly reason: string | null;
  readonly location: string | null;
  readonly hook: Hook | null;
  readonly proto: string | null;
  readonly source: string | null;
  readonly sourcePort: number | null;
  readonly destination: string | null;
  readonly destinationPort: number | null;
  readonly icmp: { readonly type: number; readonly code: number } | null;
  readonly dev: string | null;
  readonly netns: { readonly inode: number; readonly name: string | null } | null;
  readonly benign: boolean;
  readonly count: number;
  readonly bytes: number;
}

/** What a drop is called where one word is needed: its reason, else its call site. */
export function causeOf(row: Pick<FlowRow, "reason" | "location">): string {
  return row.reason ?? `@${row.location ?? "unknown"}`;
}

/** Netfilter's own functions: on kernels without reasons the hook only means something there. */
const NETFILTER_SITE = /^(?:nft?_|ipt_|ip6t_|nf_hook)/;

export function nameFlow(key: FlowKey, names: Names, reasons: ReasonTable): Omit<FlowRow, "count" | "bytes"> {
  const reason = reasons.name(key.reason);
  const location = names.symbol(key.site);
  const place = names.netns(key.netns);
  return {
    reason,
    location,
    hook: reason === null && (location === null || !NETFILTER_SITE.test(location)) ? null : key.hook,
    proto: protocolName(key),
    source: key.source,
    sourcePort: key.sourcePort,
    destination: key.destination,
    destinationPort: key.destinationPort,
    icmp: key.icmp,
    dev: key.ifindex === 0 ? null : names.device(key.netns, key.ifindex),
    netns: place === null ? null : { inode: place.inode, name: place.name },
    benign: isBenign(reason, location, reasons),
  };
}

/** Rows of all flows that have something to tell, most packets first. `fresh`: only what came since the last interval. */
export function listRows(
  flows: Iterable<FlowCount>,
  names: Names,
  reasons: ReasonTable,
  fresh: boolean,
): FlowRow[] {
  const rows: FlowRow[] = [];
  for (const flow of flows) {
    const count = fresh ? flow.freshCount : flow.count;
    if (count === 0) continue;
    rows.push({ ...nameFlow(flow.key, names, reasons), count, bytes: fresh ? flow.freshBytes : flow.bytes });
  }
  return rows.sort((a, b) => b.count - a.count);
}

/** Rows that differ only in a port, or in the address of many peers, as one line: `10.0.0.9:* → 10.0.0.2:80 tcp`. */
export interface CauseRow {
  readonly cause: string;
  readonly reason: string | null;
  readonly location: string | null;
  readonly hook: Hook | null;
  readonly dev: string | null;
  readonly netns: FlowRow["netns"];
  readonly proto: string | null;
  /** Null: many. */
  readonly source: string | null;
  readonly sourcePort: number | null;
  readonly destination: string | null;
  readonly destinationPort: number | null;
  readonly benign: boolean;
  readonly count: number;
  readonly bytes: number;
  /** Flows in this line. */
  readonly flows: number;
}

/** More peers than this are one line. */
const MAX_PEERS = 4;

export function groupCauses(rows: readonly FlowRow[]): CauseRow[] {
  const byPlace = Map.groupBy(rows, (row) =>
    JSON.stringify([row.reason, row.location, row.hook, row.netns?.inode, row.dev, row.proto]),
  );
  const causes: CauseRow[] = [];
  for (const group of byPlace.values()) {
    const byPair = Map.groupBy(group, (row) => `${row.source}|${row.destination}`);
    const pairs =
      byPair.size <= MAX_PEERS
        ? [...byPair.values()]
        : [...Map.groupBy(group, (row) => row.destination).values()];
    const merged = pairs.length <= MAX_PEERS * 2 ? pairs : [group];
    for (const members of merged) {
      const first = members[0];
      if (first === undefined) continue;
      causes.push({
        cause: causeOf(first),
        reason: first.reason,
        location: first.location,
        hook: first.hook,
        dev: first.dev,
        netns: first.netns,
        proto: first.proto,
        benign: first.benign,
        source: same(members, (row) => row.source),
        sourcePort: same(members, (row) => row.sourcePort),
        destination: same(members, (row) => row.destination),
        destinationPort: same(members, (row) => row.destinationPort),
        count: members.reduce((sum, row) => sum + row.count, 0),
        bytes: members.reduce((sum, row) => sum + row.bytes, 0),
        flows: members.length,
      });
    }
  }
  return causes.sort((a, b) => b.count - a.count);
}

function same<T>(rows: readonly FlowRow[], pick: (row: FlowRow) => T): T | null {
  const first = rows[0];
  if (first === undefined) return null;
  const value = pick(first);
  return rows.every((row) => pick(row) === value) ? value : null;
}

/** `10.0.0.9:* → 10.0.0.2:80 tcp`; "–" where nothing is known. */
export function formatFlow(
  row: Pick<CauseRow, "source" | "sourcePort" | "destination" | "destinationPort" | "proto" | "flows">,
): string {
  const proto = row.proto ?? "";
  if (
    row.source === null &&
    row.destination === null &&
    row.destinationPort === null &&
    row.sourcePort === null
  ) {
    return row.flows > 1 && proto !== "" ? `* → * ${proto}` : proto === "" ? "–" : proto;
  }
  const hasPorts =
    row.sourcePort !== null || row.destinationPort !== null || proto === "tcp" || proto === "udp";
  const end = (address: string | null, port: number | null) => {
    const host = address === null ? "*" : hasPorts && address.includes(":") ? `[${address}]` : address;
    return hasPorts ? `${host}:${port ?? "*"}` : host;
  };
  return `${end(row.source, row.sourcePort)} → ${end(row.destination, row.destinationPort)} ${proto}`.trimEnd();
}
