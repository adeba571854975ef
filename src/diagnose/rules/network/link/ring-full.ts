import { formatCount, plural } from "../../../../text/format.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { countDrops, roundUp, severityOf } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork } from "../../../facts.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { findInterface, findLink, setLink } from "../support/devices.ts";
import { groupByDevice, isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** A virtual machine that is not scheduled for a moment loses a few. */
const MANY = 10;
/** The default of tun devices is 500; ten milliseconds at a million packets a second need this many. */
const LEAST_LENGTH = 10_000;
const SITES = /^(?:tun_net_xmit|tap_handle_frame|tun_xdp_xmit)$/;

/** FULL_RING: the program behind a tun/tap device (virtual machine, VPN) does not fetch its packets fast enough. */
export const ringFull: Rule = {
  id: "ring-full",
  examine(facts, ledger) {
    const drops = openDrops(facts, ledger).filter(
      (drop) => drop.reason === "FULL_RING" || (isVague(drop) && isFreedAt(drop, SITES)),
    );
    ledger.claim(drops);
    return groupByDevice(drops).map(({ netns, dev, drops: group }) => {
      const network = findNetwork(facts, netns);
      const place = findPlace(facts, netns);
      const link = findLink(network, dev);
      const count = countDrops(group);
      const lost = findInterface(network, dev)?.txDropped.delta ?? 0;
      const length = link?.txQueueLength ?? null;
      if (netns !== null && dev !== null) ledger.account(netns, `link.tx_dropped:${dev}`);
      return makeFinding(facts, {
        id: "ring-full",
        severity: severityOf(count, facts.seconds, MANY),
        summary: `The program behind ${dev ?? "a virtual device"} does not fetch its packets fast enough: its ring was full, ${plural(count, "packet")} lost`,
        count,
        netns,
        evidence: [
          `in ${tellNetns(facts, netns)}${link?.kind == null ? "" : `; ${link.name} is a ${link.kind} device: a virtual machine or VPN reads from it`}`,
          length === null ? null : `the ring holds ${plural(length, "packet")} (txqueuelen)`,
          lost > 0 ? `TX dropped of ${dev} +${formatCount(lost)}` : null,
          tellFlows(group),
        ],
        check: [
          dev === null ? null : inNetns(place, `ip -s link show dev ${quoteShell(dev)}`),
          "grep -l '^iff:' /proc/[0-9]*/fdinfo/* 2>/dev/null | cut -d/ -f3 | sort -u | xargs -r ps -o pid,pcpu,stat,comm -p",
        ],
        fix:
          dev === null || netns === null
            ? []
            : [
                setLink(
                  facts,
                  netns,
                  dev,
                  `txqueuelen ${Math.max(LEAST_LENGTH, roundUp(2 * (length ?? 0)))}`,
                ),
              ],
      });
    });
  },
};
