/** A datagram or raw socket of `/proc/net/{udp,udp6,udplite,udplite6,raw,raw6}`. */
export type DatagramSocket = {
  readonly protocol: "udp" | "udplite" | "raw";
  readonly family: "ipv4" | "ipv6";
  readonly local: string;
  /** For raw sockets the IP protocol number. */
  readonly localPort: number;
  readonly remote: string;
  readonly remotePort: number;
  /** Bytes waiting to be read. */
  readonly receiveQueue: number;
  readonly sendQueue: number;
  readonly uid: number;
  /** 0 for a socket that no process holds any more. */
  readonly inode: number;
  /** Datagrams this socket has refused, mostly because its receive buffer was full. */
  readonly drops: number;
  /** SO_RCVBUF in bytes as the kernel counts it; null where `ss` could not tell. */
  readonly receiveBuffer: number | null;
};

/** A listening TCP socket. */
export type Listener = {
  /** `*` takes IPv4 and IPv6 on every address. */
  readonly address: string;
  readonly family: "ipv4" | "ipv6" | "both";
  /** Bound to this device only; null for any. */
  readonly dev: string | null;
  readonly port: number;
  /** Connections waiting for accept(). The queue is full when this is above `backlog`. */
  readonly queued: number;
  /** Length asked for with listen(), cut to net.core.somaxconn; null where `ss` is missing. */
  readonly backlog: number | null;
  readonly inode: number | null;
  readonly uid: number | null;
  /** Connection attempts this listener has refused (`sk_drops`): accept or SYN queue full, no memory; null: unknown. */
  readonly drops: number | null;
  /** Control group (v2) of the process that made it; null: unknown. */
  readonly cgroup: string | null;
};
