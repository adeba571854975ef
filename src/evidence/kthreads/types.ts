/** One kernel thread at one moment. */
export interface KernelThreadState {
  readonly pid: number;
  /** Up to 64 characters: workers tell the queue they last worked for. */
  readonly name: string;
  /** CPU time since its start, seconds: from `/proc/PID/schedstat` where the kernel has it (exact), else in ticks of 10 ms. */
  readonly cpuSeconds: number;
  readonly isExact: boolean;
  readonly voluntarySwitches: number | null;
  readonly involuntarySwitches: number | null;
  /** Ticks since boot: tells a thread from an earlier one with the same pid. */
  readonly started: number;
}

/** A mounted disk: `device` as threads and queues are named after it (`sda1`, `dm-0`). */
export interface MountedDisk {
  /** `8:1`. */
  readonly number: string;
  readonly device: string;
  /** Where it is mounted first. */
  readonly path: string;
  /** File system. */
  readonly type: string;
}

/** A network device's packets received since it came up. */
export interface ReceivedPackets {
  /** Name of its network namespace, null for ours. */
  readonly netns: string | null;
  readonly device: string;
  readonly packets: number;
}

/** What the host says of its kernel threads at one moment. */
export interface KernelThreadEvidence {
  /** Monotonic clock, seconds. */
  readonly time: number;
  readonly threads: readonly KernelThreadState[];
  readonly disks: readonly MountedDisk[];
  readonly received: readonly ReceivedPackets[];
  /** Counters of /proc/vmstat that speak of reclaim. */
  readonly memory: Readonly<Record<string, number>>;
}
