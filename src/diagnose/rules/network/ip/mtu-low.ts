import type { Link, NetDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatCount } from "../../../../text/format.ts";
import { tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { counterDelta, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { findInterface, isUp, linksOf, otherEnd, setLink, tellDevice } from "../support/devices.ts";
import { makeFinding } from "../support/finding.ts";
import { IPV4_LEAST_MTU, IPV6_LEAST_MTU, isMtuAccounted, usualMtu } from "./mtu.ts";

/** Devices that carry IP. CAN frames (72 bytes) and other field buses are small by nature. */
const TYPES = new Set([
  "ether",
  "none",
  "ppp",
  "ipip",
  "tunnel6",
  "sit",
  "gre",
  "gre6",
  "infiniband",
  "rawip",
]);

/**
 * A device in use with an MTU far below what its kind has. Datagrams are cut into pieces, or lost where that is not
 * allowed; TCP goes on with tiny segments. Below 576 it is suspicious by itself, below 1280 worth knowing.
 */
export const mtuLow: Rule = {
  id: "mtu-low",
  examine(facts, ledger) {
    return facts.networks.flatMap((network) =>
      linksOf(network).flatMap((link) => {
        const isSmall =
          link.mtu !== null && link.mtu < IPV6_LEAST_MTU && link.type !== null && TYPES.has(link.type);
        if (!isSmall || !isUp(link) || isMtuAccounted(ledger, network.netns.inode, link.name)) return [];
        return isInUse(network, link) ? [tell(facts, network, link, link.mtu ?? 0)] : [];
      }),
    );
  },
};

function isInUse(network: NetDelta, link: Link): boolean {
  const moved = findInterface(network, link.name);
  return (moved?.txOk.delta ?? 0) + (moved?.rxOk.delta ?? 0) > 0;
}

function tell(facts: Facts, network: NetDelta, link: Link, mtu: number): Finding {
  const netns = network.netns.inode;
  const place = findPlace(facts, netns);
  const peer = otherEnd(facts, network, link);
  const pieces = counterDelta(network, "IpFragCreates");
  return makeFinding(facts, {
    id: "mtu-low",
    severity: mtu < IPV4_LEAST_MTU ? "suspicious" : "info",
    summary: `${link.name} has an MTU of ${mtu}${mtu < IPV4_LEAST_MTU ? `, far below normal: larger packets are cut into pieces or lost` : `: there is no IPv6 on it (that needs ${IPV6_LEAST_MTU})`}`,
    count: 0,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      pieces > 0 ? `IpFragCreates +${formatCount(pieces)}: packets were cut into so many pieces` : null,
      peer?.link.mtu == null
        ? null
        : `the other end, ${tellDevice(facts, peer.netns.inode, peer.link.name)}, has MTU ${peer.link.mtu}`,
      tellCounters(network, ["IpFragFails", "IpReasmFails", "TcpRetransSegs"]),
    ],
    check: [inNetns(place, `ip -s link show dev ${quoteShell(link.name)}`)],
    fix: [setLink(facts, netns, link.name, `mtu ${usualMtu(facts, network, link)}`)],
  });
}
