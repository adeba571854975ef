import type { Neighbour } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { plural } from "../../../../text/format.ts";
import { countDrops, isMany, rankDrops, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type Facts } from "../../../facts.ts";
import type { Rule } from "../../../rule.ts";
import { findPlace, tellNetns } from "../../../where.ts";
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
      const stale = findStale(facts, target?.name ?? null, link?.address ?? null);
      const tool = ipTool(familyOf(target?.name ?? "") ?? "ipv4");
      const to = target === undefined ? "" : ` to ${quoteShell(target.name)}`;
      return [
        makeFinding(facts, {
          id: "other-mac",
          severity: stale.length > 0 ? "problem" : "suspicious",
          summary: `${plural(count, "packet")} for ${tellShares(targets, 2) ?? "this host"}, an address of this host, came with a MAC address or a VLAN tag that nothing here takes`,
          count,
          netns,
          evidence: [
            `in ${tellNetns(facts, netns)}${dev === null ? "" : `, on ${dev}`}, from ${tellShares(sources, 2) ?? "unknown senders"}`,
            link?.address == null ? null : `${link.name} has the MAC address ${link.address}`,
            ...stale.map(
              ({ netns: where, entry }) =>
                `${tellNetns(facts, where)} has another one for it: ${entry.address} dev ${entry.dev} lladdr ${entry.lladdr} ${entry.state.join(" ")}`,
            ),
            stale.length > 0
              ? null
              : "an old entry at the sender or at the router before this host (the address moved, a device was replaced), or a VLAN that is not set up here",
            tellFlows(group),
          ],
          check: [
            ...stale.map(({ netns: where, entry }) =>
              inNetns(findPlace(facts, where), `${tool} neigh show dev ${quoteShell(entry.dev)}${to}`),
            ),
            stale.length > 0 ? null : inNetns(findPlace(facts, netns), "ip -d link show type vlan"),
            inNetns(
              findPlace(facts, netns),
              `ip -s -s link show${dev === null ? "" : ` dev ${quoteShell(dev)}`}`,
            ),
          ],
          fix:
            stale.length > 0
              ? stale.map(({ netns: where, entry }) =>
                  inNetns(
                    findPlace(facts, where),
                    `${tool} neigh del ${quoteShell(entry.address)} dev ${quoteShell(entry.dev)}`,
                  ),
                )
              : [
                  `# at the sender, or at the router before this host: ${tool} neigh flush nud all${to}`,
                  dev === null
                    ? null
                    : `# or, for a VLAN: ip link add link ${dev} name ${dev}.ID type vlan id ID`,
                ],
        }),
      ];
    });
  },
};

/** Entries of other namespaces of this machine that have another MAC address for it: who has them sends the frames astray. */
function findStale(
  facts: Facts,
  address: string | null,
  mac: string | null,
): { netns: number; entry: Neighbour }[] {
  if (address === null || mac === null) return [];
  return facts.networks.flatMap(({ netns, state }) =>
    (state.configuration?.neighbours ?? [])
      .filter((entry) => entry.address === address && entry.lladdr !== null && entry.lladdr !== mac)
      .map((entry) => ({ netns: netns.inode, entry })),
  );
}

/** The addresses of that namespace. */
function ownAddresses(facts: Facts, netns: number | null): ReadonlySet<string> {
  const routes = findNetwork(facts, netns)?.state.configuration?.routes ?? [];
  return new Set(routes.flatMap(({ type, destination }) => (type === "local" ? destination : [])));
}
