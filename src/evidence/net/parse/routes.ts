import type { NextHop, PolicyRule, Route } from "../types.ts";
import { flattenTexts } from "./flatten.ts";
import {
  asNumber,
  asRecord,
  asRecords,
  asString,
  asStrings,
  asText,
  toTable,
  type JsonRecord,
  type Parsed,
} from "./values.ts";

/** Types of routes, and actions of policy rules, that refuse a packet. */
export const REFUSALS: ReadonlySet<string> = new Set(["blackhole", "unreachable", "prohibit"]);

/** Items of `ip -j -d route show table all`, which lists both families. */
export function parseRoutes(items: readonly JsonRecord[]): Parsed<Route[]> {
  const routes = items.map(parseRoute).filter((route) => route !== null);
  return { value: routes, unread: items.length - routes.length };
}

function parseRoute(item: JsonRecord): Route | null {
  const destination = asString(item["dst"]);
  if (destination === null) return null;
  const hop = parseHop(item);
  const nextHops = asRecords(item["nexthops"]).map(parseHop);
  return {
    family: familyOf(item, destination),
    type: asString(item["type"]) ?? "unicast",
    destination,
    gateway: hop.gateway,
    dev: hop.dev,
    table: asText(item["table"]) ?? "main",
    protocol: asText(item["protocol"]),
    scope: asText(item["scope"]),
    source: asString(item["prefsrc"]),
    metric: asNumber(item["metric"]),
    flags: hop.flags,
    mtu: asNumber(asRecords(item["metrics"])[0]?.["mtu"]),
    nextHops,
  };
}

function parseHop(item: JsonRecord): NextHop {
  return {
    // `via` is a gateway of the other family.
    gateway: asString(item["gateway"]) ?? asString(asRecord(item["via"])?.["host"]),
    dev: asString(item["dev"]),
    weight: asNumber(item["weight"]),
    flags: asStrings(item["flags"]),
  };
}

/**
 * `default` names no family. IPv6 routes always have a metric, and a `pref` (RFC 4191); IPv4 ones have a metric only
 * when it was given and never a `pref`.
 */
function familyOf(item: JsonRecord, destination: string): "ipv4" | "ipv6" {
  if (destination.includes(":")) return "ipv6";
  if (destination !== "default") return "ipv4";
  const gateway = asString(item["gateway"]) ?? "";
  return gateway.includes(":") || "pref" in item ? "ipv6" : "ipv4";
}

/** Keys of a rule that have a field of their own. */
const RULE_KEYS = new Set([
  "priority",
  "src",
  "srclen",
  "dst",
  "dstlen",
  "iif",
  "oif",
  "fwmark",
  "fwmask",
  "table",
  "action",
]);

/** Items of `ip -j rule show`; `family` is the one that was asked for. */
export function parsePolicyRules(
  items: readonly JsonRecord[],
  family: "ipv4" | "ipv6",
): Parsed<PolicyRule[]> {
  const rules: PolicyRule[] = [];
  for (const item of items) {
    const priority = asNumber(item["priority"]);
    if (priority === null) continue;
    const mark = asText(item["fwmark"]);
    const mask = asText(item["fwmask"]);
    const table = asText(item["table"]);
    rules.push({
      family,
      priority,
      source: withLength(item["src"], item["srclen"]),
      destination: withLength(item["dst"], item["dstlen"]),
      iif: asString(item["iif"]),
      oif: asString(item["oif"]),
      fwmark: mark === null || mask === null ? mark : `${mark}/${mask}`,
      table,
      action: asString(item["action"]) ?? ("goto" in item ? "goto" : table === null ? "nop" : "lookup"),
      // A word without value (`not`) is printed as null.
      other: flattenTexts(
        toTable(
          Object.entries(item)
            .filter(([key]) => !RULE_KEYS.has(key))
            .map(([key, value]) => [key, value ?? true] as const),
        ),
      ),
    });
  }
  return { value: rules, unread: items.length - rules.length };
}

function withLength(address: unknown, length: unknown): string {
  const text = asString(address) ?? "all";
  const bits = asNumber(length);
  return bits === null ? text : `${text}/${bits}`;
}
