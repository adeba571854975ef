import { parseVerdictElements } from "./nft-verdict.ts";
import { asList, asNumber, asRecord, type JsonRecord } from "./values.ts";

/** How likely a statement lets a packet through; see `FirewallRule`. */
export type Chance = { readonly probability: number | null; readonly every: number | null };

/**
 * A match or verdict map on chance: `numgen random mod 100 < 30` (0.3), `meta random < 0x80000000` (0.5),
 * `numgen inc mod 3 == 0` (every 3rd), `numgen random mod 10 vmap { 0-2 : drop }` (0.3, the drops). Null for any other.
 */
export function parseChance(statement: JsonRecord): Chance | null {
  const map = asRecord(statement["vmap"]);
  const match = asRecord(statement["match"]);
  const source = randomSource(map?.["key"] ?? match?.["left"]);
  if (source === null) return null;
  const values = map === null ? matching(match ?? {}, source.range) : dropping(map);
  if (values === null) return null;
  const share = Math.min(1, values / source.range);
  if (source.inOrder) return { probability: null, every: values === 1 ? source.range : null };
  return { probability: share, every: null };
}

/** Where the number comes from: from `range` values, at random or in turn. */
function randomSource(left: unknown): { range: number; inOrder: boolean } | null {
  const record = asRecord(left);
  const generator = asRecord(record?.["numgen"]);
  if (generator !== null) {
    const range = asNumber(generator["mod"]);
    return range === null || range < 1 ? null : { range, inOrder: generator["mode"] === "inc" };
  }
  if (asRecord(record?.["meta"])?.["key"] === "random") return { range: 2 ** 32, inOrder: false };
  // `meta random & 2147483647`, as iptables' statistic match is translated.
  const [value, mask] = asList(record?.["&"]);
  const bits = asNumber(mask);
  return bits !== null && randomSource(value) !== null ? { range: bits + 1, inOrder: false } : null;
}

/** How many of `range` values satisfy a comparison. */
function matching(match: JsonRecord, range: number): number | null {
  const right = asNumber(match["right"]);
  const interval = asList(asRecord(match["right"])?.["range"]).map(asNumber);
  const [low, high] = interval;
  const op = match["op"];
  if (right === null) {
    if (low == null || high == null) return null;
    return op === "!=" ? range - (high - low + 1) : high - low + 1;
  }
  if (op === "<") return right;
  if (op === "<=") return right + 1;
  if (op === ">") return range - right - 1;
  if (op === ">=") return range - right;
  return op === "!=" ? range - 1 : 1;
}

/** How many values a verdict map drops or rejects. */
function dropping(map: JsonRecord): number {
  let values = 0;
  for (const { verdict, raw } of parseVerdictElements(asRecord(map["data"])?.["set"])) {
    if (verdict?.kind !== "drop" && verdict?.kind !== "reject") continue;
    const [low, high] = asList(asRecord(raw)?.["range"]).map(asNumber);
    values += low == null || high == null ? 1 : high - low + 1;
  }
  return values;
}
