import { REFUSALS } from "../../../../evidence/net/parse/routes.ts";
import type { NetDelta, PolicyRule, Route } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import type { DropFact } from "../../../facts.ts";
import { coveringPrefixes, familyOf, isInPrefix, type Family } from "./addresses.ts";

export interface RouteQuery {
  readonly to: string;
  readonly from?: string | null;
  /** Device that the packet came in on; none for one made here. */
  readonly iif?: string | null;
  readonly proto?: string | null;
  readonly sourcePort?: number | null;
  readonly destinationPort?: number | null;
}

/** The question that a dropped packet asks of the routing tables. */
export function queryOf(drop: DropFact, to: string): RouteQuery {
  const { source, dev, proto, sourcePort, destinationPort } = drop;
  return { to, from: source, iif: dev, proto, sourcePort, destinationPort };
}

/** What the routing tables say to a packet. */
export interface RouteAnswer {
  /** Null when none fits. */
  readonly route: Route | null;
  /** Policy rule that refuses the packet itself, without a table. */
  readonly refusal: PolicyRule | null;
  /** `throw` routes that ended the search of their table. */
  readonly thrown: readonly Route[];
  /** Policy rules that would refuse the packet, if what they ask of it (its mark, its user) were true. */
  readonly doubtful: readonly PolicyRule[];
  /** False where policy rules depend on what is not known of a packet (mark, user, ports). */
  readonly isCertain: boolean;
}

export type Router = (query: RouteQuery) => RouteAnswer | null;

const TABLES: readonly Pick<
  PolicyRule,
  "source" | "destination" | "iif" | "oif" | "fwmark" | "table" | "action" | "other"
>[] = ["local", "main", "default"].map((table) => ({
  source: "all",
  destination: "all",
  iif: null,
  oif: null,
  fwmark: null,
  table,
  action: "lookup",
  other: {},
}));

/**
 * Looks routes up as the kernel does (net/ipv4/fib_rules.c, net/ipv6/fib6_rules.c): policy rules in order, the longest prefix of
 * their table, the lowest metric. Answers null where the routes are not known. Tables are indexed by the text of their
 * destinations on first use: a million routes cost a tenth of a second, a look-up 33 or 129 questions.
 */
export function createRouter(network: NetDelta | null): Router {
  const configuration = network?.state.configuration ?? null;
  const routes = configuration?.routes ?? null;
  let index: Map<string, Route[]> | null = null;
  return (query) => {
    const family = familyOf(query.to);
    if (routes === null || family === null) return null;
    index ??= Map.groupBy(routes, (route) => `${route.family} ${route.destination}`);
    const own = configuration?.policyRules?.filter((rule) => rule.family === family) ?? [];
    const rules = own.length === 0 ? TABLES : own.toSorted((a, b) => a.priority - b.priority);
    return decide(query, family, rules, index);
  };
}

/** Routers by namespace, each made once: for rules that ask for many packets. */
export function createRouters(): (network: NetDelta | null) => Router {
  const routers = new Map<NetDelta | null, Router>();
  return (network) => {
    const known = routers.get(network) ?? createRouter(network);
    routers.set(network, known);
    return known;
  };
}

function decide(
  query: RouteQuery,
  family: Family,
  rules: readonly (PolicyRule | (typeof TABLES)[number])[],
  index: ReadonlyMap<string, readonly Route[]>,
): RouteAnswer {
  const prefixes = coveringPrefixes(query.to);
  const thrown: Route[] = [];
  const doubtful: PolicyRule[] = [];
  let isCertain = true;
  for (const rule of rules) {
    const fit = fits(rule, query);
    if (fit === "no") continue;
    if (fit === "unknown") {
      isCertain = false;
      if (REFUSALS.has(rule.action) && "priority" in rule) doubtful.push(rule);
      continue;
    }
    if (REFUSALS.has(rule.action) && "priority" in rule)
      return { route: null, refusal: rule, thrown, doubtful, isCertain };
    if (rule.action !== "lookup" || rule.table === null) continue;
    const route = longest(prefixes, family, rule.table, index);
    if (route === null || isSuppressed(rule, route)) continue;
    if (route.type === "throw") thrown.push(route);
    else return { route, refusal: null, thrown, doubtful, isCertain };
  }
  return { route: null, refusal: null, thrown, doubtful, isCertain };
}

/** Settings of a rule that do not choose packets. */
const NO_SELECTOR = new Set(["protocol", "suppress_prefixlen", "suppress_prefixlength"]);
/** Settings that are compared with the packet's own: as iproute2 prints them, one port or a range. */
const PACKET_SELECTOR = new Set([
  "ipproto",
  "sport",
  "sport_start",
  "sport_end",
  "dport",
  "dport_start",
  "dport_end",
]);

function fits(rule: (typeof TABLES)[number], query: RouteQuery): "yes" | "no" | "unknown" {
  const { to, from, iif } = query;
  const more = Object.keys(rule.other).filter((key) => !NO_SELECTOR.has(key) && !PACKET_SELECTOR.has(key));
  const own = fitsPacket(rule.other, query);
  // Turned round by `not`, what does not fit fits.
  const isPlain = !("not" in rule.other);
  if (isPlain && own === "no") return "no";
  // A packet made here has the loopback device as its input.
  if (rule.iif !== null && rule.iif !== (iif ?? "lo")) return "no";
  if (rule.oif !== null) return "no";
  if (isPlain && rule.destination !== "all" && !isInPrefix(to, rule.destination)) return "no";
  if (isPlain && rule.source !== "all" && from != null && !isInPrefix(from, rule.source)) return "no";
  const isKnown = rule.source === "all" || from != null;
  return !isKnown || own === "unknown" || rule.fwmark !== null || more.length > 0 ? "unknown" : "yes";
}

function fitsPacket(other: PolicyRule["other"], query: RouteQuery): "yes" | "no" | "unknown" {
  const answers = [
    other["ipproto"] === undefined || query.proto == null ? null : other["ipproto"] === query.proto,
    fitsPort(other, "sport", query.sourcePort),
    fitsPort(other, "dport", query.destinationPort),
  ];
  if (answers.includes(false)) return "no";
  const asked = Object.keys(other).filter((key) => PACKET_SELECTOR.has(key) && !key.endsWith("_end")).length;
  return answers.filter((answer) => answer === true).length === asked ? "yes" : "unknown";
}

/** Null where the rule does not ask for it, or the packet's is not known. */
function fitsPort(
  other: PolicyRule["other"],
  name: "sport" | "dport",
  port: number | null | undefined,
): boolean | null {
  const [low, high] = [other[name] ?? other[`${name}_start`], other[name] ?? other[`${name}_end`]];
  if (low === undefined || high === undefined || port == null) return null;
  return port >= Number(low) && port <= Number(high);
}

function longest(
  prefixes: readonly string[],
  family: Family,
  table: string,
  index: ReadonlyMap<string, readonly Route[]>,
): Route | null {
  for (const prefix of prefixes) {
    const found = (index.get(`${family} ${prefix}`) ?? []).filter(
      (route) => route.table === table && !route.flags.includes("dead"),
    );
    const best = found.toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0))[0];
    if (best !== undefined) return best;
  }
  return null;
}

function isSuppressed(rule: (typeof TABLES)[number], route: Route): boolean {
  const text = rule.other["suppress_prefixlen"] ?? rule.other["suppress_prefixlength"];
  if (text === undefined) return false;
  const full = route.family === "ipv4" ? 32 : 128;
  const length = route.destination === "default" ? 0 : Number(route.destination.split("/")[1] ?? full);
  return length <= Number(text);
}

/** Routes that throw packets away, as their type says. */
export function isRefusal(route: Route): boolean {
  return REFUSALS.has(route.type);
}

/** Where a route sends a packet; several next hops are several pairs. */
export function hopsOf(
  route: Route,
): readonly { readonly gateway: string | null; readonly dev: string | null }[] {
  return route.nextHops.length > 0 ? route.nextHops : [route];
}

/** `10.0.0.0/8 via 10.1.0.1 dev eth0 (table 100)`, as `ip route` prints it. */
export function tellRoute(route: Route): string {
  const type = route.type === "unicast" ? "" : `${route.type} `;
  const hops = hopsOf(route)
    .map(
      ({ gateway, dev }) =>
        `${gateway === null ? "" : ` via ${gateway}`}${dev === null ? "" : ` dev ${dev}`}`,
    )
    .join(" nexthop");
  return `${type}${route.destination}${hops}${route.table === "main" ? "" : ` (table ${route.table})`}`;
}

/** `ip -6 route del blackhole fd98::/64 metric 1024`. */
export function deleteRoute(route: Route): string {
  const type = route.type === "unicast" ? "" : `${route.type} `;
  const table = route.table === "main" ? "" : ` table ${quoteShell(route.table)}`;
  const metric = route.metric === null || route.metric === 0 ? "" : ` metric ${route.metric}`;
  return `${ipTool(route.family)} route del ${type}${quoteShell(route.destination)}${table}${metric}`;
}

/** `ip`, or `ip -6`. */
export function ipTool(family: Family): string {
  return family === "ipv6" ? "ip -6" : "ip";
}

/** What else of a packet the rule asks for, as `ip rule` takes it: `tos 0x10`, `ipproto udp`, `dport 4444`, `sport 1-1023`. */
function selectors({ other }: PolicyRule): string[] {
  const range = (name: "sport" | "dport") =>
    other[name] ??
    (other[`${name}_start`] === undefined ? undefined : `${other[`${name}_start`]}-${other[`${name}_end`]}`);
  return (["tos", "ipproto", "sport", "dport"] as const).flatMap((name) => {
    const value = name === "sport" || name === "dport" ? range(name) : other[name];
    return value === undefined ? [] : [`${name} ${quoteShell(value)}`];
  });
}

/** `priority 100: from all to 10.98.0.0/16 blackhole`. */
export function tellPolicyRule(rule: PolicyRule): string {
  const words = [
    `from ${rule.source}`,
    rule.destination === "all" ? null : `to ${rule.destination}`,
    rule.iif === null ? null : `iif ${rule.iif}`,
    rule.oif === null ? null : `oif ${rule.oif}`,
    rule.fwmark === null ? null : `fwmark ${rule.fwmark}`,
    ...selectors(rule),
    rule.action,
  ];
  return `priority ${rule.priority}: ${words.filter((word) => word !== null).join(" ")}`;
}

/** Names the rule in full: several can share a priority. */
export function deletePolicyRule(rule: PolicyRule): string {
  const words = [
    rule.source === "all" ? null : `from ${quoteShell(rule.source)}`,
    rule.destination === "all" ? null : `to ${quoteShell(rule.destination)}`,
    rule.iif === null ? null : `iif ${quoteShell(rule.iif)}`,
    rule.oif === null ? null : `oif ${quoteShell(rule.oif)}`,
    rule.fwmark === null ? null : `fwmark ${quoteShell(rule.fwmark)}`,
    ...selectors(rule),
    `priority ${rule.priority}`,
    rule.action === "lookup" ? null : rule.action,
  ];
  return `${ipTool(rule.family)} rule del ${words.filter((word) => word !== null).join(" ")}`;
}
