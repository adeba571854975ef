import { formatCount, plural } from "../../../text/format.ts";
import { countDrops, isMany, rankDrops, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { tellRetransmissions } from "../../context.ts";
import { counterDelta, type DropFact } from "../../facts.ts";
import type { Rule } from "../../rule.ts";
import { isAftermath } from "./aftermath.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";

/** Data that was there already. Some of these are benign by the catalogue; together they tell how much was sent twice. */
const REASONS = ["TCP_OLD_DATA", "TCP_OFOMERGE", "TCP_OFO_DROP", "TCP_OLD_SEQUENCE"];
const COUNTERS = [
  "TcpExtDelayedACKLost",
  "TcpExtTCPDSACKOldSent",
  "TcpExtTCPDSACKOfoSent",
  "TcpExtTCPSpuriousRTOs",
  "TcpExtTCPDSACKRecv",
];

/** Tail loss probes and a late ACK make some in every busy minute. */
const MANY = 50;
/** Of the segments that came in: below one in two hundred nobody can feel it. */
const SHARE = 0.005;

/**
 * Segments that carry nothing new. No data is missing: the peer sent it twice because an acknowledgement was lost or late
 * (reverse path, a timeout shorter than the way). So a note, and only where it is much.
 */
export const duplicates: Rule = {
  id: "tcp-duplicates",
  examine(facts, ledger) {
    const found = facts.drops.filter(
      (drop) => drop.reason !== null && REASONS.includes(drop.reason) && !ledger.isClaimed(drop),
    );
    ledger.claim(found);
    return [...Map.groupBy(found, (drop) => drop.netns)].flatMap(([netns, drops]) => {
      const network = facts.networks.find((item) => item.netns.inode === netns) ?? null;
      const count = countDrops(drops);
      const received = counterDelta(network, "TcpInSegs");
      if (!isMany(count, facts.seconds, MANY) || count < SHARE * received) return [];
      if (isAftermath(facts, drops)) return [];
      const place = findPlace(facts, netns);
      const counters = tellCounters(network, COUNTERS);
      const retransmissions = tellRetransmissions(facts, drops);
      return [
        {
          id: "tcp-duplicates",
          severity: "info" as const,
          summary: `${plural(count, "TCP segment")} came a second time: no data is lost here, but acknowledgements are late or lost on the way back to ${tellShares(rankDrops(drops, peerOf), 2) ?? "the senders"}`,
          count,
          netns: nameNetns(facts, netns),
          evidence: [
            `${tellShares(rankDrops(drops, ({ reason }) => reason)) ?? ""}, ${formatCount(received)} segments came in, in ${tellNetns(facts, netns)}`,
            ...(counters === null ? [] : [counters]),
            ...(retransmissions === null ? [] : [retransmissions]),
          ],
          check: [
            inNetns(place, "ss -tin state established"),
            inNetns(place, "nstat -az TcpExtDelayedACKLost TcpExtTCPDSACKOldSent TcpExtTCPDSACKOfoSent"),
          ],
          fix: ["# look for loss on the way back: trace drops at the sender, and at every hop between"],
        },
      ];
    });
  },
};

const peerOf = ({ source }: DropFact) => source;
