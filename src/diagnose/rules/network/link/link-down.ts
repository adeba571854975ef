import type { Peer } from "../../../../evidence/net/peer.ts";
import type { Link, NetDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { countDrops, severityOf } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import { tellLog } from "../../../kernel-log.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import {
  findInterface,
  findLink,
  isUp,
  lacksCarrier,
  otherEnd,
  setLink,
  tellDevice,
} from "../support/devices.ts";
import { groupByDevice, isFreedAt, openDrops, tellFlows, type DeviceGroup } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { NOTHING_TO_DO, WAS_REMOVED } from "../../../gone.ts";
import { accountEchoes, isUnresolved } from "../support/unresolved.ts";

/** A device that goes down has a few packets under way. */
const MANY = 3;
const SITES =
  /^(?:__dev_queue_xmit|__dev_xmit_skb|dev_hard_start_xmit|enqueue_to_backlog|netif_rx\w*|veth_xmit|_*dev_forward_skb2?|tun_net_xmit|packet_snd|macvlan_\w+|ipvlan_\w+|vlan_dev_hard_start_xmit|br_\w+|bond_\w+|team_\w+)$/;

/**
 * A device that is down or has nobody at the other end. Its queue is replaced by one that refuses everything (noop_qdisc in
 * net/sched/sch_generic.c): QDISC_DROP in `__dev_queue_xmit` with TX dropped (measured on 6.18), which a real queue does not count.
 */
export const linkDown: Rule = {
  id: "link-down",
  examine(facts, ledger) {
    const drops = openDrops(facts, ledger).filter(
      ({ reason }) => reason === "QDISC_DROP" || reason === "DEV_READY",
    );
    const vague = openDrops(facts, ledger).filter((drop) => isVague(drop) && isFreedAt(drop, SITES));
    const unresolved = openDrops(facts, ledger).filter(isUnresolved);
    return groupByDevice([...drops, ...vague, ...unresolved]).flatMap((group) => {
      const network = findNetwork(facts, group.netns);
      const link =
        findLink(network, group.dev) ?? findGoneLink(network, group.dev) ?? onlyIdle(network, group);
      if (network === null || link === null || (isUp(link) && !lacksCarrier(link))) return [];
      ledger.claim(group.drops);
      ledger.account(network.netns.inode, `link.tx_dropped:${link.name}`);
      if (group.drops.some(isUnresolved)) accountEchoes(ledger, network.netns.inode);
      return [tell(facts, network, link, group)];
    });
  },
};

/** A device that was there at the start only. */
function findGoneLink(network: NetDelta | null, dev: string | null): Link | null {
  return network?.gone.links.find(({ name }) => name === dev) ?? null;
}

/** Where no sample named the device: the only one that counted these drops. */
function onlyIdle(network: NetDelta | null, { dev, drops }: DeviceGroup): Link | null {
  if (dev !== null) return null;
  const count = countDrops(drops);
  const fitting = network?.interfaces.filter(({ txDropped }) => (txDropped.delta ?? 0) >= count) ?? [];
  return fitting.length === 1 ? findLink(network, fitting[0]?.name ?? null) : null;
}

function tell(facts: Facts, network: NetDelta, link: Link, { netns, drops }: DeviceGroup): Finding {
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const peer = otherEnd(facts, network, link);
  const lost = findInterface(network, link.name)?.txDropped.delta ?? 0;
  const isGone = findLink(network, link.name) === null;
  const { why, fix } = isGone
    ? { why: `it ${WAS_REMOVED}`, fix: [NOTHING_TO_DO] }
    : explain(facts, network, link, peer);
  const [is, has] = isGone ? ["was", "had"] : ["is", "has"];
  return makeFinding(facts, {
    id: isUp(link) ? "link-no-carrier" : "link-down",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `${link.name} ${isUp(link) ? `${has} no carrier` : `${is} down`}: ${why}; ${plural(count, "packet")} for it thrown away`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}: ${link.name} <${link.flags.join(",")}>${link.operstate === null ? "" : ` state ${link.operstate}`}`,
      peer === null
        ? null
        : `its other end: ${tellDevice(facts, peer.netns.inode, peer.link.name)} <${peer.link.flags.join(",")}>`,
      lost > 0 ? `TX dropped of ${link.name} +${formatCount(lost)}` : null,
      tellLog(facts, deviceLog(link.name, link.master !== null)),
      tellFlows(drops),
    ],
    check: [
      inNetns(place, `ip -d link show dev ${quoteShell(link.name)}`),
      peer === null
        ? null
        : inNetns(findPlace(facts, peer.netns.inode), `ip link show dev ${quoteShell(peer.link.name)}`),
      link.physical ? inNetns(place, `ethtool ${quoteShell(link.name)}`) : null,
    ],
    fix,
  });
}

/** `e1000e 0000:00:1f.6 eth0: NIC Link is Down`, `br0: port 1(eth0) entered disabled state`. */
function deviceLog(dev: string, isPort: boolean): RegExp {
  const name = dev.replace(/[^\w]/g, "\\$&");
  // A bridge says of its ports that they are "disabled" whenever a container ends, and not in which namespace.
  const what = "[Ll]ink is [Dd]own|link status definitely down";
  return new RegExp(`(?:^|[\\s(])${name}\\b.*(?:${what}${isPort ? "|entered disabled state" : ""})`);
}

function explain(
  facts: Facts,
  network: NetDelta,
  link: Link,
  peer: Peer | null,
): { readonly why: string; readonly fix: readonly string[] } {
  if (!isUp(link))
    return { why: "it is switched off", fix: [setLink(facts, network.netns.inode, link.name, "up")] };
  if (peer !== null && !isUp(peer.link)) {
    return {
      why: `its other end ${tellDevice(facts, peer.netns.inode, peer.link.name)} is down`,
      fix: [setLink(facts, peer.netns.inode, peer.link.name, "up")],
    };
  }
  if (link.kind === "tun")
    return {
      why: "the program that should hold it (virtual machine, VPN) is not running",
      fix: [`# start the program that uses ${link.name}`],
    };
  if (link.kind === "bridge")
    return { why: "none of its ports is up", fix: ["# bring a port of the bridge up"] };
  if (link.kind === "bond" || link.kind === "team")
    return { why: "none of the devices below it has a link", fix: ["# bring one of its devices up"] };
  if (link.kind === "veth")
    return {
      why: "its other end is down or gone",
      fix: ["# bring the other end up, or make the container anew"],
    };
  return {
    why: "cable, transceiver or switch port",
    fix: ["# plug the cable in, or switch the port of the switch on"],
  };
}
