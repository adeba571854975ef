import type { FirewallRule, Verdict } from "../types.ts";
import type { NftPlace } from "./nft-place.ts";
import { parseChance, type Chance } from "./nft-chance.ts";
import { ruleKey, type NftTexts } from "./nft-text.ts";
import { parseNftVerdict, parseVerdictElements } from "./nft-verdict.ts";
import { asList, asNumber, asRecord, asRecords, asString, type JsonRecord } from "./values.ts";

const MAX_TEXT = 1000;

/** A `rule` object of `nft -j list ruleset`. `hook` and `hooks` need the chains: null and empty here. */
export function parseNftRule(
  object: JsonRecord,
  number: number,
  place: NftPlace,
  texts: NftTexts,
): FirewallRule | null {
  const chain = asString(object["chain"]);
  const handle = asNumber(object["handle"]);
  if (chain === null) return null;
  const statements = asRecords(object["expr"]);
  const counter = statements.find((statement) => "counter" in statement)?.["counter"];
  const count = asRecord(counter);
  return {
    tool: "nft",
    backend: "nft",
    ...place,
    chain,
    hook: null,
    hooks: [],
    number,
    handle,
    text:
      texts.rules.get(ruleKey({ ...place, chain, handle })) ??
      JSON.stringify(object["expr"] ?? null).slice(0, MAX_TEXT),
    packets: asNumber(count?.["packets"]),
    bytes: asNumber(count?.["bytes"]),
    hasCounter: counter !== undefined,
    // A reference to a named counter is its name.
    counterName: asString(counter),
    verdicts: statements.flatMap(verdictsOf),
    ...chanceOf(statements),
    sets: [...new Set(statements.flatMap((statement) => referencesIn(statement)))],
  };
}

function verdictsOf(statement: JsonRecord): Verdict[] {
  const map = asRecord(statement["vmap"]);
  if (map === null) {
    const verdict = parseNftVerdict(statement);
    return verdict === null ? [] : [verdict];
  }
  const elements = parseVerdictElements(asRecord(map["data"])?.["set"]);
  return elements.flatMap(({ key, verdict }) =>
    verdict === null ? [] : [verdict.target === null ? { ...verdict, target: key } : verdict],
  );
}

function chanceOf(statements: readonly JsonRecord[]): Chance {
  for (const statement of statements) {
    const chance = parseChance(statement);
    if (chance !== null) return chance;
  }
  return { probability: null, every: null };
}

/** Names of sets and maps: strings that start with `@`, at any depth. */
function referencesIn(value: unknown, depth = 0): string[] {
  if (depth > 8) return [];
  if (typeof value === "string") return /^@./.test(value) ? [value.slice(1)] : [];
  if (Array.isArray(value)) return asList(value).flatMap((item) => referencesIn(item, depth + 1));
  return Object.values(asRecord(value) ?? {}).flatMap((item) => referencesIn(item, depth + 1));
}
