import type { Finding, Severity } from "./finding.ts";

const SEVERITY: Readonly<Record<Severity, number>> = { problem: 0, suspicious: 1, info: 2 };

/**
 * What a finding does to those who use this host, worst first:
 *  0. taken on the way: packets that had somewhere to go were lost by a rule, a queue, a limit, a route, a device. All not named below;
 *  1. nobody here waits for them: refused or thrown away because there is no receiver. One host has asked another for the wrong
 *     thing, or is only looking; where a sender can be told, it is told at once and does not wait;
 *  2. signs only: counters, logs and retransmissions that tell of loss without its cause, and drops that could not be explained.
 */
const UNWANTED =
  /^(?:closed-port|port-scan|late-answer|protocol-unknown|ethertype-unknown|other-mac|multicast|martian-(?:destination|loopback)|icmp-refused|unicast-in-multicast-frame|capture-buffer|tcp-duplicates|time-wait)/;
const SIGNS =
  /^(?:silent-|other-drop-unknown|kernel-log|tcp-(?:unanswered|handshake-unfinished|refused|retransmissions|resets)$)/;

function kindOf({ id }: Finding): number {
  return UNWANTED.test(id) ? 1 : SIGNS.test(id) ? 2 : 0;
}

/**
 * The order by harm: what is proven before what is suspected; then the kind of harm, since a count alone would put a client that asks a
 * closed port a thousand times above the rule that loses every third packet; then how many packets it cost.
 */
export function compareHarm(a: Finding, b: Finding): number {
  return SEVERITY[a.severity] - SEVERITY[b.severity] || kindOf(a) - kindOf(b) || b.count - a.count;
}

/** Where all findings are of one kind of harm: what is proven first, then what counts most. */
export function compareSeverity(
  a: Pick<Finding, "severity" | "count">,
  b: Pick<Finding, "severity" | "count">,
): number {
  return SEVERITY[a.severity] - SEVERITY[b.severity] || b.count - a.count;
}
