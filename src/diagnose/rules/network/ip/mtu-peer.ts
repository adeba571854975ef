import type { Peer } from "../../../../evidence/net/peer.ts";
import type { Link, NetDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { countDrops, severityOf, tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Ledger, Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { findInterface, findLink, linksOf, otherEnd, setLink, tellDevice } from "../support/devices.ts";
import { groupByDevice, isFreedAt, meanSize, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { accountSender } from "../support/sender.ts";
import { accountMtu, IPV6_LEAST_MTU } from "./mtu.ts";

/** Fewer can be probes of a program that searches for the path's MTU. */
const MANY = 3;
/** `is_skb_forwardable` in include/linux/netdevice.h: the frame is longer than the other end's MTU. The name moved over the years. */
const SITES = /^(?:_*dev_forward_skb2?|__dev_forward_skb2|dev_forward_skb_nomtu|veth_forward_skb|veth_xmit)$/;
const AT_IPV6_INPUT = /^(?:ip6_rcv_core|ipv6_rcv)$/;

interface Pair {
  readonly network: NetDelta;
  readonly link: Link;
  readonly own: number;
  readonly peer: Peer;
  readonly other: number;
  /** They were so at the start; by now they fit. */
  readonly isMended: boolean;
}

/** A veth pair with two MTUs: what the larger end sends and the smaller does not take is lost without an ICMP message. */
export const mtuPeer: Rule = {
  id: "mtu-peer",
  examine(facts, ledger) {
    const drops = openDrops(facts, ledger).filter(
      (drop) => (isVague(drop) || drop.reason === "PKT_TOO_BIG") && isFreedAt(drop, SITES),
    );
    return groupByDevice(drops).flatMap((group) => {
      const pair = findPair(facts, findNetwork(facts, group.netns), group.dev);
      return pair === null ? [] : [tell(facts, ledger, pair, group.drops)];
    });
  },
};

function findPair(facts: Facts, network: NetDelta | null, dev: string | null): Pair | null {
  if (network === null) return null;
  const named = findLink(network, dev);
  const pairs = (named === null ? linksOf(network) : [named]).flatMap((link) => {
    const peer = otherEnd(facts, network, link);
    if (peer === null) return [];
    const own = findInterface(network, link.name)?.mtuBefore ?? null;
    const other = findInterface(findNetwork(facts, peer.netns.inode), peer.link.name)?.mtuBefore ?? null;
    return [
      { own: link.mtu, other: peer.link.mtu, isMended: false },
      { own, other, isMended: true },
    ]
      .flatMap((mtus) =>
        mtus.own === null || mtus.other === null || mtus.own <= mtus.other
          ? []
          : [{ network, link, peer, own: mtus.own, other: mtus.other, isMended: mtus.isMended }],
      )
      .slice(0, 1);
  });
  return pairs.length === 1 ? (pairs[0] ?? null) : null;
}

function tell(
  facts: Facts,
  ledger: Ledger,
  { network, link, own, peer, other, isMended }: Pair,
  drops: readonly DropFact[],
): Finding {
  const netns = network.netns.inode;
  accountSender(ledger, netns);
  const far = findNetwork(facts, peer.netns.inode);
  const lost6 = openDrops(facts, ledger).filter(
    (drop) =>
      drop.netns === peer.netns.inode && drop.dev === peer.link.name && isFreedAt(drop, AT_IPV6_INPUT),
  );
  const isWithoutIpv6 = other < IPV6_LEAST_MTU;
  ledger.claim(drops);
  if (isWithoutIpv6) {
    ledger.claim(lost6);
    ledger.account(peer.netns.inode, "Ip6InDiscards");
  }
  accountMtu(ledger, peer.netns.inode, peer.link.name);
  ledger.account(netns, "IpOutDiscards");
  ledger.account(netns, `link.tx_dropped:${link.name}`);
  ledger.account(peer.netns.inode, `link.rx_dropped:${peer.link.name}`);
  const count = countDrops(drops);
  const place = findPlace(facts, netns);
  const farPlace = findPlace(facts, peer.netns.inode);
  const refused = findInterface(far, peer.link.name)?.rxDropped.delta ?? null;
  const size = meanSize(drops);
  return makeFinding(facts, {
    id: "mtu-peer",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `The two ends of a veth pair ${isMended ? "had" : "have"} different MTUs: ${tellDevice(facts, netns, link.name)} ${isMended ? "sent" : "sends"} up to ${own} bytes, ${tellDevice(facts, peer.netns.inode, peer.link.name)} ${isMended ? "took" : "takes"} only ${other}`,
    count,
    netns,
    evidence: [
      `${plural(count, "packet")}${size === null ? "" : ` of ${formatCount(size)} bytes on average`} did not fit; nobody is told, the sender gets no ICMP message`,
      isMended ? `by now they fit: ${link.mtu ?? "?"} and ${peer.link.mtu ?? "?"}` : null,
      refused === null
        ? null
        : `RX dropped of ${peer.link.name} +${formatCount(refused)}, in ${tellNetns(facts, peer.netns.inode)}`,
      tellCounters(network, ["IpOutDiscards", "UdpSndbufErrors", "Ip6OutDiscards", "TcpRetransSegs"]),
      isWithoutIpv6
        ? `below ${IPV6_LEAST_MTU} IPv6 is off on ${peer.link.name}${lost6.length === 0 ? "" : `: ${plural(countDrops(lost6), "IPv6 packet")} lost too`}`
        : null,
      tellFlows(drops),
    ],
    check: [
      inNetns(place, `ip link show dev ${quoteShell(link.name)}`),
      inNetns(farPlace, `ip link show dev ${quoteShell(peer.link.name)}`),
    ],
    fix: [
      isMended
        ? "# nothing to do: somebody mended it during the run"
        : setLink(facts, peer.netns.inode, peer.link.name, `mtu ${own}`),
    ],
  });
}
