import type { Ledger } from "../../../rule.ts";

/** What moves where a program sends a packet that is thrown away on its way out of this host: it hears of that as ENOBUFS or the like. */
export const SENDER_COUNTERS = ["IpOutDiscards", "UdpSndbufErrors", "Ip6OutDiscards", "Udp6SndbufErrors"];

/** They need no explanation of their own in that namespace. */
export function accountSender(ledger: Ledger, netns: number): void {
  for (const name of SENDER_COUNTERS) ledger.account(netns, name);
}
