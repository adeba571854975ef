import type { FirewallPlace, NetDelta, RuleDelta } from "../../../evidence/net/types.ts";

/** Rules that send packets to the chain of a rule, directly or by their verdict maps. */
export type Jumps = (place: FirewallPlace) => readonly RuleDelta[];

/** Looked up once for all: a cluster's node has thousands of chains. */
export function indexJumps({ rules, setElements }: Pick<NetDelta, "rules" | "setElements">): Jumps {
  const mapped = Map.groupBy(setElements, ({ family, table, set }) => JSON.stringify([family, table, set]));
  const index = new Map<string, RuleDelta[]>();
  for (const rule of rules) {
    if (rule.presence === "removed") continue;
    const elements = rule.sets.flatMap(
      (set) => mapped.get(JSON.stringify([rule.family, rule.table, set])) ?? [],
    );
    const verdicts = [...rule.verdicts, ...elements.flatMap(({ verdict }) => verdict ?? [])];
    const targets = verdicts.flatMap(({ kind, target }) =>
      (kind === "jump" || kind === "goto") && target !== null ? [target] : [],
    );
    for (const chain of new Set(targets)) {
      const key = chainKey({ ...rule, chain });
      const known = index.get(key);
      if (known === undefined) index.set(key, [rule]);
      else known.push(rule);
    }
  }
  return (place) => index.get(chainKey(place)) ?? [];
}

export function chainKey({ tool, backend, family, table, chain }: FirewallPlace): string {
  return JSON.stringify([tool, backend, family, table, chain]);
}

/** All jumps that lead to the rule's chain, those of chains in between included. */
export function findWays(network: NetDelta, rule: RuleDelta): RuleDelta[] {
  const jumps = indexJumps(network);
  const seen = new Set<string>();
  const follow = (to: RuleDelta): RuleDelta[] => {
    if (to.hook !== null || seen.has(to.chain)) return [];
    seen.add(to.chain);
    return jumps(to).flatMap((jump) => [jump, ...follow(jump)]);
  };
  return follow(rule);
}
