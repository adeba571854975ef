import type { NetDelta } from "../../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../../text/format.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { countDrops, rankDrops, severityOf, tellShares } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import { tellLog } from "../../../kernel-log.ts";
import type { Rule } from "../../../rule.ts";
import { findHost, findPlace, tellNetns } from "../../../where.ts";
import { deviceKey } from "../support/devices.ts";
import { groupByDevice, openDrops, tellFlows, type DeviceGroup } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { createRouter, hopsOf, tellRoute } from "../support/routing.ts";

/** One or two come with every change of addresses; from here on it goes on. */
const MANY = 3;

const KINDS = [
  { reason: "IP_LOCAL_SOURCE", tell: tellOwnSource },
  { reason: "IP_INVALID_SOURCE", tell: tellInvalidSource },
  { reason: "IP_LOCALNET", tell: tellLoopback },
  { reason: "IP_INVALID_DEST", tell: tellInvalidDestination },
] as const;

/**
 * Martians: addresses that cannot be right on the wire. No counter of the namespace moves (measured on 6.18), only the host-wide
 * `in_martian_src` and `in_martian_dst` of /proc/net/stat/rt_cache, and the kernel log where log_martians is on.
 */
export const martians: Rule = {
  id: "martian",
  examine(facts, ledger) {
    return KINDS.flatMap(({ reason, tell }) => {
      const drops = openDrops(facts, ledger).filter((drop) => drop.reason === reason);
      ledger.claim(drops);
      return groupByDevice(drops).flatMap((group) => tell(facts, findNetwork(facts, group.netns), group));
    });
  },
};

/** Our own address as the source: what we sent comes back (then the destination is somebody else's), or somebody else uses it. */
function tellOwnSource(facts: Facts, network: NetDelta | null, group: DeviceGroup): Finding[] {
  const route = createRouter(network);
  const isReturned = (drop: DropFact) => {
    const way = drop.destination === null ? null : (route({ to: drop.destination })?.route ?? null);
    return way !== null && way.type === "unicast" && hopsOf(way).some(({ dev }) => dev === drop.dev);
  };
  const returned = group.drops.filter(isReturned);
  const foreign = group.drops.filter((drop) => !returned.includes(drop));
  return [
    ...(returned.length === 0 ? [] : [tellReturned(facts, network, { ...group, drops: returned })]),
    ...(foreign.length === 0 ? [] : [tellDuplicate(facts, network, { ...group, drops: foreign })]),
  ];
}

function tellReturned(facts: Facts, network: NetDelta | null, { netns, dev, drops }: DeviceGroup): Finding {
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const destinations = rankDrops(drops, ({ destination }) => destination);
  const target = destinations[0]?.name ?? "";
  const way = createRouter(network)({ to: target })?.route ?? null;
  return makeFinding(facts, {
    id: "martian-returned",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `Routing loop: packets that this host sends to ${tellShares(destinations, 2)} come back to it on ${dev ?? "the same device"}`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      `they carry this host's own address ${drops[0]?.source ?? ""} as source and are for somebody else`,
      way === null
        ? null
        : `this host sends them out again that way: ${tellRoute(way)}; the router there sends them back`,
      tellFlows(drops),
    ],
    check: [
      inNetns(place, `ip route get ${quoteShell(target)}`),
      inNetns(place, `tracepath -n ${quoteShell(target)}`),
    ],
    fix: [
      `# on the router at the other end: a route to ${target} that does not lead back here, or take it out here`,
    ],
  });
}

function tellDuplicate(facts: Facts, network: NetDelta | null, { netns, dev, drops }: DeviceGroup): Finding {
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const sources = rankDrops(drops, ({ source }) => source);
  const source = sources[0]?.name ?? "";
  const own = network?.state.configuration?.routes?.find(
    (route) => route.type === "local" && route.destination === source,
  );
  const device = dev === null ? "" : ` -I ${quoteShell(dev)}`;
  return makeFinding(facts, {
    id: "martian-own-source",
    severity: "suspicious",
    summary: `Packets with this host's own address ${tellShares(sources, 2) ?? ""} as source come in from outside${dev === null ? "" : ` on ${dev}`}`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      own?.dev == null ? null : `${source} is an address of ${own.dev} here`,
      "another machine has the same address, forges it, or a bridge or mirror port feeds this host its own packets; the sender's MAC address tells",
      tellMartianCounts(facts, "in_martian_src"),
      tellLog(facts, /martian source/),
      tellFlows(drops),
    ],
    check: [
      capture(facts, netns, dev, `src host ${source}`),
      inNetns(place, `arping -D -c 3${device} ${quoteShell(source)}`),
    ],
    fix: [`# give the machine with that MAC address another address than ${source}`],
  });
}

function tellInvalidSource(
  facts: Facts,
  network: NetDelta | null,
  { netns, dev, drops }: DeviceGroup,
): Finding[] {
  const count = countDrops(drops);
  const sources = rankDrops(drops, ({ source }) => source);
  const source = sources[0]?.name ?? null;
  const way = source === null ? null : (createRouter(network)({ to: source })?.route ?? null);
  return [
    makeFinding(facts, {
      id: "martian-source",
      severity: "suspicious",
      summary: `${plural(count, "packet")} came in with a source address that nobody can have: ${tellShares(sources, 2) ?? "unknown"}`,
      count,
      netns,
      evidence: [
        `in ${tellNetns(facts, netns)}${dev === null ? "" : `, received on ${dev}`}`,
        way !== null && way.type !== "unicast" ? `the routes here say of it: ${tellRoute(way)}` : null,
        "the sender has no address yet (DHCP failed), is set up wrongly, or forges it; its MAC address tells who",
        tellMartianCounts(facts, "in_martian_src"),
        tellLog(facts, /martian source/),
        tellFlows(drops),
      ],
      check: [capture(facts, netns, dev, source === null ? "ip" : `src host ${source}`)],
      fix: ["# correct the address of the machine with that MAC address"],
    }),
  ];
}

function tellLoopback(facts: Facts, network: NetDelta | null, { netns, dev, drops }: DeviceGroup): Finding[] {
  const place = findPlace(facts, netns);
  const count = countDrops(drops);
  const isTo = drops.some(({ destination }) => destination?.startsWith("127.") === true);
  const redirect =
    network?.rules.find((rule) => /(?:--to-destination|dnat (?:ip )?to) 127\./.test(rule.text)) ?? null;
  const setting = dev === null ? null : quoteShell(`net.ipv4.conf.${deviceKey(dev)}.route_localnet`);
  return [
    makeFinding(facts, {
      id: "martian-loopback",
      severity: redirect === null ? "suspicious" : severityOf(count, facts.seconds, MANY),
      summary:
        redirect === null
          ? `${plural(count, "packet")} with a 127.x.x.x address came in from the wire${dev === null ? "" : ` on ${dev}`}`
          : `A NAT rule sends packets from outside to 127.x.x.x, where they are not allowed`,
      count,
      netns,
      evidence: [
        `in ${tellNetns(facts, netns)}${dev === null ? "" : `, received on ${dev}`}`,
        redirect === null ? null : `${redirect.tool} ${redirect.table}/${redirect.chain}: ${redirect.text}`,
        isTo
          ? "addresses of the loopback network must not come from outside unless route_localnet is on for the device"
          : "the sender is set up wrongly or forges its address; its MAC address tells who",
        tellMartianCounts(facts, isTo ? "in_martian_dst" : "in_martian_src"),
        tellFlows(drops),
      ],
      check: [
        setting === null ? null : inNetns(place, `sysctl ${setting}`),
        capture(facts, netns, dev, "net 127.0.0.0/8"),
      ],
      fix: redirect !== null && setting !== null ? [inNetns(place, `sysctl -w ${setting}=1`)] : [],
    }),
  ];
}

function tellInvalidDestination(
  facts: Facts,
  network: NetDelta | null,
  { netns, dev, drops }: DeviceGroup,
): Finding[] {
  const count = countDrops(drops);
  const destinations = rankDrops(drops, ({ destination }) => destination);
  const target = destinations[0]?.name ?? null;
  const way = target === null ? null : (createRouter(network)({ to: target })?.route ?? null);
  return [
    makeFinding(facts, {
      id: "martian-destination",
      severity: "suspicious",
      summary: `${plural(count, "packet")} came in for an address that nothing can be delivered to: ${tellShares(destinations, 2) ?? "unknown"}`,
      count,
      netns,
      evidence: [
        `in ${tellNetns(facts, netns)}${dev === null ? "" : `, received on ${dev}`}`,
        way === null || way.type === "unicast" ? null : `the routes here say of it: ${tellRoute(way)}`,
        tellMartianCounts(facts, "in_martian_dst"),
        tellFlows(drops),
      ],
      check: [capture(facts, netns, dev, target === null ? "ip" : `dst host ${target}`)],
      fix: ["# correct what sends to that address: the MAC address of the sender tells who"],
    }),
  ];
}

/** The host's own count, where it moved: it covers all namespaces. */
function tellMartianCounts(facts: Facts, name: "in_martian_src" | "in_martian_dst"): string | null {
  const delta = findHost(facts)?.routing?.[name]?.delta ?? 0;
  return delta > 0 ? `${name} of the whole host +${formatCount(delta)}` : null;
}

/** A capture that shows MAC addresses. */
function capture(facts: Facts, netns: number | null, dev: string | null, filter: string): string {
  return inNetns(
    findPlace(facts, netns),
    `tcpdump -enc 20 -i ${quoteShell(dev ?? "any")} '${filter.replaceAll("'", "")}'`,
  );
}
