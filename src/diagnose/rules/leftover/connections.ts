import type { NetDelta } from "../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../text/format.ts";
import { isMany, tellCounters } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Ledger, Rule } from "../../rule.ts";
import { findAddresses, findPlace, nameNetns, tellNetns } from "../../where.ts";

/** Paths through the internet lose up to one in a hundred on a good day; a server nobody complains about stays below it. */
const RETRANSMITTED = { least: 20, share: 0.01 };
/** Of the connection attempts: one in ten without an answer is felt by every user. */
const UNANSWERED = { least: 5, share: 0.1 };
const REFUSED = { least: 10, share: 0.1 };
/** Of the connections made: programs that close with unread data reset some; half of all is not closing, it is breaking. */
const RESET = { least: 50, share: 0.5 };

interface Limits {
  readonly least: number;
  readonly share: number;
}

const exceeds = (facts: Facts, count: number, of: number, { least, share }: Limits) =>
  isMany(count, facts.seconds, least) && count >= share * of;

/**
 * Retransmissions, unanswered and refused connections, resets: signs of trouble that lies beyond this host, since no drop
 * here explains them. Ratios, not counts, decide: a busy host retransmits something all the time.
 */
export const connections: Rule = {
  id: "tcp-connections",
  examine(facts, ledger) {
    const explained = findExplained(facts);
    return facts.networks.flatMap((network) =>
      explained.has(network.netns.inode) || facts.isFiltered ? [] : examineNamespace(facts, ledger, network),
    );
  },
};

/** Namespaces with TCP packets dropped on this machine, on either end: their trouble has its cause there. */
function findExplained(facts: Facts): Set<number> {
  const inodes = new Set<number>();
  const addresses = new Set<string>();
  for (const { proto, benign, netns, source, destination } of facts.drops) {
    if (proto !== "tcp" || benign) continue;
    if (netns !== null) inodes.add(netns);
    if (source !== null) addresses.add(source);
    if (destination !== null) addresses.add(destination);
    if (addresses.size > MAX_ADDRESSES) break;
  }
  for (const address of addresses) {
    // Of several that have the address it may be any.
    for (const { netns } of findAddresses(facts, address)) inodes.add(netns.inode);
  }
  return inodes;
}

/** The drops come most first: what is beyond this many peers explains little. */
const MAX_ADDRESSES = 200;

function examineNamespace(facts: Facts, ledger: Ledger, network: NetDelta): Finding[] {
  const inode = network.netns.inode;
  const count = (name: string) => counterDelta(network, name);
  const opens = count("TcpActiveOpens");
  const connected = opens + count("TcpPassiveOpens");
  const syns = ledger.isAccounted(inode, "TcpExtTCPSynRetrans") ? 0 : count("TcpExtTCPSynRetrans");
  // Repeated SYNs are counted in both; they have a finding of their own.
  const segments = count("TcpRetransSegs") - count("TcpExtTCPSynRetrans");
  const refused = ledger.isAccounted(inode, "TcpAttemptFails") ? 0 : count("TcpAttemptFails");
  const resets = count("TcpEstabResets");
  return [
    ...(exceeds(facts, syns, opens, UNANSWERED) ? [tellUnanswered(facts, network, syns)] : []),
    ...(exceeds(facts, refused, connected, REFUSED) ? [tellRefused(facts, network, refused)] : []),
    ...(exceeds(facts, segments, count("TcpOutSegs"), RETRANSMITTED)
      ? [tellRetransmitted(facts, network, segments)]
      : []),
    ...(exceeds(facts, resets, connected, RESET) ? [tellResets(facts, network, resets)] : []),
  ];
}

function frame(
  facts: Facts,
  network: NetDelta,
  count: number,
): Pick<Finding, "severity" | "count" | "netns"> {
  return { severity: "suspicious", count, netns: nameNetns(facts, network.netns.inode) };
}

const place = (facts: Facts, network: NetDelta) => findPlace(facts, network.netns.inode);

function tellUnanswered(facts: Facts, network: NetDelta, syns: number): Finding {
  // The counter is that of SYN-ACKs too; where nothing here opened a connection they are all of it.
  if (counterDelta(network, "TcpActiveOpens") === 0) {
    return {
      ...frame(facts, network, syns),
      id: "tcp-handshake-unfinished",
      summary: `Clients do not finish their handshakes: ${plural(syns, "SYN-ACK")} had to be sent again`,
      evidence: [
        `${tellCounters(network, ["TcpExtTCPSynRetrans", "TcpPassiveOpens", "TcpExtTCPTimeouts"])} in ${tellNetns(facts, network.netns.inode)}, where no connection was opened`,
        "forged addresses (a SYN flood), clients that are gone, or answers that take another way and get lost there",
      ],
      check: [inNetns(place(facts, network), "ss -tan state syn-recv"), "trace retrans --duration 30s"],
      fix: ["# ip route get CLIENT shows the way the answers take; run trace drops at every hop of it"],
    };
  }
  return {
    ...frame(facts, network, syns),
    id: "tcp-unanswered",
    summary: `Connection attempts get no answer: ${plural(syns, "SYN")} had to be sent again, and no drop on this host explains it`,
    evidence: [
      `${tellCounters(network, ["TcpExtTCPSynRetrans", "TcpActiveOpens", "TcpExtTCPTimeouts", "TcpExtTCPAbortOnTimeout"])} in ${tellNetns(facts, network.netns.inode)}`,
      "a firewall that drops silently, a full accept queue or a dead host at the other end looks like this",
    ],
    check: [inNetns(place(facts, network), "ss -tnp state syn-sent"), "trace retrans --duration 30s"],
    fix: ["# run trace drops on the host that is called, and at every hop between"],
  };
}

function tellRefused(facts: Facts, network: NetDelta, refused: number): Finding {
  return {
    ...frame(facts, network, refused),
    id: "tcp-refused",
    summary: `${plural(refused, "connection attempt")} failed: refused by the other side, or given up`,
    evidence: [
      `${tellCounters(network, ["TcpAttemptFails", "TcpActiveOpens", "TcpPassiveOpens"])} in ${tellNetns(facts, network.netns.inode)}, and no drop on this host explains it`,
    ],
    check: [
      "trace retrans --duration 30s",
      inNetns(place(facts, network), "nstat -az TcpAttemptFails TcpExtTCPAbortOnTimeout"),
    ],
    fix: ["# trace retrans names the peers that answer with a reset: is their service running?"],
  };
}

function tellRetransmitted(facts: Facts, network: NetDelta, segments: number): Finding {
  const sent = counterDelta(network, "TcpOutSegs");
  return {
    ...frame(facts, network, segments),
    id: "tcp-retransmissions",
    summary: `${((100 * segments) / Math.max(1, sent)).toFixed(1)} % of the TCP segments had to be sent again, and no drop on this host explains it: they get lost on the way`,
    evidence: [
      `${formatCount(segments)} of ${formatCount(sent)} segments in ${tellNetns(facts, network.netns.inode)}`,
      ...[
        tellCounters(network, [
          "TcpExtTCPTimeouts",
          "TcpExtTCPFastRetrans",
          "TcpExtTCPLostRetransmit",
          "TcpExtTCPSpuriousRTOs",
          "TcpExtTCPDSACKRecv",
        ]),
      ].filter((text) => text !== null),
    ],
    check: ["trace retrans --duration 30s", inNetns(place(facts, network), "ss -tin state established")],
    fix: ["# trace retrans names the flows: run trace drops where they lead to, and at every hop between"],
  };
}

function tellResets(facts: Facts, network: NetDelta, resets: number): Finding {
  return {
    ...frame(facts, network, resets),
    id: "tcp-resets",
    summary: `${plural(resets, "established connection")} ended by a reset instead of a close`,
    evidence: [
      `${tellCounters(network, ["TcpEstabResets", "TcpOutRsts", "TcpActiveOpens", "TcpPassiveOpens", "TcpExtTCPAbortOnData", "TcpExtTCPAbortOnClose", "TcpExtTCPAbortOnTimeout"])} in ${tellNetns(facts, network.netns.inode)}`,
    ],
    check: ["trace retrans --duration 30s"],
    fix: ["# trace retrans says for each reset which side sent it and why"],
  };
}
