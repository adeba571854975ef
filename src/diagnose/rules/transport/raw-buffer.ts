import type { DatagramSocketDelta, NetDelta } from "../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../text/format.ts";
import { countDrops, rankDrops, severityOf, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import type { DropFact, Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Rule } from "../../rule.ts";
import { selectDrops } from "../../select.ts";
import { findPlace, nameNetns } from "../../where.ts";
import { tellOwner } from "./endpoints.ts";

/** As for UDP: a burst costs a few, more means that the reader does not keep up. */
const MANY = 10;

/** IP protocol numbers of the names that drops carry; others are called `ip-N`. */
const NUMBERS: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  ipv6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  ospf: 89,
  pim: 103,
  vrrp: 112,
  sctp: 132,
};

/**
 * Raw sockets (OSPF, VRRP, ping) whose receive buffer is full. The kernel skips such a socket and counts it there
 * (net/ipv4/raw.c raw_v4_input); when nobody else takes the packet it drops it as IP_NOPROTO, as if there was no socket.
 */
export const rawBuffer: Rule = {
  id: "raw-receive-buffer",
  examine: (facts, ledger) => [
    ...facts.networks.flatMap((network) => {
      const raw = network.datagramSockets.filter(({ protocol }) => protocol === "raw");
      return [...Map.groupBy(raw, (socket) => socket.localPort)].map(([number, sockets]) => {
        const drops = facts.drops.filter(
          (drop) =>
            drop.netns === network.netns.inode &&
            !ledger.isClaimed(drop) &&
            (drop.reason === "IP_NOPROTO" || drop.reason === "SOCKET_RCVBUFF") &&
            numberOf(drop) === number,
        );
        ledger.claim(drops);
        return tellRaw(facts, network, number, sockets, drops);
      });
    }),
    // Other kinds of sockets (packet sockets before Linux 6.10, DCCP, CAN): no list names them.
    ...selectDrops(facts, ledger, { reasons: ["SOCKET_RCVBUFF"] })
      .filter(({ drops }) => !drops.every(isCapture))
      .map(({ netns, drops }) => {
        ledger.claim(drops);
        return tellOther(facts, netns, drops);
      }),
  ],
};

const numberOf = ({ proto }: DropFact) =>
  proto === null ? null : (NUMBERS[proto] ?? Number(/^ip-(\d+)$/.exec(proto)?.[1] ?? Number.NaN));

/** Whether it was a copy for a packet socket that got lost, under the name it had before PACKET_SOCK_ERROR (Linux 6.10). */
export function isCapture({ location, functions }: DropFact): boolean {
  return [location ?? "", ...functions].some((name) => /^t?packet_rcv/.test(name));
}

function tellRaw(
  facts: Facts,
  network: NetDelta,
  number: number,
  sockets: readonly DatagramSocketDelta[],
  drops: readonly DropFact[],
): Finding {
  const refused = sockets.reduce((sum, { drops: { delta } }) => sum + (delta ?? 0), 0);
  const [socket] = sockets;
  const inode = network.netns.inode;
  const owner = tellOwner(facts, socket?.inode ?? null);
  const place = findPlace(facts, inode);
  const counters =
    drops.length === 0 ? null : tellCounters(network, ["IpInUnknownProtos", "Ip6InUnknownProtos"]);
  const told = countDrops(drops);
  return {
    id: "raw-receive-buffer",
    // A raw ICMP socket gets a copy of every ICMP message: one that nobody reads between two pings overflows harmlessly.
    severity: number === 1 || number === 58 ? "info" : severityOf(refused, facts.seconds, MANY),
    summary: `${plural(refused, "packet")} of IP protocol ${number} lost because the receive buffer of a raw socket was full: ${owner} reads too slowly`,
    count: refused,
    netns: nameNetns(facts, inode),
    evidence: [
      ...sockets.map(
        (item) =>
          `raw socket (IP protocol ${number}) of ${tellOwner(facts, item.inode)}: drops +${formatCount(item.drops.delta ?? 0)}, ${formatCount(item.receiveQueue)}${item.receiveBuffer === null ? "" : ` of ${formatCount(item.receiveBuffer)}`} bytes waiting at the end`,
      ),
      told === 0
        ? "no drop event tells of it: another part of the kernel took the packets too"
        : `${plural(told, "event")} ${tellShares(rankDrops(drops, ({ reason }) => reason)) ?? ""}: with its only socket full, the kernel says that nobody handles the protocol${counters === null ? "" : ` (${counters})`}`,
    ],
    check: [inNetns(place, "ss -wanmp"), inNetns(place, "cat /proc/net/raw")],
    fix: [`# let ${owner} read faster, or ask for a larger SO_RCVBUF (up to net.core.rmem_max)`],
  };
}

function tellOther(facts: Facts, netns: number | null, drops: readonly DropFact[]): Finding {
  const count = countDrops(drops);
  const place = findPlace(facts, netns);
  return {
    id: "receive-buffer",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `${plural(count, "packet")} (${tellShares(rankDrops(drops, ({ proto }) => proto)) ?? "unknown protocol"}) lost because the receive buffer of a socket was full: its program reads too slowly`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      `SOCKET_RCVBUFF at ${tellShares(rankDrops(drops, ({ location }) => location)) ?? "an unknown place"}`,
    ],
    check: [inNetns(place, "ss -anmp")],
    fix: ["# let the program read faster, or ask for a larger SO_RCVBUF (up to net.core.rmem_max)"],
  };
}
