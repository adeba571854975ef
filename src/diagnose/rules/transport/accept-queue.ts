import type { ListenerDelta, NetDelta } from "../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../text/format.ts";
import { countDrops, rankDrops, roundUp, severityOf, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { tellRetransmissions } from "../../context.ts";
import { counterDelta, findNetwork, type DropFact, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Ledger, Rule } from "../../rule.ts";
import { isVague, selectDrops } from "../../select.ts";
import { findPlace, nameNetns, readNumbers, readSysctl, tellNetns } from "../../where.ts";
import { hostPort, tellOwner } from "./endpoints.ts";
import { knowsListeners } from "./listening.ts";
import { findOverflowing } from "./refusing.ts";

/**
 * Each refused SYN makes a client wait a second at least. One or two can be the moment a service restarts; three are
 * more than that.
 */
const MANY = 3;
/** Listeners of one address told one by one. */
const MAX_LISTENERS = 4;
/** Queues that servers use (nginx 511, Go and recent kernels 4096): a service with a small one is raised to this. */
const USUAL_BACKLOG = 4096;

/**
 * A listener whose accept queue is full. Silent when the SYN is refused (the kernel consumes it); since Linux 6.15 a
 * finished handshake that finds the queue full is dropped as TCP_LISTEN_OVERFLOW, before that without a reason.
 */
export const acceptQueue: Rule = {
  id: "accept-queue",
  examine(facts, ledger) {
    const events = selectDrops(facts, ledger, { reasons: ["TCP_LISTEN_OVERFLOW"] });
    for (const { drops } of events) ledger.claim(drops);
    const overflown = facts.networks.filter(
      (network) =>
        counterDelta(network, "TcpExtListenOverflows") > 0 &&
        !ledger.isAccounted(network.netns.inode, "TcpExtListenOverflows"),
    );
    const namespaces = new Set([
      ...overflown.map(({ netns }) => netns.inode),
      ...events.map(({ netns }) => netns),
    ]);
    return [...namespaces].flatMap((netns) => {
      const network = findNetwork(facts, netns);
      const drops = events.find((group) => group.netns === netns)?.drops ?? [];
      const unnamed = findUnnamed(facts, ledger, netns);
      ledger.claim(unnamed);
      account(facts, ledger, network);
      return tellNamespace(facts, netns, network, [...drops, ...unnamed]);
    });
  },
};

/** What kernels before 6.15 free in tcp_v4_rcv without a reason while the queue overflows: the end of refused handshakes. */
function findUnnamed(facts: Facts, ledger: Ledger, netns: number | null): DropFact[] {
  if (facts.hasReason("TCP_LISTEN_OVERFLOW")) return [];
  const network = findNetwork(facts, netns);
  const ports = new Set(network?.listeners.map(({ port }) => port) ?? []);
  const isAnyPort = !knowsListeners(network, "tcp");
  const found = facts.drops.filter(
    (drop) =>
      drop.netns === netns &&
      isVague(drop) &&
      !drop.benign &&
      !ledger.isClaimed(drop) &&
      drop.proto === "tcp" &&
      drop.destinationPort !== null &&
      (isAnyPort || ports.has(drop.destinationPort)) &&
      /^tcp_(?:v[46]_(?:rcv|do_rcv|syn_recv_sock)|check_req|child_process)$/.test(drop.location ?? ""),
  );
  // Each is counted as an overflow: where there are more, they are something else.
  return countDrops(found) <= counterDelta(network, "TcpExtListenOverflows") ? found : [];
}

/** The counters this explains: its own, and the clients' repeated SYNs where they live on this machine. */
function account(facts: Facts, ledger: Ledger, network: NetDelta | null): void {
  if (network === null) return;
  ledger.account(network.netns.inode, "TcpExtListenOverflows");
  const overflows = counterDelta(network, "TcpExtListenOverflows");
  // Every overflow is also a ListenDrop: what is beyond that has another cause (see synQueue).
  if (counterDelta(network, "TcpExtListenDrops") <= overflows) {
    ledger.account(network.netns.inode, "TcpExtListenDrops");
  }
  for (const other of facts.networks) {
    if (counterDelta(other, "TcpExtTCPSynRetrans") > overflows) continue;
    ledger.account(other.netns.inode, "TcpExtTCPSynRetrans");
  }
}

function tellNamespace(
  facts: Facts,
  netns: number | null,
  network: NetDelta | null,
  drops: readonly DropFact[],
): Finding[] {
  const overflows = counterDelta(network, "TcpExtListenOverflows");
  const full = findOverflowing(network, drops, overflows);
  if (full.length === 0)
    return [tellFinding(facts, netns, network, [], Math.max(overflows, countDrops(drops)), drops)];
  // Several sockets of one address (SO_REUSEPORT, one for each worker) are one service with one setting.
  const services = [
    ...Map.groupBy(full, ({ address, port, dev }) => JSON.stringify([address, port, dev])).values(),
  ];
  return services.map((listeners) => {
    const own = drops.filter((drop) => drop.destinationPort === listeners[0]?.port);
    const refused = listeners.reduce((sum, listener) => sum + (listener.drops.delta ?? 0), 0);
    const count = refused > 0 ? refused : services.length === 1 ? overflows : countDrops(own);
    return tellFinding(facts, netns, network, listeners, count, own);
  });
}

function tellFinding(
  facts: Facts,
  netns: number | null,
  network: NetDelta | null,
  listeners: readonly ListenerDelta[],
  count: number,
  drops: readonly DropFact[],
): Finding {
  const [listener = null] = listeners;
  const place = findPlace(facts, netns);
  const counters = tellCounters(network, ["TcpExtListenOverflows", "TcpExtListenDrops"]);
  const clients = tellShares(rankDrops(drops, ({ source }) => source));
  const retransmissions = tellRetransmissions(facts, drops);
  const events = countDrops(drops);
  const where = tellWhere(network, listener, drops);
  const ports = rankDrops(drops, ({ destinationPort }) => destinationPort);
  const port = listener?.port ?? (ports.length === 1 ? (ports[0]?.name ?? null) : null);
  return {
    id: "accept-queue",
    severity: severityOf(count, facts.seconds, MANY),
    summary: `Connections to ${where} overflow the accept queue: ${tellOwner(facts, listener?.inode ?? null)} does not accept() them fast enough`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      ...listeners.slice(0, MAX_LISTENERS).map((one) => tellListener(facts, network, one)),
      ...(listeners.length > MAX_LISTENERS
        ? [`and ${listeners.length - MAX_LISTENERS} more listeners on the same address (SO_REUSEPORT)`]
        : []),
      ...(counters === null ? [] : [`${counters} in ${tellNetns(facts, netns)}`]),
      events === 0
        ? "no drop event exists for this: the kernel consumes the refused SYN, only these counters show it"
        : `${plural(events, "event")} at the end of a handshake${clients === null ? "" : `, from ${clients}`}`,
      ...(readSysctl(facts, network, "net.ipv4.tcp_abort_on_overflow") === "1"
        ? [
            'net.ipv4.tcp_abort_on_overflow = 1: a handshake that finds the queue full is reset (the client sees "connection reset") instead of tried again',
          ]
        : []),
      ...(retransmissions === null ? [] : [retransmissions]),
    ],
    check: [
      inNetns(place, `ss -ltnp${port === null ? "" : ` 'sport = :${port}'`}`),
      inNetns(place, "nstat -az TcpExtListenOverflows TcpExtListenDrops"),
    ],
    fix: fixBacklog(facts, network, listener, place),
  };
}

function tellWhere(
  network: NetDelta | null,
  listener: ListenerDelta | null,
  drops: readonly DropFact[],
): string {
  if (listener !== null) return hostPort(listener.address, listener.port);
  const ports = tellShares(rankDrops(drops, ({ destinationPort }) => destinationPort));
  if (ports !== null) return `port ${ports}`;
  const isTold = network?.listeners.every(({ backlog }) => backlog !== null) ?? false;
  return knowsListeners(network, "tcp") && isTold
    ? "a listener that is closed by now"
    : "a listener (which one could not be read in time)";
}

/** `0.0.0.0:8080 of gunicorn (pid 4211): refused +36, 6 waiting of 5 (backlog) at the end; net.core.somaxconn = 4,096`. */
export function tellListener(facts: Facts, network: NetDelta | null, listener: ListenerDelta): string {
  const { address, port, inode, drops, queued, backlog } = listener;
  const [limit] = readNumbers(facts, network, "net.core.somaxconn");
  return [
    `listener ${hostPort(address, port)} of ${tellOwner(facts, inode)}: `,
    drops.delta === null ? "" : `refused +${formatCount(drops.delta)}, `,
    backlog === null
      ? `${formatCount(queued)} waiting to be accepted at the end`
      : `${formatCount(queued)} waiting of ${formatCount(backlog)} (backlog) at the end`,
    limit === undefined ? "" : `; net.core.somaxconn = ${formatCount(limit)}`,
  ].join("");
}

/** listen() asks for a length and the kernel cuts it to somaxconn: which of the two is the limit decides what to do. */
export function fixBacklog(
  facts: Facts,
  network: NetDelta | null,
  listener: ListenerDelta | null,
  place: Parameters<typeof inNetns>[0],
): string[] {
  const [limit] = readNumbers(facts, network, "net.core.somaxconn");
  const backlog = listener?.backlog ?? null;
  const wanted = Math.max(USUAL_BACKLOG, roundUp(2 * (backlog ?? 0) + 1));
  const owner = tellOwner(facts, listener?.inode ?? null);
  const raise = `# let ${owner} call listen() with a backlog of ${wanted}${backlog === null ? "" : ` instead of ${backlog}`} (its configuration calls it backlog), and accept() sooner`;
  if (limit !== undefined && backlog !== null && backlog < limit && limit >= wanted) {
    return [`${raise}; net.core.somaxconn = ${limit} allows it`];
  }
  return [
    ...(limit === undefined || limit < wanted
      ? [inNetns(place, `sysctl -w net.core.somaxconn=${wanted}`)]
      : []),
    backlog !== null && limit !== undefined && backlog >= limit
      ? `# then restart ${owner}: the limit of ${limit} was applied when it called listen()`
      : raise,
  ];
}
