import type { Link, NetDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { countDrops, isMany, rankDrops, tellCounters, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { selectDrops } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { familyOf } from "../support/addresses.ts";
import { findLink, linksOf, otherEnd, setLink } from "../support/devices.ts";
import { isFreedAt, meanSize, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { createRouters, hopsOf, ipTool, tellRoute, type Router } from "../support/routing.ts";
import { accountMtu } from "./mtu.ts";
import { cameFrom } from "./refused-route.ts";

/**
 * A sender that learns from the ICMP answer loses one packet of a flow, or what it had under way; one flow that loses
 * this many does not learn, because the answer does not reach it or it does not care.
 */
const MANY_OF_A_FLOW = 5;
const COUNTERS = ["IpFragFails", "Ip6InTooBigErrors", "Ip6FragFails"];
const ANSWERS = ["IcmpOutDestUnreachs", "Icmp6OutPktTooBigs"];
const BRIDGE_SITES = /^br_(?:dev_queue_push_xmit|forward_finish|nf_\w+)$/;

/** PKT_TOO_BIG: a packet that must not be cut does not fit into the device it should leave through. */
export const tooBig: Rule = {
  id: "mtu-too-big",
  examine(facts, ledger) {
    const routers = createRouters();
    const routerOf = (drop: DropFact) => routers(findNetwork(facts, drop.netns));
    const drops = selectDrops(facts, ledger, { reasons: ["PKT_TOO_BIG"], counters: COUNTERS }).flatMap(
      (group) => group.drops,
    );
    const bridged = facts.drops.filter(
      (drop) =>
        !drop.benign &&
        !ledger.isClaimed(drop) &&
        !drops.includes(drop) &&
        isFreedAt(drop, BRIDGE_SITES) &&
        isTooLong(facts, drop),
    );
    const groups = Map.groupBy([...drops, ...bridged], (drop) =>
      JSON.stringify([
        drop.netns,
        outputOf(facts, routerOf(drop), drop)?.name ?? null,
        familyOf(drop.destination ?? ""),
      ]),
    );
    return [...groups.values()].map((group) => {
      ledger.claim(group);
      const [first] = group;
      const out = first === undefined ? null : outputOf(facts, routerOf(first), first);
      if (first?.netns != null) for (const name of COUNTERS) ledger.account(first.netns, name);
      if (first?.netns != null && out !== null) {
        const peer = otherEnd(facts, findNetwork(facts, first.netns), out);
        accountMtu(ledger, first.netns, out.name);
        if (peer !== null) accountMtu(ledger, peer.netns.inode, peer.link.name);
      }
      return tell(facts, group, first === undefined ? null : routerOf(first));
    });
  },
};

/** A bridge frees frames that are too long for the port without a reason. */
function isTooLong(facts: Facts, drop: DropFact): boolean {
  const network = findNetwork(facts, drop.netns);
  const port = findLink(network, drop.dev);
  const size = meanSize([drop]);
  return port?.mtu != null && size !== null && size > port.mtu;
}

/** The device it should have left through: of a bridge's port the device itself, else what the routes say. */
function outputOf(facts: Facts, route: Router | null, drop: DropFact): Link | null {
  const network = findNetwork(facts, drop.netns);
  if (isFreedAt(drop, BRIDGE_SITES) || drop.destination === null) return findLink(network, drop.dev);
  const found = route?.({ to: drop.destination, from: drop.source, iif: drop.dev })?.route ?? null;
  return found === null ? null : findLink(network, hopsOf(found)[0]?.dev ?? null);
}

function tell(facts: Facts, drops: readonly DropFact[], router: Router | null): Finding {
  const [first] = drops;
  const netns = first?.netns ?? null;
  const network = findNetwork(facts, netns);
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const out = first === undefined ? null : outputOf(facts, router, first);
  const destinations = rankDrops(drops, ({ destination }) => destination);
  const target = destinations[0]?.name ?? null;
  const like = drops.find(({ destination }) => destination === target);
  const route =
    target === null
      ? null
      : (router?.({ to: target, from: like?.source ?? null, iif: like?.dev ?? null })?.route ?? null);
  const limit = route?.mtu ?? out?.mtu ?? null;
  const input = inputOf(network, router, like ?? first, out);
  const wanted = widest(network, input, out);
  const most = Math.max(...drops.map((drop) => drop.count));
  const size = meanSize(drops);
  const isBridge = first !== undefined && isFreedAt(first, BRIDGE_SITES);
  const learns = !isBridge && most < MANY_OF_A_FLOW;
  const answers = tellCounters(network, ANSWERS);
  return makeFinding(facts, {
    id: "mtu-too-big",
    severity: learns ? "info" : isMany(count, facts.seconds, MANY_OF_A_FLOW) ? "problem" : "suspicious",
    summary: `${plural(count, "packet")}${size === null ? "" : ` of ${formatCount(size)} bytes`}${target === null ? "" : ` to ${tellShares(destinations, 2)}`} did not fit into ${out === null ? "the next link" : out.name}${limit === null ? "" : ` (MTU ${limit})`} and must not be cut${learns ? ": path MTU discovery at work" : ""}`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}${input === null || input === out ? "" : `, received on ${input.name}${input.mtu === null ? "" : ` (MTU ${input.mtu})`}`}`,
      route === null
        ? null
        : `route: ${tellRoute(route)}${route.mtu === null ? "" : `, its own MTU ${route.mtu}`}`,
      isBridge
        ? "a bridge cannot tell the sender: all ports of a bridge need the same MTU"
        : answers === null
          ? "no ICMP message went back: the sender cannot know"
          : `the sender was told (${answers})${learns ? "" : `, yet one flow lost ${formatCount(most)}: the message does not reach it, or it does not care`}`,
      tellMuted(facts, netns),
      tellCounters(network, COUNTERS),
      tellFlows(drops),
    ],
    check: [
      out === null ? null : inNetns(place, `ip link show dev ${quoteShell(out.name)}`),
      target === null || isBridge
        ? null
        : inNetns(
            place,
            `${ipTool(familyOf(target) ?? "ipv4")} route get ${quoteShell(target)}${cameFrom(like, input?.name ?? null)}`,
          ),
      target === null || isBridge ? null : `tracepath -n ${quoteShell(target)}`,
    ],
    fix: learns || out === null ? [] : mend(facts, netns, out, wanted, isBridge),
  });
}

/** The messages themselves die here: path MTU discovery cannot work (a "black hole"). */
function tellMuted(facts: Facts, netns: number | null): string | null {
  const muted = facts.drops.filter(
    ({ reason, netns: where, proto, icmp }) =>
      reason === "NETFILTER_DROP" &&
      where === netns &&
      ((proto === "icmp" && icmp?.type === 3 && icmp.code === 4) || (proto === "icmpv6" && icmp?.type === 2)),
  );
  return muted.length === 0
    ? null
    : `${plural(countDrops(muted), "of these messages", "of these messages")} did not get out: a firewall rule here drops them (see that finding), so senders go on with packets that are too big`;
}

/** The device it came in on. IPv6 has put the output device in its place by then (ip6_forward): then the way back to the sender. */
function inputOf(
  network: NetDelta | null,
  router: Router | null,
  drop: DropFact | undefined,
  out: Link | null,
): Link | null {
  const dev = findLink(network, drop?.dev ?? null);
  if (drop?.source == null || dev === null || dev !== out || isFreedAt(drop, BRIDGE_SITES)) return dev;
  const back = router?.({ to: drop.source })?.route ?? null;
  return back === null ? dev : findLink(network, hopsOf(back)[0]?.dev ?? null);
}

function mend(
  facts: Facts,
  netns: number | null,
  out: Link,
  wanted: number | null,
  isBridge: boolean,
): string[] {
  const raise =
    wanted !== null && out.mtu !== null && wanted > out.mtu
      ? [setLink(facts, netns, out.name, `mtu ${wanted}`)]
      : [];
  if (isBridge) return raise;
  const place = findPlace(facts, netns);
  const clamp = `iptables -t mangle -A FORWARD -o ${quoteShell(out.name)} -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu`;
  return [
    ...raise,
    `# where the link cannot take more (a tunnel), at least for TCP: ${inNetns(place, clamp)}`,
  ];
}

/** What the packets came in with; for a bridge's port the largest of the other ports. */
function widest(network: NetDelta | null, input: Link | null, out: Link | null): number | null {
  if (out === null) return null;
  if (input !== null && input !== out) return input.mtu;
  const ports = linksOf(network).filter(
    (link) => link.master !== null && link.master === out.master && link !== out,
  );
  const mtus = ports.flatMap(({ mtu }) => mtu ?? []);
  return mtus.length === 0 ? null : Math.max(...mtus);
}
