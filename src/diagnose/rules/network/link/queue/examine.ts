import { examineByteLimit, examineDeviceQueue, examinePacketLimit } from "./fifo.ts";
import { examineManaged, examineNetem } from "./managed.ts";
import { remove } from "./settings.ts";
import { examineTbf } from "./shaper.ts";
import type { Queue, QueueVerdict } from "./verdict.ts";

const EXAMINERS: Readonly<Record<string, (input: Queue) => QueueVerdict>> = {
  tbf: examineTbf,
  netem: examineNetem,
  blackhole: examineBlackhole,
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

/** What its kind and settings say about why it dropped, and the commands that mend it. */
export function examineQueue(input: Queue): QueueVerdict {
  return (EXAMINERS[input.queue.qdisc.kind] ?? examineOther)(input);
}

/** sch_blackhole: made to throw everything away. */
function examineBlackhole({ queue: { qdisc } }: Queue): QueueVerdict {
  const why = "it throws everything away, that is all it does";
  return { id: "qdisc-blackhole", why, parameters: [], fix: [remove(qdisc)], isMeant: true, isNormal: false };
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
