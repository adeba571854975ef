import type { FirewallChain, FirewallCounter, FirewallRule, FirewallSet, Hook } from "../types.ts";
import { placeOf, type NftPlace } from "./nft-place.ts";
import { parseNftRule } from "./nft-rule.ts";
import { ruleKey, type NftTexts } from "./nft-text.ts";
import { parseNftSet } from "./nft-set.ts";
import { asList, asNumber, asRecord, asString, asStrings, type JsonRecord, type Parsed } from "./values.ts";
import { parseToolJson } from "./json.ts";

export type NftRuleset = {
  readonly chains: readonly FirewallChain[];
  readonly rules: readonly FirewallRule[];
  readonly sets: readonly FirewallSet[];
  readonly counters: readonly FirewallCounter[];
};

/** Objects of a ruleset that say nothing about losses. */
const IGNORED = new Set([
  "metainfo",
  "table",
  "quota",
  "limit",
  "flowtable",
  "ct helper",
  "ct timeout",
  "ct expectation",
  "secmark",
  "synproxy",
  "element",
  "tunnel",
]);

/**
 * `nft -j list ruleset` (libnftables-json(5)). `texts` is what `nft -a` prints beside it: a rule without one gets
 * its JSON as text. Null where the output is no ruleset. `hooks` are left empty.
 */
export function parseNft(text: string, texts: NftTexts): Parsed<NftRuleset | null> {
  const items = asRecord(parseToolJson(text))?.["nftables"];
  if (!Array.isArray(items)) return { value: null, unread: 1 };
  const chains: FirewallChain[] = [];
  const rules: FirewallRule[] = [];
  const sets: FirewallSet[] = [];
  const counters: FirewallCounter[] = [];
  const numbers = new Map<string, number>();
  let unread = 0;
  for (const item of asList(items)) {
    const [kind, value] = Object.entries(asRecord(item) ?? {})[0] ?? [];
    const object = asRecord(value);
    const place = object === null ? null : placeOf(object);
    if (kind !== undefined && IGNORED.has(kind)) continue;
    if (object === null || place === null) unread += 1;
    else if (kind === "chain") chains.push(parseChain(object, place, texts));
    else if (kind === "rule") {
      const chain = `${place.family} ${place.table} ${asString(object["chain"]) ?? ""}`;
      const number = (numbers.get(chain) ?? 0) + 1;
      numbers.set(chain, number);
      const rule = parseNftRule(object, number, place, texts);
      if (rule === null) unread += 1;
      else rules.push(rule);
    } else if (kind === "set" || kind === "map") sets.push(parseNftSet(object, place, kind === "map"));
    else if (kind === "counter") {
      const { family, table } = place;
      const [packets, bytes] = [asNumber(object["packets"]) ?? 0, asNumber(object["bytes"]) ?? 0];
      counters.push({ family, table, name: asString(object["name"]) ?? "", packets, bytes });
    } else unread += 1;
  }
  const hooks = new Map(chains.map((chain) => [`${chain.family} ${chain.table} ${chain.chain}`, chain.hook]));
  const placed = rules.map((rule) => ({
    ...rule,
    hook: hooks.get(`${rule.family} ${rule.table} ${rule.chain}`) ?? null,
  }));
  return { value: { chains, rules: placed, sets, counters }, unread };
}

const HOOKS: { readonly [name: string]: Hook } = {
  prerouting: "PREROUTING",
  input: "INPUT",
  forward: "FORWARD",
  output: "OUTPUT",
  postrouting: "POSTROUTING",
  ingress: "INGRESS",
  egress: "EGRESS",
};

function parseChain(object: JsonRecord, place: NftPlace, texts: NftTexts): FirewallChain {
  const policy = asString(object["policy"]);
  const hook = HOOKS[asString(object["hook"]) ?? ""] ?? null;
  const dev = object["dev"];
  const chain = asString(object["name"]) ?? "";
  const devices = typeof dev === "string" ? [dev] : asStrings(dev);
  return {
    tool: "nft",
    backend: "nft",
    ...place,
    chain,
    hook,
    hooks: [],
    priority: asNumber(object["prio"]),
    type: asString(object["type"]),
    policy: policy === "drop" ? "drop" : policy === "accept" || hook !== null ? "accept" : null,
    devices:
      devices.length > 0 ? devices : (texts.devices.get(ruleKey({ ...place, chain, handle: null })) ?? []),
    packets: null,
    bytes: null,
  };
}
