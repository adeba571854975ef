import type { NetDelta } from "../../../evidence/net/types.ts";
import { formatCount } from "../../../text/format.ts";
import { countDrops } from "../../amounts.ts";
import { counterDelta, type DropFact, type Facts } from "../../facts.ts";
import type { Field } from "./match/condition.ts";
import type { RuleSuspect } from "./suspect.ts";

/**
 * Share of the packets a namespace received up to which drops for closed ports are noise: a host on the Internet is scanned all
 * the time, a host in an office hears its neighbours look for printers. Above it something wants to get in.
 */
const NOISE_SHARE = 0.01;

/**
 * Why these drops harm nobody, or null: a firewall is there to drop what nobody here waits for. Only for packets to this host,
 * to ports on which nothing listens, and only a few among many that got in; multicast and broadcast however many. Only of a
 * policy or a rule that drops the rest: one that asks for a port or an address was made against it, one that drops by chance or
 * above a limit against all.
 */
export function tellNoise(
  facts: Facts,
  network: NetDelta,
  rule: RuleSuspect | null,
  drops: readonly DropFact[],
): string | null {
  if (facts.isFiltered || (rule !== null && isSelective(rule))) return null;
  const isIncoming = drops.every(({ hook }) => hook === "INPUT" || hook === "PREROUTING");
  if (!isIncoming || !drops.every((drop) => isUnwanted(network, drop))) return null;
  if (drops.every(isToAll)) return "multicast and broadcast that no program here has asked for";
  const count = countDrops(drops);
  const received = counterDelta(network, "IpInReceives") + counterDelta(network, "Ip6InReceives");
  if (count > received * NOISE_SHARE) return null;
  return `nobody listens there, and they are ${formatCount(count)} of ${formatCount(received)} packets that were received: scanners, mostly`;
}

const ASKING: ReadonlySet<Field> = new Set(["source", "destination", "sourcePort", "destinationPort"]);

function isSelective({ rule, match }: RuleSuspect): boolean {
  if (rule.probability !== null || rule.every !== null) return true;
  return !match.isComplete || match.conditions.some(({ field }) => ASKING.has(field));
}

/** To a port of this host on which nothing listens at the end. */
function isUnwanted(network: NetDelta, { proto, destinationPort }: DropFact): boolean {
  const { configuration, counters } = network.state;
  if (destinationPort === null || configuration === null) return false;
  // Before its routing a packet may be on its way to another host.
  if (configuration.sysctls?.["net.ipv4.ip_forward"] === "1") return false;
  if (proto === "tcp")
    return (
      configuration.listeners !== null && network.listeners.every(({ port }) => port !== destinationPort)
    );
  if (proto !== "udp" || counters.datagramSockets === null) return false;
  return counters.datagramSockets.every(({ localPort }) => localPort !== destinationPort);
}

function isToAll({ destination }: DropFact): boolean {
  return destination !== null && /^(?:22[4-9]|23\d)\.|^255\.255\.255\.255$|^ff/i.test(destination);
}
