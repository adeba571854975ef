import type { Link, NetDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { countDrops } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { findInterface, findLink, linksOf } from "../support/devices.ts";
import { groupByDevice, isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";

/** Measured on 6.18: NOT_SPECIFIED at `do_xdp_generic`, and at `veth_xdp_rcv_skb` for a native program on a veth. */
const SITES =
  /^(?:do_xdp_generic|netif_receive_generic_xdp|bpf_prog_run_generic_xdp|veth_xdp_rcv\w*|tun_(?:build_skb|xdp_one)|\w+_xdp_(?:rcv|run|act)\w*)$/;
/** How drivers name what their XDP program dropped (`ethtool -S`). */
const DRIVER = /xdp.*drop|drop.*xdp/i;
const DETACH = { native: "xdpdrv", generic: "xdpgeneric", offloaded: "xdpoffload", unknown: "xdp" } as const;

/** An XDP program drops. In a card's driver there is no packet yet, so no event: then only the driver's own counter tells. */
export const xdp: Rule = {
  id: "xdp-drop",
  examine(facts, ledger) {
    const drops = openDrops(facts, ledger).filter(
      (drop) => drop.reason === "XDP" || (isVague(drop) && isFreedAt(drop, SITES)),
    );
    ledger.claim(drops);
    // What the driver counts as dropped by XDP is told here, also where nothing was seen.
    for (const network of facts.networks) {
      for (const link of linksOf(network)) {
        if (link.xdp.length > 0) ledger.account(network.netns.inode, `link.rx_dropped:${link.name}`);
      }
    }
    const seen = groupByDevice(drops).map(({ netns, dev, drops: group }) => {
      const network = findNetwork(facts, netns);
      return tell(facts, network, netns, findLink(network, dev) ?? onlyOne(network), group);
    });
    if (facts.isFiltered) return seen;
    const silent = facts.networks.flatMap((network) =>
      linksOf(network)
        .filter((link) => link.xdp.length > 0 && driverDrops(network, link) > 0)
        .filter((link) => !drops.some((drop) => drop.netns === network.netns.inode && drop.dev === link.name))
        .map((link) => tell(facts, network, network.netns.inode, link, [])),
    );
    return [...seen, ...silent];
  },
};

function onlyOne(network: NetDelta | null): Link | null {
  const links = linksOf(network).filter((link) => link.xdp.length > 0);
  return links.length === 1 ? (links[0] ?? null) : null;
}

/** The total where the driver has one, else the queues together. */
function driverDrops(network: NetDelta | null, link: Link): number {
  const driver = Object.entries(findInterface(network, link.name)?.driver ?? {}).filter(([name]) =>
    DRIVER.test(name),
  );
  const totals = driver.filter(([name]) => !/queue|\d/.test(name));
  return (totals.length > 0 ? totals : driver).reduce((sum, [, change]) => sum + (change.delta ?? 0), 0);
}

function tell(
  facts: Facts,
  network: NetDelta | null,
  netns: number | null,
  link: Link | null,
  drops: readonly DropFact[],
): Finding {
  const place = findPlace(facts, netns);
  const counted = link === null ? 0 : driverDrops(network, link);
  const count = drops.length > 0 ? countDrops(drops) : counted;
  const programs = link?.xdp ?? [];
  const dev = link?.name ?? drops[0]?.dev ?? null;
  const [program] = programs;
  const name =
    program === undefined
      ? "An XDP program"
      : `The XDP program ${program.name ?? `with id ${program.id ?? "?"}`} (${program.mode})`;
  return makeFinding(facts, {
    id: "xdp-drop",
    severity: "problem",
    summary: `${name}${dev === null ? "" : ` on ${dev}`} drops packets: ${formatCount(count)}${drops.length === 0 ? ", without any event" : ""}`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      ...programs.map(
        ({ id, name: own, mode }) =>
          `attached to ${dev}: program id ${id ?? "?"}${own === null ? "" : `, name ${own}`}, mode ${mode}`,
      ),
      programs.length === 0 ? "no program is attached any more" : null,
      counted > 0 ? `the driver counts ${plural(counted, "packet")} dropped by XDP (ethtool -S)` : null,
      tellFlows(drops),
    ],
    check: [
      dev === null ? null : inNetns(place, `ip -d link show dev ${quoteShell(dev)}`),
      program?.id == null ? "bpftool net show" : `bpftool prog show id ${program.id}`,
    ],
    fix:
      dev === null || program === undefined
        ? []
        : [
            inNetns(place, `ip link set dev ${quoteShell(dev)} ${DETACH[program.mode]} off`),
            "# if that says Device or resource busy, a program holds it by a link: bpftool link show names it",
          ],
  });
}
