import type { FirewallSet } from "../types.ts";
import type { NftPlace } from "./nft-place.ts";
import { parseVerdictElements } from "./nft-verdict.ts";
import { asList, asNumber, asRecord, asString, type JsonRecord } from "./values.ts";

/** Block lists hold hundreds of thousands of addresses: so many with verdict or counter are kept. */
const MAX_ELEMENTS = 2000;

/** A `set` or `map` object of `nft -j list ruleset`. */
export function parseNftSet(object: JsonRecord, place: NftPlace, isMap: boolean): FirewallSet {
  const elements = parseVerdictElements(object["elem"]);
  return {
    ...place,
    name: asString(object["name"]) ?? "",
    isMap,
    size: asList(object["elem"]).length,
    elements: elements
      .map(({ key, verdict, raw }) => ({ key, verdict, packets: countOf(raw) }))
      .filter(({ verdict, packets }) => verdict !== null || packets !== null)
      .slice(0, MAX_ELEMENTS),
  };
}

/** An element with a counter is wrapped: `{"elem": {"val": 22, "counter": {"packets": 1, "bytes": 60}}}`. */
function countOf(key: unknown): number | null {
  const element = asRecord(asRecord(key)?.["elem"]);
  return asNumber(asRecord(element?.["counter"])?.["packets"]);
}
