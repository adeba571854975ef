import { formatCount } from "../../../../text/format.ts";
import { rankDrops, tellShares } from "../../../amounts.ts";
import type { DropFact, Facts } from "../../../facts.ts";
import type { Ledger } from "../../../rule.ts";

/** Drops that no rule has explained yet and that the catalogue does not call normal. */
export function openDrops(facts: Facts, ledger: Ledger): DropFact[] {
  return facts.drops.filter((drop) => !drop.benign && !ledger.isClaimed(drop));
}

/** A function without what compilers add to its name (`.constprop.0`, `.part.0`, `.isra.0`, `.cold`, `.llvm.123`). */
export function plainName(name: string): string {
  return name.replace(/\.(?:part|constprop|isra|cold|llvm)\b.*$/, "");
}

/**
 * Whether the packet was freed in one of these functions. A call site that could not be named is looked for on the stack:
 * inlining moves the free into a caller.
 */
export function isFreedAt(drop: DropFact, names: RegExp): boolean {
  if (drop.location !== null && names.test(plainName(drop.location))) return true;
  return drop.functions.some((name) => names.test(plainName(name)));
}

/** Drops of one device in one namespace. */
export interface DeviceGroup {
  readonly netns: number | null;
  readonly dev: string | null;
  readonly drops: readonly DropFact[];
}

export function groupByDevice(drops: readonly DropFact[]): DeviceGroup[] {
  return [...Map.groupBy(drops, ({ netns, dev }) => JSON.stringify([netns, dev])).values()].map((group) => ({
    netns: group[0]?.netns ?? null,
    dev: group[0]?.dev ?? null,
    drops: group,
  }));
}

/** Busiest flows in words: `10.0.0.9 → 10.0.0.2:80 tcp (120) and 3 more`; null where no packet had addresses. */
export function tellFlows(drops: readonly DropFact[], most = 3): string | null {
  const flows = rankDrops(drops, nameFlow);
  const [only] = flows;
  if (only === undefined) return null;
  const text = flows.length === 1 ? `${only.name} (${formatCount(only.count)})` : tellShares(flows, most);
  return `packets: ${text}`;
}

function nameFlow({ proto, source, destination, destinationPort }: DropFact): string | null {
  const name = proto ?? "";
  if (source === null && destination === null) return proto;
  const port = destinationPort === null ? "" : `:${destinationPort}`;
  const host =
    destination !== null && destination.includes(":") && port !== ""
      ? `[${destination}]`
      : (destination ?? "*");
  return `${source ?? "*"} → ${host}${port} ${name}`.trimEnd();
}

/** Mean size from the network header on, in bytes; null for no packets. */
export function meanSize(drops: readonly DropFact[]): number | null {
  const count = drops.reduce((sum, drop) => sum + drop.count, 0);
  return count === 0 ? null : Math.round(drops.reduce((sum, drop) => sum + drop.bytes, 0) / count);
}
