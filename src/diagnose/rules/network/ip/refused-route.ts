import type { NetDelta, PolicyRule, Route } from "../../../../evidence/net/types.ts";
import { plural } from "../../../../text/format.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { countDrops, rankDrops, tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { NOTHING_TO_DO, WAS_REMOVED } from "../../../gone.ts";
import {
  createRouter,
  deletePolicyRule,
  deleteRoute,
  ipTool,
  isRefusal,
  queryOf,
  tellPolicyRule,
  tellRoute,
  type RouteAnswer,
} from "../support/routing.ts";

const NO_ROUTE = new Set(["IP_INNOROUTES", "IP_OUTNOROUTES"]);
/**
 * Where packets end that have such a route. Measured on 6.18, which gives NOT_SPECIFIED for most: IPv4 `ip_error`; IPv6
 * `dst_discard*` for blackhole, `ip6_pkt_discard` and `ip6_pkt_prohibit` (IP_INNOROUTES) for the others.
 */
const SITES =
  /^(?:ip_error|ip6_pkt_(?:discard|prohibit|drop)(?:_out)?|dst_discard(?:_out|_sk)?|ip_route_input\w*)$/;
const COUNTERS = ["IpExtInNoRoutes", "IpOutNoRoutes", "Ip6InNoRoutes", "Ip6OutNoRoutes"];

const WORDS: Readonly<Record<string, string>> = {
  blackhole: "throws them away without a word",
  unreachable: "refuses them; the sender is told that the host cannot be reached",
  prohibit: "refuses them; the sender is told that this is forbidden",
};

const PAST: Readonly<Record<string, string>> = {
  blackhole: "threw packets away without a word",
  unreachable: "refused packets; the sender was told that the host cannot be reached",
  prohibit: "refused packets; the sender was told that this is forbidden",
};

type Cause = (
  | { readonly route: Route; readonly rule: null }
  | { readonly route: null; readonly rule: PolicyRule }
) & {
  /** It asks of a packet what is not known here (its mark, its user): a guess, though packets end here for no other reason. */
  readonly isGuess: boolean;
  /** It was there at the start only. */
  readonly isGone: boolean;
};

/**
 * Blackhole, unreachable and prohibit routes and policy rules that packets run into. Every one is somebody's decision, as a
 * firewall rule is: a problem whatever the count.
 */
export const refusedRoute: Rule = {
  id: "route-refuses",
  examine(facts, ledger) {
    const open = openDrops(facts, ledger).filter(
      (drop) =>
        drop.destination !== null &&
        (isVague(drop) ? isFreedAt(drop, SITES) : drop.reason !== null && NO_ROUTE.has(drop.reason)),
    );
    return [...Map.groupBy(open, ({ netns }) => netns)].flatMap(([netns, drops]) => {
      const network = findNetwork(facts, netns);
      const causes = findCauses(network, drops);
      return [...causes.values()].map(({ cause, drops: explained }) => {
        ledger.claim(explained);
        if (netns !== null && causes.size === 1) for (const name of COUNTERS) ledger.account(netns, name);
        return tell(facts, network, netns, cause, explained);
      });
    });
  },
};

function findCauses(
  network: NetDelta | null,
  drops: readonly DropFact[],
): Map<string, { cause: Cause; drops: DropFact[] }> {
  const route = createRouter(network);
  const routeBefore = network === null || !hasLost(network) ? null : createRouter(asBefore(network));
  const causes = new Map<string, { cause: Cause; drops: DropFact[] }>();
  for (const drop of drops) {
    if (drop.destination === null) continue;
    const query = queryOf(drop, drop.destination);
    const cause = findCause(route(query), drop, false) ?? findCause(routeBefore?.(query) ?? null, drop, true);
    if (cause === null) continue;
    const key =
      cause.rule === null ? tellRoute(cause.route) : `${cause.rule.family} ${tellPolicyRule(cause.rule)}`;
    const known = causes.get(key);
    if (known === undefined) causes.set(key, { cause, drops: [drop] });
    else known.drops.push(drop);
  }
  return causes;
}

function findCause(answer: RouteAnswer | null, drop: DropFact, isGone: boolean): Cause | null {
  const [doubtful] = answer?.doubtful ?? [];
  if (answer?.refusal != null) return { route: null, rule: answer.refusal, isGuess: false, isGone };
  if (answer?.route != null && isRefusal(answer.route))
    return { route: answer.route, rule: null, isGuess: false, isGone };
  return doubtful !== undefined && isVague(drop)
    ? { route: null, rule: doubtful, isGuess: true, isGone }
    : null;
}

function hasLost({ gone }: NetDelta): boolean {
  return gone.refusals.length > 0 || gone.policyRules.length > 0;
}

/** With the rules and refusing routes that were there at the start and are not at the end. */
function asBefore(network: NetDelta): NetDelta {
  const { configuration } = network.state;
  if (configuration === null) return network;
  const routes = [...network.gone.refusals, ...(configuration.routes ?? [])];
  const policyRules = [...(configuration.policyRules ?? []), ...network.gone.policyRules];
  return {
    ...network,
    state: { ...network.state, configuration: { ...configuration, routes, policyRules } },
  };
}

function tell(
  facts: Facts,
  network: NetDelta | null,
  netns: number | null,
  { route, rule, isGuess, isGone }: Cause,
  drops: readonly DropFact[],
): Finding {
  const place = findPlace(facts, netns);
  const type = route === null ? rule.action : route.type;
  const tool = ipTool((route ?? rule).family);
  const count = countDrops(drops);
  const [first] = rankDrops(drops, ({ destination }) => destination);
  const what = route === null ? `policy rule (${tellPolicyRule(rule)})` : `route ${tellRoute(route)}`;
  const asked = drops.find(({ destination }) => destination === first?.name);
  return makeFinding(facts, {
    id: `route-${type}`,
    severity: isGuess ? "suspicious" : "problem",
    summary: `The ${what} ${isGone ? `${WAS_REMOVED}; it ` : ""}${isGuess ? "probably " : ""}${isGone ? (PAST[type] ?? "refused packets") : (WORDS[type] ?? "refuses them")}: ${plural(count, "packet")}${first === undefined ? "" : ` to ${first.name}`}`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      first === undefined || route === null
        ? null
        : `it ${isGone ? "was" : "is"} the most specific route to ${first.name} (table ${route.table}${route.protocol === null ? "" : `, set by ${route.protocol}`})`,
      isGuess
        ? "what this rule asks of a packet (its mark, its user, its type of service) is not to be seen in a dropped one; no other rule or route here explains why it was refused"
        : null,
      tellFlows(drops),
      tellCounters(network, [...COUNTERS, "IcmpOutDestUnreachs", "Icmp6OutDestUnreachs"]),
    ],
    check: [
      first === undefined
        ? null
        : inNetns(place, `${tool} route get ${quoteShell(first.name)}${cameFrom(asked)}`),
      inNetns(
        place,
        route === null
          ? `${tool} rule show`
          : `${tool} route show table ${quoteShell(route.table)} type ${type}`,
      ),
    ],
    fix: [
      isGone ? NOTHING_TO_DO : inNetns(place, route === null ? deletePolicyRule(rule) : deleteRoute(route)),
    ],
  });
}

/** Words for `ip route get` that ask about a packet which came in, not one made here. */
export function cameFrom(drop: DropFact | undefined, dev: string | null = drop?.dev ?? null): string {
  if (drop?.source == null || dev === null) return "";
  return ` from ${quoteShell(drop.source)} iif ${quoteShell(dev)}`;
}
