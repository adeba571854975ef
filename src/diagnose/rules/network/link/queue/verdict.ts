import type { Qdisc, QdiscDelta } from "../../../../../evidence/net/types.ts";

/** A queue that dropped, and what is known around it. */
export interface Queue {
  readonly queue: QdiscDelta;
  /** All queues of the device. */
  readonly outer: readonly Qdisc[];
  readonly seconds: number;
  readonly lost: number;
  readonly sent: number;
  /** Mean size of the lost packets in bytes, from the network header on; null when unknown. */
  readonly size: number | null;
  readonly mtu: number | null;
  readonly txQueueLength: number | null;
}

export interface QueueVerdict {
  readonly id: string;
  /** Follows "drops packets: ". */
  readonly why: string;
  /** Its settings in words an operator knows; empty: those `tc` prints. */
  readonly parameters: readonly string[];
  readonly fix: readonly string[];
  /** It was set up to lose packets. */
  readonly isMeant: boolean;
  /** Losing some is how it works (active queue management). */
  readonly isNormal: boolean;
}
