import type { FirewallPlace, FirewallRule } from "../types.ts";
import { keyOf, pairByKey, type Pair } from "./match.ts";

/**
 * Which rule of the start each rule of the end is. Numbers shift when a rule is put in before, so they say nothing. Rules are
 * the same when handle and text are; where a handle is not known on one side (x_tables, or nft could not be asked), when
 * the text is. A rule whose handle changed was made anew.
 */
export function pairRules(
  before: readonly FirewallRule[],
  after: readonly FirewallRule[],
): { readonly pairs: Pair<FirewallRule>[]; readonly removed: FirewallRule[] } {
  const exact = pairByKey(before, after, (rule) => `${textKey(rule)}${rule.handle}`);
  const open = exact.pairs.filter((pair) => pair.before === null).map((pair) => pair.after);
  const unnamed = pairByKey(exact.removed, open.filter(hasNoHandle), textKey);
  const named = pairByKey(unnamed.removed.filter(hasNoHandle), open.filter(hasHandle), textKey);
  const all = [...exact.pairs, ...unnamed.pairs, ...named.pairs];
  const starts = new Map(all.map((pair) => [pair.after, pair.before]));
  return {
    pairs: after.map((rule) => ({ before: starts.get(rule) ?? null, after: rule })),
    removed: [...unnamed.removed.filter(hasHandle), ...named.removed],
  };
}

export function placeKey(place: FirewallPlace): string {
  return keyOf(place.tool, place.backend, place.family, place.table, place.chain);
}

function textKey(rule: FirewallRule): string {
  return `${placeKey(rule)}${JSON.stringify(rule.text)}`;
}

function hasHandle(rule: FirewallRule): boolean {
  return rule.handle !== null;
}

function hasNoHandle(rule: FirewallRule): boolean {
  return rule.handle === null;
}
