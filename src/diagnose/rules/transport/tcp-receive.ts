import type { NetDelta } from "../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../text/format.ts";
import { countDrops, rankDrops, roundUp, severityOf, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { tellRetransmissions } from "../../context.ts";
import { counterDelta, type DropFact, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Ledger, Rule } from "../../rule.ts";
import { selectDrops } from "../../select.ts";
import { findPlace, nameNetns, readNumbers, tellNetns } from "../../where.ts";
import { tellOwner } from "./endpoints.ts";

/** TCP sends a few again without anybody noticing; more slow the connection down. */
const MANY = 10;
/** A receive buffer that large serves 10 Gbit/s at 25 ms. */
const LEAST_BUFFER = 32 * 1024 * 1024;

interface Cause {
  readonly id: string;
  readonly reasons: readonly string[];
  readonly counters: readonly string[];
  readonly implied: readonly string[];
  readonly summary: (packets: string, ports: string) => string;
}

const CAUSES: readonly Cause[] = [
  {
    id: "socket-backlog",
    reasons: ["SOCKET_BACKLOG"],
    counters: ["TcpExtTCPBacklogDrop"],
    implied: ["sock.drops"],
    summary: (packets, ports) =>
      `${packets} dropped because the socket (${ports}) was busy in a system call and its backlog full: the program or its CPU is overloaded`,
  },
  {
    id: "tcp-out-of-order-pruned",
    reasons: ["TCP_OFO_QUEUE_PRUNE"],
    counters: ["TcpExtOfoPruned", "TcpExtRcvPruned"],
    implied: ["TcpExtPruneCalled", "TcpExtTCPOFODrop"],
    summary: (packets, ports) =>
      `${packets} that had come out of order were thrown away because the receive buffer ran out (${ports}): the peer has to send them again`,
  },
  {
    id: "tcp-zero-window",
    reasons: ["TCP_ZEROWINDOW"],
    counters: ["TcpExtTCPZeroWindowDrop"],
    implied: [],
    summary: (packets, ports) =>
      `${packets} of data came although the receive window was closed (${ports}): the receiving program does not read`,
  },
];

/** What a TCP connection cannot take in: its backlog, its out-of-order queue, its window. */
export const tcpReceive: Rule = {
  id: "tcp-receive",
  examine: (facts, ledger) => CAUSES.flatMap((cause) => examineCause(facts, ledger, cause)),
};

function examineCause(facts: Facts, ledger: Ledger, cause: Cause): Finding[] {
  const groups = selectDrops(facts, ledger, { reasons: cause.reasons, counters: cause.counters });
  const seen = new Set(groups.map(({ netns }) => netns));
  const silent = facts.networks
    .filter(({ netns }) => !seen.has(netns.inode))
    .filter((network) =>
      cause.counters.some(
        (name) => counterDelta(network, name) > 0 && !ledger.isAccounted(network.netns.inode, name),
      ),
    )
    .map((network) => ({ netns: network.netns.inode, network, drops: [] }));
  return [...groups, ...silent].map(({ netns, network, drops }) => {
    ledger.claim(drops);
    if (netns !== null) for (const name of [...cause.counters, ...cause.implied]) ledger.account(netns, name);
    return tellCause(facts, cause, netns, network, drops);
  });
}

function tellCause(
  facts: Facts,
  cause: Cause,
  netns: number | null,
  network: NetDelta | null,
  drops: readonly DropFact[],
): Finding {
  const counted = Math.max(0, ...cause.counters.map((name) => counterDelta(network, name)));
  const count = countDrops(drops) || counted;
  const ports = rankDrops(drops, ({ destinationPort }) => destinationPort);
  const portList = ports.map(({ name }) => Number(name));
  const port = ports.length === 1 ? portList[0] : undefined;
  const place = findPlace(facts, netns);
  const counters = tellCounters(network, cause.counters);
  const retransmissions = tellRetransmissions(facts, drops);
  const services = (network?.listeners ?? []).filter((listener) => portList.includes(listener.port));
  const filter = port === undefined ? "" : ` 'sport = :${port}'`;
  return {
    id: cause.id,
    severity: severityOf(count, facts.seconds, MANY),
    summary: cause.summary(plural(count, "segment"), tellPorts(ports)),
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      ...(counters === null ? [] : [`${counters} in ${tellNetns(facts, netns)}`]),
      ...(drops.length === 0
        ? []
        : [
            `${drops[0]?.reason ?? "drops"} from ${tellShares(rankDrops(drops, ({ source }) => source)) ?? "unknown senders"}`,
          ]),
      ...services
        .slice(0, 3)
        .map((listener) => `port ${listener.port} is served by ${tellOwner(facts, listener.inode)}`),
      ...tellBuffer(facts, network),
      ...(retransmissions === null ? [] : [retransmissions]),
    ],
    check: [
      inNetns(place, `ss -tinmp state established${filter}`),
      inNetns(place, `nstat -az ${cause.counters.join(" ")}`),
    ],
    fix: fixBuffer(facts, network, place, cause),
  };
}

function tellPorts(ports: readonly { readonly name: string }[]): string {
  if (ports.length === 0) return "port unknown";
  return ports.length === 1
    ? `port ${ports[0]?.name}`
    : `ports ${ports
        .slice(0, 3)
        .map(({ name }) => name)
        .join(", ")}${ports.length > 3 ? " …" : ""}`;
}

function tellBuffer(facts: Facts, network: NetDelta | null): string[] {
  const [, , most] = readNumbers(facts, network, "net.ipv4.tcp_rmem");
  return most === undefined
    ? []
    : [`a connection may buffer up to ${formatCount(most)} bytes (net.ipv4.tcp_rmem, third value)`];
}

function fixBuffer(
  facts: Facts,
  network: NetDelta | null,
  place: Parameters<typeof inNetns>[0],
  cause: Cause,
): string[] {
  const advice =
    "# see why the program does not read (top -H -p PID of the one that ss names): a larger buffer only delays it";
  const [low, usual, most] = readNumbers(facts, network, "net.ipv4.tcp_rmem");
  if (cause.id === "tcp-zero-window" || low === undefined || usual === undefined || most === undefined)
    return [advice];
  const wanted = roundUp(Math.max(LEAST_BUFFER, most + 1));
  return [inNetns(place, `sysctl -w net.ipv4.tcp_rmem='${low} ${usual} ${wanted}'`), advice];
}
