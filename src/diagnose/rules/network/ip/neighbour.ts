import type { NetDelta } from "../../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { countDrops, severityOf, tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { familyOf } from "../support/addresses.ts";
import { findLink, isUp, lacksCarrier, setLink, tellDevice } from "../support/devices.ts";
import { isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { createRouters, hopsOf, type Router } from "../support/routing.ts";

/** The first packets to a host that was just switched off are lost anywhere. */
const MANY = 3;
const REASONS = new Set(["NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD"]);
/** IPv6 frees without a reason: `neigh_invalidate` (measured on 6.18), `ndisc_error_report` where it is not inlined. */
const SITES =
  /^(?:neigh_invalidate|arp_error_report|ndisc_error_report|__neigh_event_send|neigh_timer_handler|neigh_blackhole)$/;
const COUNTERS = ["IcmpOutDestUnreachs", "Icmp6OutDestUnreachs"];

/** The message "host unreachable" goes to the sender on this host; where its socket is closed by then, it counts as an error. */
const ECHOES = ["IcmpInErrors", "Icmp6InErrors"];

interface Hop {
  readonly netns: number | null;
  readonly dev: string | null;
  readonly address: string;
  readonly drops: DropFact[];
}

/** Nobody answers for the next hop's address (ARP, IPv6 neighbour discovery): names the address and the device. */
export const neighbourUnresolved: Rule = {
  id: "neighbour-unresolved",
  examine(facts, ledger) {
    const routers = createRouters();
    const hops = new Map<string, Hop>();
    for (const drop of openDrops(facts, ledger)) {
      const isOurs =
        (drop.reason !== null && REASONS.has(drop.reason)) || (isVague(drop) && isFreedAt(drop, SITES));
      if (!isOurs || drop.destination === null) continue;
      const network = findNetwork(facts, drop.netns);
      const { address, dev } = nextHop(routers(network), network, drop);
      const key = JSON.stringify([drop.netns, dev, address]);
      const hop = hops.get(key) ?? { netns: drop.netns, dev, address, drops: [] };
      hops.set(key, hop);
      hop.drops.push(drop);
    }
    return [...hops.values()].map((hop) => {
      ledger.claim(hop.drops);
      if (hop.netns !== null) for (const name of ECHOES) ledger.account(hop.netns, name);
      return tell(facts, findNetwork(facts, hop.netns), hop);
    });
  },
};

/** The entry that is unresolved; else what the routes say; else the destination itself. */
function nextHop(
  route: Router,
  network: NetDelta | null,
  drop: DropFact,
): { address: string; dev: string | null } {
  const target = drop.destination ?? "";
  const answer = route({ to: target, from: drop.source })?.route ?? null;
  const hops = answer === null ? [] : hopsOf(answer);
  const isUnresolved = (address: string) =>
    network?.unresolved.some((entry) => entry.address === address) ?? false;
  const hop =
    hops.find(({ gateway }) => isUnresolved(gateway ?? target)) ??
    hops.find(({ dev }) => dev === drop.dev) ??
    hops[0];
  return { address: hop?.gateway ?? target, dev: drop.dev ?? hop?.dev ?? null };
}

function tell(facts: Facts, network: NetDelta | null, { netns, dev, address, drops }: Hop): Finding {
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const link = findLink(network, dev);
  const entry =
    network?.unresolved.find((item) => item.address === address && (dev === null || item.dev === dev)) ??
    null;
  const asks = familyOf(address) === "ipv6" ? "IPv6 neighbour discovery" : "ARP";
  const isGateway = drops.some(({ destination }) => destination !== address);
  const owner = findOwner(facts, address, netns);
  const full = drops.filter(({ reason }) => reason === "NEIGH_QUEUEFULL");
  return makeFinding(facts, {
    id: "neighbour-unresolved",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `Nobody answers ${asks} for ${isGateway ? `the gateway ${address}` : address}${dev === null ? "" : ` on ${dev}`}: ${plural(count, "packet")} for it thrown away`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      entry === null
        ? null
        : `neighbour entry: ${address} dev ${entry.dev} ${entry.state.join(" ")}${entry.since === "before" ? ", since before the run" : ""}`,
      link !== null && lacksCarrier(link) ? `${link.name} has no carrier` : null,
      owner?.text ?? null,
      full.length === 0
        ? null
        : `${formatCount(countDrops(full))} were pushed out of the queue of packets that wait for the answer (unres_qlen_bytes)`,
      tellCounters(network, COUNTERS),
      tellFlows(drops),
    ],
    check: [
      inNetns(
        place,
        `ip neigh show${dev === null ? "" : ` dev ${quoteShell(dev)}`} to ${quoteShell(address)}`,
      ),
      dev === null || asks !== "ARP"
        ? null
        : inNetns(place, `arping -c 3 -I ${quoteShell(dev)} ${quoteShell(address)}`),
    ],
    fix: [
      ...(owner?.fix ?? []),
      ...(owner === null
        ? [
            `# ${isGateway ? "correct the gateway of the route, or switch that router on" : "switch that host on, or correct the address"}; both must be in the same network segment (VLAN)`,
          ]
        : []),
    ],
  });
}

/** Where that address lives on this machine, and why the device there does not answer. */
function findOwner(
  facts: Facts,
  address: string,
  own: number | null,
): { readonly text: string; readonly fix: readonly string[] } | null {
  for (const network of facts.networks) {
    const netns = network.netns.inode;
    const route = network.state.configuration?.routes?.find(
      (item) => item.type === "local" && item.destination === address,
    );
    const link = findLink(network, route?.dev ?? null);
    if (route === undefined || link === null || netns === own) continue;
    const where = `${address} is the address of ${tellDevice(facts, netns, link.name)}`;
    if (link.flags.includes("NOARP"))
      return {
        text: `${where}, where ARP is switched off`,
        fix: [setLink(facts, netns, link.name, "arp on")],
      };
    if (!isUp(link))
      return { text: `${where}, which is down`, fix: [setLink(facts, netns, link.name, "up")] };
    return {
      text: `${where}: the two are not connected, or something between them takes the questions away`,
      fix: [],
    };
  }
  return null;
}
