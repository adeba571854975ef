import type { NetDelta } from "../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../text/format.ts";
import { countDrops, rankDrops, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, type DropFact, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Rule } from "../../rule.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";
import { tellOwner } from "./endpoints.ts";

/**
 * A window that closes and opens again is how TCP slows a fast sender down (a healthy transfer of 600 MB on a veth did it
 * 1,461 times). One that stays closed makes the sender probe it, first after 200 ms, then ever more rarely: two
 * probes are more than a second of standstill with any round trip time.
 */
const PROBES = 2;

/**
 * A program that does not read its TCP connection. Nothing is lost, so no drop tells it: the window stays closed
 * (TCPToZeroWindowAdv beyond TCPFromZeroWindowAdv) and the peer's probes arrive with an old sequence number.
 */
export const stalledReader: Rule = {
  id: "tcp-stalled-reader",
  examine: (facts) =>
    facts.networks.flatMap((network) => {
      const closed =
        counterDelta(network, "TcpExtTCPToZeroWindowAdv") -
        counterDelta(network, "TcpExtTCPFromZeroWindowAdv");
      const probes = findProbes(facts, network);
      if (closed <= 0 || countDrops(probes) < PROBES) return [];
      return [tellStalled(facts, network, closed, probes)];
    }),
};

/** Window probes carry the last byte before the window once more: the receiver drops them as old and answers. */
function findProbes(facts: Facts, network: NetDelta): DropFact[] {
  return facts.drops.filter(
    ({ netns, proto, reason, location }) =>
      netns === network.netns.inode &&
      proto === "tcp" &&
      (reason === "TCP_OLD_SEQUENCE" ||
        reason === "TCP_INVALID_SEQUENCE" ||
        ((reason === null || reason === "NOT_SPECIFIED") && location === "tcp_validate_incoming")),
  );
}

function tellStalled(facts: Facts, network: NetDelta, closed: number, probes: readonly DropFact[]): Finding {
  const inode = network.netns.inode;
  const place = findPlace(facts, inode);
  const ports = rankDrops(probes, ({ destinationPort }) => destinationPort);
  const service = network.listeners.find(({ port }) => String(port) === ports[0]?.name);
  const who = service === undefined ? "A program" : tellOwner(facts, service.inode);
  return {
    id: "tcp-stalled-reader",
    severity: "suspicious",
    summary: `${who} does not read its TCP ${closed === 1 ? "connection" : "connections"} on port ${tellShares(ports) ?? "?"}: the receive window is closed and the sender waits`,
    count: closed,
    netns: nameNetns(facts, inode),
    evidence: [
      `${tellCounters(network, ["TcpExtTCPToZeroWindowAdv", "TcpExtTCPFromZeroWindowAdv"]) ?? ""} in ${tellNetns(facts, inode)}: ${plural(closed, "window")} closed at the end`,
      `${formatCount(countDrops(probes))} window probes from ${tellShares(rankDrops(probes, ({ source }) => source)) ?? "unknown senders"}`,
    ],
    check: [
      inNetns(
        place,
        `ss -tnmp state established${ports.length === 1 ? ` 'sport = :${ports[0]?.name}'` : ""}`,
      ),
      ...(service?.inode == null
        ? []
        : (facts.owners.get(service.inode) ?? null) === null
          ? []
          : [`top -b -n 1 -H -p ${facts.owners.get(service.inode)?.pid}`]),
    ],
    fix: [
      "# a large Recv-Q in the list names the connection: see what its program waits for instead of reading",
    ],
  };
}
