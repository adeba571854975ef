import type { Qdisc } from "../../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../../text/escape.ts";
import { formatBytes } from "../../../../../text/format.ts";
import { roundUp } from "../../../../amounts.ts";
import { change, LINK_HEADER, numberOf, offered, rateWord, remove, SPARE, tellRate } from "./settings.ts";
import type { Queue, QueueVerdict } from "./verdict.ts";

/** A token bucket that is offered more than its rate loses the rest whatever its limit: it needs the rate. */
export function examineTbf(input: Queue): QueueVerdict {
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

/** The shaper a queue hangs in. */
export function shaperAround({ queue, outer }: Queue): Qdisc | null {
  if (queue.qdisc.parent === "root") return null;
  const handle = queue.qdisc.parent.split(":")[0] ?? "";
  return outer.find((qdisc) => qdisc.handle === `${handle}:`) ?? null;
}

export function tellShaper(shaper: Qdisc | null): string[] {
  if (shaper === null) return [];
  const rate = numberOf(shaper, "rate");
  return [`inside ${shaper.kind} ${shaper.handle}${rate === null ? "" : ` with rate ${tellRate(rate)}`}`];
}

/** Commands that give the shaper around a queue what it is offered. */
export function raiseShaper(input: Queue, shaper: Qdisc | null): string[] {
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
