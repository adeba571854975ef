import { quoteShell } from "../../../../text/escape.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { countDrops } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact } from "../../../facts.ts";
import type { Rule } from "../../../rule.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { findInterface } from "../support/devices.ts";
import { groupByDevice } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

const REASONS = new Set(["UNHANDLED_PROTO", "PTYPE_ABSENT"]);

/** Conversation of switches and cards among themselves, on every network: no line about it. */
const HOUSEKEEPING: ReadonlySet<string> = new Set([
  "lldp",
  "stp",
  "llc",
  "eapol",
  "ptp",
  "eth-0x2000", // CDP
  "eth-0x2004", // DTP
  "eth-0x8808", // pause frames
  "eth-0x8809", // LACP
  "eth-0x8899", // Realtek loop detection
  "eth-0x8902", // CFM
  "eth-0x8914", // FIP
  "eth-0x893a", // IEEE 1905
  "eth-0x88b8", // GOOSE
  "eth-0x88e1", // HomePlug
  "eth-0x8912", // HomePlug
  "eth-0x9000", // loop test
]);

/** What would take such frames, for those an operator may have wanted. */
const WANTED: Readonly<Record<string, string>> = {
  vlan: "a VLAN device with that tag: ip link add link DEV name DEV.ID type vlan id ID",
  qinq: "a VLAN device of protocol 802.1ad",
  mpls: "MPLS routing: modprobe mpls_router, sysctl net.mpls.conf.DEV.input=1",
  pppoe: "a PPPoE session (pppd)",
  "pppoe-discovery": "a PPPoE server or client (pppd)",
  "eth-0x8906": "Fibre Channel over Ethernet (fcoe)",
  "eth-0x8915": "RoCE (an RDMA card)",
  "eth-0x4305": "batman-adv: modprobe batman-adv",
  "eth-0x88e5": "MACsec: ip link add link DEV type macsec",
  "eth-0x22f0": "audio and video bridging (AVTP)",
  "eth-0x88be": "ERSPAN",
};

/**
 * UNHANDLED_PROTO: nobody here takes frames of that EtherType. The catalogue calls it normal; a line says which, because the
 * device counts them as RX dropped, and people wonder about that.
 */
export const etherType: Rule = {
  id: "ethertype-unknown",
  examine(facts, ledger) {
    const drops = facts.drops.filter(
      (drop) => drop.reason !== null && REASONS.has(drop.reason) && !ledger.isClaimed(drop),
    );
    for (const { netns, dev } of drops)
      if (netns !== null && dev !== null) ledger.account(netns, `link.rx_dropped:${dev}`);
    const notable = drops.filter(({ proto }) => proto === null || !HOUSEKEEPING.has(proto));
    ledger.claim(notable);
    return groupByDevice(notable).map(({ netns, dev, drops: group }) => {
      const network = findNetwork(facts, netns);
      const place = findPlace(facts, netns);
      const count = countDrops(group);
      const lost = findInterface(network, dev)?.rxDropped.delta ?? 0;
      const names = [...new Set(group.flatMap(({ proto }) => proto ?? []))];
      return makeFinding(facts, {
        id: "ethertype-unknown",
        severity: "info",
        summary: `${plural(count, "frame")} of ${tellTypes(group)} arrived${dev === null ? "" : ` on ${dev}`}, and nothing here takes that kind`,
        count,
        netns,
        evidence: [
          `in ${tellNetns(facts, netns)}; harmless unless somebody here waits for them`,
          ...names.flatMap((name) => {
            const taker = WANTED[name];
            return taker === undefined ? [] : [`${name} would need ${taker.replaceAll("DEV", dev ?? "DEV")}`];
          }),
          lost > 0 ? `they are counted as RX dropped of ${dev} (+${formatCount(lost)})` : null,
        ],
        check: [
          inNetns(place, `tcpdump -enc 20 -i ${quoteShell(dev ?? "any")} not ip and not ip6 and not arp`),
        ],
        fix: [],
      });
    });
  },
};

function tellTypes(drops: readonly DropFact[]): string {
  const names = [...new Set(drops.map(({ proto }) => proto ?? "an unknown type"))];
  return names
    .slice(0, 3)
    .map((name) => name.replace(/^eth-/, "EtherType "))
    .join(", ");
}
