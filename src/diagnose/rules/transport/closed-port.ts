import { plural } from "../../../text/format.ts";
import { countDrops, rankDrops, severityOf, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, type DropFact, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Ledger, Rule } from "../../rule.ts";
import { selectDrops, type DropGroup } from "../../select.ts";
import { findAddress, findPlace, nameNetns, tellNetns } from "../../where.ts";
import {
  isLate,
  tellLate,
  tellMore,
  tellScan,
  tellStray,
  tellTaken,
  type Told,
} from "./closed-port-others.ts";
import { hostPort, tellAskers } from "./endpoints.ts";
import {
  findTakers,
  knowsListeners,
  listSockets,
  tellElsewhere,
  tellProto,
  type Proto,
} from "./listening.ts";

/** From here on a sender does not just probe or retry once: something is configured to use this port. */
const MANY = 10;
/** One host that sends this often retries; many hosts that each try once are the background noise of the internet. */
const MANY_FROM_ONE = 5;
/** Below this it is an attempt or two: worth a line, not a worry. */
const FEW = 3;
/** No client of a service tries so many different ports of one host: a scanner does. */
const SCANNED_PORTS = 15;
/** Ports that get a finding of their own in a namespace; what is beyond is summed up in one. */
const MAX_PORTS = 8;

/** NO_SOCKET: packets for a port on which nobody listens, told from late ones for connections that are gone. */
export const closedPort: Rule = {
  id: "closed-port",
  examine: (facts, ledger) =>
    (["udp", "tcp", "udplite"] as const).flatMap((proto) =>
      selectDrops(facts, ledger, {
        reasons: ["NO_SOCKET"],
        protos: [proto],
        counters: COUNTERS[proto],
      }).flatMap((group) => examineGroup(facts, ledger, proto, group)),
    ),
};

/** What proves NO_SOCKET where the kernel gives no reasons. A reset answers every segment for a closed TCP port. */
const COUNTERS: Readonly<Record<Proto, readonly string[]>> = {
  udp: ["UdpNoPorts", "Udp6NoPorts"],
  tcp: ["TcpOutRsts"],
  udplite: ["UdpLiteNoPorts", "UdpLite6NoPorts"],
};
const ANSWERS: Readonly<Record<Proto, readonly string[]>> = {
  udp: [
    "UdpNoPorts",
    "Udp6NoPorts",
    "IcmpOutDestUnreachs",
    "Icmp6OutDestUnreachs",
    "IcmpOutRateLimitHost",
    "IcmpOutRateLimitGlobal",
    "Icmp6OutRateLimitHost",
  ],
  tcp: ["TcpOutRsts"],
  udplite: ["UdpLiteNoPorts", "UdpLite6NoPorts", "IcmpOutDestUnreachs", "Icmp6OutDestUnreachs"],
};

function examineGroup(facts: Facts, ledger: Ledger, proto: Proto, group: DropGroup): Finding[] {
  ledger.claim(group.drops);
  if (group.netns !== null) for (const name of COUNTERS[proto]) ledger.account(group.netns, name);
  if (proto === "tcp") accountRefusals(facts, ledger, group);
  const [late, asking] = partition(
    group.drops,
    (drop) => isLate(facts, group.network, [drop]) && !isTaken(proto, group, drop),
  );
  const [stray, open] = partition(asking, (drop) => isFromService(facts, proto, drop));
  const scanners = findScanners(open);
  const rest = open.filter((drop) => drop.source === null || !scanners.has(drop.source));
  const ports = [...Map.groupBy(rest, (drop) => drop.destinationPort)].sort(
    (a, b) => countDrops(b[1]) - countDrops(a[1]),
  );
  const findings = ports
    .slice(0, MAX_PORTS)
    .map(([port, drops]) => examinePort(facts, proto, group, port, drops));
  const more = ports.slice(MAX_PORTS).flatMap(([, drops]) => drops);
  return [
    ...findings,
    ...(more.length > 0 ? [tellMore(facts, proto, group, more)] : []),
    ...[...scanners].map(([source, drops]) => tellScan(facts, proto, group, source, drops)),
    ...groupByService(late).map((drops) => tellAnswers(facts, proto, group, drops, tellLate)),
    ...groupByService(stray).map((drops) => tellAnswers(facts, proto, group, drops, tellStray)),
  ];
}

function partition<T>(list: readonly T[], test: (item: T) => boolean): [T[], T[]] {
  const yes: T[] = [];
  const no: T[] = [];
  for (const item of list) (test(item) ? yes : no).push(item);
  return [yes, no];
}

/** Somebody takes packets for that port by now: tellTaken says more. */
function isTaken(proto: Proto, { network }: DropGroup, drop: DropFact): boolean {
  return drop.destinationPort !== null && findTakers(network, proto, [drop], drop.destinationPort).length > 0;
}

/** From a port on which its sender, a namespace of this machine, listens: an answer, not a question. */
function isFromService(facts: Facts, proto: Proto, { source, sourcePort }: DropFact): boolean {
  if (proto !== "tcp" || sourcePort === null) return false;
  return findAddress(facts, source)?.listeners.some(({ port }) => port === sourcePort) ?? false;
}

/** Answers of one service of one host. Beyond the first few services all others are one group. */
function groupByService(drops: readonly DropFact[]): DropFact[][] {
  const groups = [...Map.groupBy(drops, ({ source, sourcePort }) => `${source} ${sourcePort}`).values()].sort(
    (a, b) => countDrops(b) - countDrops(a),
  );
  const more = groups.slice(MAX_PORTS).flat();
  return [...groups.slice(0, MAX_PORTS), ...(more.length > 0 ? [more] : [])];
}

function tellAnswers(
  facts: Facts,
  proto: Proto,
  { netns, network }: DropGroup,
  drops: readonly DropFact[],
  tell: typeof tellLate,
): Finding {
  const count = countDrops(drops);
  const ports = rankDrops(drops, ({ destinationPort }) => destinationPort);
  const services = rankDrops(drops, ({ source, sourcePort }) =>
    source === null || sourcePort === null ? source : hostPort(source, sourcePort),
  );
  const what = `${tellProto(proto)} ${ports.length === 1 ? "port" : "ports"} ${tellShares(ports) ?? "?"}`;
  const asked = `${plural(count, proto === "tcp" ? "segment" : "datagram")} from ${tellShares(services) ?? "unknown senders"}`;
  const answers = [tellCounters(network, ANSWERS[proto])].filter((text) => text !== null);
  return {
    ...tell(facts, proto, what, asked, answers, count),
    count,
    netns: nameNetns(facts, netns),
    check: [
      inNetns(
        findPlace(facts, netns),
        listSockets(proto, ports.length === 1 ? Number(ports[0]?.name) : null),
      ),
    ],
  };
}

/** A refused SYN fails its connect(): where the asker lives on this machine, that counter has its cause. */
function accountRefusals(facts: Facts, ledger: Ledger, { drops }: DropGroup): void {
  for (const { name, count } of rankDrops(drops, ({ source }) => source).slice(0, MAX_PORTS)) {
    const asker = findAddress(facts, name);
    if (asker !== null && counterDelta(asker, "TcpAttemptFails") <= count) {
      ledger.account(asker.netns.inode, "TcpAttemptFails");
    }
  }
}

function findScanners(drops: readonly DropFact[]): Map<string, DropFact[]> {
  const scanners = new Map<string, DropFact[]>();
  for (const [source, sent] of Map.groupBy(drops, (drop) => drop.source)) {
    const ports = new Set(sent.map((drop) => drop.destinationPort));
    if (source !== null && ports.size >= SCANNED_PORTS) scanners.set(source, sent);
  }
  return scanners;
}

function examinePort(
  facts: Facts,
  proto: Proto,
  { netns, network }: DropGroup,
  port: number | null,
  drops: readonly DropFact[],
): Finding {
  const count = countDrops(drops);
  const place = findPlace(facts, netns);
  const sources = rankDrops(drops, ({ source }) => source);
  const what = `${tellProto(proto)} port ${port ?? "?"}`;
  const from = sources.length > 0 ? ` from ${tellShares(sources)}` : "";
  const asked = `${plural(count, proto === "tcp" ? "segment" : "datagram")}${from}`;
  const taker = port === null ? null : (findTakers(network, proto, drops, port)[0] ?? null);
  const answers = [tellCounters(network, ANSWERS[proto])].filter((text) => text !== null);
  const told =
    taker !== null
      ? tellTaken(facts, taker, what, asked, answers)
      : tellClosed(facts, proto, { netns, network, drops }, port, what, asked, answers);
  return {
    id: told.id,
    severity: told.severity,
    summary: told.summary,
    count,
    netns: nameNetns(facts, netns),
    evidence: told.evidence,
    check: [inNetns(place, listSockets(proto, port))],
    fix: told.fix,
  };
}

function tellClosed(
  facts: Facts,
  proto: Proto,
  { netns, network, drops }: DropGroup,
  port: number | null,
  what: string,
  asked: string,
  answers: readonly string[],
): Told {
  const count = countDrops(drops);
  const sources = rankDrops(drops, ({ source }) => source);
  const destinations = rankDrops(drops, ({ destination }) => destination);
  const elsewhere =
    port === null ? [] : tellElsewhere(facts, network, proto, port, destinations[0]?.name ?? null);
  const isInsisting = (sources[0]?.count ?? 0) >= MANY_FROM_ONE;
  const asker = tellAskers(
    facts,
    sources.map(({ name }) => name),
  );
  return {
    id: "closed-port",
    severity: count < FEW ? "info" : isInsisting ? severityOf(count, facts.seconds, MANY) : "suspicious",
    summary: `Nobody listens on ${what} of ${tellShares(destinations, 2) ?? "this host"}: ${asked} refused`,
    evidence: [
      `NO_SOCKET for ${port === null ? what : hostPort(destinations[0]?.name ?? "*", port)} in ${tellNetns(facts, netns)}${asker}`,
      ...answers,
      ...(elsewhere.length > 0
        ? elsewhere.map(({ evidence }) => evidence)
        : [tellNobody(facts, proto, network, port)]),
    ],
    fix:
      elsewhere.length > 0
        ? elsewhere.map(({ fix }) => fix)
        : [
            `# start the service that belongs to ${what}, or correct the address or port at ${tellShares(sources, 2) ?? "the sender"}`,
          ],
  };
}

function tellNobody(facts: Facts, proto: Proto, network: DropGroup["network"], port: number | null): string {
  if (!knowsListeners(network, proto)) {
    return "who listens in this namespace could not be read: no way in, no answer in time, or it is gone";
  }
  const where = facts.networks.length > 1 ? "on this host" : "in this namespace";
  return `nothing ${where} listens on port ${port ?? "?"} at the end of the run`;
}
