import { formatIpv4, formatIpv6, swap16 } from "./address.ts";
import { readWords } from "./words.ts";

/** Where netfilter saw the packet; null for drops that are not netfilter's. */
export type Hook = "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING";
const HOOKS: readonly (Hook | null)[] = [null, "PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/** One flow as the kernel's key tells it. */
export interface FlowKey {
  readonly reason: number;
  /** IP protocol number; 0 where the packet is no IP. */
  readonly l4: number;
  readonly hook: Hook | null;
  readonly ethertype: number;
  /** Low 32 bits of the call site's address. */
  readonly site: number;
  /** 0: no device. */
  readonly ifindex: number;
  /** Inode; 0: unknown. */
  readonly netns: number;
  readonly source: string | null;
  readonly destination: string | null;
  readonly sourcePort: number | null;
  readonly destinationPort: number | null;
  /** ICMP type and code, ARP operation. */
  readonly icmp: { readonly type: number; readonly code: number } | null;
  readonly arpOperation: number | null;
}

const ETH_IP = 0x0800;
const ETH_IPV6 = 0x86dd;
const ETH_ARP = 0x0806;
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);
const ICMP: ReadonlySet<number> = new Set([1, 58]);

/** `what, site, place, …addresses` → flow. */
export function unpackFlow(what: bigint, site: bigint, place: bigint, addresses: readonly bigint[]): FlowKey {
  const l4 = Number((what >> 32n) & 0xffn);
  const ethertype = Number((what >> 48n) & 0xffffn);
  const ports = Number(place >> 32n);
  return {
    reason: Number(what & 0xffff_ffffn),
    l4,
    hook: HOOKS[Number((what >> 40n) & 0x7n)] ?? null,
    ethertype,
    site: Number(site & 0xffff_ffffn),
    ifindex: Number(site >> 32n),
    netns: Number(place & 0xffff_ffffn),
    ...unpackAddresses(ethertype, addresses),
    ...unpackPorts(ethertype, l4, ports),
  };
}

/** A key of `@flow4` (4 words) or `@flow6` (7 words). Null when it cannot be read. */
export function parseFlowKey(key: string, family: 4 | 6): FlowKey | null {
  const words = readWords(key, family === 4 ? 4 : 7);
  if (words === null) return null;
  const [what = 0n, site = 0n, place = 0n, ...addresses] = words;
  return unpackFlow(what, site, place, addresses);
}

function unpackPorts(
  ethertype: number,
  l4: number,
  ports: number,
): Pick<FlowKey, "sourcePort" | "destinationPort" | "icmp" | "arpOperation"> {
  const none = { sourcePort: null, destinationPort: null, icmp: null, arpOperation: null };
  if (ethertype === ETH_ARP) return { ...none, arpOperation: swap16(ports) };
  if (ICMP.has(l4)) return { ...none, icmp: { type: ports & 0xff, code: (ports >> 8) & 0xff } };
  // Ports 0:0: a fragment, or a packet too short to have any.
  if (!WITH_PORTS.has(l4) || ports === 0) return none;
  return { ...none, sourcePort: swap16(ports), destinationPort: swap16(ports >>> 16) };
}

function unpackAddresses(
  ethertype: number,
  addresses: readonly bigint[],
): { source: string | null; destination: string | null } {
  const [a = 0n, b = 0n, c = 0n, d = 0n] = addresses;
  // No program fills both ends with zeros but one that could not look into the packet.
  if ((a | b | c | d) === 0n) return { source: null, destination: null };
  if (addresses.length === 4) return { source: formatIpv6(a, b), destination: formatIpv6(c, d) };
  const isKnown = (ethertype === ETH_IP || ethertype === ETH_ARP) && a !== 0n;
  return isKnown
    ? { source: formatIpv4(a), destination: formatIpv4(a >> 32n) }
    : { source: null, destination: null };
}

const PROTOCOL_NAMES: Readonly<Record<number, string>> = {
  1: "icmp",
  2: "igmp",
  4: "ipip",
  6: "tcp",
  17: "udp",
  33: "dccp",
  41: "ipv6",
  47: "gre",
  50: "esp",
  51: "ah",
  58: "icmpv6",
  89: "ospf",
  103: "pim",
  112: "vrrp",
  132: "sctp",
  136: "udplite",
};
const ETHERTYPE_NAMES: Readonly<Record<number, string>> = {
  [ETH_ARP]: "arp",
  0x8100: "vlan",
  0x88a8: "qinq",
  0x88cc: "lldp",
  0x8847: "mpls",
  0x8864: "pppoe",
  0x8863: "pppoe-discovery",
  0x888e: "eapol",
  0x88f7: "ptp",
  0x0027: "stp",
  0x0004: "llc",
};

/** `tcp`, `udp`, `icmpv6`, `arp` …, else `ip-N` or `eth-0xN`; null for a packet that carries no protocol (a socket's own buffer). */
export function protocolName(flow: Pick<FlowKey, "ethertype" | "l4">): string | null {
  if (flow.ethertype === ETH_IP || flow.ethertype === ETH_IPV6) {
    if (flow.l4 === 0) return flow.ethertype === ETH_IP ? "ip" : "ipv6";
    return PROTOCOL_NAMES[flow.l4] ?? `ip-${flow.l4}`;
  }
  if (flow.ethertype === 0) return null;
  return ETHERTYPE_NAMES[flow.ethertype] ?? `eth-0x${flow.ethertype.toString(16).padStart(4, "0")}`;
}
