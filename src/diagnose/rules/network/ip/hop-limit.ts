import type { NetDelta } from "../../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { countDrops, rankDrops, tellCounters, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { counterDelta, findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding, Severity } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findAddress, findPlace, tellNetns } from "../../../where.ts";
import { familyOf, type Family } from "../support/addresses.ts";
import { isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { createRouter, hopsOf, ipTool, tellRoute, type RouteAnswer } from "../support/routing.ts";
import { cameFrom } from "./refused-route.ts";

/** A packet in a loop of two routers crosses each of them 32 times (TTL 64): well above what other traffic does by chance. */
const ROUNDS = 5;
/** traceroute and mtr lose one to three packets a second here; more is no tool. */
const TOOL_RATE = 5;

const FORWARDED = { ipv4: ["IpForwDatagrams"], ipv6: ["Ip6OutForwDatagrams"] } as const;
const SENT = { ipv4: ["IcmpOutTimeExcds"], ipv6: ["Icmp6OutTimeExcds"] } as const;

/**
 * TTL or hop limit used up: IP_TTL_EXCEEDED, or on 6.18 and before IP_INHDR in `ip_forward` and `ip6_forward` (measured). A
 * routing loop shows by its own forwarding counter and by a route that leads back to where the packet came from.
 */
export const hopLimit: Rule = {
  id: "ttl-exceeded",
  examine(facts, ledger) {
    const open = openDrops(facts, ledger).filter(
      (drop) =>
        drop.reason === "IP_TTL_EXCEEDED" ||
        (drop.reason === "IP_INHDR" && isFreedAt(drop, /^ip6?_forward(?:_finish)?$/)) ||
        (isVague(drop) && isFreedAt(drop, /^ip6?_forward$/) && hasTold(findNetwork(facts, drop.netns))),
    );
    const groups = Map.groupBy(open, (drop) =>
      JSON.stringify([drop.netns, familyOf(drop.destination ?? "")]),
    );
    return [...groups.values()].map((drops) => {
      ledger.claim(drops);
      const [first] = drops;
      const family = familyOf(first?.destination ?? "") ?? "ipv4";
      if (first?.netns != null) {
        for (const name of family === "ipv4" ? ["IpInHdrErrors"] : ["Ip6InHdrErrors"])
          ledger.account(first.netns, name);
      }
      return tell(facts, family, drops);
    });
  },
};

/** On kernels without reasons the answer to the sender is what tells these from others that `ip_forward` frees. */
function hasTold(network: NetDelta | null): boolean {
  return [...SENT.ipv4, ...SENT.ipv6].some((name) => counterDelta(network, name) > 0);
}

function tell(facts: Facts, family: Family, drops: readonly DropFact[]): Finding {
  const [first] = drops;
  const netns = first?.netns ?? null;
  const network = findNetwork(facts, netns);
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const destinations = rankDrops(drops, ({ destination }) => destination);
  const target = destinations[0]?.name ?? null;
  const like = drops.find(({ destination }) => destination === target);
  const answer =
    target === null
      ? null
      : createRouter(network)({ to: target, from: like?.source ?? null, iif: like?.dev ?? null });
  const back = leadsBack(answer, like?.dev ?? null);
  const forwarded = FORWARDED[family].reduce((sum, name) => sum + counterDelta(network, name), 0);
  const isRound = forwarded >= ROUNDS * count;
  const severity: Severity =
    back === null
      ? count > TOOL_RATE * Math.max(1, facts.seconds)
        ? "suspicious"
        : "info"
      : isRound
        ? "problem"
        : "suspicious";
  const gateway = back?.gateway ?? null;
  const router = gateway === null ? null : findAddress(facts, gateway);
  const name = family === "ipv4" ? "TTL" : "hop limit";
  return makeFinding(facts, {
    id: "ttl-exceeded",
    severity,
    summary:
      back === null
        ? `${plural(count, "packet")} to ${tellShares(destinations, 2)} ran out of hops (${name}) here`
        : `Routing loop${isRound ? "" : " likely"}: packets to ${tellShares(destinations, 2)} go back and forth between this host and ${gateway ?? "the one they came from"} until their ${name} is used up`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}${like?.dev == null ? "" : `, received on ${like.dev}`}`,
      back === null || answer?.route == null
        ? null
        : `they are sent back where they came from: ${tellRoute(answer.route)}`,
      back !== null && isRound
        ? `${FORWARDED[family][0]} +${formatCount(forwarded)}: each went round ${formatCount(Math.round(forwarded / count))} times`
        : null,
      router === null
        ? null
        : `${gateway ?? ""} is in ${tellNetns(facts, router.netns.inode)} of this machine`,
      back === null
        ? "harmless when somebody runs traceroute; else a loop elsewhere, or a sender with a very low TTL"
        : null,
      tellCounters(network, [...SENT[family], family === "ipv4" ? "IpInHdrErrors" : "Ip6InHdrErrors"]),
      tellFlows(drops),
    ],
    check: [
      target === null
        ? null
        : inNetns(place, `${ipTool(family)} route get ${quoteShell(target)}${cameFrom(like)}`),
      target === null ? null : inNetns(place, `tracepath -n ${quoteShell(target)}`),
      router === null || target === null
        ? null
        : inNetns(findPlace(facts, router.netns.inode), `${ipTool(family)} route get ${quoteShell(target)}`),
    ],
    fix:
      back === null || target === null
        ? []
        : [
            `# correct the route on one of the two: at ${gateway ?? "the other router"} ${target} must not lead back here, or here not there`,
          ],
  });
}

/** The next hop, where the route leads out of the device the packet came in on. */
function leadsBack(
  answer: RouteAnswer | null,
  dev: string | null,
): { readonly gateway: string | null } | null {
  if (answer?.route == null || dev === null || answer.route.type !== "unicast") return null;
  return hopsOf(answer.route).find((hop) => hop.dev === dev) ?? null;
}
