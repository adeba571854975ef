export type FirewallTool = "iptables" | "ip6tables" | "nft";
/** Which kernel code holds the rule: nftables (also behind iptables-nft), or the old x_tables. */
export type FirewallBackend = "nft" | "legacy";
export type FirewallFamily = "ip" | "ip6" | "inet" | "arp" | "bridge" | "netdev";

/** A chain's place in the packet's way, as in drop records; `INGRESS` and `EGRESS` belong to a device. */
export type Hook = "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING" | "INGRESS" | "EGRESS";

/** What a rule does with the packets that match. `other` is any further iptables target (MARK, LOG, DNAT …). */
export type VerdictKind =
  | "accept"
  | "drop"
  | "reject"
  | "queue"
  | "jump"
  | "goto"
  | "return"
  | "continue"
  | "other";

export type Verdict = {
  readonly kind: VerdictKind;
  /** Chain of a jump or goto, target name of `other`, key of a verdict map's element for the rest; null: none. */
  readonly target: string | null;
};

/** Where a rule or chain is: the words a command needs to address it. */
export type FirewallPlace = {
  readonly tool: FirewallTool;
  readonly backend: FirewallBackend;
  readonly family: FirewallFamily;
  readonly table: string;
  readonly chain: string;
};

export type FirewallRule = FirewallPlace & {
  /** The hook of a base chain; null for a rule in a chain that is only jumped to. */
  readonly hook: Hook | null;
  /** Every hook from which this rule's chain can be reached by jumps, its own included. */
  readonly hooks: readonly Hook[];
  /** Position in the chain, from 1: what `iptables -D CHAIN n` wants. */
  readonly number: number;
  /** What `nft delete rule … handle n` wants; null for legacy, or where `nft` could not be asked. */
  readonly handle: number | null;
  /** As its tool prints it: `-A INPUT -p tcp … -j DROP`, or `tcp dport 22 counter drop`. */
  readonly text: string;
  /** Null where the rule does not count. */
  readonly packets: number | null;
  readonly bytes: number | null;
  readonly hasCounter: boolean;
  /** A named counter (nft): other rules may share it. */
  readonly counterName: string | null;
  /** In order. An inline verdict map gives one for each element, a named one each different one once. */
  readonly verdicts: readonly Verdict[];
  /** Share of packets that a random match lets through to the verdict (0–1); null: not random. */
  readonly probability: number | null;
  /** Every n-th packet matches (`-m statistic --mode nth`, `numgen inc mod n`); null: not so. */
  readonly every: number | null;
  /** Names of the sets and maps it looks into (nft). */
  readonly sets: readonly string[];
};

export type FirewallChain = FirewallPlace & {
  /** Null for a chain that is only jumped to. */
  readonly hook: Hook | null;
  readonly hooks: readonly Hook[];
  readonly priority: number | null;
  /** `filter`, `nat`, `route`; null: unknown. */
  readonly type: string | null;
  /** What happens to a packet that no rule decided on; null for a chain that is only jumped to. */
  readonly policy: "accept" | "drop" | null;
  /** Devices of a netdev or ingress chain. */
  readonly devices: readonly string[];
  /** Packets that met the policy; null: not counted (nft), or 0 from an iptables-nft, which mostly does not count them. */
  readonly packets: number | null;
  readonly bytes: number | null;
};

/** A named set or map of nftables. */
export type FirewallSet = {
  readonly family: FirewallFamily;
  readonly table: string;
  readonly name: string;
  readonly isMap: boolean;
  /** Elements listed, also where `elements` was cut. */
  readonly size: number;
  /** Packets change it (`add @set`, `update @set`), or time does. */
  readonly isDynamic: boolean;
  /** Of a large one only those that carry a verdict or a counter. */
  readonly elements: readonly {
    readonly key: string;
    readonly verdict: Verdict | null;
    readonly packets: number | null;
  }[];
};

/** A named counter of nftables. */
export type FirewallCounter = {
  readonly family: FirewallFamily;
  readonly table: string;
  readonly name: string;
  readonly packets: number;
  readonly bytes: number;
};

/** All packet filters of one namespace. Rules that iptables-nft owns are listed once, as iptables rules. */
export type Firewall = {
  readonly chains: readonly FirewallChain[];
  readonly rules: readonly FirewallRule[];
  readonly sets: readonly FirewallSet[];
  readonly counters: readonly FirewallCounter[];
};
