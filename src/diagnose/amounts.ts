import type { NetDelta } from "../evidence/net/types.ts";
import { formatCount } from "../text/format.ts";
import { counterDelta, type DropFact } from "./facts.ts";
import type { Severity } from "./finding.ts";

/** Packets of these drops together. */
export function countDrops(drops: readonly DropFact[]): number {
  return drops.reduce((sum, drop) => sum + drop.count, 0);
}

export interface Share {
  readonly name: string;
  readonly count: number;
}

/** How the packets spread over what `pick` says of them, most first; drops that it says nothing of are left out. */
export function rankDrops(
  drops: readonly DropFact[],
  pick: (drop: DropFact) => string | number | null,
): Share[] {
  const counts = new Map<string, number>();
  for (const drop of drops) {
    const name = pick(drop);
    if (name !== null) counts.set(String(name), (counts.get(String(name)) ?? 0) + drop.count);
  }
  return [...counts].map(([name, count]) => ({ name, count })).sort((a, b) => b.count - a.count);
}

/** `10.0.0.9`, or `10.0.0.9 (120), 10.0.0.7 (3) and 4 more`; null for none. */
export function tellShares(shares: readonly Share[], most = 3): string | null {
  const [first] = shares;
  if (first === undefined) return null;
  if (shares.length === 1) return first.name;
  const shown = shares.slice(0, most).map(({ name, count }) => `${name} (${formatCount(count)})`);
  const rest = shares.length - shown.length;
  return rest > 0 ? `${shown.join(", ")} and ${formatCount(rest)} more` : shown.join(", ");
}

/**
 * Less than one in this many seconds does not make a problem, however long the run: on a host that serves people a
 * packet every half minute is lost among those that any network loses.
 */
const SECONDS_PER_EVENT = 30;

/** Whether it is at least `least`, and not so rare that only the length of the run made it so many. */
export function isMany(count: number, seconds: number, least: number): boolean {
  return count >= Math.max(least, seconds / SECONDS_PER_EVENT);
}

/** "problem" for many (see `isMany`), else `below`. */
export function severityOf(
  count: number,
  seconds: number,
  least: number,
  below: Severity = "suspicious",
): Severity {
  return isMany(count, seconds, least) ? "problem" : below;
}

/** `UdpNoPorts +200, IcmpOutDestUnreachs +6` of those that moved; null when none did. */
export function tellCounters(network: NetDelta | null, names: readonly string[]): string | null {
  const moved = names.flatMap((name) => {
    const delta = counterDelta(network, name);
    return delta > 0 ? [`${name} +${formatCount(delta)}`] : [];
  });
  return moved.length === 0 ? null : moved.join(", ");
}

/** The next power of two, as settings are usually written. */
export function roundUp(value: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, value)));
}
