import type { Link, NetDelta } from "../../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { countDrops, severityOf, tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { familyOf } from "../support/addresses.ts";
import {
  deviceKey,
  findLink,
  isUp,
  lacksCarrier,
  linksOf,
  otherEnd,
  readDeviceSetting,
  setLink,
  tellDevice,
} from "../support/devices.ts";
import { openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { createRouters, hopsOf, type Router } from "../support/routing.ts";
import { accountEchoes, isUnresolved } from "../support/unresolved.ts";
import { IPV6_LEAST_MTU } from "./mtu.ts";

/** The first packets to a host that was just switched off are lost anywhere. */
const MANY = 3;
const COUNTERS = ["IcmpOutDestUnreachs", "Icmp6OutDestUnreachs"];

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
      if (!isUnresolved(drop) || drop.destination === null) continue;
      const network = findNetwork(facts, drop.netns);
      const { address, dev } = nextHop(routers(network), network, drop);
      const key = JSON.stringify([drop.netns, dev, address]);
      const hop = hops.get(key) ?? { netns: drop.netns, dev, address, drops: [] };
      hops.set(key, hop);
      hop.drops.push(drop);
    }
    return [...hops.values()].map((hop) => {
      ledger.claim(hop.drops);
      if (hop.netns !== null) accountEchoes(ledger, hop.netns);
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
  const isOpen = (address: string) => network?.unresolved.some((entry) => entry.address === address) ?? false;
  const hop =
    hops.find(({ gateway }) => isOpen(gateway ?? target)) ??
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
  const owner = findOwner(facts, address, netns) ?? findSilenced(facts, network, link, address);
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

/** The other end of the veth has no IPv6 at all: its MTU is below what IPv6 needs, so its addresses are gone too. */
function findSilenced(
  facts: Facts,
  network: NetDelta | null,
  link: Link | null,
  address: string,
): { readonly text: string; readonly fix: readonly string[] } | null {
  const peer = familyOf(address) === "ipv6" ? otherEnd(facts, network, link) : null;
  if (peer === null || peer.link.mtu === null || peer.link.mtu >= IPV6_LEAST_MTU) return null;
  const netns = peer.netns.inode;
  return {
    text: `its other end ${tellDevice(facts, netns, peer.link.name)} has MTU ${peer.link.mtu}: below ${IPV6_LEAST_MTU} there is no IPv6 on it, and its IPv6 addresses are lost`,
    fix: [
      setLink(facts, netns, peer.link.name, `mtu ${Math.max(IPV6_LEAST_MTU, link?.mtu ?? IPV6_LEAST_MTU)}`),
      "# then add its IPv6 addresses again: those set by hand do not come back by themselves",
    ],
  };
}

/** `arp_ignore`: from 1 on only addresses of the device that was asked are answered for, from 8 on none (Documentation/networking/ip-sysctl.rst). */
function tellIgnored(
  facts: Facts,
  network: NetDelta,
  owner: string,
  address: string,
): { readonly text: string; readonly fix: readonly string[] } | null {
  const netns = network.netns.inode;
  const read = (dev: string): number => readDeviceSetting(network, "ipv4", dev, "arp_ignore") ?? 0;
  const asked = linksOf(network)
    .filter((link) => link.name !== "lo" && isUp(link))
    .find(({ name }) => {
      const mode = Math.max(read("all"), read(name));
      return mode === 8 || (mode > 0 && name !== owner);
    });
  if (familyOf(address) !== "ipv4" || asked === undefined) return null;
  const settings = ["all", asked.name]
    .map((dev) => ({ name: `net.ipv4.conf.${deviceKey(dev)}.arp_ignore`, value: read(dev) }))
    .filter(({ value }) => value > 0);
  const told = settings.map(({ name, value }) => `${name} is ${value}`).join(", ");
  const off = settings.map(({ name }) => quoteShell(`${name}=0`)).join(" ");
  return {
    text: `, and ${told}: ${asked.name} does not answer for addresses of other devices`,
    fix: [inNetns(findPlace(facts, netns), `sysctl -w ${off}`)],
  };
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
    const ignored = tellIgnored(facts, network, link.name, address);
    if (ignored !== null) return { text: `${where}${ignored.text}`, fix: ignored.fix };
    return {
      text: `${where}: the two are not connected, or something between them takes the questions away`,
      fix: [],
    };
  }
  return null;
}
