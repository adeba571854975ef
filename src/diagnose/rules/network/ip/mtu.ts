import type { Link, NetDelta } from "../../../../evidence/net/types.ts";
import type { Facts } from "../../../facts.ts";
import type { Ledger } from "../../../rule.ts";
import { otherEnd } from "../support/devices.ts";

/** IPv6 needs links that carry packets of this size (RFC 8200 §5); Linux switches it off below (addrconf_notify). */
export const IPV6_LEAST_MTU = 1280;
/** What every IPv4 host must be able to receive (RFC 791 §3.1): no link of today is made for less. */
export const IPV4_LEAST_MTU = 576;
const ETHERNET_MTU = 1500;

/** What to raise a too small MTU to: what the other end has, else what is usual for that kind of device. */
export function usualMtu(facts: Facts, network: NetDelta | null, link: Link): number {
  const other = otherEnd(facts, network, link)?.link.mtu ?? 0;
  if (other >= IPV6_LEAST_MTU) return other;
  return link.type === "ether" ? ETHERNET_MTU : IPV6_LEAST_MTU;
}

/** The MTU of this device is somebody's finding already. */
export function accountMtu(ledger: Ledger, netns: number, dev: string): void {
  ledger.account(netns, `link.mtu:${dev}`);
}

export function isMtuAccounted(ledger: Ledger, netns: number, dev: string): boolean {
  return ledger.isAccounted(netns, `link.mtu:${dev}`);
}
