import type { DropFact } from "../../../facts.ts";
import type { Ledger } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { isFreedAt } from "./drops.ts";

const REASONS = new Set(["NEIGH_FAILED", "NEIGH_QUEUEFULL", "NEIGH_DEAD"]);
/** IPv6 frees without a reason: `neigh_invalidate` (measured on 6.18), `ndisc_error_report` where it is not inlined. */
const SITES =
  /^(?:neigh_invalidate|arp_error_report|ndisc_error_report|__neigh_event_send|neigh_timer_handler|neigh_blackhole)$/;

/** The message "host unreachable" goes to the sender on this host; where its socket is closed by then, it counts as an error. */
const ECHOES = ["IcmpInErrors", "Icmp6InErrors"];

/** Whether the packet waited for the address of its next hop and never got it. */
export function isUnresolved(drop: DropFact): boolean {
  return (drop.reason !== null && REASONS.has(drop.reason)) || (isVague(drop) && isFreedAt(drop, SITES));
}

/** What moves along with such drops. */
export function accountEchoes(ledger: Ledger, netns: number): void {
  for (const name of ECHOES) ledger.account(netns, name);
}
