import type { Gone, Link, NetConfiguration, PolicyRule, Route, TrafficFilter } from "../types.ts";
import type { Ends } from "./context.ts";
import { keyOf, pairByKey } from "./match.ts";
import { qdiscKey } from "./traffic.ts";

/** Of a namespace that is gone itself: all that was in it. */
export function allGone(configuration: NetConfiguration | null): Gone {
  return {
    links: configuration?.links ?? [],
    qdiscs: configuration?.qdiscs ?? [],
    filters: configuration?.filters ?? [],
    refusals: configuration?.refusals ?? [],
    policyRules: configuration?.policyRules ?? [],
  };
}

/** What was there at the start and is not at the end. What was not read at the end is not known to be gone. */
export function findGone({ before, after }: Ends): Gone {
  const removed = <T>(
    pick: (configuration: NetConfiguration) => readonly T[] | null,
    key: (item: T) => string,
  ): readonly T[] => {
    const [start, end] = [before?.configuration ?? null, after.configuration];
    const [first, last] = [start === null ? null : pick(start), end === null ? null : pick(end)];
    return first === null || last === null ? [] : pairByKey(first, last, key).removed;
  };
  return {
    links: removed(({ links }) => links, linkKey),
    qdiscs: removed(({ qdiscs }) => qdiscs, qdiscKey),
    filters: removed(({ filters }) => filters, filterKey),
    refusals: removed(({ refusals }) => refusals, routeKey),
    policyRules: removed(({ policyRules }) => policyRules, policyKey),
  };
}

function linkKey({ index, name }: Link): string {
  return keyOf(index, name);
}

function filterKey({ dev, direction, kind, protocol, pref, chain, handle }: TrafficFilter): string {
  return keyOf(dev, direction, kind, protocol, pref, chain, handle);
}

function routeKey({ family, type, destination, table, metric }: Route): string {
  return keyOf(family, type, destination, table, metric);
}

function policyKey(rule: PolicyRule): string {
  return JSON.stringify(rule);
}
