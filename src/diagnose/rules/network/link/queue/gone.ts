import type { NetDelta, Qdisc, QdiscDelta } from "../../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../../text/escape.ts";
import { formatCount, plural } from "../../../../../text/format.ts";
import { countDrops, isMany, tellCounters } from "../../../../amounts.ts";
import { inNetns } from "../../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../../facts.ts";
import type { Finding } from "../../../../finding.ts";
import type { Ledger } from "../../../../rule.ts";
import { findPlace, tellNetns } from "../../../../where.ts";
import { findInterface, findLink, isDeviceGone } from "../../support/devices.ts";
import { groupByDevice, meanSize, tellFlows, type DeviceGroup } from "../../support/drops.ts";
import { makeFinding } from "../../support/finding.ts";
import { NOTHING_TO_DO, WAS_REMOVED } from "../../../../gone.ts";
import { accountSender, SENDER_COUNTERS } from "../../support/sender.ts";
import { examineQueue } from "./examine.ts";
import { EDGES, MANY, tellParameters, tellQueue } from "./words.ts";

/** A queue that has counted this share of the drops is the one: events and counters are read a little apart. */
const COUNTED_SHARE = 0.8;
/** They hold nothing, so they lose nothing. */
const HOLDS_NOTHING = new Set([...EDGES, "noqueue"]);

/**
 * Drops of queues that no queue is known to have counted during the run: of one that was there at the start only, of one whose start could
 * not be read, or of one that came and went in between.
 */
export function findGoneQueues(facts: Facts, ledger: Ledger, open: readonly DropFact[]): Finding[] {
  return groupByDevice(open).flatMap((group) => {
    const network = findNetwork(facts, group.netns);
    // Of an unknown device nothing can be told, and what could not be read may still be there.
    const queues = network?.state.configuration?.qdiscs ?? null;
    if (network === null || group.dev === null || queues === null) return [];
    const isEdge = ({ qdisc }: QdiscDelta): boolean => qdisc.dev === group.dev && EDGES.has(qdisc.kind);
    if (network.qdiscs.some(isEdge)) return [];
    ledger.claim(group.drops);
    accountSender(ledger, network.netns.inode);
    const canHold = ({ dev, kind }: Qdisc): boolean => dev === group.dev && !HOLDS_NOTHING.has(kind);
    const count = countDrops(group.drops);
    // The innermost lost the packets: the last that tc lists of a tree.
    const gone = network.gone.qdiscs.findLast(canHold);
    if (gone !== undefined) return [tellKnown(facts, network, gone, group)];
    const present = queues.findLast(
      (queue) => canHold(queue) && (network.isEndUnread || queue.drops >= COUNTED_SHARE * count),
    );
    return [
      present === undefined
        ? tellUnknown(facts, network, group)
        : tellKnown(facts, network, present, group, true),
    ];
  });
}

function tellKnown(
  facts: Facts,
  network: NetDelta,
  qdisc: Qdisc,
  group: DeviceGroup,
  isPresent = false,
): Finding {
  const place = findPlace(facts, network.netns.inode);
  const { netns, dev, drops } = group;
  const count = countDrops(drops);
  const link = findLink(network, dev);
  const sent = findInterface(network, dev)?.txOk.delta ?? null;
  const unknown = { before: null, after: null, delta: null };
  const verdict = examineQueue({
    queue: {
      netns: network.netns,
      qdisc,
      earlier: null,
      packets: unknown,
      drops: unknown,
      overlimits: unknown,
      requeues: unknown,
      extra: {},
    },
    outer: (isPresent ? (network.state.configuration?.qdiscs ?? []) : network.gone.qdiscs).filter(
      (item) => item.dev === qdisc.dev,
    ),
    seconds: Math.max(facts.seconds, 0.001),
    lost: count,
    sent: sent ?? 0,
    size: meanSize(drops),
    mtu: link?.mtu ?? null,
    txQueueLength: link?.txQueueLength ?? null,
  });
  return makeFinding(facts, {
    ...frame(facts, network, group),
    id: verdict.id,
    summary: isPresent
      ? `${tellQueue(qdisc)} drops packets: ${verdict.why}`
      : `${tellQueue(qdisc)} dropped packets, and ${network.isGone ? "its namespace is gone by now" : WAS_REMOVED}: ${verdict.why}`,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      tellParameters(qdisc, verdict),
      isPresent
        ? `${network.isEndUnread ? "its counters at the end could not be read" : `it has dropped ${formatCount(qdisc.drops)} since it was made, how many before the run is not known`}; ${plural(count, "drop event")} seen on ${qdisc.dev}`
        : `when the run began it had dropped ${formatCount(qdisc.drops)}; what it counted since is lost, ${plural(count, "drop event")} seen on ${qdisc.dev}`,
      sent === null ? null : `${qdisc.dev} sent ${plural(sent, "packet")} in the same time`,
      isDeviceGone(network, dev) ? `${dev} itself is gone` : null,
      tellCounters(network, SENDER_COUNTERS),
      tellFlows(drops),
    ],
    fix: isPresent ? verdict.fix.map((command) => inNetns(place, command)) : [NOTHING_TO_DO],
  });
}

function tellUnknown(facts: Facts, network: NetDelta, group: DeviceGroup): Finding {
  const { netns, dev, drops } = group;
  const queues = (network.state.configuration?.qdiscs ?? []).filter((qdisc) => qdisc.dev === dev);
  const kinds = queues.map(({ kind, handle }) => (handle === "0:" ? kind : `${kind} ${handle}`));
  const flaps = findInterface(network, dev)?.details["tx.carrier_changes"]?.delta ?? 0;
  return makeFinding(facts, {
    ...frame(facts, network, group),
    id: "qdisc-unknown",
    severity: "suspicious",
    summary:
      flaps > 0
        ? `${dev} was down for a while during the run, or a queue on it came and went: ${plural(countDrops(drops), "packet")} dropped`
        : `A queue on ${dev} dropped packets, and no queue that is there at the end has counted them: it came and went during the run`,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      `at the end: ${kinds.length === 0 ? "no queue" : kinds.join(", ")}, with no drops counted`,
      flaps > 0 ? `the carrier of ${dev} changed ${formatCount(flaps)} times` : null,
      tellCounters(network, SENDER_COUNTERS),
      tellFlows(drops),
    ],
    fix: [
      "# nothing to do now. Should it come back, run trace drops while it is there, or see it come: tc monitor",
    ],
  });
}

function frame(
  facts: Facts,
  network: NetDelta,
  { netns, dev, drops }: DeviceGroup,
): Pick<Finding, "severity" | "count" | "check"> & { readonly netns: number | null } {
  const show = isDeviceGone(network, dev)
    ? "ip -br link"
    : dev === null
      ? "tc -s qdisc show"
      : `tc -s qdisc show dev ${quoteShell(dev)}`;
  return {
    severity: isMany(countDrops(drops), facts.seconds, MANY) ? "problem" : "info",
    count: countDrops(drops),
    netns,
    check: [inNetns(findPlace(facts, netns), show)],
  };
}
