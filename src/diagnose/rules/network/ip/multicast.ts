import { quoteShell } from "../../../../text/escape.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { countDrops, rankDrops, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { isMulticast } from "../support/addresses.ts";
import { groupByDevice, isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** `ip_rcv_finish_core` for IPv4 (measured on 6.18, NOT_SPECIFIED); IPv6 frees in `ip6_mc_input`, which the catalogue knows as normal. */
const SITES = /^(?:ip_rcv_finish(?:_core)?|ip_route_input_\w+|ip_mc_\w+|ip_mr_\w+|ip6?_mc_input)$/;

/** Multicast that nobody here has joined: harmless, but worth a line when somebody waits for it. */
export const multicast: Rule = {
  id: "multicast-not-joined",
  examine(facts, ledger) {
    const drops = openDrops(facts, ledger).filter(
      (drop) => isVague(drop) && isMulticast(drop.destination) && isFreedAt(drop, SITES),
    );
    ledger.claim(drops);
    return groupByDevice(drops).map(({ netns, dev, drops: group }) => {
      const place = findPlace(facts, netns);
      const count = countDrops(group);
      const groups = rankDrops(group, ({ destination }) => destination);
      return makeFinding(facts, {
        id: "multicast-not-joined",
        severity: "info",
        summary: `${plural(count, "packet")} for multicast group ${tellShares(groups, 2) ?? ""} arrived, which nobody here has joined`,
        count,
        netns,
        evidence: [
          `in ${tellNetns(facts, netns)}${dev === null ? "" : `, received on ${dev}`}`,
          `normal on a shared network (${formatCount(groups.length)} ${groups.length === 1 ? "group" : "groups"}); a program that waits for it has not joined, or joined on another device`,
          tellFlows(group),
        ],
        check: [inNetns(place, `ip maddr show${dev === null ? "" : ` dev ${quoteShell(dev)}`}`)],
        fix: [],
      });
    });
  },
};
