import { changeOf, type Change } from "../../change.ts";
import type {
  ChainDelta,
  FirewallChain,
  FirewallPlace,
  FirewallRule,
  FirewallSet,
  NetSnapshot,
  Presence,
  RuleDelta,
  SetElementDelta,
} from "../types.ts";
import { endsOf, type Ends } from "./context.ts";
import { changeIn, keyOf, pairByKey, type Pair } from "./match.ts";
import { pairRules, placeKey } from "./rule-pairs.ts";

/**
 * All rules, in the order of their chains, then those that went. Where the end could not be read: the rules of the
 * start, with nothing known of how they changed.
 */
export function deltaRules(ends: Ends): RuleDelta[] {
  const { before, after, fresh } = endsOf(ends, rulesOf);
  const gone = (presence: Presence): RuleDelta[] =>
    removed.map((rule) => toDelta(ends, rule, presence, (value) => changeOf(value(rule), null)));
  const { pairs, removed } = pairRules(before, after);
  if (rulesOf(ends.after) === null) return gone("both");
  const stayed = pairs.map((pair) =>
    toDelta(ends, pair.after, pair.before === null && fresh ? "added" : "both", (value) =>
      changeIn(pair, fresh, value),
    ),
  );
  return [...stayed, ...gone("removed")];
}

type Value = (rule: FirewallRule) => number | null;

function toDelta(
  ends: Ends,
  rule: FirewallRule,
  presence: Presence,
  change: (value: Value) => Change,
): RuleDelta {
  return {
    ...placeOf(rule),
    netns: ends.netns,
    hook: rule.hook,
    hooks: rule.hooks,
    number: rule.number,
    handle: rule.handle,
    text: rule.text,
    packets: change((item) => item.packets),
    bytes: change((item) => item.bytes),
    verdict: rule.verdicts[0] ?? null,
    verdicts: rule.verdicts,
    probability: rule.probability,
    every: rule.every,
    hasCounter: rule.hasCounter,
    counterName: rule.counterName,
    sets: rule.sets,
    presence,
  };
}

/** Policies of all base chains. */
export function deltaChains(ends: Ends): ChainDelta[] {
  const { before, after, fresh } = endsOf(
    ends,
    (snapshot) => snapshot.configuration?.firewall?.chains ?? null,
  );
  const { pairs, removed } = pairByKey(before, after, placeKey);
  const stayed = pairs.map((pair): ChainDelta => ({
    ...describeChain(ends, pair.after),
    policyBefore: pair.before?.policy ?? null,
    packets: changeOfPolicy(pair, fresh, "packets"),
    bytes: changeOfPolicy(pair, fresh, "bytes"),
    presence: pair.before === null && fresh ? "added" : "both",
  }));
  const gone = (rulesOf(ends.after) === null ? [] : removed).map((chain): ChainDelta => ({
    ...describeChain(ends, chain),
    policyBefore: chain.policy,
    packets: changeOf(chain.packets, null),
    bytes: changeOf(chain.bytes, null),
    presence: "removed",
  }));
  return [...stayed, ...gone].filter(({ hook }) => hook !== null);
}

function describeChain(
  ends: Ends,
  chain: FirewallChain,
): Pick<ChainDelta, "netns" | "hook" | "hooks" | "priority" | "policy" | keyof FirewallPlace> {
  const { hook, hooks, priority, policy } = chain;
  return { ...placeOf(chain), netns: ends.netns, hook, hooks, priority, policy };
}

/** A chain of iptables-nft that has counted something by the end has a counter: then null at the start was a true 0. */
function changeOfPolicy(pair: Pair<FirewallChain>, fresh: boolean, field: "packets" | "bytes"): Change {
  const counts = pair.after.backend === "nft" && pair.after[field] !== null;
  return changeIn(pair, fresh, (chain) => chain[field] ?? (counts ? 0 : null));
}

/** Elements of sets and maps. */
export function deltaSetElements(ends: Ends): SetElementDelta[] {
  const { before, after, fresh } = endsOf(ends, elementsOf);
  return pairByKey(before, after, elementKey).pairs.map((pair) => ({
    netns: ends.netns,
    family: pair.after.set.family,
    table: pair.after.set.table,
    set: pair.after.set.name,
    key: pair.after.key,
    verdict: pair.after.verdict,
    packets: changeIn(pair, fresh, (item) => item.packets),
  }));
}

type SetElement = FirewallSet["elements"][number] & { readonly set: FirewallSet };

function elementsOf(snapshot: NetSnapshot): SetElement[] | null {
  const sets = snapshot.configuration?.firewall?.sets ?? null;
  return sets?.flatMap((set) => set.elements.map((element) => ({ ...element, set }))) ?? null;
}

function rulesOf(snapshot: NetSnapshot): readonly FirewallRule[] | null {
  return snapshot.configuration?.firewall?.rules ?? null;
}

function placeOf({ tool, backend, family, table, chain }: FirewallPlace): FirewallPlace {
  return { tool, backend, family, table, chain };
}

function elementKey(item: SetElement): string {
  return keyOf(item.set.family, item.set.table, item.set.name, item.key);
}
