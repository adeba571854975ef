import { formatCount, plural } from "../../../text/format.ts";
import { countDrops, isMany, rankDrops, severityOf, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { counterDelta, type DropFact, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import type { Ledger, Rule } from "../../rule.ts";
import { selectDrops, type DropGroup } from "../../select.ts";
import { findAddress, findPlace, nameNetns, tellNetns } from "../../where.ts";
import { hostPort, isEphemeral, tellOwner } from "./endpoints.ts";
import { findTakers, tellElsewhere, type Taker } from "./listening.ts";

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
    (["udp", "tcp"] as const).flatMap((proto) =>
      selectDrops(facts, ledger, {
        reasons: ["NO_SOCKET"],
        protos: [proto],
        counters: COUNTERS[proto],
      }).flatMap((group) => examineGroup(facts, ledger, proto, group)),
    ),
};

type Proto = "udp" | "tcp";

/** What proves NO_SOCKET where the kernel gives no reasons. A reset answers every segment for a closed TCP port. */
const COUNTERS: Readonly<Record<Proto, readonly string[]>> = {
  udp: ["UdpNoPorts", "Udp6NoPorts"],
  tcp: ["TcpOutRsts"],
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
};

function examineGroup(facts: Facts, ledger: Ledger, proto: Proto, group: DropGroup): Finding[] {
  ledger.claim(group.drops);
  if (group.netns !== null) for (const name of COUNTERS[proto]) ledger.account(group.netns, name);
  if (proto === "tcp") accountRefusals(facts, ledger, group);
  const scanners = findScanners(group.drops);
  const rest = group.drops.filter((drop) => drop.source === null || !scanners.has(drop.source));
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
  ];
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
  const destinations = rankDrops(drops, ({ destination }) => destination);
  const what = `${proto.toUpperCase()} port ${port ?? "?"}`;
  const from = sources.length > 0 ? ` from ${tellShares(sources)}` : "";
  const asked = `${plural(count, proto === "udp" ? "datagram" : "segment")}${from}`;
  const taker = port === null ? null : (findTakers(network, proto, drops, port)[0] ?? null);
  const common = {
    count,
    netns: nameNetns(facts, netns),
    check: [
      inNetns(place, `ss -${proto === "udp" ? "lunp" : "ltnp"}${port === null ? "" : ` 'sport = :${port}'`}`),
    ],
  };
  const answers = [tellCounters(network, ANSWERS[proto])].filter((text) => text !== null);
  if (taker !== null) return { ...common, ...tellTaken(facts, taker, what, asked, answers) };
  if (isLate(facts, network, drops))
    return { ...common, ...tellLate(facts, proto, what, asked, answers, count) };
  const elsewhere =
    port === null ? [] : tellElsewhere(facts, network, proto, port, destinations[0]?.name ?? null);
  const isInsisting = (sources[0]?.count ?? 0) >= MANY_FROM_ONE;
  return {
    ...common,
    id: "closed-port",
    severity: count < FEW ? "info" : isInsisting ? severityOf(count, facts.seconds, MANY) : "suspicious",
    summary: `Nobody listens on ${what} of ${tellShares(destinations, 2) ?? "this host"}: ${asked} refused`,
    evidence: [
      `NO_SOCKET for ${port === null ? what : hostPort(destinations[0]?.name ?? "*", port)} in ${tellNetns(facts, netns)}${tellAskers(
        facts,
        sources.map(({ name }) => name),
      )}`,
      ...answers,
      ...(elsewhere.length > 0 ? elsewhere.map(({ evidence }) => evidence) : [tellNobody(network, port)]),
    ],
    fix:
      elsewhere.length > 0
        ? elsewhere.map(({ fix }) => fix)
        : [
            `# start the service that belongs to ${what}, or correct the address or port at ${tellShares(sources, 2) ?? "the sender"}`,
          ],
  };
}

function tellNobody(network: DropGroup["network"], port: number | null): string {
  return network === null
    ? "the sockets of this namespace could not be read: there was no way in, or it is gone"
    : `nothing on this host listens on port ${port ?? "?"} at the end of the run`;
}

/** Senders that are namespaces of this machine, by name: the operator can go there. */
function tellAskers(facts: Facts, addresses: readonly string[]): string {
  const known = addresses.slice(0, 3).flatMap((address) => {
    const network = findAddress(facts, address);
    return network === null ? [] : [`${address} is ${tellNetns(facts, network.netns.inode)}`];
  });
  return known.length === 0 ? "" : `; ${known.join(", ")}`;
}

type Told = Pick<Finding, "id" | "severity" | "summary" | "evidence" | "fix">;

/** Somebody does listen at the end: it came too late, or these were for connections that it no longer knows. */
function tellTaken(
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
function isLate(facts: Facts, network: DropGroup["network"], drops: readonly DropFact[]): boolean {
  return drops.every(
    ({ sourcePort, destinationPort }) =>
      sourcePort !== null &&
      destinationPort !== null &&
      isEphemeral(facts, network, destinationPort) &&
      !isEphemeral(facts, network, sourcePort) &&
      sourcePort < destinationPort,
  );
}

function tellLate(
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
    severity: proto === "udp" && isMany(count, facts.seconds, MANY) ? "suspicious" : "info",
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

function tellMore(facts: Facts, proto: Proto, { netns }: DropGroup, drops: readonly DropFact[]): Finding {
  const count = countDrops(drops);
  const ports = rankDrops(drops, ({ destinationPort }) => destinationPort);
  return {
    id: "closed-port-more",
    severity: isMany(count, facts.seconds, MANY) ? "suspicious" : "info",
    summary: `${plural(count, "packet")} for ${formatCount(ports.length)} further closed ${proto.toUpperCase()} ports`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      `NO_SOCKET, by port: ${tellShares(ports, 8) ?? "unknown"}`,
      `from ${tellShares(rankDrops(drops, ({ source }) => source)) ?? "unknown senders"}`,
    ],
    check: [inNetns(findPlace(facts, netns), `ss -${proto === "udp" ? "lunp" : "ltnp"}`)],
    fix: [],
  };
}

function tellScan(
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
    summary: `${source} asks ${formatCount(ports.length)} closed ${proto.toUpperCase()} ports: it looks like a port scan`,
    count: countDrops(drops),
    netns: nameNetns(facts, netns),
    evidence: [`NO_SOCKET for ports ${tellShares(ports, 6) ?? "?"}${tellAskers(facts, [source])}`],
    check: [`trace drops --reason NO_SOCKET --host ${source} --events --duration 10s`],
    fix: [
      `# if ${source} is none of your own scanners: ${inNetns(findPlace(facts, netns), `${source.includes(":") ? "ip6tables" : "iptables"} -I INPUT -s ${source} -j DROP`)}`,
    ],
  };
}
