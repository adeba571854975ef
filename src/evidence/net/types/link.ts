/** An attached XDP program. */
export type XdpProgram = {
  readonly mode: "native" | "generic" | "offloaded" | "unknown";
  readonly id: number | null;
  readonly name: string | null;
};

/** One network device: `ip -s -s -d link`. */
export type Link = {
  readonly index: number;
  readonly name: string;
  /** `veth`, `bridge`, `vlan`, `tun`, …; null for physical devices and lo. */
  readonly kind: string | null;
  /** `ether`, `loopback`, `none`, … */
  readonly type: string | null;
  /** Has hardware (a bus address) behind it: `ethtool -S` has something to say. */
  readonly physical: boolean;
  readonly mtu: number | null;
  readonly minMtu: number | null;
  readonly maxMtu: number | null;
  /** `UP`, `LOWER_UP` (carrier), `NO-CARRIER`, `PROMISC`, … */
  readonly flags: readonly string[];
  readonly operstate: string | null;
  readonly address: string | null;
  /** Device above (bridge, bond, VRF). */
  readonly master: string | null;
  /** Index of the device at the other end or below (`if7` in `eth0@if7`), in namespace `peerNsid`. */
  readonly peerIndex: number | null;
  /** Name of that device where it lives in the same namespace. */
  readonly peerName: string | null;
  /** Number that this namespace has for the other end's; null: the same namespace. */
  readonly peerNsid: number | null;
  /** Name of that namespace in /run/netns; null where it has none. */
  readonly peerNetns: string | null;
  readonly qdisc: string | null;
  readonly txQueueLength: number | null;
  readonly promiscuity: number | null;
  readonly xdp: readonly XdpProgram[];
  /** `rx.dropped`, `tx.carrier_errors`, `rx.nohandler`, … as `ip -j -s -s link` names them. */
  readonly stats: { readonly [name: string]: number };
  /** Settings of its kind (VLAN id, VXLAN id and port, bridge state, …), as printed; as a port of a bridge or bond: `port.state`, … */
  readonly info: { readonly [name: string]: string };
};

/** Descriptors in the rings between a card and its driver (`ethtool -g`), and the most that the card takes; null where it has none. */
export type RingSize = {
  readonly rx: number | null;
  readonly rxMost: number | null;
  readonly tx: number | null;
  readonly txMost: number | null;
};

/** Drop-like statistics of `ethtool -S`, as the driver names them. */
export type DriverStats = {
  readonly dev: string;
  readonly stats: { readonly [name: string]: number };
  /** Only where the device had lost packets at the end; null else, and where its driver does not say. */
  readonly ring: RingSize | null;
};
