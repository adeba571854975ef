import type { Neighbour } from "../types.ts";
import { asNumber, asString, asStrings, type JsonRecord, type Parsed } from "./values.ts";

/** Items of `ip -j -s neigh show`. */
export function parseNeighbours(items: readonly JsonRecord[]): Parsed<Neighbour[]> {
  const neighbours: Neighbour[] = [];
  for (const item of items) {
    const address = asString(item["dst"]);
    const dev = asString(item["dev"]);
    if (address === null || dev === null) continue;
    neighbours.push({
      address,
      dev,
      lladdr: asString(item["lladdr"]),
      state: asStrings(item["state"]),
      probes: asNumber(item["probes"]),
      proxy: "proxy" in item,
    });
  }
  return { value: neighbours, unread: items.length - neighbours.length };
}
