import { quoteShell } from "../../../../text/escape.ts";
import { plural } from "../../../../text/format.ts";
import { countDrops, isMany, rankDrops, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { counterDelta, findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { tellOwner } from "../../transport/endpoints.ts";
import { isMulticast } from "../support/addresses.ts";
import { groupByDevice, isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** `ip_rcv_finish_core` for IPv4 (measured on 6.18, NOT_SPECIFIED); IPv6 frees in `ip6_mc_input`, which the catalogue knows as normal. */
const SITES = /^(?:ip_rcv_finish(?:_core)?|ip_route_input_\w+|ip_mc_\w+|ip_mr_\w+|ip6?_mc_input)$/;
/** A device that just came up has no multicast route yet: greetings of IPv6 neighbours die so. */
const UNROUTED = new Set(["IP_INNOROUTES", "IP_INADDRERRORS"]);
/** UDP to everybody that no socket here waits for: no reason, but a counter (measured on 6.18). */
const UDP_SITES = /^__udp[46]_lib_(?:rcv|mcast_deliver)$/;
const IGNORED = ["UdpIgnoredMulti", "Udp6IgnoredMulti"];
/** A program that does not get what it is bound for: a handful is no accident. */
const MANY = 10;
/** Counters and events are read a little apart. */
const PROVEN_SHARE = 0.8;

/** Multicast and broadcast that nobody here waits for: harmless, but worth a line when somebody should. */
export const multicast: Rule = {
  id: "multicast-not-joined",
  examine(facts, ledger) {
    const open = openDrops(facts, ledger);
    const joined = open.filter(
      (drop) =>
        isMulticast(drop.destination) &&
        (isVague(drop) ? isFreedAt(drop, SITES) : drop.reason !== null && UNROUTED.has(drop.reason)),
    );
    const drops = [...joined, ...ignored(facts, open)];
    ledger.claim(drops);
    return groupByDevice(drops).map(({ netns, dev, drops: group }) => {
      const place = findPlace(facts, netns);
      const count = countDrops(group);
      const groups = rankDrops(group, ({ destination }) => destination);
      if (netns !== null) for (const name of IGNORED) ledger.account(netns, name);
      const waiting = tellWaiting(facts, group);
      const arrived = `${plural(count, "packet")} to everybody (${tellShares(groups, 2) ?? "multicast"}) arrived, and`;
      return makeFinding(facts, {
        id: "multicast-not-joined",
        severity: waiting !== null && isMany(count, facts.seconds, MANY) ? "suspicious" : "info",
        summary:
          waiting === null
            ? `${arrived} nobody here waits for ${count === 1 ? "it" : "them"}`
            : `${arrived} ${waiting.who} holds their port ${waiting.port} but has not joined the group${dev === null ? "" : ` on ${dev}`}`,
        count,
        netns,
        evidence: [
          `in ${tellNetns(facts, netns)}${dev === null ? "" : `, received on ${dev}`}`,
          waiting === null
            ? "normal on a shared network; a program that waits for them has not joined the group, or did so on another device"
            : "the kernel takes only groups that some socket has joined on that device (ip maddr)",
          tellFlows(group),
        ],
        check: [
          inNetns(place, `ip maddr show${dev === null ? "" : ` dev ${quoteShell(dev)}`}`),
          inNetns(place, "ss -lun"),
        ],
        fix:
          waiting === null
            ? []
            : [
                `# let ${waiting.who} join the group on ${dev ?? "that device"} (IP_ADD_MEMBERSHIP, IPV6_JOIN_GROUP: the address of the device has to be named where there are several)`,
              ],
      });
    });
  },
};

/** A socket that could take what came to a group, were it joined; null: none is bound to that port. */
function tellWaiting(
  facts: Facts,
  drops: readonly DropFact[],
): { readonly who: string; readonly port: number } | null {
  for (const { netns, proto, destination, destinationPort } of drops) {
    if (proto !== "udp" || destinationPort === null || !isMulticast(destination)) continue;
    const sockets = findNetwork(facts, netns)?.state.counters.datagramSockets ?? [];
    const socket = sockets.find(
      ({ protocol, localPort, local }) =>
        protocol === "udp" &&
        localPort === destinationPort &&
        (local === destination || local === "0.0.0.0" || local === "::"),
    );
    if (socket === undefined) continue;
    return { who: tellOwner(facts, socket.inode), port: destinationPort };
  }
  return null;
}

function ignored(facts: Facts, open: readonly DropFact[]): DropFact[] {
  const vague = open.filter((drop) => isVague(drop) && isFreedAt(drop, UDP_SITES) && isForAll(facts, drop));
  return [...Map.groupBy(vague, ({ netns }) => netns)].flatMap(([netns, drops]) => {
    const network = findNetwork(facts, netns);
    const counted = IGNORED.reduce((sum, name) => sum + counterDelta(network, name), 0);
    return counted >= PROVEN_SHARE * countDrops(drops) ? drops : [];
  });
}

/** To a multicast group, or to the broadcast address of a network of this host. */
function isForAll(facts: Facts, { netns, destination }: DropFact): boolean {
  if (isMulticast(destination) || destination === "255.255.255.255") return true;
  const routes = findNetwork(facts, netns)?.state.configuration?.routes ?? [];
  return routes.some((route) => route.type === "broadcast" && route.destination === destination);
}
