import type { Owner } from "../../src/diagnose/facts.ts";
import type { Json } from "../../src/probe/define.ts";
import { UNKNOWN_NAME, type EvidenceBook } from "../../src/reduce/evidence-book.ts";
import type { Names } from "../../src/reduce/names.ts";
import type { RetransCounters, RetransmitCount } from "./counters.ts";
import type { Flow, ResetWhat, RetransmitWhat, SocketFacts } from "./flow.ts";
import type { OwnerBook } from "./owners.ts";

export interface FlowName {
  readonly source: string | null;
  readonly sourcePort: number | null;
  readonly destination: string | null;
  readonly destinationPort: number | null;
  readonly family: "ipv4" | "ipv6" | null;
  readonly netns: { readonly inode: number; readonly name: string | null } | null;
  readonly pid: number | null;
  readonly comm: string | null;
}

export interface RetransmitRow extends FlowName, RetransmitWhat {
  readonly count: number;
  readonly segments: number;
  readonly rttMs: number | null;
  /** Retransmission timeout: how long it was waited before a segment was sent again as "rto". */
  readonly rtoMs: number | null;
  readonly cwnd: number | null;
  readonly ssthresh: number | null;
  readonly inFlight: number | null;
  readonly timeouts: number | null;
  readonly congestion: string | null;
}

export interface ResetRow extends FlowName, Omit<ResetWhat, "reason"> {
  readonly reason: string | null;
  readonly count: number;
}

export interface Naming {
  readonly names: Names;
  readonly evidence: EvidenceBook;
  readonly owners: OwnerBook;
  readonly counters: RetransCounters;
  /** Ticks a second of the kernel; null until they are known. */
  hz(): number | null;
  /** Whether the process is one that was asked for (`--pid`, `--comm`). */
  isWanted(owner: Owner | null): boolean;
  /** Reset reason names of the kernel the session ran on. */
  readonly resetReasons: Readonly<Record<string, Json>>;
}

export function nameFlow(flow: Flow, socket: number, { names, owners }: Naming): FlowName {
  const place = names.netns(flow.netns);
  const owner = owners.find(flow, socket);
  return {
    source: flow.source,
    sourcePort: flow.sourcePort,
    destination: flow.destination,
    destinationPort: flow.destinationPort,
    family: flow.destination === null ? null : flow.destination.includes(":") ? "ipv6" : "ipv4",
    netns: place === null ? null : { inode: place.inode, name: place.name },
    pid: owner?.pid ?? null,
    comm: owner === null || owner.comm === UNKNOWN_NAME ? null : owner.comm,
  };
}

export function nameRetransmit(
  flow: Flow,
  what: RetransmitWhat,
  socket: SocketFacts | null,
  naming: Naming,
): Omit<RetransmitRow, "count" | "segments"> {
  return {
    ...nameFlow(flow, socket?.inode ?? 0, naming),
    state: what.state,
    kind: what.kind,
    rttMs: socket?.rttMs ?? null,
    rtoMs: toMilliseconds(socket?.rto ?? null, naming.hz()),
    cwnd: socket?.cwnd ?? null,
    ssthresh: socket?.ssthresh ?? null,
    inFlight: socket?.inFlight ?? null,
    timeouts: socket === null || socket.congestion === null ? null : socket.timeouts,
    congestion: socket?.congestion ?? null,
  };
}

function toMilliseconds(ticks: number | null, hz: number | null): number | null {
  return ticks === null || hz === null ? null : Math.round((1000 * ticks) / hz);
}

export function nameReset(
  flow: Flow,
  what: ResetWhat,
  inode: number,
  naming: Naming,
): Omit<ResetRow, "count"> {
  const name = what.reason === null ? null : naming.resetReasons[String(what.reason)];
  return {
    direction: what.direction,
    reason: what.reason === null ? null : typeof name === "string" ? name : `REASON_${what.reason}`,
    ...nameFlow(flow, inode, naming),
    state: what.state,
  };
}

/** Rows with something to tell, most segments first. `fresh`: only what came since the last interval. */
export function listRetransmits(naming: Naming, fresh: boolean): RetransmitRow[] {
  const rows: RetransmitRow[] = [];
  for (const row of naming.counters.retransmits.values()) {
    const [count, segments] = fresh ? [row.freshEvents, row.freshSegments] : [row.events, row.segments];
    if (count === 0 || !isWanted(row.flow, naming)) continue;
    rows.push({ ...nameRow(row, naming), count, segments });
  }
  return rows.sort((a, b) => b.segments - a.segments);
}

function nameRow(row: RetransmitCount, naming: Naming): Omit<RetransmitRow, "count" | "segments"> {
  return nameRetransmit(row.flow, row, naming.counters.socket(row.flow), naming);
}

export function listResets(naming: Naming, fresh: boolean): ResetRow[] {
  const rows: ResetRow[] = [];
  for (const row of naming.counters.resets.values()) {
    const count = fresh ? row.fresh : row.count;
    if (count === 0 || !isWanted(row.flow, naming)) continue;
    rows.push({ ...nameReset(row.flow, row, inodeOf(row.flow, naming), naming), count });
  }
  return rows.sort((a, b) => b.count - a.count);
}

function inodeOf(flow: Flow, { counters }: Naming): number {
  return counters.socket(flow)?.inode ?? 0;
}

/** Whether a flow belongs to a process that was asked for; all do when none was. */
export function isWanted(flow: Flow, naming: Naming, inode = inodeOf(flow, naming)): boolean {
  return naming.isWanted(naming.owners.find(flow, inode));
}

/** Segments and resets of connections whose process is not known. */
export function countUnknown(naming: Naming): number {
  const { retransmits, resets } = naming.counters;
  const isUnknown = (flow: Flow) => naming.owners.find(flow, inodeOf(flow, naming)) === null;
  let count = 0;
  for (const row of retransmits.values()) if (isUnknown(row.flow)) count += row.segments;
  for (const row of resets.values()) if (isUnknown(row.flow)) count += row.count;
  return count;
}
