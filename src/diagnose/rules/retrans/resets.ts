import { formatCount, plural } from "../../../text/format.ts";
import { inNetns } from "../../commands.ts";
import type { Finding } from "../../finding.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";
import type { ResetFlow, RetransFacts } from "./facts.ts";

/** Fewer resets of a kind are daily life: browsers and health checks close that way. */
const MANY = 5;

const sum = (resets: readonly ResetFlow[]) => resets.reduce((total, reset) => total + reset.count, 0);

/** A SYN that meets no listener; the reason is the kernel's, older ones give none and have no socket either. */
function isClosedPort(reset: ResetFlow): boolean {
  return (
    reset.direction === "sent" &&
    (reset.reason === "NO_SOCKET" || (reset.reason === null && reset.state === null))
  );
}

function isRefused(reset: ResetFlow): boolean {
  return reset.direction === "received" && reset.state === "SYN_SENT";
}

/** Reasons with which a program here threw connections away (net/ipv4/tcp.c, tcp_disconnect and __tcp_close). */
const ABORTS: Readonly<Record<string, string>> = {
  TCP_ABORT_ON_CLOSE: "closed them while data waited to be read",
  TCP_ABORT_ON_DATA: "had closed them and data still came",
  TCP_ABORT_ON_LINGER: "closed them with SO_LINGER 0, on purpose",
  TCP_ABORT_ON_MEMORY: "made the host run out of TCP memory (net.ipv4.tcp_mem) or orphans (tcp_max_orphans)",
  TCP_KEEPALIVE_TIMEOUT: "had a peer that no longer answers keepalives",
};

export function examineResets({ facts, resets }: RetransFacts): Finding[] {
  const findings: Finding[] = [];
  const port = (reset: ResetFlow) => (reset.direction === "sent" ? reset.sourcePort : reset.destinationPort);
  for (const group of Map.groupBy(resets.filter(isClosedPort), (r) => `${r.netns} ${port(r)}`).values()) {
    const [first] = group;
    if (first === undefined || sum(group) < MANY) continue;
    const place = findPlace(facts, first.netns);
    const clients = [...new Set(group.flatMap((reset) => reset.destination ?? []))];
    findings.push({
      id: "reset-closed-port",
      severity: "suspicious",
      summary: `${tellNetns(facts, first.netns)} refused ${plural(sum(group), "packet")} for port ${first.sourcePort ?? "?"}: nothing listens there.`,
      count: sum(group),
      netns: nameNetns(facts, first.netns),
      evidence: [
        `resets sent without a socket${first.reason === null ? "" : ` (${first.reason})`} to ${clients.slice(0, 3).join(", ")}${clients.length > 3 ? ` and ${clients.length - 3} more` : ""}`,
      ],
      check: [inNetns(place, `ss -lntp 'sport = :${first.sourcePort ?? 0}'`)],
      fix: [`# start the service on port ${first.sourcePort ?? "?"}, or correct the clients`],
    });
  }
  for (const group of Map.groupBy(
    resets.filter(isRefused),
    (r) => `${r.netns} ${r.destination} ${port(r)}`,
  ).values()) {
    const [first] = group;
    if (first === undefined || sum(group) < MANY) continue;
    const place = findPlace(facts, first.netns);
    const owners = [
      ...new Set(group.flatMap(({ owner }) => (owner === null ? [] : `${owner.comm} (pid ${owner.pid})`))),
    ];
    findings.push({
      id: "reset-refused",
      severity: "suspicious",
      summary: `${first.destination ?? "?"} refuses connections to port ${first.destinationPort ?? "?"}: ${formatCount(sum(group))} attempts from ${tellNetns(facts, first.netns)} were reset.`,
      count: sum(group),
      netns: nameNetns(facts, first.netns),
      evidence: [
        `resets received in answer to a SYN${owners.length === 0 ? "" : `, attempts by ${owners.slice(0, 3).join(", ")}`}`,
      ],
      check: [inNetns(place, `ip route get ${first.destination ?? ""}`)],
      fix: ["# start the service there, or correct the address (or its firewall resets)"],
    });
  }
  for (const group of Map.groupBy(
    resets.filter((r) => r.direction === "sent" && r.reason !== null && Object.hasOwn(ABORTS, r.reason)),
    (r) => `${r.netns} ${r.reason} ${r.owner?.comm}`,
  ).values()) {
    const [first] = group;
    if (first === undefined || first.reason === null || sum(group) < MANY) continue;
    const place = findPlace(facts, first.netns);
    const who = first.owner === null ? "A program" : `${first.owner.comm} (pid ${first.owner.pid})`;
    findings.push({
      id: "reset-abort",
      severity: first.reason === "TCP_ABORT_ON_MEMORY" ? "problem" : "info",
      summary: `${who} in ${tellNetns(facts, first.netns)} reset ${plural(sum(group), "connection")}: it ${ABORTS[first.reason] ?? ""}.`,
      count: sum(group),
      netns: nameNetns(facts, first.netns),
      evidence: [`resets sent with ${first.reason}`],
      check: [
        inNetns(
          place,
          "nstat -az TcpExtTCPAbortOnData TcpExtTCPAbortOnClose TcpExtTCPAbortOnMemory TcpOutRsts",
        ),
      ],
      fix: ["# usually the program's way to close; peers see 'connection reset by peer'"],
    });
  }
  return findings;
}
