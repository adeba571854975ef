import type { PackageName } from "./packages.ts";

/** A program whose output is evidence, and what a report lacks without it. */
export interface HelperTool {
  readonly name: string;
  readonly package: PackageName;
  /** Completes "without it …". */
  readonly loss: string;
  /** Absent on many healthy machines: its absence is no limit worth a line of its own unless it is looked for. */
  readonly optional: boolean;
}

/** All programs that trace may run besides bpftrace. None changes anything on the system. */
export const HELPER_TOOLS: readonly HelperTool[] = [
  { name: "ip", package: "iproute", loss: "links, routes and neighbours are not read", optional: false },
  { name: "tc", package: "tc", loss: "queue drops are seen, but not by which limit", optional: false },
  { name: "ss", package: "iproute", loss: "queue lengths of sockets are not read", optional: false },
  { name: "nft", package: "nftables", loss: "drops by nftables stay without their rule", optional: false },
  {
    name: "iptables-save",
    package: "iptables",
    loss: "drops by iptables stay without their rule",
    optional: false,
  },
  {
    name: "ip6tables-save",
    package: "iptables",
    loss: "drops by ip6tables stay without their rule",
    optional: false,
  },
  { name: "ethtool", package: "ethtool", loss: "counters of the network card are not read", optional: false },
  {
    name: "nsenter",
    package: "util-linux",
    loss: "other network namespaces cannot be looked into",
    optional: false,
  },
  {
    name: "conntrack",
    package: "conntrack",
    loss: "entries of the connection table cannot be listed",
    optional: true,
  },
];
