import type { NetDelta, QdiscDelta } from "../../../../evidence/net/types.ts";
import { quoteShell } from "../../../../text/escape.ts";
import { formatBytes, formatCount, plural } from "../../../../text/format.ts";
import { countDrops, tellCounters } from "../../../amounts.ts";
import { inNetns } from "../../../commands.ts";
import { findNetwork, type DropFact, type Facts } from "../../../facts.ts";
import type { Finding } from "../../../finding.ts";
import type { Rule } from "../../../rule.ts";
import { isVague } from "../../../select.ts";
import { findPlace, tellNetns } from "../../../where.ts";
import { findLink } from "../support/devices.ts";
import { isFreedAt, meanSize, openDrops, tellFlows } from "../support/drops.ts";
import { makeFinding } from "../support/finding.ts";
import { accountSender, SENDER_COUNTERS } from "../support/sender.ts";
import { examineQueue } from "./queue/examine.ts";
import { findGoneQueues } from "./queue/gone.ts";
import { EDGES, MANY, tellParameters, tellQueue } from "./queue/words.ts";

/** Of all packets offered to the queue. TCP at 1 % loss is already far below what the link could carry. */
const HARMFUL_SHARE = 0.01;

const REASONS = /^(?:QDISC_|CAKE_FLOOD$|FQ_|DUALPI2_)/;
const SITES =
  /^(?:__dev_queue_xmit|__dev_xmit_skb|dev_qdisc_enqueue|kfree_skb_list\w*|__tcf_kfree_skb_list|tcf_kfree_skb_list|\w+_(?:enqueue|dequeue)|fq_codel_drop|cake_drop|drop_func|sfq_drop|timesortedlist_\w+|qdisc_\w*drop\w*)$/;
const COUNTERS = [...SENDER_COUNTERS, "TcpExtTCPSpuriousRtxHostQueues", "TcpRetransSegs"];

/** Queues that dropped: which one, its parameters, and the command that gives it room, or takes it away. */
export const qdiscDrop: Rule = {
  id: "qdisc",
  examine(facts, ledger) {
    const open = openDrops(facts, ledger).filter(
      (drop) =>
        (drop.reason !== null && REASONS.test(drop.reason)) || (isVague(drop) && isFreedAt(drop, SITES)),
    );
    const networks = new Set<NetDelta>();
    for (const { netns } of open) {
      const network = findNetwork(facts, netns);
      if (network !== null) networks.add(network);
    }
    const found = [...networks].flatMap((network) => {
      const netns = network.netns.inode;
      return queuesOf(network).flatMap((queue) => {
        const drops = open.filter(
          (drop) =>
            drop.netns === netns &&
            !ledger.isClaimed(drop) &&
            (drop.dev === queue.qdisc.dev || drop.dev === null),
        );
        const isDropper = queue.drops.delta !== null && queue.drops.delta > 0;
        if (drops.length === 0 || !isDropper) return [];
        const others = queuesOf(network).filter(
          (other) => other.qdisc.dev === queue.qdisc.dev && other !== queue,
        );
        // Several queues of one device share its drops: the flows cannot be told apart, the counters can.
        if (others.every((other) => (other.drops.delta ?? 0) <= (queue.drops.delta ?? 0)))
          ledger.claim(drops);
        accountSender(ledger, netns);
        return [tell(facts, network, queue, drops, others.length === 0)];
      });
    });
    const left = open.filter((drop) => !isVague(drop) && !ledger.isClaimed(drop));
    return [...found, ...findGoneQueues(facts, ledger, left)];
  },
};

/** The queues where packets were lost: an outer one counts what its inner ones lose, so only the innermost are meant. */
function queuesOf(network: NetDelta): QdiscDelta[] {
  const dropping = network.qdiscs.filter(
    ({ qdisc, drops }) => (drops.delta ?? 0) > 0 && !EDGES.has(qdisc.kind),
  );
  return dropping
    .filter(
      ({ qdisc }) =>
        !dropping.some(
          (inner) =>
            inner.qdisc !== qdisc &&
            inner.qdisc.dev === qdisc.dev &&
            inner.qdisc.parent !== "root" &&
            major(inner.qdisc.parent) === major(qdisc.handle),
        ),
    )
    .toSorted((a, b) => (b.drops.delta ?? 0) - (a.drops.delta ?? 0));
}

function major(handle: string): string {
  return handle.split(":")[0] ?? "";
}

function tell(
  facts: Facts,
  network: NetDelta,
  queue: QdiscDelta,
  drops: readonly DropFact[],
  isOnly: boolean,
): Finding {
  const netns = network.netns.inode;
  const { qdisc } = queue;
  const place = findPlace(facts, netns);
  const counted = queue.drops.delta ?? 0;
  const count = isOnly ? countDrops(drops) : counted;
  const sent = queue.packets.delta ?? 0;
  const share = counted / Math.max(1, counted + sent);
  const link = findLink(network, qdisc.dev);
  const verdict = examineQueue({
    queue,
    outer: network.state.configuration?.qdiscs?.filter((item) => item.dev === qdisc.dev) ?? [],
    seconds: Math.max(facts.seconds, 0.001),
    lost: counted,
    sent,
    size: meanSize(drops),
    mtu: link?.mtu ?? null,
    txQueueLength: link?.txQueueLength ?? null,
  });
  const isHarmful = counted >= MANY && share >= HARMFUL_SHARE;
  return makeFinding(facts, {
    id: verdict.id,
    severity: verdict.isMeant
      ? "problem"
      : isHarmful
        ? verdict.isNormal
          ? "suspicious"
          : "problem"
        : "info",
    summary: `${tellQueue(qdisc)} drops packets: ${verdict.why}`,
    count,
    netns,
    evidence: [
      `in ${tellNetns(facts, netns)}`,
      tellParameters(qdisc, verdict),
      `it dropped ${formatCount(counted)} and sent ${plural(sent, "packet")} (${tellShare(share)} lost); ${formatCount(countDrops(drops))} drop events seen on ${qdisc.dev}`,
      qdisc.length > 0
        ? `waiting in it at the end: ${plural(qdisc.length, "packet")}, ${formatBytes(qdisc.backlog)}`
        : null,
      tellCounters(network, COUNTERS),
      tellFlows(drops),
    ],
    check: [
      inNetns(place, `tc -s qdisc show dev ${quoteShell(qdisc.dev)}`),
      ...(qdisc.kind === "htb" || qdisc.kind === "hfsc" || major(qdisc.parent) !== "root"
        ? [inNetns(place, `tc -s class show dev ${quoteShell(qdisc.dev)}`)]
        : []),
    ],
    fix: verdict.fix.map((command) => inNetns(place, command)),
  });
}

/** "0.5 %", "97 %". */
function tellShare(share: number): string {
  return `${share >= 0.1 ? Math.round(share * 100) : Number((share * 100).toPrecision(2))} %`;
}
