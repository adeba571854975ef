import { quoteShell } from "../../../../../text/escape.ts";
import { formatBytes, formatCount } from "../../../../../text/format.ts";
import { roundUp } from "../../../../amounts.ts";
import { change, LINK_HEADER, numberOf } from "./settings.ts";
import { raiseShaper, shaperAround, tellShaper } from "./shaper.ts";
import type { Queue, QueueVerdict } from "./verdict.ts";

/** Room for bursts: twice what there is and what was lost, so that the burst that was seen fits. */
const LEAST_PACKETS = 1000;

export function examinePacketLimit(input: Queue): QueueVerdict {
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

export function examineByteLimit(input: Queue): QueueVerdict {
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
export function examineDeviceQueue(input: Queue): QueueVerdict {
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
