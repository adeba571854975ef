import type { NetDelta } from "../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../text/format.ts";
import { isMany, roundUp, severityOf, tellCounters } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { tellLog } from "../../kernel-log.ts";
import type { Rule } from "../../rule.ts";
import { findPlace, nameNetns, readNumbers, readSysctl, tellNetns } from "../../where.ts";
import { fixBacklog, tellListener } from "./accept-queue.ts";
import { hostPort, tellOwner } from "./endpoints.ts";
import { findRefusingOtherwise } from "./refusing.ts";

/** As for the accept queue: each costs a client a second or more. */
const MANY = 3;
/** A single burst of connections can fill a short queue; with cookies nobody was turned away. */
const MANY_COOKIES = 10;

const DROPPED = "TcpExtListenDrops";
const OVERFLOWS = "TcpExtListenOverflows";
const COUNTERS = [
  "TcpExtTCPReqQFullDrop",
  DROPPED,
  "TcpExtTCPReqQFullDoCookies",
  "TcpExtSyncookiesSent",
  "TcpExtSyncookiesFailed",
];

/**
 * The queue of half-open connections is full. Silent: the kernel consumes the SYN (TCPReqQFullDrop, and ListenDrops beyond
 * ListenOverflows: without SYN cookies it also refuses unknown peers when the queue is three quarters full,
 * net/ipv4/tcp_input.c tcp_conn_request). ListenDrops also counts half-open connections that an ICMP error ended
 * (tcp_req_err): at most as many as such errors came in. With SYN cookies nothing is dropped, but options of the connection are lost.
 */
export const synQueue: Rule = {
  id: "syn-queue",
  examine: (facts, ledger) =>
    facts.networks.flatMap((network) => {
      const unreachable =
        counterDelta(network, "IcmpInDestUnreachs") + counterDelta(network, "Icmp6InDestUnreachs");
      const beyond = counterDelta(network, DROPPED) - counterDelta(network, OVERFLOWS);
      const refused = Math.max(counterDelta(network, "TcpExtTCPReqQFullDrop"), beyond - unreachable);
      const cookies = Math.max(
        counterDelta(network, "TcpExtTCPReqQFullDoCookies"),
        counterDelta(network, "TcpExtSyncookiesSent"),
      );
      if (beyond <= 0 && refused <= 0 && cookies <= 0) return [];
      for (const name of COUNTERS) ledger.account(network.netns.inode, name);
      // Whoever fills the queue does not finish the handshakes: their SYN-ACKs are sent again and again.
      if (counterDelta(network, "TcpActiveOpens") === 0)
        ledger.account(network.netns.inode, "TcpExtTCPSynRetrans");
      if (refused > 0) return [tellRefused(facts, network, refused)];
      return [cookies > 0 ? tellCookies(facts, network, cookies) : tellUnreachable(facts, network, beyond)];
    }),
};

function tellRefused(facts: Facts, network: NetDelta, refused: number): Finding {
  const place = findPlace(facts, network.netns.inode);
  // The accept queue's listener can be another one: only those that refused something can be meant.
  const [listener = null] = findRefusingOtherwise(network, counterDelta(network, OVERFLOWS));
  const where = listener === null ? "a listener" : hostPort(listener.address, listener.port);
  const settings = ["net.ipv4.tcp_syncookies", "net.ipv4.tcp_max_syn_backlog"].flatMap((name) => {
    const value = readSysctl(facts, network, name);
    return value === null ? [] : [`${name} = ${value}`];
  });
  return {
    id: "syn-queue",
    severity: severityOf(refused, facts.seconds, MANY),
    summary: `New connections to ${where} are refused: its queue of half-open connections is full (a SYN flood, or more clients than tcp_max_syn_backlog)`,
    count: refused,
    netns: nameNetns(facts, network.netns.inode),
    evidence: [
      ...(listener === null ? [] : [tellListener(facts, network, listener)]),
      `${tellCounters(network, COUNTERS) ?? "counters"} in ${tellNetns(facts, network.netns.inode)}, with ${formatCount(counterDelta(network, OVERFLOWS))} ListenOverflows: the accept queue is not what was full`,
      "no drop event exists for this: the kernel consumes the refused SYN, only these counters show it",
      ...(settings.length > 0 ? [settings.join(", ")] : []),
      ...tellFlooding(facts, listener?.port ?? null),
    ],
    check: checkQueue(place, listener?.port ?? null),
    fix: fixQueue(facts, network, listener, place),
  };
}

function tellUnreachable(facts: Facts, network: NetDelta, count: number): Finding {
  const place = findPlace(facts, network.netns.inode);
  return {
    id: "syn-unreachable",
    severity: "info",
    summary: `${plural(count, "half-open connection")} ended because the way back to the client does not work: forged or unreachable addresses`,
    count,
    netns: nameNetns(facts, network.netns.inode),
    evidence: [
      `${tellCounters(network, [DROPPED, "IcmpInDestUnreachs", "Icmp6InDestUnreachs"]) ?? "counters"} in ${tellNetns(facts, network.netns.inode)}`,
    ],
    check: [...checkQueue(place, null), inNetns(place, "ip neigh show nud failed")],
    fix: ["# if real clients are meant: ip route get CLIENT on this host shows the way their answers take"],
  };
}

function tellCookies(facts: Facts, network: NetDelta, cookies: number): Finding {
  const place = findPlace(facts, network.netns.inode);
  const [limit] = readNumbers(facts, network, "net.ipv4.tcp_max_syn_backlog");
  return {
    id: "syn-cookies",
    severity: isMany(cookies, facts.seconds, MANY_COOKIES) ? "suspicious" : "info",
    summary: `The queue of half-open connections was full ${plural(cookies, "time")}; SYN cookies let the connections through: a SYN flood, or a backlog too short for the burst`,
    count: cookies,
    netns: nameNetns(facts, network.netns.inode),
    evidence: [
      `${tellCounters(network, COUNTERS) ?? "counters"} in ${tellNetns(facts, network.netns.inode)}`,
      `connections made with a cookie lose window scaling or SACK when the client sends no timestamps${limit === undefined ? "" : `; net.ipv4.tcp_max_syn_backlog = ${formatCount(limit)}`}`,
      ...network.listeners
        .filter(({ backlog, port }) => port > 0 && backlog !== null && backlog <= cookies)
        .slice(0, 4)
        .map(
          ({ address, port, backlog, inode }) =>
            `listener ${hostPort(address, port)} of ${tellOwner(facts, inode)} has a backlog of ${formatCount(backlog ?? 0)}`,
        ),
      ...tellFlooding(facts, null),
    ],
    check: checkQueue(place, null),
    fix: [
      "# a real flood: limit it in front of this host, cookies keep the service up meanwhile",
      "# real clients: let the service call listen() with a larger backlog",
    ],
  };
}

/** The kernel says so once for each listener (`Possible SYN flooding on port 10.0.0.2:80. Sending cookies.`), long ago perhaps. */
function tellFlooding(facts: Facts, port: number | null): string[] {
  const log = tellLog(facts, new RegExp(`SYN flooding on port (?:\\S*:)?${port ?? "\\d+"}\\.`));
  return log === null ? [] : [log];
}

function checkQueue(place: Parameters<typeof inNetns>[0], port: number | null): string[] {
  const filter = port === null ? "" : ` 'sport = :${port}'`;
  return [
    inNetns(place, `ss -tan state syn-recv${filter}`),
    inNetns(place, "nstat -az TcpExtTCPReqQFullDrop TcpExtListenDrops TcpExtSyncookiesSent"),
  ];
}

/** What servers use; 2,048 is what a large machine gets by itself. */
const USUAL_LIMIT = 4096;

function fixQueue(
  facts: Facts,
  network: NetDelta,
  listener: Parameters<typeof fixBacklog>[2],
  place: Parameters<typeof inNetns>[0],
): string[] {
  const [limit = 0] = readNumbers(facts, network, "net.ipv4.tcp_max_syn_backlog");
  const hasCookies = readSysctl(facts, network, "net.ipv4.tcp_syncookies") !== "0";
  const wanted = Math.max(USUAL_LIMIT, roundUp(2 * limit + 1));
  const byBacklog = counterDelta(network, "TcpExtTCPReqQFullDrop") > 0;
  return [
    ...(hasCookies ? [] : [inNetns(place, "sysctl -w net.ipv4.tcp_syncookies=1")]),
    ...(limit < USUAL_LIMIT ? [inNetns(place, `sysctl -w net.ipv4.tcp_max_syn_backlog=${wanted}`)] : []),
    ...(byBacklog ? fixBacklog(facts, network, listener, place) : []),
    ...(hasCookies && !byBacklog && limit >= USUAL_LIMIT
      ? [
          "# SYNs were refused for another reason: no memory, no route back, or a program on the listener (BPF)",
        ]
      : []),
  ];
}
