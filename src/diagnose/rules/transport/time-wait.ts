import { countDrops } from "../../amounts.ts";
import { counterDelta, findNetwork, type DropFact, type Facts } from "../../facts.ts";
import type { Rule } from "../../rule.ts";
import { isVague } from "../../select.ts";

/** What else tcp_v4_rcv refuses, each with its counter: on kernels without reasons these tell whether there was any of it. */
const LOSSES = [
  "TcpOutRsts",
  "TcpInErrs",
  "TcpExtTCPBacklogDrop",
  "TcpExtListenOverflows",
  "TcpExtTCPMinTTLDrop",
];
/** The losses may be this share of what was dropped without calling it normal wrong. */
const SHARE = 0.2;

/**
 * Segments for a connection in TIME-WAIT (the last ACK of a close, a late duplicate), which the kernel frees in tcp_v4_rcv
 * without a reason: normal life, no finding. From Linux 6.15 on the catalogue knows them as benign; before, the end of a
 * refused handshake looked the same, and that has been claimed by now where the accept queue overflowed. Left alone where
 * no connection went through TIME-WAIT, or where the kernel gives no reasons and its counters tell of losses.
 */
export const timeWait: Rule = {
  id: "time-wait",
  examine(facts, ledger) {
    const found = facts.drops.filter(
      (drop) =>
        isVague(drop) &&
        !drop.benign &&
        !ledger.isClaimed(drop) &&
        drop.proto === "tcp" &&
        /^tcp_v[46]_rcv$/.test(drop.location ?? ""),
    );
    for (const [netns, drops] of Map.groupBy(found, (drop) => drop.netns)) {
      if (isLikely(facts, netns, drops)) ledger.claim(drops);
    }
    return [];
  },
};

function isLikely(facts: Facts, netns: number | null, drops: readonly DropFact[]): boolean {
  const network = findNetwork(facts, netns);
  const waiting = counterDelta(network, "TcpExtTW") + (network?.state.counters.sockstat?.["TCP.tw"] ?? 0);
  if (waiting === 0) return false;
  if (facts.hasReason("NO_SOCKET")) return true;
  return LOSSES.reduce((sum, name) => sum + counterDelta(network, name), 0) <= SHARE * countDrops(drops);
}
