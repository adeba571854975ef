import { formatCount, plural } from "../../../text/format.ts";
import { countDrops, isMany, rankDrops, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import type { DropFact, Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { DropGroup } from "../../select.ts";
import { findPlace, nameNetns } from "../../where.ts";
import { isEphemeral, tellAskers, tellOwner } from "./endpoints.ts";
import { listSockets, tellProto, type Proto, type Taker } from "./listening.ts";

/** From here on answers that nobody waits for are no accident: the asker gives up too early, or the service is slow. */
const MANY = 10;

export type Told = Pick<Finding, "id" | "severity" | "summary" | "evidence" | "fix">;

/** Somebody does listen at the end: it came too late, or these were for connections that it no longer knows. */
export function tellTaken(
  facts: Facts,
  taker: Taker,
  what: string,
  asked: string,
  answers: readonly string[],
): Told {
  const owner = tellOwner(facts, taker.inode);
  if (taker.isNew) {
    return {
      id: "closed-port-opened",
      severity: "info",
      summary: `${what} was closed until ${owner} opened it during the run: ${asked} came before that`,
      evidence: [
        `NO_SOCKET, and ${owner} listens on ${taker.local} at the end but not at the start`,
        ...answers,
      ],
      fix: [],
    };
  }
  return {
    id: "closed-port-stale",
    severity: "info",
    summary: `${asked} for ${what} belonged to no connection that this host knows (any more)`,
    evidence: [
      `${owner} listens on ${taker.local}: the port is open, so these were late segments, or senders that still hold a connection this side has forgotten`,
      ...answers,
    ],
    fix: [],
  };
}

/** Answers from a service to a client's port whose socket is gone. */
export function isLate(facts: Facts, network: DropGroup["network"], drops: readonly DropFact[]): boolean {
  return drops.every(
    ({ sourcePort, destinationPort }) =>
      sourcePort !== null &&
      destinationPort !== null &&
      isEphemeral(facts, network, destinationPort) &&
      !isEphemeral(facts, network, sourcePort) &&
      sourcePort < destinationPort,
  );
}

export function tellLate(
  facts: Facts,
  proto: Proto,
  what: string,
  asked: string,
  answers: readonly string[],
  count: number,
): Told {
  return {
    id: "late-answer",
    // Answers that nobody waits for, again and again: the asker gives up too early, or the service is slow.
    severity: proto !== "tcp" && isMany(count, facts.seconds, MANY) ? "suspicious" : "info",
    summary: `Answers came after the asker had gone: ${asked} for ${what}`,
    evidence: [
      `the destination port is one that clients get (net.ipv4.ip_local_port_range) and the source port a service's: the program closed its socket before the answer was there`,
      ...answers,
    ],
    fix: [
      `# look at how long the service at the source takes to answer, and at the timeout of the program that asks it`,
    ],
  };
}

/** Segments from a service for connections that nobody here has: what a forged or forgotten SYN leaves behind. */
export function tellStray(
  facts: Facts,
  _proto: Proto,
  what: string,
  asked: string,
  answers: readonly string[],
  count: number,
): Told {
  return {
    id: "closed-port-stale",
    severity: isMany(count, facts.seconds, MANY) ? "suspicious" : "info",
    summary: `${asked} for ${what} belonged to no connection that this host knows (any more)`,
    evidence: [
      "they come from a port on which their sender listens, so they are answers: somebody asked it with this host's address (forged, or by raw sockets), or this host has forgotten the connection",
      ...answers,
    ],
    fix: [],
  };
}

export function tellMore(
  facts: Facts,
  proto: Proto,
  { netns }: DropGroup,
  drops: readonly DropFact[],
): Finding {
  const count = countDrops(drops);
  const ports = rankDrops(drops, ({ destinationPort }) => destinationPort);
  return {
    id: "closed-port-more",
    severity: isMany(count, facts.seconds, MANY) ? "suspicious" : "info",
    summary: `${plural(count, "packet")} for ${formatCount(ports.length)} further closed ${tellProto(proto)} ports`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      `NO_SOCKET, by port: ${tellShares(ports, 8) ?? "unknown"}`,
      `from ${tellShares(rankDrops(drops, ({ source }) => source)) ?? "unknown senders"}`,
    ],
    check: [inNetns(findPlace(facts, netns), listSockets(proto, null))],
    fix: [],
  };
}

export function tellScan(
  facts: Facts,
  proto: Proto,
  { netns }: DropGroup,
  source: string,
  drops: readonly DropFact[],
): Finding {
  const ports = rankDrops(drops, ({ destinationPort }) => destinationPort);
  return {
    id: "port-scan",
    severity: "suspicious",
    summary: `${source} asks ${formatCount(ports.length)} closed ${tellProto(proto)} ports: it looks like a port scan`,
    count: countDrops(drops),
    netns: nameNetns(facts, netns),
    evidence: [`NO_SOCKET for ports ${tellShares(ports, 6) ?? "?"}${tellAskers(facts, [source])}`],
    check: [`trace drops --reason NO_SOCKET --host ${source} --events --duration 10s`],
    fix: [
      `# if ${source} is none of your own scanners: ${inNetns(findPlace(facts, netns), `${source.includes(":") ? "ip6tables" : "iptables"} -I INPUT -s ${source} -j DROP`)}`,
    ],
  };
}
