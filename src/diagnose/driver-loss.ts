import type { NetDelta, RingSize } from "../evidence/net/types.ts";
import { quoteShell } from "../text/escape.ts";
import { formatCount } from "../text/format.ts";
import { inNetns } from "./commands.ts";
import type { Place } from "./facts.ts";

/** What a driver's counter of loss (`ethtool -S`) points at. */
export type DriverLoss = "ring" | "port" | "memory" | "allowance" | "other";

/**
 * By the drivers' sources and manuals, the more particular first. `ring`: the card had a packet and the driver no free descriptor for it (ixgbe and
 * igb `rx_missed_errors`, `rx_no_dma_resources`, `rx_no_buffer_count`; mlx5 `rx_out_of_buffer`; bnxt `rx_discards`; ena `rx_overruns`).
 * `port`: the card could not hand on what it had received, or its port's buffer ran over (mlx5 `rx_discards_phy`, `outbound_pci_buffer_overflow`).
 * `memory`: no page for a descriptor. `allowance`: what the cloud lets this machine have (ena).
 */
const SIGNS: readonly (readonly [DriverLoss, RegExp])[] = [
  ["allowance", /allowance_exceeded/i],
  // Not meant for this machine.
  ["other", /steer|filter/i],
  ["port", /discards?_phy|buffer_full_phy|pci_buffer|prio\d+_(?:buf_)?discard/i],
  ["memory", /alloc\w*_?(?:err|fail)|(?:skb|page|buff?)_alloc|no_memory/i],
  [
    "ring",
    /missed|fifo|over(?:run|flow|_)|no_?(?:buf|dma|desc)|out_of_buf|ring_?(?:full|empty)|empty_rx_ring|discard/i,
  ],
];

export function classifyDriverLoss(name: string): DriverLoss {
  return SIGNS.find(([, pattern]) => pattern.test(name))?.[0] ?? "other";
}

/** The size of a device's rings; null where it was not asked for or its driver does not say. */
export function findRing(network: NetDelta | null, dev: string): RingSize | null {
  return network?.state.configuration?.driverStats?.find((item) => item.dev === dev)?.ring ?? null;
}

/** `512 of at most 4,096 descriptors`; null where it is not known. */
export function tellRing(ring: RingSize | null): string | null {
  if (ring?.rx == null) return null;
  const most = ring.rxMost === null ? "" : ` of at most ${formatCount(ring.rxMost)}`;
  return `its receive ring has ${formatCount(ring.rx)}${most} descriptors (ethtool -g)`;
}

/** What helps against that kind of loss, as commands where one is certain to be meant, else as advice. */
export function mendDriverLoss(
  kind: DriverLoss,
  dev: string,
  place: Place | null,
  ring: RingSize | null,
): string[] {
  const name = quoteShell(dev);
  if (kind === "allowance")
    return [
      "# the cloud throttles this machine: spread the traffic, or take an instance type that may have more",
    ];
  if (kind === "port")
    return [
      "# the card could not hand its packets on fast enough: its slot (lspci -vv: LnkSta), memory on the other NUMA node, or bursts (flow control: ethtool -a)",
    ];
  if (kind === "memory")
    return ["# free pages ran out at that moment: sysctl vm.min_free_kbytes, and what uses the memory"];
  if (kind === "other") return [];
  const budget =
    "# more work in one round: sysctl -w net.core.netdev_budget=600 net.core.netdev_budget_usecs=4000";
  if (ring?.rx == null || ring.rxMost === null)
    return [
      `# a larger ring, up to what ethtool -g says: ${inNetns(place, `ethtool -G ${name} rx 4096`)}`,
      budget,
    ];
  if (ring.rx < ring.rxMost) return [inNetns(place, `ethtool -G ${name} rx ${ring.rxMost}`), budget];
  return [
    `# the ring is as long as the card takes: more queues on more CPUs (${inNetns(place, `ethtool -l ${name}`)}, /proc/interrupts)`,
    budget,
  ];
}
