import type { NetDelta } from "../../../../evidence/net/types.ts";
import { formatCount } from "../../../../text/format.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { countDrops, rankDrops, severityOf, tellCounters, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Ledger, Rule } from "../../../rule.ts";
import { selectDrops } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { familyOf, rangeOf, type Family } from "../support/addresses.ts";
import { deviceKey, readDeviceSetting } from "../support/devices.ts";
import { isFreedAt, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { tellTranslation } from "../support/translation.ts";
import { createRouter } from "../support/routing.ts";

/** A switch that forgot a MAC address floods a few packets to everybody; somebody who counts on this host sends more. */
const MANY = 3;
const COUNTERS = ["IpInAddrErrors", "Ip6InAddrErrors"];

/**
 * IP_INADDRERRORS: a packet for another host, and this one does not forward. IPv6 looks for a route first and then says
 * IP_INNOROUTES at `ip6_pkt_discard` (measured on 6.18), so there the setting decides.
 */
export const forwardingOff: Rule = {
  id: "forwarding-off",
  examine(facts, ledger) {
    const exact = selectDrops(facts, ledger, { reasons: ["IP_INADDRERRORS"], counters: COUNTERS }).flatMap(
      ({ drops }) => drops,
    );
    const open = [...exact, ...unroutedIpv6(facts, ledger)].filter(({ destination }) => destination !== null);
    const groups = Map.groupBy(open, (drop) =>
      JSON.stringify([drop.netns, drop.dev, familyOf(drop.destination ?? "")]),
    );
    return [...groups.values()].flatMap((drops) => {
      const [first] = drops;
      const family = familyOf(first?.destination ?? "");
      if (first === undefined || family === null) return [];
      ledger.claim(drops);
      if (first.netns !== null)
        ledger.account(first.netns, family === "ipv4" ? "IpInAddrErrors" : "Ip6InAddrErrors");
      return [tell(facts, findNetwork(facts, first.netns), family, drops)];
    });
  },
};

function unroutedIpv6(facts: Facts, ledger: Ledger): DropFact[] {
  return openDrops(facts, ledger).filter(
    (drop) =>
      drop.reason === "IP_INNOROUTES" &&
      drop.destination !== null &&
      familyOf(drop.destination) === "ipv6" &&
      isFreedAt(drop, /^ip6_pkt_(?:discard|drop)$/) &&
      readDeviceSetting(findNetwork(facts, drop.netns), "ipv6", "all", "forwarding") === 0,
  );
}

function tell(facts: Facts, network: NetDelta | null, family: Family, drops: readonly DropFact[]): Finding {
  const [first] = drops;
  const netns = first?.netns ?? null;
  const dev = first?.dev ?? null;
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const destinations = rankDrops(drops, ({ destination }) => destination);
  const target = destinations[0]?.name ?? "";
  const switches = forwardingSwitches(network, family, dev);
  const route = createRouter(network)({ to: target })?.route ?? null;
  const isNeighbour =
    route !== null && route.type === "unicast" && route.gateway === null && route.dev === dev;
  const isRoutable = ["unicast", "private", "uniqueLocal", "carrierGradeNat"].includes(rangeOf(target) ?? "");
  const on = `sysctl -w ${switches.names.map((name) => quoteShell(`${name}=1`)).join(" ")}`;
  const adopt = `ip addr add ${quoteShell(`${target}/${family === "ipv4" ? 32 : 128}`)} dev ${quoteShell(dev ?? "")}`;
  const isOff = switches.state !== "on";
  return makeFinding(facts, {
    id: "forwarding-off",
    severity: isRoutable ? severityOf(count, facts.seconds, MANY) : "suspicious",
    summary: isOff
      ? `Packets to ${tellTargets(destinations)} arrive here, but the address is not of this host, and ${family === "ipv4" ? "IPv4" : "IPv6"} forwarding is off`
      : `Packets to ${tellTargets(destinations)} arrive here, but the address is not of this host and cannot be forwarded`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}${dev === null ? "" : `, received on ${dev}`}`,
      switches.text === null || switches.state === "off" ? switches.text : `${switches.text} by now`,
      tellTranslation(network, target),
      isNeighbour
        ? `${target} belongs to the network on ${dev}: it may be an address that this host had and lost`
        : null,
      family === "ipv6" && route === null ? `besides, there is no route to ${target}` : null,
      tellCounters(network, [...COUNTERS, "Ip6InNoRoutes"]),
      tellFlows(drops),
    ],
    check: [
      inNetns(place, `sysctl ${switches.names.map((name) => quoteShell(name)).join(" ")}`),
      inNetns(place, `ip addr show to ${quoteShell(target)}`),
    ],
    fix: !isOff
      ? ["# nothing to do if it was switched on during the run: these packets came before"]
      : isRoutable
        ? [inNetns(place, isNeighbour && dev !== null ? adopt : on)]
        : [],
  });
}

function tellTargets(destinations: readonly { readonly name: string; readonly count: number }[]): string {
  return tellShares(destinations, 2) ?? "other hosts";
}

/**
 * IPv4 asks the receiving device (IN_DEV_FORWARD), which follows `ip_forward` when that is set; IPv6 asks `all` (ip6_forward).
 */
function forwardingSwitches(
  network: NetDelta | null,
  family: Family,
  dev: string | null,
): { names: string[]; text: string | null; state: "on" | "off" | "unknown" } {
  const all = readDeviceSetting(network, family, "all", "forwarding");
  const own = dev === null ? null : readDeviceSetting(network, family, dev, "forwarding");
  const name = family === "ipv4" ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding";
  const isDeviceOnly = family === "ipv4" && all === 1 && own === 0 && dev !== null;
  const effective = family === "ipv4" ? (own ?? all) : all;
  const names = isDeviceOnly ? [`net.ipv4.conf.${deviceKey(dev)}.forwarding`] : [name];
  if (effective === null) return { names, text: null, state: "unknown" };
  const state = effective === 0 ? "off" : "on";
  return { names, text: `${names[0]} is ${formatCount(effective)}`, state };
}
