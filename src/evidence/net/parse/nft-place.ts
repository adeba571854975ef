import type { FirewallFamily } from "../types.ts";
import { asString, type JsonRecord } from "./values.ts";

export type NftPlace = { readonly family: FirewallFamily; readonly table: string };

const FAMILIES: ReadonlySet<string> = new Set<FirewallFamily>([
  "ip",
  "ip6",
  "inet",
  "arp",
  "bridge",
  "netdev",
]);

/** Family and table of a chain, rule, set or counter; null where one is missing. */
export function placeOf(object: JsonRecord): NftPlace | null {
  const family = asString(object["family"]);
  const table = asString(object["table"]);
  return family !== null && table !== null && isFamily(family) ? { family, table } : null;
}

export function isFamily(name: string): name is FirewallFamily {
  return FAMILIES.has(name);
}
