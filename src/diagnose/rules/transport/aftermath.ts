import { rankDrops } from "../../amounts.ts";
import type { DropFact, Facts } from "../../facts.ts";
import { CAUSES } from "./segment-causes.ts";

/**
 * Whether packets between the same two hosts are lost on this machine: then what does not fit is what their repetition
 * looks like, and the loss has a finding of its own.
 */
export function isAftermath(facts: Facts, drops: readonly DropFact[]): boolean {
  const pairs = new Set(rankDrops(drops, pairOf).map(({ name }) => name));
  return facts.drops.some(
    (drop) =>
      !drop.benign &&
      drop.proto === "tcp" &&
      pairs.has(pairOf(drop) ?? "") &&
      !OWN_REASONS.has(drop.reason ?? "") &&
      facts.describe(drop)?.class === "loss",
  );
}

const OWN_REASONS: ReadonlySet<string> = new Set(CAUSES.flatMap(({ reasons }) => reasons));

const pairOf = ({ source, destination }: DropFact) =>
  source === null || destination === null ? null : [source, destination].toSorted().join(" ");
