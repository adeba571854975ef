import type { NetDelta, PolicyRule } from "../../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { countDrops, rankDrops, severityOf, tellCounters, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { counterDelta, findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Ledger, Rule } from "../../../rule.ts";
import { selectDrops } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { familyOf, type Family } from "../support/addresses.ts";
import { isUp, linksOf, setLink } from "../support/devices.ts";
import { tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import {
  createRouter,
  deletePolicyRule,
  deleteRoute,
  ipTool,
  tellPolicyRule,
  tellRoute,
  type RouteAnswer,
} from "../support/routing.ts";
import { cameFrom } from "./refused-route.ts";

/** A stray packet or two come from programs that try what they may have (IPv6 first, a broadcast); more are a missing route. */
const MANY = 3;
const IN = { ipv4: "IpExtInNoRoutes", ipv6: "Ip6InNoRoutes" } as const;
const OUT = { ipv4: "IpOutNoRoutes", ipv6: "Ip6OutNoRoutes" } as const;

/**
 * IP_INNOROUTES and IP_OUTNOROUTES: no route to the destination. A program's own packet mostly dies before it is one: the
 * call fails with "Network is unreachable" and only a counter tells (measured on 6.18: no event at all).
 */
export const noRoute: Rule = {
  id: "no-route",
  examine(facts, ledger) {
    const forwarded = select(facts, ledger, "IP_INNOROUTES", Object.values(IN)).map((drops) => {
      return tellForwarded(facts, drops);
    });
    const sent = select(facts, ledger, "IP_OUTNOROUTES", Object.values(OUT)).map((drops) =>
      tellSent(facts, drops),
    );
    if (facts.isFiltered) return [...forwarded, ...sent];
    const silent = facts.networks.flatMap((network) =>
      (["ipv4", "ipv6"] as const).flatMap((family) => tellSilent(facts, ledger, network, family)),
    );
    return [...forwarded, ...sent, ...silent];
  },
};

function select(facts: Facts, ledger: Ledger, reason: string, counters: readonly string[]): DropFact[][] {
  const drops = selectDrops(facts, ledger, { reasons: [reason], counters }).flatMap((group) => group.drops);
  const groups = Map.groupBy(drops, (drop) => JSON.stringify([drop.netns, familyOf(drop.destination ?? "")]));
  return [...groups.values()].map((group) => {
    ledger.claim(group);
    const [first] = group;
    if (first?.netns != null) for (const name of counters) ledger.account(first.netns, name);
    return group;
  });
}

interface Subject {
  readonly network: NetDelta | null;
  readonly netns: number | null;
  readonly family: Family;
  readonly target: string | null;
  readonly targets: string;
  readonly answer: RouteAnswer | null;
}

function subjectOf(facts: Facts, drops: readonly DropFact[]): Subject {
  const [first] = drops;
  const network = findNetwork(facts, first?.netns ?? null);
  const destinations = rankDrops(drops, ({ destination }) => destination);
  const target = destinations[0]?.name ?? null;
  const like = drops.find(({ destination }) => destination === target);
  const query = {
    to: target ?? "",
    from: like?.source ?? null,
    iif: like?.reason === "IP_OUTNOROUTES" ? null : (like?.dev ?? null),
  };
  return {
    network,
    netns: first?.netns ?? null,
    family: familyOf(target ?? "") ?? "ipv4",
    target,
    targets: tellShares(destinations, 2) ?? "their destination",
    answer: target === null ? null : createRouter(network)(query),
  };
}

function tellForwarded(facts: Facts, drops: readonly DropFact[]): Finding {
  const { network, netns, family, target, targets, answer } = subjectOf(facts, drops);
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const tool = ipTool(family);
  const like = drops.find(({ destination }) => destination === target);
  return makeFinding(facts, {
    id: "no-route",
    severity: severityOf(count, facts.seconds, MANY, "info"),
    summary: `No route to ${targets}: ${plural(count, "packet")} that should be forwarded cannot go on`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}${like?.dev == null ? "" : `, received on ${like.dev}`}`,
      tellTables(network, family, answer),
      tellCounters(network, [IN[family], "IcmpOutDestUnreachs", "Icmp6OutDestUnreachs"]),
      tellFlows(drops),
    ],
    check: [
      target === null ? null : inNetns(place, `${tool} route get ${quoteShell(target)}${cameFrom(like)}`),
      inNetns(place, `${tool} route`),
    ],
    fix: mend(network, family, target, answer).map((command) => inNetns(place, command)),
  });
}

function tellSent(facts: Facts, drops: readonly DropFact[]): Finding {
  const { network, netns, family, target, targets, answer } = subjectOf(facts, drops);
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const tool = ipTool(family);
  return makeFinding(facts, {
    id: "no-route-out",
    severity: severityOf(count, facts.seconds, MANY, "info"),
    summary: `No route to ${targets}: ${plural(count, "packet")} of programs here could not be sent`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      tellTables(network, family, answer),
      tellDown(network),
      tellCounters(network, [OUT[family]]),
      tellFlows(drops),
    ],
    check: [
      target === null ? null : inNetns(place, `${tool} route get ${quoteShell(target)}`),
      inNetns(place, `${tool} route`),
    ],
    fix: mend(network, family, target, answer).map((command) => inNetns(place, command)),
  });
}

/** Refused before there was a packet: the counter is all there is. */
function tellSilent(facts: Facts, ledger: Ledger, network: NetDelta, family: Family): Finding[] {
  const name = OUT[family];
  const count = counterDelta(network, name);
  const netns = network.netns.inode;
  if (count === 0 || ledger.isAccounted(netns, name)) return [];
  ledger.account(netns, name);
  const place = findPlace(facts, netns);
  const tool = ipTool(family);
  const isKnown = network.state.configuration?.routes != null;
  const hasDefault = hasDefaultRoute(network, family);
  // Programs try IPv6 first everywhere: on a host that has none, "unreachable" is the answer they expect.
  const refusing = refusingRules(network, family);
  const isHarmless = family === "ipv6" && isKnown && !hasDefault && refusing.length === 0;
  const down = linksOf(network).filter((link) => link.name !== "lo" && !isUp(link));
  return [
    makeFinding(facts, {
      id: "no-route-out",
      severity: isHarmless ? "info" : severityOf(count, facts.seconds, MANY, "info"),
      summary: isHarmless
        ? `Programs tried IPv6 ${plural(count, "time")} where there is no IPv6 route: they fall back to IPv4`
        : `Programs got "Network is unreachable" ${plural(count, "time")}: there is no route to where they send${refusing.length === 0 ? "" : ", or a policy rule that refuses it"}`,
      count,
      netns,
      evidence: [
        `in ${tellNetns(facts, netns)}`,
        `${name} +${formatCount(count)} and no drop event: the calls failed before there was a packet`,
        ...refusing.map((rule) => `a policy rule gives this answer too: ${tellPolicyRule(rule)}`),
        isKnown && !hasDefault ? `there is no ${nameFamily(family)} default route` : null,
        tellDown(network),
      ],
      check: [
        ...(refusing.length === 0 ? [] : [inNetns(place, `${tool} rule`)]),
        inNetns(place, `${tool} route`),
        inNetns(place, "ip -br link"),
      ],
      fix: isHarmless
        ? []
        : [
            ...refusing.map((rule) => inNetns(place, deletePolicyRule(rule))),
            ...down.map((link) => setLink(facts, netns, link.name, "up")),
            ...(isKnown && !hasDefault
              ? [`# ${inNetns(place, `${tool} route add default via GATEWAY`)}`]
              : []),
          ],
    }),
  ];
}

/**
 * Policy rules that answer as a missing route does, and are counted as one (measured on 6.18). What else refuses a program's own packets (routes of
 * the types blackhole, unreachable and prohibit, rules of the types blackhole and prohibit) moves no counter at all: only the program is told.
 */
function refusingRules(network: NetDelta, family: Family): PolicyRule[] {
  const rules = network.state.configuration?.policyRules ?? [];
  return rules
    .filter((rule) => rule.family === family && rule.action === "unreachable")
    .filter(({ iif }) => iif === null || iif === "lo")
    .slice(0, 3);
}

function tellTables(network: NetDelta | null, family: Family, answer: RouteAnswer | null): string | null {
  if (answer === null) return null;
  if (answer.thrown.length > 0)
    return `the route ${answer.thrown.map(tellRoute).join(", ")} ends the look-up in its table, and no other table has one`;
  if (answer.route !== null)
    return `now there is one: ${tellRoute(answer.route)}${answer.isCertain ? "" : " (policy rules may choose another)"}`;
  return hasDefaultRoute(network, family) ? null : `there is no ${nameFamily(family)} default route`;
}

function tellDown(network: NetDelta | null): string | null {
  const down = linksOf(network).filter((link) => link.name !== "lo" && !isUp(link));
  if (down.length === 0 || down.length > 3) return null;
  return `${down.map(({ name }) => name).join(", ")} ${down.length === 1 ? "is" : "are"} down, and with it the routes over it`;
}

function hasDefaultRoute(network: NetDelta | null, family: Family): boolean {
  return (
    network?.state.configuration?.routes?.some(
      (route) => route.family === family && route.destination === "default" && route.type === "unicast",
    ) ?? false
  );
}

function mend(
  network: NetDelta | null,
  family: Family,
  target: string | null,
  answer: RouteAnswer | null,
): string[] {
  if (answer !== null && answer.thrown.length > 0) return answer.thrown.map(deleteRoute);
  if (target === null || answer?.route != null) return [];
  const what = hasDefaultRoute(network, family) ? quoteShell(target) : "default";
  return [`# add the route that is missing: ${ipTool(family)} route add ${what} via GATEWAY`];
}

function nameFamily(family: Family): string {
  return family === "ipv4" ? "IPv4" : "IPv6";
}
