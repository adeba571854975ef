import { describeResetReason } from "../../../catalogue/load.ts";
import { plural } from "../../../text/format.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, findNetwork, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";
import type { ResetFlow, RetransFacts } from "./facts.ts";
import { examineRefusals } from "./refusals.ts";
import { sumResets, tellOwners } from "./words.ts";

/** Fewer resets of a kind are daily life: browsers and health checks close that way. */
const MANY = 5;

/** What a program here did to its connections, and what peers did to them. Refused connections first: those are told apart. */
export function examineResets(facts: RetransFacts): Finding[] {
  const { findings, rest } = examineRefusals(facts);
  return [...findings, ...examineAborts(facts.facts, rest), ...examinePeers(facts.facts, rest, facts.resets)];
}

/** Sent while the socket was being given up: not an answer to a packet. Kernels before 6.10 say no reason, but the state. */
function isAbort(reset: ResetFlow): boolean {
  if (reset.direction !== "sent") return false;
  if (reset.reason === null) return reset.state === "CLOSE";
  return (describeResetReason(reset.reason)?.abort ?? null) !== null;
}

function examineAborts(facts: Facts, resets: readonly ResetFlow[]): Finding[] {
  const groups = Map.groupBy(resets.filter(isAbort), (r) => `${r.netns} ${r.reason} ${r.owner?.comm}`);
  return [...groups.values()].flatMap((group): Finding[] => {
    const [first] = group;
    const count = sumResets(group);
    if (first === undefined || count < MANY) return [];
    const place = findPlace(facts, first.netns);
    const entry = first.reason === null ? null : describeResetReason(first.reason);
    const who = tellOwners(group)[0] ?? "A program";
    const deed = entry?.abort ?? "gave them up";
    return [
      {
        id: "reset-abort",
        severity: first.reason === "TCP_ABORT_ON_MEMORY" ? "problem" : "info",
        summary: `${who} in ${tellNetns(facts, first.netns)} reset ${plural(count, "connection")}: it ${deed}`,
        count,
        netns: nameNetns(facts, first.netns),
        evidence: [
          first.reason === null
            ? `resets sent while closing; this kernel gives no reason, its counters do: ${tellAbortCounters(facts, first.netns)}`
            : `resets sent with ${first.reason}: ${entry?.meaning ?? ""}`,
          `to ${tellPeers(group)}; the peers see "connection reset by peer"`,
        ],
        check: (entry?.check ?? ["nstat -az TcpExtTCPAbortOnData TcpExtTCPAbortOnClose TcpOutRsts"]).map(
          (command) => inNetns(place, command),
        ),
        fix:
          first.reason === "TCP_ABORT_ON_MEMORY"
            ? [
                "sysctl net.ipv4.tcp_mem net.ipv4.tcp_max_orphans   # raise the one that /proc/net/sockstat has reached",
              ]
            : ["# usually the program's way to close: nothing to mend, unless its peers complain"],
      },
    ];
  });
}

/** Counters that name the cause of a reset on kernels whose event does not. */
const ABORT_COUNTERS = ["Close", "Data", "Linger", "Memory", "Timeout"].map(
  (name) => `TcpExtTCPAbortOn${name}`,
);

function tellAbortCounters(facts: Facts, netns: number | null): string {
  const network = findNetwork(facts, netns);
  const moved = ABORT_COUNTERS.map((name) => ({ name, delta: counterDelta(network, name) }));
  const texts = moved.filter(({ delta }) => delta > 0).map(({ name, delta }) => `${name} +${delta}`);
  return texts.length === 0 ? "none of them moved" : texts.join(", ");
}

/** Open connections that the far end reset. Where that end is on this machine, its own finding tells more. */
function examinePeers(facts: Facts, rest: readonly ResetFlow[], all: readonly ResetFlow[]): Finding[] {
  const sentHere = new Set(all.filter((r) => r.direction === "sent").map((r) => tuple(r, "turned")));
  const received = rest.filter(
    (r) =>
      r.direction === "received" &&
      r.state !== null &&
      r.state !== "SYN_SENT" &&
      r.state !== "SYN_RECV" &&
      !sentHere.has(tuple(r, "straight")),
  );
  const groups = Map.groupBy(received, (r) => {
    const isServer = (r.sourcePort ?? 0) < (r.destinationPort ?? 0);
    return `${r.netns} ${isServer ? `:${r.sourcePort}` : `${r.destination} ${r.destinationPort}`}`;
  });
  return [...groups.values()].flatMap((group): Finding[] => {
    const [first] = group;
    const count = sumResets(group);
    if (first === undefined || count < MANY) return [];
    const place = findPlace(facts, first.netns);
    const isServer = (first.sourcePort ?? 0) < (first.destinationPort ?? 0);
    const owners = tellOwners(group);
    return [
      {
        id: "reset-by-peer",
        severity: "info",
        summary: isServer
          ? `Clients reset ${plural(count, "connection")} to port ${first.sourcePort ?? "?"} in ${tellNetns(facts, first.netns)}`
          : `${first.destination ?? "?"} reset ${plural(count, "open connection")} to its port ${first.destinationPort ?? "?"}`,
        count,
        netns: nameNetns(facts, first.netns),
        evidence: [
          `resets received for open connections${owners.length === 0 ? "" : ` of ${owners.slice(0, 3).join(", ")}`}, from ${tellPeers(group)}`,
          "the program there closed with data unread, crashed or gave up waiting; or something between (firewall, load balancer, NAT) forgot the connection",
        ],
        check: [inNetns(place, "nstat -az TcpEstabResets"), inNetns(place, "ss -nto state established")],
        fix: [
          "# ask there; where a firewall or NAT forgets idle connections, send keepalives more often than it forgets",
        ],
      },
    ];
  });
}

function tuple(r: ResetFlow, way: "straight" | "turned"): string {
  const ends = [`${r.source} ${r.sourcePort}`, `${r.destination} ${r.destinationPort}`];
  return (way === "straight" ? ends : ends.reverse()).join(" ");
}

function tellPeers(group: readonly ResetFlow[]): string {
  const peers = [...new Set(group.flatMap(({ destination }) => destination ?? []))];
  const more = peers.length - 3;
  return `${peers.slice(0, 3).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}
