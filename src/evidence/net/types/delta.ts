import type { Change } from "../../change.ts";
import type { Missing, NetnsId, Unread } from "./common.ts";
import type { FirewallPlace, FirewallRule, Hook, Verdict } from "./firewall.ts";
import type { Neighbour } from "./routing.ts";
import type { Qdisc } from "./traffic.ts";
import type { NetConfiguration, NetSnapshot } from "./snapshot.ts";

/** A counter that moved (contract: `counters`). */
export type CounterDelta = {
  readonly netns: NetnsId;
  readonly name: string;
  readonly before: number;
  readonly after: number;
  readonly delta: number;
};

/** A row of `netstat -i` (contract: `interfaces`); every device that exists at the end, moved or not. */
export type InterfaceDelta = {
  readonly netns: NetnsId;
  readonly name: string;
  /** Null where `ip` could not tell. */
  readonly mtu: number | null;
  /** At the start; null where that was not read, or the device did not exist. */
  readonly mtuBefore: number | null;
  readonly rxOk: Change;
  readonly rxErrors: Change;
  readonly rxDropped: Change;
  readonly rxOverruns: Change;
  readonly txOk: Change;
  readonly txErrors: Change;
  readonly txDropped: Change;
  readonly txOverruns: Change;
  readonly rxBytes: Change;
  readonly txBytes: Change;
  /** Details of `ip -s -s link` that moved: `rx.nohandler`, `rx.otherhost`, `rx.missed_errors`, `tx.carrier_errors`, … */
  readonly details: { readonly [name: string]: Change };
  /** What the driver counts itself (`ethtool -S`) and moved. */
  readonly driver: { readonly [name: string]: Change };
};

/** One CPU; see `SoftnetCpu`. */
export type SoftnetDelta = {
  readonly cpu: number | null;
  readonly processed: Change;
  readonly dropped: Change;
  readonly timeSqueeze: Change;
  readonly flowLimit: Change;
};

/** A queueing discipline that dropped or delayed something. `qdisc` is its state at the end, `earlier` that at the beginning, null where it was not seen. */
export type QdiscDelta = {
  readonly netns: NetnsId;
  readonly qdisc: Qdisc;
  readonly earlier: Qdisc | null;
  readonly packets: Change;
  readonly drops: Change;
  readonly overlimits: Change;
  readonly requeues: Change;
  /** Its own counters that moved. */
  readonly extra: { readonly [name: string]: Change };
};

export type FilterDelta = {
  readonly netns: NetnsId;
  readonly dev: string;
  readonly direction: "ingress" | "egress" | "classify";
  readonly pref: number | null;
  readonly handle: string | null;
  /** Kind and control (`gact drop`) of the action that counted. */
  readonly action: string;
  readonly control: string | null;
  readonly packets: Change;
  readonly drops: Change;
};

/** Whether the thing was there at both ends, came during the run (it counted from 0), or went. */
export type Presence = "both" | "added" | "removed";

/**
 * A firewall rule over the run; the place and the number are those at the end (of a removed rule: at the start). All rules are
 * listed, moved or not: a rule without counter cannot move and may still be the one.
 */
export type RuleDelta = FirewallPlace & {
  readonly netns: NetnsId;
  readonly hook: Hook | null;
  readonly hooks: readonly Hook[];
  readonly number: number | null;
  readonly handle: number | null;
  readonly text: string;
  readonly packets: Change;
  readonly bytes: Change;
  /** First of `verdicts`; null where the rule has none (it only counts, marks or logs). */
  readonly verdict: Verdict | null;
  readonly verdicts: readonly Verdict[];
  readonly probability: number | null;
  readonly every: number | null;
  readonly hasCounter: boolean;
  readonly counterName: string | null;
  readonly sets: FirewallRule["sets"];
  readonly presence: Presence;
};

/** Default policy of a base chain over the run, also of one that is gone at the end. */
export type ChainDelta = FirewallPlace & {
  readonly netns: NetnsId;
  readonly hook: Hook | null;
  readonly hooks: readonly Hook[];
  readonly priority: number | null;
  readonly policy: "accept" | "drop" | null;
  /** At the start; null where it was not read, or for a chain that did not exist then. */
  readonly policyBefore: "accept" | "drop" | null;
  /** What met the policy; all null where it is not counted (nft). */
  readonly packets: Change;
  readonly bytes: Change;
  readonly presence: Presence;
};

/** An element of a named set or map. */
export type SetElementDelta = {
  readonly netns: NetnsId;
  readonly family: string;
  readonly table: string;
  readonly set: string;
  readonly key: string;
  readonly verdict: Verdict | null;
  readonly packets: Change;
};

/** A datagram socket that refused something. */
export type DatagramSocketDelta = {
  readonly netns: NetnsId;
  readonly protocol: "udp" | "udplite" | "raw";
  readonly family: "ipv4" | "ipv6";
  readonly local: string;
  readonly localPort: number;
  readonly remote: string;
  readonly remotePort: number;
  readonly inode: number;
  readonly uid: number;
  readonly drops: Change;
  /** Bytes waiting at the end, and the most that may (SO_RCVBUF). */
  readonly receiveQueue: number;
  readonly receiveBuffer: number | null;
  readonly presence: Presence;
};

/** Every listener that exists at the end. */
export type ListenerDelta = {
  readonly netns: NetnsId;
  readonly address: string;
  readonly family: "ipv4" | "ipv6" | "both";
  readonly dev: string | null;
  readonly port: number;
  readonly queuedBefore: number | null;
  readonly queued: number;
  readonly backlog: number | null;
  readonly inode: number | null;
  readonly uid: number | null;
  readonly cgroup: string | null;
  readonly drops: Change;
};

export type ConntrackDelta = {
  readonly netns: NetnsId;
  readonly count: { readonly before: number | null; readonly after: number | null };
  readonly max: number | null;
  /** Columns that moved: `drop`, `early_drop`, `insert_failed`, `invalid`, … */
  readonly stats: { readonly [name: string]: Change };
};

export type PacketQueueDelta = {
  readonly netns: NetnsId;
  readonly queue: number;
  readonly portid: number;
  readonly waiting: number;
  readonly dropped: Change;
  readonly userDropped: Change;
};

/** Columns that moved of a table that all namespaces share. */
export type TableDelta = { readonly [name: string]: Change };

/** What was there at the start and is not at the end: it may have dropped packets in between, and how many it counted is lost. */
export type Gone = {
  readonly [Part in "links" | "qdiscs" | "filters" | "refusals" | "policyRules"]: NonNullable<
    NetConfiguration[Part]
  >;
};

/** Everything that changed in one namespace, with what it looked like at the end. */
export type NetDelta = {
  readonly netns: NetnsId;
  /** Seconds between the two readings of the counters. */
  readonly seconds: number;
  /** The state at the end; its configuration is that of the start where it was not read again. */
  readonly state: NetSnapshot;
  readonly counters: readonly CounterDelta[];
  readonly interfaces: readonly InterfaceDelta[];
  readonly qdiscs: readonly QdiscDelta[];
  readonly filters: readonly FilterDelta[];
  readonly rules: readonly RuleDelta[];
  readonly chains: readonly ChainDelta[];
  readonly setElements: readonly SetElementDelta[];
  readonly datagramSockets: readonly DatagramSocketDelta[];
  readonly listeners: readonly ListenerDelta[];
  readonly conntrack: ConntrackDelta | null;
  readonly packetQueues: readonly PacketQueueDelta[];
  /** The namespace itself does not exist any more: `state` is that of the start, no change is known. */
  readonly isGone: boolean;
  /** `state.configuration` is that of the start: at the end it could not be read. */
  readonly isEndUnread: boolean;
  readonly gone: Gone;
  /** Neighbours that are unresolved at the end. */
  readonly unresolved: readonly (Neighbour & { readonly since: "before" | "during" })[];
  /** Host-wide; null in all but our own namespace. */
  readonly softnet: readonly SoftnetDelta[] | null;
  readonly arp: TableDelta | null;
  readonly ndisc: TableDelta | null;
  readonly routing: TableDelta | null;
  /** Of both snapshots, each once. */
  readonly missing: readonly Missing[];
  readonly unread: readonly Unread[];
};
