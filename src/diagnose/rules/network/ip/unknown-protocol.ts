import { quoteShell } from "../../../../text/escape.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { countDrops, rankDrops, severityOf, tellCounters, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { selectDrops } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { isMulticast } from "../support/addresses.ts";
import { tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** Scanners try a protocol or two. */
const MANY = 10;
const COUNTERS = ["IpInUnknownProtos", "Ip6InUnknownProtos"];

/** What would handle it (by the protocol's name in the flow rows). */
const HANDLERS: Readonly<Record<string, { readonly name: string; readonly fix: string }>> = {
  gre: { name: "GRE (tunnels)", fix: "modprobe ip_gre" },
  ipip: { name: "IP-in-IP (tunnels)", fix: "modprobe ipip" },
  ipv6: { name: "IPv6-in-IPv4 (tunnels)", fix: "modprobe sit" },
  esp: { name: "ESP (IPsec)", fix: "# start the IPsec daemon (strongSwan, Libreswan), which sets up ESP" },
  ah: { name: "AH (IPsec)", fix: "# start the IPsec daemon (strongSwan, Libreswan), which sets up AH" },
  sctp: { name: "SCTP", fix: "modprobe sctp" },
  dccp: { name: "DCCP", fix: "modprobe dccp" },
  ospf: { name: "OSPF (routing)", fix: "# start the routing daemon (FRR, BIRD)" },
  pim: { name: "PIM (multicast routing)", fix: "# start the multicast routing daemon" },
  vrrp: {
    name: "VRRP (shared addresses)",
    fix: "# start keepalived, or keep those routers in another segment",
  },
  "ip-115": { name: "L2TP (tunnels)", fix: "modprobe l2tp_ip" },
};

/** For tcpdump, which does not know all of the names. */
const NUMBERS: Readonly<Record<string, number>> = {
  gre: 47,
  ipip: 4,
  ipv6: 41,
  esp: 50,
  ah: 51,
  sctp: 132,
  dccp: 33,
  ospf: 89,
  pim: 103,
  vrrp: 112,
};

/** IP_NOPROTO: the packet is for this host, but nothing here handles its protocol. The sender is told by ICMP. */
export const unknownProtocol: Rule = {
  id: "protocol-unknown",
  examine(facts, ledger) {
    const groups = selectDrops(facts, ledger, { reasons: ["IP_NOPROTO"], counters: COUNTERS });
    return groups.flatMap(({ netns, drops }) => {
      ledger.claim(drops);
      if (netns !== null) for (const name of COUNTERS) ledger.account(netns, name);
      return [...Map.groupBy(drops, ({ proto }) => proto)].map(([proto, of]) =>
        tell(facts, netns, proto, of),
      );
    });
  },
};

function tell(facts: Facts, netns: number | null, proto: string | null, drops: readonly DropFact[]): Finding {
  const network = findNetwork(facts, netns);
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const handler = proto === null ? undefined : HANDLERS[proto];
  const sources = rankDrops(drops, ({ source }) => source);
  const number = proto === null ? null : (/^ip-(\d+)$/.exec(proto)?.[1] ?? null);
  // ip6 proto: a number alone would ask for IPv4 only.
  const family = drops.some(({ source }) => source?.includes(":") === true) ? "ip6" : "ip";
  const filter = number ?? (proto === null ? null : (NUMBERS[proto] ?? null));
  // Announcements to everybody (OSPF, VRRP) are not meant for this host in particular.
  const isForAll = drops.every(({ destination }) => isMulticast(destination));
  const name = handler?.name ?? (number === null ? (proto ?? "unknown") : `number ${number}`);
  return makeFinding(facts, {
    id: "protocol-unknown",
    severity: isForAll ? "info" : severityOf(count, facts.seconds, MANY),
    summary: `${plural(count, "packet")} of IP protocol ${name} ${isForAll ? "to a multicast group " : ""}came in from ${tellShares(sources, 2) ?? "an unknown sender"}, and nothing here handles that`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}${drops[0]?.dev == null ? "" : `, received on ${drops[0].dev}`}`,
      tellCounters(network, [...COUNTERS, "IcmpOutDestUnreachs", "Icmp6OutParmProblems"]),
      handler === undefined
        ? `no tunnel, daemon or module here is known for it (${formatCount(count)} packets)`
        : null,
      tellFlows(drops),
    ],
    check: [
      inNetns(
        place,
        `tcpdump -nc 20 -i ${quoteShell(drops[0]?.dev ?? "any")}${filter === null ? "" : ` ${family} proto ${filter}`}`,
      ),
      inNetns(place, "ss -0wnp"),
    ],
    fix:
      // A module is the whole host's.
      handler === undefined ? [] : [handler.fix],
  });
}
