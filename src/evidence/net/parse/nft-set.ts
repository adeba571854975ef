import type { FirewallSet } from "../types.ts";
import type { NftPlace } from "./nft-place.ts";
import { parseVerdictElements } from "./nft-verdict.ts";
import { asList, asNumber, asRecord, asString, type JsonRecord } from "./values.ts";

/** Block lists hold hundreds of thousands of addresses: of a longer one only what has a verdict or counter is kept, and so many. */
const MAX_ELEMENTS = 2000;

/** A `set` or `map` object of `nft -j list ruleset`. */
export function parseNftSet(object: JsonRecord, place: NftPlace, isMap: boolean): FirewallSet {
  const elements = parseVerdictElements(object["elem"]).map(({ key, verdict, raw }) => ({
    key,
    verdict,
    packets: countOf(raw),
  }));
  // A single flag is a text from nft 1.1.4 on.
  const flags = [object["flags"]].flat();
  return {
    ...place,
    name: asString(object["name"]) ?? "",
    isMap,
    size: asList(object["elem"]).length,
    isDynamic: flags.includes("dynamic") || flags.includes("timeout") || asNumber(object["timeout"]) !== null,
    elements: (elements.length > MAX_ELEMENTS
      ? elements.filter(({ verdict, packets }) => verdict !== null || packets !== null)
      : elements
    ).slice(0, MAX_ELEMENTS),
  };
}

/** An element with a counter is wrapped: `{"elem": {"val": 22, "counter": {"packets": 1, "bytes": 60}}}`. */
function countOf(key: unknown): number | null {
  const element = asRecord(asRecord(key)?.["elem"]);
  return asNumber(asRecord(element?.["counter"])?.["packets"]);
}
