import type { Missing, NetnsId, Unread } from "./common.ts";
import type { ConntrackState, DeviceCounters, PacketQueue, SoftnetCpu, TableStats } from "./counters.ts";
import type { Firewall } from "./firewall.ts";
import type { DriverStats, Link } from "./link.ts";
import type { Neighbour, PolicyRule, Route } from "./routing.ts";
import type { DatagramSocket, Listener } from "./socket.ts";
import type { Qdisc, TrafficFilter } from "./traffic.ts";

/** The cheap part: what the kernel counts, from `/proc/net`. Each null has its reason in `missing`. */
export type NetCounters = {
  /** Cumulative counters by the names `nstat -az` uses (`TcpRetransSegs`, `TcpExtListenOverflows`, `Ip6InDiscards`), and `Xfrm*`. */
  readonly counters: { readonly [name: string]: number } | null;
  /** Values of the same files that go up and down, or are settings (`TcpCurrEstab`, `IpDefaultTTL`). */
  readonly gauges: { readonly [name: string]: number };
  readonly devices: readonly DeviceCounters[] | null;
  /** `TCP.inuse`, `TCP.mem` (pages), `UDP.mem`, `FRAG.memory` (bytes), `TCP6.inuse`, … */
  readonly sockstat: { readonly [name: string]: number } | null;
  /** Null also where connection tracking is not in the kernel. */
  readonly conntrack: ConntrackState | null;
  readonly datagramSockets: readonly DatagramSocket[] | null;
  readonly packetQueues: readonly PacketQueue[] | null;
  /** Host-wide, so only in the snapshot of our own namespace; null in all others. */
  readonly host: HostNetCounters | null;
};

/** Counters that the kernel keeps once for all namespaces. */
export type HostNetCounters = {
  readonly softnet: readonly SoftnetCpu[] | null;
  /** ARP and NDISC tables: `table_fulls`, `unresolved_discards`, `res_failed`, `entries`. */
  readonly arp: TableStats | null;
  readonly ndisc: TableStats | null;
  /** IPv4 routing: `in_martian_src`, `in_martian_dst`, `in_no_route`. */
  readonly routing: TableStats | null;
};

/** The dear part: how the namespace is set up. Each null has its reason in `missing`. */
export type NetConfiguration = {
  readonly links: readonly Link[] | null;
  readonly neighbours: readonly Neighbour[] | null;
  readonly routes: readonly Route[] | null;
  /** Those of `routes` that refuse packets (blackhole, unreachable, prohibit): known also where only the start was read. */
  readonly refusals: readonly Route[] | null;
  readonly policyRules: readonly PolicyRule[] | null;
  readonly qdiscs: readonly Qdisc[] | null;
  readonly filters: readonly TrafficFilter[] | null;
  readonly firewall: Firewall | null;
  /** Whether each firewall tool could be read: an unread one may hold the rule that drops. */
  readonly firewallRead: { readonly nft: boolean; readonly iptablesNft: boolean; readonly legacy: boolean };
  readonly listeners: readonly Listener[] | null;
  /** By dotted name (`net.ipv4.conf.eth0.rp_filter`); a dot inside a device name is written `/`, as sysctl(8) does. */
  readonly sysctls: { readonly [name: string]: string } | null;
  readonly driverStats: readonly DriverStats[] | null;
};

/** One network namespace at one moment. */
export type NetSnapshot = {
  readonly netns: NetnsId;
  /** As given in the target: how it was entered. */
  readonly path: string | null;
  /** Seconds since the epoch when the counters were read. */
  readonly takenAt: number;
  /** Seconds it took, the configuration included. */
  readonly seconds: number;
  readonly counters: NetCounters;
  /** Null where it was not taken (asked so, deadline, namespace gone). */
  readonly configuration: NetConfiguration | null;
  readonly missing: readonly Missing[];
  readonly unread: readonly Unread[];
};
