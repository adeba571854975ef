import { plural } from "../../../text/format.ts";
import { quoteShell } from "../../../text/escape.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, findNetwork, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { NetDelta } from "../../../evidence/net/types.ts";
import { findPlace, nameNetns, tellNetns } from "../../where.ts";
import {
  countKinds,
  countSegments,
  findFarEnd,
  NOTHING,
  type RetransFlow,
  type RetransRule,
} from "./facts.ts";
import { listFlows, tellPattern, tellSentAgain, tellTargets } from "./words.ts";

/** One repeated SYN is what any lost packet looks like; the kernel repeats after 1, 3 and 7 s. */
const MANY_SYNS = 2;

/** Handshakes that a listener here refuses in silence: its accept queue is full, so it ignores SYNs and last ACKs alike. */
export const fullQueueHere: RetransRule = {
  id: "retrans-accept-queue",
  examine({ facts }, open) {
    // Data is only ignored while the listener still repeats its SYN-ACK: the last ACK of the handshake was refused.
    const half = new Set(
      open.filter((flow) => (flow.byKind.synack ?? 0) > 0).map((flow) => endsOf(flow, true)),
    );
    const byListener = Map.groupBy(
      open.filter((flow) => countKinds([flow], ["syn", "synack"]) > 0 || half.has(endsOf(flow, false))),
      (flow) => JSON.stringify(listenerOf(facts, flow)),
    );
    const findings: Finding[] = [];
    const explained: RetransFlow[] = [];
    for (const [key, flows] of byListener) {
      const at = JSON.parse(key) as ReturnType<typeof listenerOf>;
      const network = at === null ? null : facts.networks.find(({ netns }) => netns.inode === at.netns);
      if (at === null || network === undefined || network === null) continue;
      const overflows = counterDelta(network, "TcpExtListenOverflows");
      const listener = network.listeners.find(({ port }) => port === at.port);
      const refused = listener?.drops.delta ?? null;
      if (overflows === 0 || listener === undefined || refused === 0) continue;
      const owner = listener.inode === null ? null : (facts.owners.get(listener.inode) ?? null);
      const place = findPlace(facts, at.netns);
      findings.push({
        id: "retrans-accept-queue",
        severity: "problem",
        summary: `The accept queue of port ${at.port} in ${tellNetns(facts, at.netns)} is full: ${owner === null ? "its program" : `${owner.comm} (pid ${owner.pid})`} does not accept connections fast enough, so their handshakes are repeated`,
        count: countSegments(flows),
        netns: nameNetns(facts, at.netns),
        evidence: [
          `${tellSentAgain(flows)}; no packet was dropped with a reason: the listener ignores them`,
          `TcpExtListenOverflows +${overflows}${refused === null ? "" : `, ${plural(refused, "attempt")} refused by this listener`}`,
          `queue at the end: ${listener.queued} of ${listener.backlog ?? "an unknown number"}`,
          listFlows(flows),
        ],
        check: [
          inNetns(place, `ss -lntp 'sport = :${at.port}'`),
          inNetns(place, "nstat -az TcpExtListenOverflows TcpExtListenDrops"),
        ],
        fix: [
          `# make the program accept() faster, or raise the backlog it gives listen()`,
          inNetns(place, "sysctl -w net.core.somaxconn=4096   # its upper limit"),
        ],
      });
      explained.push(...flows);
    }
    return { findings, flows: explained };
  },
};

/** Both ends; `turned`: as the far end sees them. */
function endsOf(flow: RetransFlow, turned: boolean): string {
  const ends = [`${flow.source} ${flow.sourcePort}`, `${flow.destination} ${flow.destinationPort}`];
  return (turned ? ends.reverse() : ends).join(" ");
}

/** The listener of a flow's handshake when it is on this machine. */
function listenerOf(facts: Facts, flow: RetransFlow): { netns: number; port: number } | null {
  if ((flow.byKind.synack ?? 0) > 0)
    return flow.netns === null || flow.sourcePort === null
      ? null
      : { netns: flow.netns, port: flow.sourcePort };
  const there = findFarEnd(facts, flow);
  return there === null || flow.destinationPort === null
    ? null
    : { netns: there.netns.inode, port: flow.destinationPort };
}

/** Connections that never came to be: only SYNs, and no answer. */
export const noAnswer: RetransRule = {
  id: "retrans-no-answer",
  examine({ facts, resets }, open) {
    const silent = open.filter((flow) => (flow.byKind.syn ?? 0) > 0 && flow.byKind.syn === flow.segments);
    const groups = Map.groupBy(silent, (flow) => `${flow.netns} ${groupTarget(silent, flow)}`);
    const alive = new Set(
      resets.flatMap(({ direction, destination }) => (direction === "received" ? (destination ?? []) : [])),
    );
    const findings = [...groups.values()].map((flows) => tellSilence(facts, flows, alive));
    return { findings, flows: silent };
  },
};

/** Many hosts on one port are one story (a firewall, a wrong port); else each host is its own. */
const MANY_HOSTS = 4;

function groupTarget(all: readonly RetransFlow[], flow: RetransFlow): string {
  const hosts = new Set(
    all
      .filter((other) => other.destinationPort === flow.destinationPort && other.netns === flow.netns)
      .map((other) => other.destination),
  );
  return hosts.size >= MANY_HOSTS ? `port ${flow.destinationPort}` : String(flow.destination);
}

/** What is known of the silent host apart from its silence: `alive` are addresses that answered something else with a reset. */
function tellSigns(facts: Facts, flows: readonly RetransFlow[], alive: ReadonlySet<string>): string[] {
  const [first] = flows;
  const to = first?.destination ?? null;
  const hosts = new Set(flows.map((flow) => flow.destination));
  if (to === null || hosts.size > 1) return [];
  if (alive.has(to))
    return [
      "that host is alive: it reset other connections meanwhile, so a firewall there drops this port, or the port's accept queue is full",
    ];
  const neighbours = findNetwork(facts, first?.netns ?? null)?.state.configuration?.neighbours ?? [];
  const entry = neighbours.find(({ address }) => address === to);
  if (entry === undefined) return [];
  return entry.lladdr === null
    ? [
        `nobody answers for that address on ${entry.dev} (neighbour entry ${entry.state.join(" ")}): the host is down, or the address is wrong`,
      ]
    : [
        entry.state.includes("PERMANENT")
          ? `its neighbour entry on ${entry.dev} is permanent (${entry.lladdr}): whether the host is up cannot be seen from it`
          : `it answers on the link (${entry.lladdr} on ${entry.dev}, ${entry.state.join(" ")}), so the host is up: a firewall there drops the SYNs, or the accept queue of the port is full`,
      ];
}

function tellSilence(facts: Facts, flows: readonly RetransFlow[], alive: ReadonlySet<string>): Finding {
  const [first] = flows;
  const netns = first?.netns ?? null;
  const syns = countSegments(flows);
  const place = findPlace(facts, netns);
  const hosts = new Set(flows.map((flow) => flow.destination));
  const here: NetDelta | null = first === undefined || hosts.size > 1 ? null : findFarEnd(facts, first);
  const target = tellTargets(flows);
  const to = first?.destination ?? "";
  const port = first?.destinationPort ?? 0;
  return {
    id: "retrans-no-answer",
    severity: syns >= MANY_SYNS ? "problem" : "suspicious",
    summary: `${target} does not answer: ${plural(syns, "SYN")} of ${plural(flows.length, "connection")} from ${tellNetns(facts, netns)} had to be repeated`,
    count: syns,
    netns: nameNetns(facts, netns),
    evidence: [
      "no SYN-ACK and no reset came back, and this host dropped nothing of these connections: dead or wrong address, a firewall that drops in silence, or a full accept queue there",
      ...(here === null
        ? []
        : [
            `the address is on this machine, in ${tellNetns(facts, here.netns.inode)}: its counters show no refused connection`,
          ]),
      ...(here === null ? tellSigns(facts, flows, alive) : []),
      ...tellPattern(flows),
      listFlows(flows),
    ],
    check: [
      inNetns(place, `ip route get ${quoteShell(to)}`),
      inNetns(place, `ip neigh show ${quoteShell(to)}`),
      inNetns(place, `tcpdump -ni any -c 20 'tcp port ${port} and host ${to}'`),
    ],
    fix: [`# there: is the host up, does port ${port} listen, does a firewall drop it?`],
  };
}

/** SYN-ACKs repeated although nothing is dropped here: they, or the client's answer to them, get lost on the way. */
export const unansweredSynAck: RetransRule = {
  id: "retrans-synack",
  examine({ facts }, open) {
    const flows = open.filter(
      (flow) => (flow.byKind.synack ?? 0) > 0 && flow.byKind.synack === flow.segments,
    );
    if (flows.length === 0) return NOTHING;
    const groups = Map.groupBy(flows, (flow) => `${flow.netns} ${flow.sourcePort}`);
    const findings = [...groups.values()].map((group): Finding => {
      const netns = group[0]?.netns ?? null;
      const place = findPlace(facts, netns);
      const port = group[0]?.sourcePort ?? 0;
      const peers = new Set(group.map((flow) => flow.destination)).size;
      return {
        id: "retrans-synack",
        severity: "suspicious",
        summary: `${plural(countSegments(group), "SYN-ACK")} of port ${port} in ${tellNetns(facts, netns)} had to be repeated: ${plural(peers, "client")} did not complete the handshake`,
        count: countSegments(group),
        netns: nameNetns(facts, netns),
        evidence: [
          "this host dropped nothing of them: the SYN-ACKs or the clients' answers get lost on the way (asymmetric route, firewall there), or the SYNs are forged (flood, scan)",
          listFlows(group),
        ],
        check: [
          inNetns(place, "ss -nt state syn-recv"),
          inNetns(place, "nstat -az TcpExtSyncookiesSent TcpExtTCPTimeouts"),
        ],
        fix: [inNetns(place, "sysctl -w net.ipv4.tcp_syncookies=1   # if it is a flood")],
      };
    });
    return { findings, flows };
  },
};
