import type { NetDelta, RuleDelta, SetElementDelta } from "../../../evidence/net/types.ts";

/** Rules that send packets to the chain of `rule`, also by their verdict maps where `elements` are given. */
export function findJumps(
  rules: readonly RuleDelta[],
  rule: RuleDelta,
  elements: readonly SetElementDelta[] = [],
): RuleDelta[] {
  return rules.filter(
    (other) =>
      other.tool === rule.tool &&
      other.backend === rule.backend &&
      other.family === rule.family &&
      other.table === rule.table &&
      jumpsTo(other, rule.chain, elements),
  );
}

function jumpsTo(rule: RuleDelta, chain: string, elements: readonly SetElementDelta[]): boolean {
  const mapped = elements.filter(
    ({ family, table, set }) => family === rule.family && table === rule.table && rule.sets.includes(set),
  );
  return [...rule.verdicts, ...mapped.flatMap(({ verdict }) => verdict ?? [])].some(
    ({ kind, target }) => (kind === "jump" || kind === "goto") && target === chain,
  );
}

/** All jumps that lead to the rule's chain, those of chains in between included. */
export function findWays(network: NetDelta, rule: RuleDelta, seen: Set<string> = new Set()): RuleDelta[] {
  if (rule.hook !== null || seen.has(rule.chain)) return [];
  seen.add(rule.chain);
  return findJumps(network.rules, rule, network.setElements).flatMap((jump) => [
    jump,
    ...findWays(network, jump, seen),
  ]);
}
