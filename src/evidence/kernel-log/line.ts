/**
 * When a kernel line was logged, as far as its container tells. `monotonic` counts from boot (seconds); `wall` is
 * ISO 8601 in UTC. `zoned: false` marks a wall time whose log named no time zone: it was read as the reader's zone.
 */
export type KernelTime =
  | { kind: "monotonic"; seconds: number }
  | { kind: "wall"; iso: string; zoned: boolean };

/** One record of the kernel log, whatever file or pipe it came through. The text is hostile data. */
export interface KernelLine {
  time: KernelTime | null;
  /** Seconds since boot where the line has them, also beside a wall time (`kernel: [ 12.3] …`). */
  monotonic?: number;
  /** Host name of a syslog or journal prefix, null where the container names none. */
  host: string | null;
  /** Message without prefix. May hold newlines: a record can span lines. */
  text: string;
  /** syslog severity 0 (emergency) … 7 (debug). */
  level?: number;
  /** Context that printed it under CONFIG_PRINTK_CALLER: `T123` a task, `C0` a CPU. */
  caller?: string;
  /** Set where the line was longer than the reader keeps. */
  truncated?: true;
}

/** What a reader could not use, counted so that a view can say it. */
export interface KernelLogCounts {
  /** Kernel records handed on. */
  records: number;
  /** Lines of other programs (syslog tags, journal transports, user-space messages in the ring buffer). */
  foreign: number;
  /** Lines that claim a format and break it (bad JSON, bad record header). */
  malformed: number;
  /** Lines cut because they were too long. */
  truncated: number;
  /** Messages that `journalctl` replaced by `[NNB blob data]`: readable only with `-a` or `-o json`. */
  blobs: number;
}

/** Fresh counters, all zero. */
export function zeroCounts(): KernelLogCounts {
  return { records: 0, foreign: 0, malformed: 0, truncated: 0, blobs: 0 };
}

/** Longest line (bytes) and longest joined record (characters) kept; the kernel's own records end at 8 KiB. */
export const MAX_LINE = 64 * 1024;

const EPOCH = /^(\d{4}-\d\d-\d\dT\d\d:\d\d):(\d\d(?:\.\d+)?)Z$/;

/** Seconds since the epoch of a `wall` time, since boot of a `monotonic` one; only comparable within one kind. */
export function secondsOf(time: KernelTime): number {
  if (time.kind === "monotonic") return time.seconds;
  const match = EPOCH.exec(time.iso);
  // Date keeps milliseconds only; the rest of the second is added by hand.
  if (match === null) return Date.parse(time.iso) / 1000;
  return Date.parse(`${match[1]}:00Z`) / 1000 + Number(match[2]);
}
