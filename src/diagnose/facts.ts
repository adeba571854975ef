import type { NetDelta } from "../evidence/net/types.ts";

/** Dropped packets of one flow that share reason, call site, hook, device and namespace. */
export interface DropFact {
  /** Reason name of the running kernel; null where it gives none (before 5.17). */
  readonly reason: string | null;
  /** Kernel function that freed the packet, without compiler suffixes; null when unknown. */
  readonly location: string | null;
  /** Functions on the sampled stacks of this reason, call site and namespace, root first, each once; empty without a sample. */
  readonly functions: readonly string[];
  readonly hook: "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING" | null;
  /** `tcp`, `udp`, `icmp`, `icmpv6`, `arp`, `eth-0x1234` …; null for what is no packet of a protocol. */
  readonly proto: string | null;
  readonly source: string | null;
  readonly sourcePort: number | null;
  readonly destination: string | null;
  readonly destinationPort: number | null;
  readonly icmp: { readonly type: number; readonly code: number } | null;
  /** Null for local output, which has no device yet. */
  readonly dev: string | null;
  /** Inode of the network namespace; null when unknown. */
  readonly netns: number | null;
  /** Classified as normal by the catalogue. */
  readonly benign: boolean;
  readonly count: number;
  /** Bytes from the network header on, as firewall counters count. */
  readonly bytes: number;
}

/** A namespace: what it is called and how a command gets into it. */
export interface Place {
  readonly inode: number;
  readonly name: string | null;
  readonly kind: "host" | "named" | "container" | "pod" | "process" | "unknown";
  /** For `nsenter --net=PATH`; null when there is no way in. */
  readonly path: string | null;
  readonly pid: number | null;
}

export interface Owner {
  readonly pid: number;
  readonly comm: string;
}

/** What the catalogue of drop reasons and call sites knows of a drop. */
export interface DropDescription {
  /** What happened, in one or two sentences. */
  readonly meaning: string;
  readonly class: "loss" | "depends" | "benign";
  /** Reasons this drop can have: its own, or, where the kernel gave none, what newer kernels say at that call site. */
  readonly reasons: readonly string[];
  /** Commands to paste, complete for this drop; lines that start with `# ` are advice. */
  readonly check: readonly string[];
  readonly fix: readonly string[];
}

/** Everything a rule may read. Plain values, and one look-up in a catalogue; a replay has exactly the same. */
export interface Facts {
  /** Length of the window. */
  readonly seconds: number;
  readonly drops: readonly DropFact[];
  /** Whether the running kernel has that drop reason: where it has, a drop without one is something else. */
  readonly hasReason: (reason: string) => boolean;
  /** Only some packets were asked for (`--reason`, `--port` …): counters move for others too, that is no silent drop. */
  readonly isFiltered: boolean;
  /** What changed per namespace; a namespace that could not be entered is not here. */
  readonly networks: readonly NetDelta[];
  readonly places: ReadonlyMap<number, Place>;
  /** Process that holds a socket, by socket inode. */
  readonly owners: ReadonlyMap<number, Owner>;
  /** Lines of the kernel log from the window that speak of lost packets ("nf_conntrack: table full"), oldest first. */
  readonly kernelLog: readonly string[];
  /** The same from before, oldest first, each with its time stamp (`[123.456789] `): the kernel says some things once only. */
  readonly earlierLog?: readonly string[];
  /** Looks a drop up in the catalogue; null for a reason and call site it does not know. */
  readonly describe: (drop: DropFact) => DropDescription | null;
}

export function findNetwork(facts: Facts, netns: number | null): NetDelta | null {
  return facts.networks.find((network) => network.netns.inode === netns) ?? null;
}

/** Delta of a counter by its nstat name; 0 when it did not move or was not read. */
export function counterDelta(network: NetDelta | null, name: string): number {
  return network?.counters.find((counter) => counter.name === name)?.delta ?? 0;
}
