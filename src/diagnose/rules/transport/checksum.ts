import { findPeer } from "../../../evidence/net/peer.ts";
import type { Link, NetDelta } from "../../../evidence/net/types.ts";
import { quoteShell } from "../../../text/escape.ts";
import { plural } from "../../../text/format.ts";
import { countDrops, rankDrops, severityOf, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import type { DropFact, Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Rule } from "../../rule.ts";
import { selectDrops } from "../../select.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";

/** Radio links and long cables damage a packet now and then; this many have a cause. */
const MANY = 10;

interface Layer {
  readonly what: string;
  readonly reasons: readonly string[];
  readonly counters: readonly string[];
  /** Counters that move along with those. */
  readonly implied: readonly string[];
}

const LAYERS: readonly Layer[] = [
  {
    what: "UDP",
    reasons: ["UDP_CSUM"],
    counters: ["UdpInCsumErrors", "Udp6InCsumErrors", "UdpLiteInCsumErrors", "UdpLite6InCsumErrors"],
    implied: ["UdpInErrors", "Udp6InErrors", "UdpLiteInErrors", "UdpLite6InErrors"],
  },
  { what: "TCP", reasons: ["TCP_CSUM"], counters: ["TcpInCsumErrors"], implied: ["TcpInErrs"] },
  { what: "IPv4 header", reasons: ["IP_CSUM"], counters: ["IpExtInCsumErrors"], implied: ["IpInHdrErrors"] },
  {
    what: "ICMP",
    reasons: ["ICMP_CSUM"],
    counters: ["IcmpInCsumErrors", "Icmp6InCsumErrors"],
    implied: ["IcmpInErrors", "Icmp6InErrors"],
  },
  { what: "packet", reasons: ["SKB_CSUM"], counters: [], implied: [] },
];

/** Wrong checksums: damage on a real wire, unfinished offload on a virtual one. */
export const checksum: Rule = {
  id: "checksum",
  examine: (facts, ledger) =>
    LAYERS.flatMap((layer) =>
      selectDrops(facts, ledger, layer).flatMap(({ netns, network, drops }) => {
        ledger.claim(drops);
        if (netns !== null) {
          for (const name of [...layer.counters, ...layer.implied]) ledger.account(netns, name);
        }
        return [...Map.groupBy(drops, (drop) => drop.dev)].map(([dev, found]) =>
          tellDevice(facts, layer, netns, network, dev, found),
        );
      }),
    ),
};

function tellDevice(
  facts: Facts,
  layer: Layer,
  netns: number | null,
  network: NetDelta | null,
  dev: string | null,
  drops: readonly DropFact[],
): Finding {
  const count = countDrops(drops);
  const place = findPlace(facts, netns);
  const link = network?.state.configuration?.links?.find(({ name }) => name === dev) ?? null;
  const counters = tellCounters(network, layer.counters);
  const sources = tellShares(rankDrops(drops, ({ source }) => source));
  const isVirtual = link !== null && !link.physical;
  return {
    id: "checksum",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `${plural(count, "packet")} with a wrong ${layer.what} checksum came in on ${dev ?? "an unknown device"}${sources === null ? "" : ` from ${sources}`}`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      `${drops[0]?.reason ?? layer.reasons[0]}${counters === null ? "" : `; ${counters}`} in ${tellNetns(facts, netns)}`,
      isVirtual
        ? `${dev} is ${link.kind ?? link.type ?? "virtual"}: no wire is there to damage a bit, so the sender made the packet like this (checksum offload left to a device that does not do it, a tunnel, or a program with raw sockets). A capture at the sender shows wrong checksums for offloaded packets too: those are harmless, these were dropped`
        : `${dev ?? "the device"} has a wire: a bad cable, transceiver or switch damages packets, or the card itself checks wrongly`,
    ],
    check: [
      ...(dev === null ? [] : [inNetns(place, `ethtool -k ${quoteShell(dev)} | grep checksum`)]),
      ...(dev === null || isVirtual ? [] : [inNetns(place, `ethtool -S ${quoteShell(dev)}`)]),
      inNetns(
        place,
        `nstat -az ${(layer.counters.length > 0 ? layer.counters : ["IpExtInCsumErrors"]).join(" ")}`,
      ),
    ],
    fix: fixOffload(facts, place, network, link, dev, isVirtual),
  };
}

/** The sender has to finish the checksum itself: at the other end of a veth pair, where that end is known. */
function fixOffload(
  facts: Facts,
  place: Parameters<typeof inNetns>[0],
  network: NetDelta | null,
  link: Link | null,
  dev: string | null,
  isVirtual: boolean,
): string[] {
  if (dev === null) return ["# find the sender; there: ethtool -K DEV tx off"];
  if (!isVirtual) {
    return [
      inNetns(place, `ethtool -K ${quoteShell(dev)} rx off`),
      "# that lets the kernel check instead of the card; if the errors stay, change cable, transceiver or switch port",
    ];
  }
  const peer =
    network === null || link === null
      ? null
      : findPeer(
          facts.networks.map(({ state }) => state),
          network.netns,
          link,
        );
  return peer === null
    ? ["# where the packets are sent, let the kernel finish the checksum: ethtool -K DEV tx off"]
    : [
        inNetns(findPlace(facts, peer.netns.inode), `ethtool -K ${quoteShell(peer.link.name)} tx off`),
        "# that helps where offload is the cause; a program that writes packets itself has to be corrected",
      ];
}
