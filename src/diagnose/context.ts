import { rankDrops, tellCounters } from "./amounts.ts";
import type { DropFact, Facts } from "./facts.ts";
import { findAddress, tellNetns } from "./where.ts";

/** What TCP does about lost segments, in the order in which it tells most. */
const RETRANSMISSION_COUNTERS = [
  "TcpRetransSegs",
  "TcpExtTCPTimeouts",
  "TcpExtTCPSynRetrans",
  "TcpExtTCPLostRetransmit",
  "TcpExtTCPFastRetrans",
  "TcpExtTCPAbortOnTimeout",
];

/** Addresses looked for on this machine: in a flood with forged sources there are thousands. */
const MAX_SENDERS = 8;

/**
 * What the loss did to TCP, as evidence beside a cause: `TcpRetransSegs +406, TcpExtTCPTimeouts +388 in the same time`.
 * Read in the namespaces of the drops, and in those of this machine that sent the packets (then named in the sentence).
 * Null when none of the drops is TCP, or nothing was sent again.
 */
export function tellRetransmissions(facts: Facts, drops: readonly DropFact[]): string | null {
  const tcp = drops.filter((drop) => drop.proto === "tcp");
  const here = new Set(tcp.flatMap(({ netns }) => netns ?? []));
  const sources = rankDrops(tcp, ({ source }) => source).slice(0, MAX_SENDERS);
  const senders = new Set(sources.flatMap(({ name }) => findAddress(facts, name)?.netns.inode ?? []));
  const sentences = [...new Set([...here, ...senders])].flatMap((inode) => {
    const network = facts.networks.find(({ netns }) => netns.inode === inode) ?? null;
    const moved = tellCounters(network, RETRANSMISSION_COUNTERS);
    if (moved === null) return [];
    return here.has(inode)
      ? `${moved} in the same time`
      : `${moved} in ${tellNetns(facts, inode)}, which sends them`;
  });
  return sentences.length === 0 ? null : sentences.join("; ");
}
