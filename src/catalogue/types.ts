/**
 * The shapes of the catalogues: data that an operator can correct without TypeScript.
 *
 * Commands in `check` and `fix` are lines to paste. A line that starts with `# ` is advice, harmless when pasted.
 * Placeholders: `{ns}` becomes `ip netns exec NAME ` or nothing; `{dev}`, `{port}`, `{source}` and `{destination}`
 * come from the flow (leave a line out when its value is not known: every entry has a check without them).
 * Words in capitals (GATEWAY, BRIDGE, REMOTE …) are for the operator to fill in.
 */

/** What a reason of a reset means. */
export interface ResetReasonEntry {
  readonly meaning: string;
  /** For the sentence "nginx reset 5 connections: it …", where a program did it; null where it was the kernel by itself. */
  readonly abort: string | null;
  readonly check: readonly string[];
}

/** Whether a drop hurts: real loss, depends on the circumstances, or normal. */
export const DROP_CLASSES = ["loss", "depends", "benign"] as const;
export type DropClass = (typeof DROP_CLASSES)[number];

/** Where in the kernel a packet was dropped, in an operator's terms. */
export const DROP_LAYERS = [
  "firewall",
  "socket",
  "tcp",
  "udp",
  "ip",
  "neighbour",
  "link",
  "qdisc",
  "xdp-tc",
  "tunnel",
  "wireless",
  "openvswitch",
  "unix",
  "other",
] as const;
export type DropLayer = (typeof DROP_LAYERS)[number];

/** One drop reason, by its name without the `SKB_DROP_REASON_` prefix (`probes/drops/reasons.json`). */
export interface ReasonEntry {
  /** What happened, in one or two sentences (at most 220 characters). */
  readonly meaning: string;
  readonly class: DropClass;
  readonly layer: DropLayer;
  /** Most likely first. */
  readonly causes: readonly string[];
  readonly check: readonly string[];
  readonly fix: readonly string[];
  /** Counters that usually move with it, by their names in `counters.json`. Empty where none does. */
  readonly counters: readonly string[];
  /** Why it is normal: present exactly when `class` is benign. */
  readonly benignBecause?: string;
  /** First kernel that has this reason, where that is known. */
  readonly since?: string;
  /** Last kernel known to have it, where it was removed since. */
  readonly until?: string;
}

/** What it means when a kernel function frees a packet without a reason (`probes/drops/call-sites.json`). */
export interface CallSiteEntry {
  /** Cause id, stable, lower case with dashes: several call sites can share one. */
  readonly means: string;
  readonly class: DropClass;
  readonly meaning: string;
  readonly check: readonly string[];
  readonly fix: readonly string[];
  /** Drop reasons a newer kernel gives for the same thing. */
  readonly reasons: readonly string[];
  /** Other functions that mean the same: older or newer names, and callers it can be inlined into. */
  readonly alsoKnownAs: readonly string[];
  /** Present exactly when `class` is benign. */
  readonly benignBecause?: string;
}

/** What a counter tells when it moves. */
export const COUNTER_KINDS = [
  "loss",
  "retransmission",
  "overflow",
  "reset",
  "error",
  "pressure",
  "timeout",
  "info",
] as const;
export type CounterKind = (typeof COUNTER_KINDS)[number];

/** How serious it is when this counter moves and no event explains it. */
export const COUNTER_SEVERITIES = ["problem", "suspicious", "info"] as const;
export type CounterSeverity = (typeof COUNTER_SEVERITIES)[number];

/** One counter, by its `nstat` name (`TcpExtListenOverflows`) or its own (`softnet.dropped`). */
export interface CounterEntry {
  readonly meaning: string;
  readonly kind: CounterKind;
  readonly severity: CounterSeverity;
  /** Drop reasons whose packets make this counter move. */
  readonly explainedBy: readonly string[];
  readonly check: readonly string[];
  readonly fix: readonly string[];
  /** The line `netstat -s` (net-tools 2.10) prints for it, N standing for the number; null where it prints none. */
  readonly netstat: string | null;
  /** The line other versions of net-tools print for it. */
  readonly netstatOlder?: string;
  /** Where the value is read, for counters that `nstat` does not show. */
  readonly source?: string;
}

/** Counters that say nothing about loss, with the reason, so that every counter of a host is accounted for. */
export interface IgnoredCounters {
  readonly reason: string;
  readonly names?: readonly string[];
  /** Anchored regular expression. */
  readonly pattern?: string;
}

/** One kind of kernel thread (`kernel-threads.json`). */
export interface KernelThreadEntry {
  /** Anchored regular expression over the thread's name. */
  readonly pattern: string;
  readonly name: string;
  /** What it does, in an operator's words. */
  readonly role: string;
  /** What it means when it takes a noticeable share of a CPU. */
  readonly busyMeans: string;
  /** Commands; `{pid}` is the thread's own, other placeholders are captures. */
  readonly check: readonly string[];
  readonly subsystem: string;
  /** Names of the pattern's groups, in order. */
  readonly captures?: readonly string[];
  /** A stand-by thread: when it is busy, that is about memory, not about the queue it stands by for. */
  readonly standby?: boolean;
}

/** One work queue, keyed by its name; `*` stands for any text. */
export interface WorkqueueEntry {
  readonly role: string;
  readonly busyMeans?: string;
  readonly check?: readonly string[];
}

/** One softirq vector, keyed by its name in /proc/softirqs. */
export interface SoftirqEntry {
  readonly meaning: string;
  readonly busyMeans: string;
  readonly check: readonly string[];
}

export interface KernelThreadCatalogue {
  readonly threads: readonly KernelThreadEntry[];
  readonly workqueues: Readonly<Record<string, WorkqueueEntry>>;
  readonly softirqs: Readonly<Record<string, SoftirqEntry>>;
}

/** A kernel thread explained. `captures` holds what its name says: cpu, device, workqueue … */
export interface KernelThreadDescription {
  readonly name: string;
  readonly role: string;
  readonly busyMeans: string;
  readonly check: readonly string[];
  readonly subsystem: string;
  readonly captures: Readonly<Record<string, string>>;
}
