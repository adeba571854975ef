import { describeCounter } from "../../../catalogue/load.ts";
import type { CounterEntry } from "../../../catalogue/types.ts";
import type { CounterDelta, NetDelta } from "../../../evidence/net/types.ts";
import { formatCount } from "../../../text/format.ts";
import { isMany } from "../../amounts.ts";
import { counterDelta, type Facts } from "../../facts.ts";
import type { Finding, Severity } from "../../finding.ts";
import type { Rule } from "../../rule.ts";
import { isVague } from "../../select.ts";
import { fillTemplates } from "../../templates.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";

/** Kinds that say that packets were lost or refused. Retransmissions, timeouts and resets are for the rule on connections. */
const KINDS: ReadonlySet<CounterEntry["kind"]> = new Set(["loss", "overflow", "error", "pressure"]);
/** A single odd packet moves such counters on any host; ten do not come by accident. */
const MANY = 10;
/** Where the catalogue calls it a problem, fewer are worth a look. */
const FEW = 3;
/** Events may be this much fewer than the counter says: both ends of the run are read a little apart. */
const UNEXPLAINED_SHARE = 0.2;
const MAX_COUNTERS = 8;

/** Counters that count again what others count: when those explain all of it, it is the same thing. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  UdpInErrors: ["UdpRcvbufErrors", "UdpInCsumErrors", "UdpMemErrors"],
  Udp6InErrors: ["Udp6RcvbufErrors", "Udp6InCsumErrors", "Udp6MemErrors"],
  UdpLiteInErrors: ["UdpLiteRcvbufErrors", "UdpLiteInCsumErrors", "UdpLiteMemErrors"],
  UdpLite6InErrors: ["UdpLite6RcvbufErrors", "UdpLite6InCsumErrors", "UdpLite6MemErrors"],
  TcpInErrs: ["TcpInCsumErrors"],
  TcpExtListenDrops: ["TcpExtListenOverflows", "TcpExtTCPReqQFullDrop"],
  IpInHdrErrors: ["IpExtInCsumErrors", "IcmpOutTimeExcds"],
  IpReasmFails: ["IpReasmTimeout"],
  Ip6ReasmFails: ["Ip6ReasmTimeout"],
  IcmpInErrors: ["IcmpInCsumErrors"],
  Icmp6InErrors: ["Icmp6InCsumErrors"],
  IcmpOutTimeExcds: ["IpInHdrErrors", "IpReasmTimeout"],
  Icmp6OutTimeExcds: ["Ip6InHdrErrors", "Ip6ReasmTimeout"],
  Icmp6OutPktTooBigs: ["Ip6InTooBigErrors", "Ip6FragFails"],
  Ip6OutDiscards: ["Ip6OutNoRoutes"],
  TcpExtSyncookiesSent: ["TcpExtTCPReqQFullDoCookies"],
};

/**
 * The program that sends gets an error for these and can go another way: a host without IPv6 counts one for every name
 * that has an IPv6 address. Never a problem by themselves.
 */
const TOLD_TO_SENDER: ReadonlySet<string> = new Set([
  "IpOutNoRoutes",
  "Ip6OutNoRoutes",
  "UdpSndbufErrors",
  "Udp6SndbufErrors",
]);

/** Silent drops: counters of loss that moved although no drop event explains it and no rule accounted for it. */
export const silentCounters: Rule = {
  id: "silent-counter",
  examine: (facts, ledger) =>
    facts.isFiltered
      ? []
      : facts.networks.flatMap((network) => {
          const events = countReasons(facts, network.netns.inode);
          const found = network.counters.flatMap((counter) => {
            const entry = describeCounter(counter.name);
            if (entry === null || entry.severity === "info" || !KINDS.has(entry.kind) || counter.delta <= 0)
              return [];
            if (ledger.isAccounted(network.netns.inode, counter.name)) return [];
            if (isPart(network, counter) || isMissing(network, counter.name)) return [];
            const told = entry.explainedBy.reduce((sum, reason) => sum + (events.get(reason) ?? 0), 0);
            if (told > 0 && counter.delta - told <= UNEXPLAINED_SHARE * counter.delta) return [];
            const severity = grade(facts, counter.name, entry, counter.delta - told);
            return severity === null ? [] : [{ counter, entry, told, severity }];
          });
          found.sort((a, b) => b.counter.delta - a.counter.delta);
          return found.slice(0, MAX_COUNTERS).map((item) => tellCounter(facts, network, item));
        }),
};

/** Packets by what their reason is or may be, in this namespace and where the namespace is not known. */
function countReasons(facts: Facts, netns: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (const drop of facts.drops) {
    if (drop.netns !== null && drop.netns !== netns) continue;
    const may = isVague(drop) ? (facts.describe(drop)?.reasons ?? []) : [];
    for (const reason of new Set([...(drop.reason === null ? [] : [drop.reason]), ...may])) {
      counts.set(reason, (counts.get(reason) ?? 0) + drop.count);
    }
  }
  return counts;
}

function isPart(network: NetDelta, { name, delta }: CounterDelta): boolean {
  const parts = PARTS[name]?.reduce((sum, part) => sum + counterDelta(network, part), 0) ?? 0;
  return parts > 0 && delta <= parts;
}

/** IPv6 that has no way out of this namespace: programs try it and fall back to IPv4. */
function isMissing(network: NetDelta, name: string): boolean {
  const routes = network.state.configuration?.routes ?? null;
  return (
    name === "Ip6OutNoRoutes" &&
    routes !== null &&
    !routes.some(({ family, destination }) => family === "ipv6" && destination === "default")
  );
}

function grade(facts: Facts, name: string, entry: CounterEntry, count: number): Severity | null {
  const isMuch = isMany(count, facts.seconds, MANY);
  if (entry.severity === "problem" && !TOLD_TO_SENDER.has(name)) {
    if (isMuch) return "problem";
    return count >= FEW ? "suspicious" : "info";
  }
  // Pressure is a state, not a loss: the kernel tidied up and went on.
  if (entry.kind === "pressure") return isMuch ? "info" : null;
  return isMuch ? "suspicious" : null;
}

function tellCounter(
  facts: Facts,
  network: NetDelta,
  item: {
    readonly counter: CounterDelta;
    readonly entry: CounterEntry;
    readonly told: number;
    readonly severity: Severity;
  },
): Finding {
  const { counter, entry, told, severity } = item;
  const place = findPlace(facts, network.netns.inode);
  const values = { place, dev: null, port: null, source: null, destination: null };
  return {
    id: "silent-counter",
    severity,
    summary: `${counter.name} +${formatCount(counter.delta)}, and no drop event tells of ${told > 0 ? "most of it" : "it"}: ${entry.meaning}`,
    count: counter.delta,
    netns: nameNetns(facts, network.netns.inode),
    evidence: [
      `${counter.name} went from ${formatCount(counter.before)} to ${formatCount(counter.after)} in ${tellNetns(facts, network.netns.inode)}`,
      told > 0
        ? `only ${formatCount(told)} drop events can belong to it (${entry.explainedBy.join(", ")})`
        : entry.explainedBy.length > 0
          ? `none of its reasons was seen there: ${entry.explainedBy.slice(0, 4).join(", ")}`
          : "the kernel has no drop event for this: only the counter shows it",
    ],
    check: fillTemplates(entry.check, values),
    fix: fillTemplates(entry.fix, values),
  };
}
