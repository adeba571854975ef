/** A neighbour (ARP or NDISC) entry. */
export type Neighbour = {
  readonly address: string;
  readonly dev: string;
  /** MAC address; null while unresolved. */
  readonly lladdr: string | null;
  /** `FAILED`, `INCOMPLETE`, `REACHABLE`, `STALE`, `PERMANENT`, … */
  readonly state: readonly string[];
  readonly probes: number | null;
  readonly proxy: boolean;
};

export type NextHop = {
  readonly gateway: string | null;
  readonly dev: string | null;
  readonly weight: number | null;
  /** `dead`, `linkdown`, `onlink`, … */
  readonly flags: readonly string[];
};

/** A route of any table: `ip -d route show table all`. */
export type Route = {
  readonly family: "ipv4" | "ipv6";
  /** `unicast`, `local`, `blackhole`, `unreachable`, `prohibit`, `throw`, `broadcast`, `multicast`, … */
  readonly type: string;
  /** `10.0.0.0/8`, `10.0.0.1`, `default`. */
  readonly destination: string;
  readonly gateway: string | null;
  readonly dev: string | null;
  readonly table: string;
  readonly protocol: string | null;
  readonly scope: string | null;
  readonly source: string | null;
  readonly metric: number | null;
  readonly flags: readonly string[];
  /** Locked or set path MTU of the route; null for the device's. */
  readonly mtu: number | null;
  /** Empty for a route with one next hop, which is in `gateway` and `dev`. */
  readonly nextHops: readonly NextHop[];
};

/** A policy routing rule: `ip rule`. */
export type PolicyRule = {
  readonly family: "ipv4" | "ipv6";
  readonly priority: number;
  /** `all`, or an address with prefix length. */
  readonly source: string;
  readonly destination: string;
  readonly iif: string | null;
  readonly oif: string | null;
  readonly fwmark: string | null;
  /** Table looked up; null for rules that decide themselves. */
  readonly table: string | null;
  /** `lookup`, `blackhole`, `unreachable`, `prohibit`, `goto`, `nop`. */
  readonly action: string;
  /** Everything else that the rule says (suppress_prefixlength, ipproto, sport, uidrange, not …), as printed. */
  readonly other: { readonly [name: string]: string };
};
