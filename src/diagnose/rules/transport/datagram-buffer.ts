import type { DatagramSocketDelta, NetDelta } from "../../../evidence/net/types.ts";
import { formatBytes, formatCount, plural } from "../../../text/format.ts";
import { countDrops, rankDrops, roundUp, severityOf, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, type DropFact, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Ledger, Rule } from "../../rule.ts";
import { selectDrops } from "../../select.ts";
import { findPlace, nameNetns, readNumbers, tellNetns } from "../../where.ts";
import { hostPort, tellOwner } from "./endpoints.ts";

/** A burst can cost any reader a few datagrams; a reader that loses this many is too slow or its buffer too small. */
const MANY = 10;
/** With its buffer this full at the end the reader stands still rather than just being slow now and then. */
const STANDSTILL = 0.75;
/** What a buffer is raised to at least: the usual 208 KiB hold about 270 small datagrams, this 40 times as many. */
const LEAST_BUFFER = 8 * 1024 * 1024;
const MOST_BUFFER = 64 * 1024 * 1024;

const COUNTERS = ["UdpRcvbufErrors", "Udp6RcvbufErrors", "UdpLiteRcvbufErrors", "UdpLite6RcvbufErrors"];
const IMPLIED = ["UdpInErrors", "Udp6InErrors", "UdpLiteInErrors", "UdpLite6InErrors", "sock.drops"];

/** SOCKET_RCVBUFF: a datagram socket's receive buffer is full. Names the socket, its process and the limits. */
export const datagramBuffer: Rule = {
  id: "udp-receive-buffer",
  examine(facts, ledger) {
    const groups = selectDrops(facts, ledger, {
      reasons: ["SOCKET_RCVBUFF"],
      protos: ["udp", "udplite"],
      counters: COUNTERS,
    });
    const seen = new Set(groups.map(({ netns }) => netns));
    // Where the events are filtered away, or the kernel frees without telling, the sockets' own counts still speak.
    const silent = facts.networks
      .filter(
        (network) =>
          !seen.has(network.netns.inode) && COUNTERS.some((name) => counterDelta(network, name) > 0),
      )
      .map((network) => ({ netns: network.netns.inode, network, drops: [] }));
    return [...groups, ...silent].flatMap(({ netns, network, drops }) => {
      ledger.claim(drops);
      account(ledger, network, drops.length > 0);
      return examineNamespace(facts, netns, network, drops);
    });
  },
};

function account(ledger: Ledger, network: NetDelta | null, isProven: boolean): void {
  if (network === null) return;
  for (const name of COUNTERS) ledger.account(network.netns.inode, name);
  if (isProven) for (const name of IMPLIED) ledger.account(network.netns.inode, name);
}

function examineNamespace(
  facts: Facts,
  netns: number | null,
  network: NetDelta | null,
  drops: readonly DropFact[],
): Finding[] {
  const sockets = (network?.datagramSockets ?? []).filter(({ protocol }) => protocol !== "raw");
  const byPort = Map.groupBy(drops, (drop) => drop.destinationPort);
  if (drops.length === 0) for (const socket of sockets) byPort.set(socket.localPort, []);
  // Nothing to name: the sockets are closed, and no event told the port.
  if (byPort.size === 0) return [tellPort(facts, netns, network, null, [], [])];
  return [...byPort].map(([port, found]) =>
    tellPort(
      facts,
      netns,
      network,
      port,
      found,
      sockets.filter((socket) => socket.localPort === port),
    ),
  );
}

function tellPort(
  facts: Facts,
  netns: number | null,
  network: NetDelta | null,
  port: number | null,
  drops: readonly DropFact[],
  sockets: readonly DatagramSocketDelta[],
): Finding {
  const refused = sockets.reduce((sum, socket) => sum + (socket.drops.delta ?? 0), 0);
  const counted = COUNTERS.reduce((sum, name) => sum + counterDelta(network, name), 0);
  const count = countDrops(drops) || refused || counted;
  const [socket] = sockets.toSorted((a, b) => (b.drops.delta ?? 0) - (a.drops.delta ?? 0));
  const place = findPlace(facts, netns);
  const owner = tellOwner(facts, socket?.inode ?? null);
  const where = port === null ? "a port that is closed by now" : `UDP port ${port}`;
  const isStill = socket !== undefined && isStandingStill(socket);
  const counters = tellCounters(network, COUNTERS);
  const sources = tellShares(rankDrops(drops, ({ source }) => source));
  return {
    id: "udp-receive-buffer",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `${plural(count, "datagram")} lost because the receive buffer of ${where} was full: ${owner} ${isStill ? "does not read its socket" : "reads too slowly or its buffer is too small"}`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      ...sockets.map((item) => tellSocket(facts, item)),
      ...(drops.length > 0 && sockets.length === 0
        ? [
            `the socket was closed before the end of the run (or refused by its own count nothing) in ${tellNetns(facts, netns)}`,
          ]
        : []),
      ...(counters === null ? [] : [`${counters} in ${tellNetns(facts, netns)}`]),
      ...(sources === null ? [] : [`sent by ${sources}`]),
      ...tellLimits(facts, network, socket),
    ],
    check: [
      inNetns(place, `ss -uanmp${port === null ? "" : ` 'sport = :${port}'`}`),
      inNetns(place, "nstat -az UdpRcvbufErrors Udp6RcvbufErrors"),
      ...checkOwner(facts, socket),
    ],
    fix: fixBuffer(facts, network, socket, drops, isStill, owner),
  };
}

const isStandingStill = ({ receiveQueue, receiveBuffer }: DatagramSocketDelta) =>
  receiveBuffer !== null && receiveQueue >= STANDSTILL * receiveBuffer;

function tellSocket(facts: Facts, socket: DatagramSocketDelta): string {
  const full =
    socket.receiveBuffer === null
      ? `${formatBytes(socket.receiveQueue)} waiting at the end`
      : `${formatCount(socket.receiveQueue)} of ${formatCount(socket.receiveBuffer)} bytes waiting at the end`;
  return `socket ${hostPort(socket.local, socket.localPort)} of ${tellOwner(facts, socket.inode)}: drops +${formatCount(socket.drops.delta ?? 0)}, ${full}`;
}

function tellLimits(
  facts: Facts,
  network: NetDelta | null,
  socket: DatagramSocketDelta | undefined,
): string[] {
  const [most] = readNumbers(facts, network, "net.core.rmem_max");
  const [usual] = readNumbers(facts, network, "net.core.rmem_default");
  if (most === undefined || usual === undefined) return [];
  const own =
    socket?.receiveBuffer == null
      ? ""
      : socket.receiveBuffer === usual
        ? "; the socket has the default"
        : `; the program asked for ${formatBytes(socket.receiveBuffer / 2)} itself (SO_RCVBUF, which the kernel doubles)`;
  return [`net.core.rmem_default = ${formatCount(usual)}, net.core.rmem_max = ${formatCount(most)}${own}`];
}

function checkOwner(facts: Facts, socket: DatagramSocketDelta | undefined): string[] {
  const owner = socket === undefined ? undefined : facts.owners.get(socket.inode);
  return owner === undefined ? [] : [`top -b -n 1 -H -p ${owner.pid}`];
}

/** Room for what waited and what was lost in a second, at the four-fold of its length that the kernel charges for small datagrams. */
function computeBuffer(facts: Facts, drops: readonly DropFact[], present: number): number {
  const bytes = drops.reduce((sum, drop) => sum + drop.bytes, 0);
  const perSecond = bytes / Math.max(1, facts.seconds);
  return Math.min(MOST_BUFFER, roundUp(Math.max(LEAST_BUFFER, 4 * perSecond + 2 * present)));
}

function fixBuffer(
  facts: Facts,
  network: NetDelta | null,
  socket: DatagramSocketDelta | undefined,
  drops: readonly DropFact[],
  isStill: boolean,
  owner: string,
): string[] {
  const [most = 0] = readNumbers(facts, network, "net.core.rmem_max");
  const [usual = 0] = readNumbers(facts, network, "net.core.rmem_default");
  const wanted = computeBuffer(facts, drops, socket?.receiveBuffer ?? usual);
  const isDefault = socket === undefined || socket.receiveBuffer === null || socket.receiveBuffer === usual;
  return [
    ...(isStill
      ? [
          `# see why ${owner} does not read (blocked, stopped, overloaded): no buffer is large enough for that`,
        ]
      : []),
    // These two exist once, in the host's own namespace; in others they can only be read.
    ...(most < wanted ? [`sysctl -w net.core.rmem_max=${wanted}`] : []),
    ...(isDefault && usual < wanted ? [`sysctl -w net.core.rmem_default=${wanted}`] : []),
    isDefault
      ? `# then restart ${owner}: a socket keeps the size it was made with`
      : `# then let ${owner} ask for more: setsockopt(SO_RCVBUF, ${wanted / 2})`,
  ];
}
