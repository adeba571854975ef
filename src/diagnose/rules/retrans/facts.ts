import type { NetDelta } from "../../../evidence/net/types.ts";
import { findNetwork, type DropFact, type Facts, type Owner } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { findAddress, isLoopback } from "../../where.ts";

export type RetransKind = "rto" | "fast" | "tlp" | "syn" | "synack" | "other";

/** A connection that sent again, this host's end being the source. */
export interface RetransFlow {
  readonly source: string | null;
  readonly sourcePort: number | null;
  readonly destination: string | null;
  readonly destinationPort: number | null;
  /** Inode of the socket's namespace; null when unknown. */
  readonly netns: number | null;
  readonly segments: number;
  /** Packets they were sent in: one carries up to 44 segments. */
  readonly packets: number;
  readonly byKind: Readonly<Partial<Record<RetransKind, number>>>;
  readonly owner: Owner | null;
  /** What this host dropped of the connection, in either direction and in any of its namespaces. */
  readonly drops: readonly DropFact[];
  /** Attempts that never became a segment, by the kernel's error (negative errno). */
  readonly unsent: readonly { readonly error: number; readonly count: number }[];
}

/** A connection that was reset, or an answer to a packet that fits no connection. */
export interface ResetFlow {
  readonly direction: "sent" | "received";
  /** Null where the kernel gives none (before 6.10), and for received ones. */
  readonly reason: string | null;
  readonly state: string | null;
  readonly source: string | null;
  readonly sourcePort: number | null;
  readonly destination: string | null;
  readonly destinationPort: number | null;
  readonly netns: number | null;
  readonly owner: Owner | null;
  readonly count: number;
}

/** What the rules of retransmits read. `facts.drops` are the drops of connections in `flows`, and no others. */
export interface RetransFacts {
  readonly facts: Facts;
  readonly flows: readonly RetransFlow[];
  readonly resets: readonly ResetFlow[];
}

/** What explains flows takes them: each flow has one cause. */
export interface RetransRule {
  readonly id: string;
  /** `open`: flows that no earlier rule has explained. Returns findings and the flows they explain. */
  examine(facts: RetransFacts, open: readonly RetransFlow[]): Explained;
}

export interface Explained {
  readonly findings: readonly Finding[];
  readonly flows: readonly RetransFlow[];
}

export const NOTHING: Explained = { findings: [], flows: [] };

export function countSegments(flows: readonly RetransFlow[]): number {
  return flows.reduce((sum, flow) => sum + flow.segments, 0);
}

/** Segments of these flows that were sent again for one of the kinds. */
export function countKinds(flows: readonly RetransFlow[], kinds: readonly RetransKind[]): number {
  return flows.reduce((sum, flow) => kinds.reduce((part, kind) => part + (flow.byKind[kind] ?? 0), sum), 0);
}

/** The namespace of this machine that a connection goes to; null when it leaves the machine, or several have that address. */
export function findFarEnd(facts: Facts, { netns, destination }: RetransFlow): NetDelta | null {
  if (destination !== null && isLoopback(destination)) return findNetwork(facts, netns);
  return findAddress(facts, destination);
}
