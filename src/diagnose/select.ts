import type { NetDelta } from "../evidence/net/types.ts";
import { counterDelta, findNetwork, type DropFact, type Facts } from "./facts.ts";
import type { Ledger } from "./rule.ts";

/** Drops of one namespace. */
export interface DropGroup {
  /** Inode; null when unknown. */
  readonly netns: number | null;
  /** What changed there; null when unknown. */
  readonly network: NetDelta | null;
  readonly drops: readonly DropFact[];
}

/** Whether the kernel said nothing of why: an old one, or code that gives no reason. */
export function isVague(drop: DropFact): boolean {
  return drop.reason === null || drop.reason === "NOT_SPECIFIED" || drop.reason === "SKB_NOT_DROPPED_YET";
}

export interface Wanted {
  readonly reasons: readonly string[];
  /** Counters that move once with each such drop: they prove those for which the kernel gave no reason. */
  readonly counters?: readonly string[];
  readonly protos?: readonly string[];
}

/** The counter moved by at least this share of the drops without a reason: both ends of the run are read a little apart. */
const PROVEN_SHARE = 0.8;

/**
 * Unclaimed drops with one of the reasons, by namespace, most first. Drops without a reason at a call site that is known
 * for these belong to them where the counters moved that much; benign ones never do.
 */
export function selectDrops(facts: Facts, ledger: Ledger, wanted: Wanted): DropGroup[] {
  const open = facts.drops.filter(
    (drop) =>
      !drop.benign &&
      !ledger.isClaimed(drop) &&
      (wanted.protos === undefined || (drop.proto !== null && wanted.protos.includes(drop.proto))),
  );
  const groups: DropGroup[] = [];
  for (const [netns, drops] of Map.groupBy(open, (drop) => drop.netns)) {
    const network = findNetwork(facts, netns);
    const exact = drops.filter((drop) => drop.reason !== null && wanted.reasons.includes(drop.reason));
    const found = [...exact, ...findVague(facts, network, drops, exact, wanted)];
    if (found.length > 0) groups.push({ netns, network, drops: found });
  }
  return groups;
}

function findVague(
  facts: Facts,
  network: NetDelta | null,
  drops: readonly DropFact[],
  exact: readonly DropFact[],
  { reasons, counters = [] }: Wanted,
): DropFact[] {
  const sum = (list: readonly DropFact[]) => list.reduce((total, drop) => total + drop.count, 0);
  // A kernel that has a reason for it gives it.
  if (reasons.some((reason) => facts.hasReason(reason))) return [];
  const counted = counters.reduce((total, name) => total + counterDelta(network, name), 0) - sum(exact);
  if (counted <= 0) return [];
  const vague = drops.filter(
    (drop) =>
      isVague(drop) && (facts.describe(drop)?.reasons.some((reason) => reasons.includes(reason)) ?? false),
  );
  return counted >= PROVEN_SHARE * sum(vague) ? vague : [];
}
