/** A queueing discipline: `tc -s -d qdisc show`. */
export type Qdisc = {
  readonly dev: string;
  /** `tbf`, `fq_codel`, `netem`, `noqueue`, `clsact`, … */
  readonly kind: string;
  /** `8001:`, or `0:` for a default one. */
  readonly handle: string;
  /** `root`, or the class it hangs on. */
  readonly parent: string;
  /** Its parameters flattened: `limit`, `rate` (bytes/s), `lat` (µs), `loss-random.loss` (0–1), … as `tc -j` prints them. */
  readonly options: { readonly [name: string]: string };
  readonly bytes: number;
  readonly packets: number;
  readonly drops: number;
  readonly overlimits: number;
  readonly requeues: number;
  /** Bytes and packets waiting now. */
  readonly backlog: number;
  readonly length: number;
  /** What only this kind counts: `drop_overlimit`, `ecn_mark`, `flows_plimit`, `early`, … */
  readonly extra: { readonly [name: string]: number };
};

/** What a tc action does with a packet, and how many it did it to. */
export type TrafficAction = {
  /** `gact`, `police`, `mirred`, `bpf`, … */
  readonly kind: string;
  /** `drop`, `pass`, `reclassify`, …; null where it has none. */
  readonly control: string | null;
  /** With a chance of 1 in `every` it does `control` instead (`gact … random`); null: always the same. */
  readonly chance: { readonly control: string; readonly every: number } | null;
  readonly index: number | null;
  readonly packets: number | null;
  readonly drops: number | null;
  readonly overlimits: number | null;
};

/** A tc filter: `tc -s filter show`. */
export type TrafficFilter = {
  readonly dev: string;
  /** `ingress`, `egress` (clsact), or `classify` for one that only picks a class. */
  readonly direction: "ingress" | "egress" | "classify";
  readonly kind: string;
  readonly protocol: string | null;
  readonly pref: number | null;
  readonly chain: number | null;
  readonly handle: string | null;
  /** What the filter matches, for a human: about the words that tc takes. */
  readonly text: string;
  readonly actions: readonly TrafficAction[];
  /** For `bpf` filters: the program, which may drop by itself (direct action). */
  readonly bpf: { readonly id: number | null; readonly name: string | null; readonly direct: boolean } | null;
};
