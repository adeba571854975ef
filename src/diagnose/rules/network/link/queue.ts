import type { Qdisc, QdiscDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatBytes, formatCount } from "../../../../text/format.ts";
import { roundUp } from "../../../amounts.ts";

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

/** Room for bursts: twice what there is and what was lost, so that the burst that was seen fits. */
const LEAST_PACKETS = 1000;
/** A shaper that is offered more than its rate loses the rest whatever its limit: it needs the rate, and a quarter to spare. */
const SPARE = 1.25;
/** Ethernet header that queues count and IP does not. */
const LINK_HEADER = 14;

const EXAMINERS: Readonly<Record<string, (input: Queue) => QueueVerdict>> = {
  tbf: examineTbf,
  netem: examineNetem,
  pfifo: examinePacketLimit,
  bfifo: examineByteLimit,
  pfifo_fast: examineDeviceQueue,
  fq_codel: examineManaged,
  codel: examineManaged,
  fq: examineManaged,
  cake: examineManaged,
  pie: examineManaged,
  fq_pie: examineManaged,
  red: examineManaged,
  sfq: examineManaged,
  dualpi2: examineManaged,
};

export function examineQueue(input: Queue): QueueVerdict {
  return (EXAMINERS[input.queue.qdisc.kind] ?? examineOther)(input);
}

/** `root handle 1:`, `parent 1:1 handle 10:`. */
function placeOf({ parent, handle }: Qdisc): string {
  const where = parent === "root" ? "root" : `parent ${quoteShell(parent)}`;
  return handle === "0:" ? where : `${where} handle ${quoteShell(handle)}`;
}

function change(qdisc: Qdisc, settings: string): string {
  // A default queue (handle 0:) cannot be changed, only replaced.
  const verb = qdisc.handle === "0:" ? "replace" : "change";
  return `tc qdisc ${verb} dev ${quoteShell(qdisc.dev)} ${placeOf(qdisc)} ${qdisc.kind} ${settings}`;
}

function remove({ dev, parent }: Qdisc): string {
  return `tc qdisc del dev ${quoteShell(dev)} ${parent === "root" ? "root" : `parent ${quoteShell(parent)}`}`;
}

function numberOf(qdisc: Qdisc, ...names: readonly string[]): number | null {
  for (const name of names) {
    const value = Number.parseFloat(qdisc.options[name] ?? "");
    if (Number.isFinite(value)) return value;
  }
  return null;
}

/** `1 Mbit/s` of bytes a second. */
function tellRate(bytesPerSecond: number): string {
  const bits = bytesPerSecond * 8;
  if (bits >= 1e9) return `${Number((bits / 1e9).toPrecision(3))} Gbit/s`;
  if (bits >= 1e6) return `${Number((bits / 1e6).toPrecision(3))} Mbit/s`;
  return `${Number((bits / 1e3).toPrecision(3))} kbit/s`;
}

/** Rounded up to two digits: `rate 1300kbit`. */
function rateWord(bytesPerSecond: number): string {
  const kilobits = Math.max(1, (bytesPerSecond * 8) / 1000);
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(kilobits)) - 1);
  return `${Math.ceil(kilobits / unit) * unit}kbit`;
}

/** Bytes a second that were offered: sent and lost. Null when the size of packets is not known. */
function offered({ lost, sent, size, seconds }: Queue): number | null {
  return size === null ? null : ((lost + sent) * (size + LINK_HEADER)) / Math.max(1, seconds);
}

function examineTbf(input: Queue): QueueVerdict {
  const { qdisc } = input.queue;
  const rate = numberOf(qdisc, "rate");
  const burst = numberOf(qdisc, "burst");
  const latency = numberOf(qdisc, "lat");
  const limit =
    numberOf(qdisc, "limit") ??
    (rate === null || burst === null || latency === null ? null : Math.round((rate * latency) / 1e6 + burst));
  const frame = input.size === null ? null : input.size + LINK_HEADER;
  const parameters = [
    ...(rate === null ? [] : [`rate ${tellRate(rate)}`]),
    ...(burst === null ? [] : [`burst ${formatBytes(burst)}`]),
    ...(limit === null ? [] : [`limit ${formatBytes(limit)}`]),
  ];
  const common = { id: "qdisc-shaper", parameters, isMeant: false, isNormal: false };
  if (rate === null || burst === null || limit === null) {
    return { ...common, why: "it is offered more than its rate lets through", fix: [remove(qdisc)] };
  }
  const wanted = offered(input);
  const needs = wanted !== null && wanted > rate ? wanted * SPARE : rate;
  // One tick of the timer (1/100 s at the least) and the largest frame must fit the bucket.
  const bucket = roundUp(Math.max(2 * ((input.mtu ?? 1500) + LINK_HEADER), needs / 100, burst));
  const room = roundUp(Math.max(2 * limit, limit + (frame ?? 0) * input.lost, 2 * bucket));
  const settings = (newRate: string) => `rate ${newRate} burst ${bucket} limit ${room}`;
  const keep = `${Math.round(rate * 8)}bit`;
  if (frame !== null && frame > burst) {
    return {
      ...common,
      why: `its bucket (burst ${formatBytes(burst)}) is smaller than the packets (${formatBytes(frame)})`,
      fix: [change(qdisc, settings(keep))],
    };
  }
  if (wanted !== null && wanted > rate) {
    return {
      ...common,
      why: `it is offered ${tellRate(wanted)} and lets ${tellRate(rate)} through`,
      fix: [change(qdisc, settings(rateWord(needs)))],
    };
  }
  return {
    ...common,
    why: `a burst did not fit into its ${formatBytes(limit)}`,
    fix: [change(qdisc, settings(keep))],
  };
}

/** netem drops on purpose (`loss`), or because its queue (`limit`) is full. */
function examineNetem(input: Queue): QueueVerdict {
  const { qdisc } = input.queue;
  const loss = Object.entries(qdisc.options).find(([name]) =>
    /(?:^|\.)loss(?:-random)?$|loss-random\.loss/.test(name),
  );
  const share = loss === undefined ? null : Number.parseFloat(loss[1]);
  const limit = numberOf(qdisc, "limit");
  const parameters = [
    ...(share === null || !Number.isFinite(share)
      ? []
      : [`loss ${Number((share <= 1 ? share * 100 : share).toPrecision(3))} %`]),
    ...(limit === null ? [] : [`limit ${formatCount(limit)} packets`]),
  ];
  if (share !== null) {
    return {
      id: "qdisc-netem",
      why: "it is a network emulator that loses packets on purpose",
      parameters,
      fix: [remove(qdisc)],
      isMeant: true,
      isNormal: false,
    };
  }
  return {
    id: "qdisc-netem",
    why: "a network emulator delays packets and its queue is full",
    parameters,
    fix: [remove(qdisc)],
    isMeant: true,
    isNormal: false,
  };
}

function examinePacketLimit(input: Queue): QueueVerdict {
  const { qdisc } = input.queue;
  const limit = numberOf(qdisc, "limit");
  const shaper = shaperAround(input);
  const room = roundUp(Math.max(LEAST_PACKETS, 2 * (limit ?? 0), (limit ?? 0) + input.lost));
  return {
    id: "qdisc-full",
    why: `it holds ${limit === null ? "too few" : `only ${formatCount(limit)}`} packets and was full${shaper === null ? "" : `, since the ${shaper.kind} around it lets less through than it is offered`}`,
    parameters: [...(limit === null ? [] : [`limit ${formatCount(limit)} packets`]), ...tellShaper(shaper)],
    fix: [change(qdisc, `limit ${room}`), ...raiseShaper(input, shaper)],
    isMeant: false,
    isNormal: false,
  };
}

function examineByteLimit(input: Queue): QueueVerdict {
  const { qdisc } = input.queue;
  const limit = numberOf(qdisc, "limit");
  const shaper = shaperAround(input);
  const lost = input.lost * ((input.size ?? 1500) + LINK_HEADER);
  const room = roundUp(Math.max(1 << 20, 2 * (limit ?? 0), (limit ?? 0) + lost));
  return {
    id: "qdisc-full",
    why: `it holds ${limit === null ? "too little" : `only ${formatBytes(limit)}`} and was full`,
    parameters: [...(limit === null ? [] : [`limit ${formatBytes(limit)}`]), ...tellShaper(shaper)],
    fix: [change(qdisc, `limit ${room}`), ...raiseShaper(input, shaper)],
    isMeant: false,
    isNormal: false,
  };
}

/** pfifo_fast holds as many packets as the device's queue length says. */
function examineDeviceQueue(input: Queue): QueueVerdict {
  const { qdisc } = input.queue;
  const length = input.txQueueLength;
  const room = roundUp(
    Math.max(LEAST_PACKETS, 2 * (length ?? 0), Math.min((length ?? 0) + input.lost, 10_000)),
  );
  return {
    id: "qdisc-full",
    why: `the device is slower than what is sent; the queue holds ${length === null ? "its" : formatCount(length)} packets and was full`,
    parameters: length === null ? [] : [`txqueuelen ${formatCount(length)}`],
    fix: [
      `ip link set dev ${quoteShell(qdisc.dev)} txqueuelen ${room}`,
      `# better where many share the link: tc qdisc replace dev ${quoteShell(qdisc.dev)} root fq_codel`,
    ],
    isMeant: false,
    isNormal: false,
  };
}

/** What such queues count when a limit was reached, not their control of delay (`tc -s qdisc`). */
const HARD_LIMITS = ["drop_overlimit", "drop_overmemory", "flows_plimit", "overlimit", "pdrop"];

/** Queues that drop early, to tell senders to slow down; only their hard limit is a fault. */
function examineManaged(input: Queue): QueueVerdict {
  const { queue } = input;
  const { qdisc } = queue;
  const limit = numberOf(qdisc, "limit");
  const over = HARD_LIMITS.reduce((sum, name) => sum + (queue.extra[name]?.delta ?? 0), 0);
  const parameters = [
    ...(limit === null ? [] : [`limit ${formatCount(limit)}`]),
    ...["target", "interval", "rate", "bandwidth", "flow_limit", "memory_limit"].flatMap((name) => {
      const value = qdisc.options[name];
      return value === undefined ? [] : [`${name} ${value}`];
    }),
  ];
  if (over > 0) {
    const setting = (queue.extra["flows_plimit"]?.delta ?? 0) > 0 ? "flow_limit" : "limit";
    const now = numberOf(qdisc, setting);
    return {
      id: "qdisc-full",
      why: `its limit was reached (${formatCount(over)} times)`,
      parameters,
      fix: now === null ? [] : [change(qdisc, `${setting} ${roundUp(2 * now)}`)],
      isMeant: false,
      isNormal: false,
    };
  }
  return {
    id: "qdisc-congested",
    why: "packets waited too long, so it told senders to slow down; the link is offered more than it carries",
    parameters,
    fix: [],
    isMeant: false,
    isNormal: true,
  };
}

function examineOther(input: Queue): QueueVerdict {
  const { qdisc } = input.queue;
  const isRoot = qdisc.parent === "root";
  return {
    id: "qdisc-full",
    why: "it is offered more than it lets through",
    parameters: [],
    fix: isRoot ? [remove(qdisc)] : [`# give its class more, or take the queue away: ${remove(qdisc)}`],
    isMeant: false,
    isNormal: false,
  };
}

/** The shaper a queue hangs in. */
function shaperAround({ queue, outer }: Queue): Qdisc | null {
  if (queue.qdisc.parent === "root") return null;
  const handle = queue.qdisc.parent.split(":")[0] ?? "";
  return outer.find((qdisc) => qdisc.handle === `${handle}:`) ?? null;
}

function tellShaper(shaper: Qdisc | null): string[] {
  if (shaper === null) return [];
  const rate = numberOf(shaper, "rate");
  return [`inside ${shaper.kind} ${shaper.handle}${rate === null ? "" : ` with rate ${tellRate(rate)}`}`];
}

function raiseShaper(input: Queue, shaper: Qdisc | null): string[] {
  if (shaper === null) return [];
  const rate = numberOf(shaper, "rate");
  const wanted = offered(input);
  if (shaper.kind !== "tbf" || rate === null || wanted === null || wanted <= rate) {
    return shaper.kind === "htb"
      ? [
          `# or give the class more: tc class change dev ${quoteShell(shaper.dev)} classid ${quoteShell(input.queue.qdisc.parent)} htb rate ${rateWord((wanted ?? 125_000) * SPARE)}`,
        ]
      : [];
  }
  const needs = wanted * SPARE;
  const bucket = roundUp(Math.max(2 * ((input.mtu ?? 1500) + LINK_HEADER), needs / 100));
  return [change(shaper, `rate ${rateWord(needs)} burst ${bucket} limit ${roundUp(4 * bucket)}`)];
}
