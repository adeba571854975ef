import type { Link, NetDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { countDrops, severityOf, tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { counterDelta, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Ledger, Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { isUp, linksOf, otherEnd, setLink, tellDevice } from "../support/devices.ts";
import { isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { accountMtu, IPV6_LEAST_MTU, usualMtu } from "./mtu.ts";

/** Two devices that greet each other lose a solicitation each; what goes on is somebody's traffic. */
const MANY = 3;
const SITES = /^(?:ip6_rcv_core|ipv6_rcv)$/;

/**
 * A device with an MTU below 1280 has no IPv6 (addrconf_notify in net/ipv6/addrconf.c): what comes in dies as NOT_SPECIFIED or
 * IPV6DISABLED in `ip6_rcv_core` with Ip6InDiscards, what should go out finds no route (both measured on 6.18).
 */
export const mtuIpv6: Rule = {
  id: "mtu-ipv6-off",
  examine(facts, ledger) {
    return facts.networks.flatMap((network) => {
      const small = linksOf(network).filter(
        (link) => isUp(link) && link.type !== "loopback" && link.mtu !== null && link.mtu < IPV6_LEAST_MTU,
      );
      return small.flatMap((link) => tell(facts, ledger, network, link, small.length === 1));
    });
  },
};

function tell(facts: Facts, ledger: Ledger, network: NetDelta, link: Link, isOnly: boolean): Finding[] {
  const netns = network.netns.inode;
  const drops = openDrops(facts, ledger).filter((drop: DropFact) => {
    const isHere = drop.netns === netns && (drop.dev === link.name || (drop.dev === null && isOnly));
    return isHere && (isVague(drop) || drop.reason === "IPV6DISABLED") && isFreedAt(drop, SITES);
  });
  const unsent =
    isOnly && !facts.isFiltered && !ledger.isAccounted(netns, "Ip6OutNoRoutes")
      ? counterDelta(network, "Ip6OutNoRoutes")
      : 0;
  const isSwitchedOff =
    network.state.configuration?.sysctls?.[`net.ipv6.conf.${link.name.replaceAll(".", "/")}.disable_ipv6`] ===
    "1";
  if (drops.length === 0 && (unsent === 0 || isSwitchedOff)) return [];
  ledger.claim(drops);
  ledger.account(netns, "Ip6InDiscards");
  if (unsent > 0) ledger.account(netns, "Ip6OutNoRoutes");
  accountMtu(ledger, netns, link.name);
  const count = countDrops(drops);
  const peer = otherEnd(facts, network, link);
  const place = findPlace(facts, netns);
  return [
    makeFinding(facts, {
      id: "mtu-ipv6-off",
      // Sends without a route can be meant for another device: only received packets prove it.
      severity: drops.length === 0 ? "suspicious" : severityOf(count + unsent, facts.seconds, MANY),
      summary: `${link.name} has MTU ${link.mtu}: below ${IPV6_LEAST_MTU} there is no IPv6 on it, ${drops.length === 0 ? "and programs found no IPv6 route" : "its IPv6 packets are thrown away"}`,
      count: count + unsent,
      netns,
      evidence: [
        `in ${tellNetns(facts, netns)}`,
        drops.length === 0
          ? null
          : `${plural(count, "packet")} of ${drops[0]?.proto ?? "IPv6"} that came in were dropped`,
        unsent === 0
          ? null
          : `Ip6OutNoRoutes +${formatCount(unsent)}: programs here could not send with IPv6`,
        peer?.link.mtu == null
          ? null
          : `the other end, ${tellDevice(facts, peer.netns.inode, peer.link.name)}, has MTU ${peer.link.mtu}`,
        "IPv6 addresses set by hand were lost with it and do not come back by themselves",
        tellCounters(network, ["Ip6InDiscards"]),
        tellFlows(drops),
      ],
      check: [
        inNetns(place, `ip link show dev ${quoteShell(link.name)}`),
        inNetns(place, `ip -6 addr show dev ${quoteShell(link.name)}`),
      ],
      fix: [setLink(facts, netns, link.name, `mtu ${usualMtu(facts, network, link)}`)],
    }),
  ];
}
