/** One line of `/proc/net/dev`; the columns of `netstat -i` are `*Packets`, `*Errors`, `*Dropped`, `*Fifo` (OVR). */
export type DeviceCounters = {
  readonly name: string;
  readonly rxBytes: number;
  readonly rxPackets: number;
  readonly rxErrors: number;
  /** Includes `rx_missed_errors`: packets the device had no room for (net/core/net-procfs.c). */
  readonly rxDropped: number;
  readonly rxFifo: number;
  /** Length, CRC, frame and ring overrun errors together. */
  readonly rxFrame: number;
  readonly txBytes: number;
  readonly txPackets: number;
  readonly txErrors: number;
  readonly txDropped: number;
  readonly txFifo: number;
  readonly txCollisions: number;
  readonly txCarrier: number;
};

/** One CPU of `/proc/net/softnet_stat`, host-wide. All are unsigned 32 bit numbers that wrap. Null: kernel too old. */
export type SoftnetCpu = {
  /** CPU number, null before Linux 5.10 (offline CPUs have no line, so the line number is not it). */
  readonly cpu: number | null;
  readonly processed: number;
  /** Packets dropped because this CPU's backlog was full (net.core.netdev_max_backlog). */
  readonly dropped: number;
  /** Times the receive loop stopped with work left (net.core.netdev_budget, netdev_budget_usecs). */
  readonly timeSqueeze: number;
  readonly receivedRps: number | null;
  /** Packets dropped by the RPS flow limit. */
  readonly flowLimit: number | null;
  /** Packets in the backlog at this moment. */
  readonly backlog: number | null;
};

/** Connection tracking of one namespace: sums over all CPUs of `/proc/net/stat/nf_conntrack`. */
export type ConntrackState = {
  /** Entries now, and the most there may be; null where not readable. */
  readonly count: number | null;
  readonly max: number | null;
  /** By column name: `drop`, `early_drop`, `insert_failed`, `invalid`, `clashres`, … Null: no statistics file. */
  readonly stats: { readonly [name: string]: number } | null;
};

/** Column sums of a per-CPU statistics file such as `/proc/net/stat/arp_cache`; `entries` is the table's size. */
export type TableStats = { readonly [name: string]: number };

/** One netfilter queue to user space (`/proc/net/netfilter/nfnetlink_queue`). */
export type PacketQueue = {
  readonly queue: number;
  /** Netlink port of the listening program (often its pid). */
  readonly portid: number;
  readonly waiting: number;
  /** Dropped because the queue was full. */
  readonly dropped: number;
  /** Dropped because the program's netlink socket was full. */
  readonly userDropped: number;
};
