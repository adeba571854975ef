import { quoteShell } from "../../../../text/escape.ts";
import { plural } from "../../../../text/format.ts";
import { countDrops, isMany, rankDrops, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type Facts } from "../../../facts.ts";
import type { Rule } from "../../../rule.ts";
import { findAddress, findPlace, tellNetns } from "../../../where.ts";
import { familyOf } from "../support/addresses.ts";
import { findLink } from "../support/devices.ts";
import { groupByDevice, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { ipTool } from "../support/routing.ts";

/** A switch floods a frame or two while it learns; this many are sent that way on purpose, or by mistake. */
const MANY = 10;

/**
 * OTHERHOST is normal on a device that takes all frames, but not for an address of this host: then the sender has a wrong MAC
 * address for it, or the frame has a VLAN tag that no device here takes (the kernel makes it OTHERHOST, net/core/dev.c).
 */
export const otherMac: Rule = {
  id: "other-mac",
  examine(facts, ledger) {
    const others = facts.drops.filter((drop) => drop.reason === "OTHERHOST" && !ledger.isClaimed(drop));
    const drops = [...Map.groupBy(others, ({ netns }) => netns)].flatMap(([netns, found]) => {
      const own = ownAddresses(facts, netns);
      return found.filter(({ destination }) => destination !== null && own.has(destination));
    });
    return groupByDevice(drops).flatMap(({ netns, dev, drops: group }) => {
      const count = countDrops(group);
      if (!isMany(count, facts.seconds, MANY)) return [];
      ledger.claim(group);
      const link = findLink(findNetwork(facts, netns), dev);
      const targets = rankDrops(group, ({ destination }) => destination);
      const sources = rankDrops(group, ({ source }) => source);
      const [target] = targets;
      const sender = findAddress(facts, sources[0]?.name ?? null);
      const asker = sender === null ? null : findPlace(facts, sender.netns.inode);
      const tool = ipTool(familyOf(target?.name ?? "") ?? "ipv4");
      const to = target === undefined ? "" : ` to ${quoteShell(target.name)}`;
      return [
        makeFinding(facts, {
          id: "other-mac",
          severity: "suspicious",
          summary: `${plural(count, "packet")} for ${tellShares(targets, 2) ?? "this host"}, an address of this host, came with a MAC address or a VLAN tag that nothing here takes`,
          count,
          netns,
          evidence: [
            `in ${tellNetns(facts, netns)}${dev === null ? "" : `, on ${dev}`}, from ${tellShares(sources, 2) ?? "unknown senders"}`,
            link?.address == null
              ? null
              : `${link.name} has the MAC address ${link.address}: an old entry at the sender (the address moved, a device was replaced), or a VLAN that is not set up here`,
            tellFlows(group),
          ],
          check: [
            sender === null ? null : inNetns(asker, `${tool} neigh show${to}`),
            inNetns(findPlace(facts, netns), "ip -d link show type vlan"),
            inNetns(
              findPlace(facts, netns),
              `ip -s -s link show${dev === null ? "" : ` dev ${quoteShell(dev)}`}`,
            ),
          ],
          fix: [
            sender === null
              ? `# at the sender: ${tool} neigh flush nud all${to}`
              : inNetns(asker, `${tool} neigh flush nud all${to}`),
            dev === null ? null : `# or, for a VLAN: ip link add link ${dev} name ${dev}.ID type vlan id ID`,
          ],
        }),
      ];
    });
  },
};

/** The addresses of that namespace. */
function ownAddresses(facts: Facts, netns: number | null): ReadonlySet<string> {
  const routes = findNetwork(facts, netns)?.state.configuration?.routes ?? [];
  return new Set(routes.flatMap(({ type, destination }) => (type === "local" ? destination : [])));
}
