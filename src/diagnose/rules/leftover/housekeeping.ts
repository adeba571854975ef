import type { DropFact } from "../../facts.ts";
import type { Rule } from "../../rule.ts";
import { isVague } from "../../select.ts";

/** What becomes of such messages where nobody waits for them, or where the device is just coming up. */
const IDLE: ReadonlySet<string> = new Set([
  "IP_INNOROUTES",
  "IP_OUTNOROUTES",
  "IP_INADDRERRORS",
  "IPV6DISABLED",
  "IPV6_NDISC_NS_OTHERHOST",
  "DEV_READY",
  "UNHANDLED_PROTO",
  "OTHERHOST",
]);

/**
 * The network's own small talk to everybody on a link, which every device sends when it comes up: multicast memberships,
 * IPv6 neighbour and router questions, duplicate address detection, ARP. No application waits for it: no finding.
 */
export const housekeeping: Rule = {
  id: "housekeeping",
  examine(facts, ledger) {
    ledger.claim(
      facts.drops.filter(
        (drop) =>
          !ledger.isClaimed(drop) && isSmallTalk(drop) && (isVague(drop) || IDLE.has(drop.reason ?? "")),
      ),
    );
    return [];
  },
};

function isSmallTalk({ proto, destination }: DropFact): boolean {
  if (proto === "arp" || proto === "igmp") return true;
  // ff01 (device), ff02 (link): never routed.
  return proto === "icmpv6" && destination !== null && /^ff0[12]:/i.test(destination);
}
