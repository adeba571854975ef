import { hasMoved } from "../../change.ts";
import type {
  FilterDelta,
  PacketQueueDelta,
  Qdisc,
  QdiscDelta,
  TrafficAction,
  TrafficFilter,
} from "../types.ts";
import { endsOf, type Ends } from "./context.ts";
import { changeIn, keyOf, movedIn, pairByKey } from "./match.ts";

/** Queueing disciplines that dropped, delayed or requeued something, or count something else of their own. */
export function deltaQdiscs(ends: Ends): QdiscDelta[] {
  const { before, after, fresh } = endsOf(ends, (snapshot) => snapshot.configuration?.qdiscs ?? null);
  return pairByKey(before, after, qdiscKey)
    .pairs.map((pair) => ({
      netns: ends.netns,
      qdisc: pair.after,
      earlier: pair.before,
      packets: changeIn(pair, fresh, (qdisc) => qdisc.packets),
      drops: changeIn(pair, fresh, (qdisc) => qdisc.drops),
      overlimits: changeIn(pair, fresh, (qdisc) => qdisc.overlimits),
      requeues: changeIn(pair, fresh, (qdisc) => qdisc.requeues),
      extra: movedIn(pair.before?.extra ?? null, pair.after.extra, fresh && pair.before === null),
    }))
    .filter(({ drops, overlimits, requeues, extra }) => {
      return [drops, overlimits, requeues].some(hasMoved) || Object.keys(extra).length > 0;
    });
}

type FilterAction = {
  readonly filter: TrafficFilter;
  readonly action: TrafficAction;
  readonly order: number;
};

/** tc actions that saw packets. */
export function deltaFilters(ends: Ends): FilterDelta[] {
  const { before, after, fresh } = endsOf(ends, (snapshot) =>
    actionsOf(snapshot.configuration?.filters ?? null),
  );
  return pairByKey(before, after, actionKey)
    .pairs.map((pair) => ({
      netns: ends.netns,
      dev: pair.after.filter.dev,
      direction: pair.after.filter.direction,
      pref: pair.after.filter.pref,
      handle: pair.after.filter.handle,
      action: pair.after.action.kind,
      control: pair.after.action.control,
      packets: changeIn(pair, fresh, ({ action }) => action.packets),
      drops: changeIn(pair, fresh, ({ action }) => action.drops),
    }))
    .filter(({ packets, drops }) => hasMoved(packets) || hasMoved(drops));
}

function actionsOf(filters: readonly TrafficFilter[] | null): FilterAction[] | null {
  return (
    filters?.flatMap((filter) => filter.actions.map((action, order) => ({ filter, action, order }))) ?? null
  );
}

/** Netfilter queues that exist at the end. */
export function deltaPacketQueues(ends: Ends): PacketQueueDelta[] {
  const { before, after, fresh } = endsOf(ends, (snapshot) => snapshot.counters.packetQueues);
  return pairByKey(before, after, (queue) => keyOf(queue.queue, queue.portid)).pairs.map((pair) => ({
    netns: ends.netns,
    queue: pair.after.queue,
    portid: pair.after.portid,
    waiting: pair.after.waiting,
    dropped: changeIn(pair, fresh, (queue) => queue.dropped),
    userDropped: changeIn(pair, fresh, (queue) => queue.userDropped),
  }));
}

export function qdiscKey(qdisc: Qdisc): string {
  return keyOf(qdisc.dev, qdisc.kind, qdisc.handle, qdisc.parent);
}

function actionKey({ filter, action, order }: FilterAction): string {
  const { dev, direction, kind, pref, chain, handle } = filter;
  return keyOf(dev, direction, kind, pref, chain, handle, action.kind, order);
}
