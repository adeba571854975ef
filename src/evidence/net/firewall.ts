import type { IptablesDump } from "./parse/iptables.ts";
import type { NftRuleset } from "./parse/nft.ts";
import type {
  Firewall,
  FirewallChain,
  FirewallPlace,
  FirewallRule,
  FirewallSet,
  Hook,
  Verdict,
} from "./types.ts";

/**
 * One list of rules from all tools. Tables that iptables-nft owns are in nft's ruleset too, as rules that nobody may
 * touch with nft: they are taken from iptables-save, which prints the tables it understands and no others, and get
 * their handles and their lack of a counter from nft.
 */
export function mergeFirewall(nft: NftRuleset | null, dumps: readonly IptablesDump[]): Firewall {
  const iptablesChains = dumps.flatMap((dump) => dump.chains);
  const owned = new Set(
    iptablesChains
      .filter((chain) => chain.backend === "nft")
      .map(({ family, table }) => `${family} ${table}`),
  );
  const isOwned = (place: FirewallPlace): boolean => owned.has(`${place.family} ${place.table}`);
  const nftRules = nft?.rules ?? [];
  const chains = [...iptablesChains, ...(nft?.chains ?? []).filter((chain) => !isOwned(chain))];
  const rules = [
    ...addHandles(
      dumps.flatMap((dump) => dump.rules),
      nftRules.filter(isOwned),
    ),
    ...nftRules.filter((rule) => !isOwned(rule)),
  ];
  const sets = nft?.sets ?? [];
  const counters = nft?.counters ?? [];
  const named = new Map(counters.map((item) => [JSON.stringify([item.family, item.table, item.name]), item]));
  const withCounters = rules.map((rule) => {
    const counter = named.get(JSON.stringify([rule.family, rule.table, rule.counterName]));
    return counter === undefined ? rule : { ...rule, packets: counter.packets, bytes: counter.bytes };
  });
  const withVerdicts = withCounters.map((rule) => {
    const mapped = mappedVerdicts(rule, sets);
    return mapped.length === 0 ? rule : { ...rule, verdicts: distinct([...rule.verdicts, ...mapped]) };
  });
  return { ...addHooks(chains, withVerdicts), sets, counters };
}

function distinct(verdicts: readonly Verdict[]): Verdict[] {
  return [...new Map(verdicts.map((verdict) => [`${verdict.kind} ${verdict.target}`, verdict])).values()];
}

/** Rules of iptables-nft and of nft are the same list, chain by chain: joined where their number is the same. */
function addHandles(rules: readonly FirewallRule[], twins: readonly FirewallRule[]): FirewallRule[] {
  const mine = Map.groupBy(rules, chainKey);
  const theirs = Map.groupBy(twins, (rule) =>
    chainKey({ ...rule, tool: rule.family === "ip6" ? "ip6tables" : "iptables" }),
  );
  return rules.map((rule) => {
    const key = chainKey(rule);
    const list = theirs.get(key) ?? [];
    // A rule came or went between the two tools' reading: positions say nothing.
    if (rule.backend !== "nft" || list.length !== mine.get(key)?.length) return rule;
    const twin = list[rule.number - 1];
    if (twin === undefined) return rule;
    const counts = twin.hasCounter ? {} : { packets: null, bytes: null };
    return { ...rule, handle: twin.handle, hasCounter: twin.hasCounter, ...counts };
  });
}

function chainKey(place: FirewallPlace): string {
  return JSON.stringify([place.tool, place.backend, place.family, place.table, place.chain]);
}

/** Follows jumps and gotos, also through verdict maps, from every base chain. */
function addHooks(
  chains: readonly FirewallChain[],
  rules: readonly FirewallRule[],
): { chains: FirewallChain[]; rules: FirewallRule[] } {
  const targets = new Map<string, Set<string>>();
  for (const rule of rules) {
    const key = chainKey(rule);
    const known = targets.get(key) ?? new Set();
    for (const verdict of rule.verdicts) {
      const jumps = verdict.kind === "jump" || verdict.kind === "goto";
      if (jumps && verdict.target !== null) known.add(chainKey({ ...rule, chain: verdict.target }));
    }
    targets.set(key, known);
  }
  const reached = new Map<string, Set<Hook>>();
  for (const chain of chains) {
    if (chain.hook === null) continue;
    const queue = [chainKey(chain)];
    for (const key of queue) {
      const hooks = reached.get(key) ?? new Set();
      if (hooks.has(chain.hook)) continue;
      reached.set(key, hooks.add(chain.hook));
      queue.push(...(targets.get(key) ?? []));
    }
  }
  const hooksOf = (place: FirewallPlace): Hook[] => [...(reached.get(chainKey(place)) ?? [])];
  return {
    chains: chains.map((chain) => ({ ...chain, hooks: hooksOf(chain) })),
    rules: rules.map((rule) => ({ ...rule, hooks: hooksOf(rule) })),
  };
}

/** Verdicts in the named maps that a rule looks into. */
function mappedVerdicts(rule: FirewallRule, sets: readonly FirewallSet[]): Verdict[] {
  if (rule.sets.length === 0) return [];
  return sets
    .filter(
      (set) =>
        set.isMap && set.family === rule.family && set.table === rule.table && rule.sets.includes(set.name),
    )
    .flatMap((set) => set.elements.flatMap((element) => element.verdict ?? []));
}
