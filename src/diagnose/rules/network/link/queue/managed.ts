import type { Qdisc } from "../../../../../evidence/net/types.ts";
import { formatCount } from "../../../../../text/format.ts";
import { roundUp } from "../../../../amounts.ts";
import { change, numberOf, remove } from "./settings.ts";
import type { Queue, QueueVerdict } from "./verdict.ts";

/** What such queues count when a limit was reached, not their control of delay (`tc -s qdisc`). */
const HARD_LIMITS = ["drop_overlimit", "drop_overmemory", "flows_plimit", "overlimit", "pdrop"];

/** Queues that drop early, to tell senders to slow down; only their hard limit is a fault. */
export function examineManaged(input: Queue): QueueVerdict {
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

function findLoss({ options }: Qdisc): [string, string] | undefined {
  return Object.entries(options).find(([name]) => /(?:^|\.)loss(?:-random)?$|loss-random\.loss/.test(name));
}

/** netem drops on purpose (`loss`), or because its queue (`limit`) is full. */
export function examineNetem(input: Queue): QueueVerdict {
  const { qdisc, earlier } = input.queue;
  // `tc qdisc change` may have taken the loss away before the end.
  const now = findLoss(qdisc);
  const loss = now ?? (earlier === null ? undefined : findLoss(earlier));
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
      why:
        now === undefined
          ? "it is a network emulator that lost packets on purpose, until its settings were changed"
          : "it is a network emulator that loses packets on purpose",
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
