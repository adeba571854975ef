import type { NetDelta } from "../../../evidence/net/types.ts";
import { formatCount, plural } from "../../../text/format.ts";
import { countDrops, rankDrops, severityOf, tellCounters, tellShares } from "../../amounts.ts";
import { inNetns } from "../../commands.ts";
import { tellRetransmissions } from "../../context.ts";
import { counterDelta, type DropFact, type Facts } from "../../facts.ts";
import type { Finding } from "../../finding.ts";
import { tellLog } from "../../kernel-log.ts";
import type { Rule } from "../../rule.ts";
import { selectDrops } from "../../select.ts";
import { findPlace, nameNetns, readNumbers, tellNetns } from "../../where.ts";

/** The limits are meant to be far above any load: a handful of drops is the start of more. */
const MANY = 5;
/** With this share of the limit in use at the end, the limit is what was reached. */
const NEAR_LIMIT = 0.8;

interface Protocol {
  readonly proto: "tcp" | "udp";
  readonly protos: readonly string[];
  readonly setting: string;
  /** In /proc/net/sockstat, in pages. */
  readonly gauge: string;
  /** Only a memory limit moves these. */
  readonly counters: readonly string[];
  /** Move along with it. */
  readonly implied: readonly string[];
}

const PROTOCOLS: readonly Protocol[] = [
  {
    proto: "udp",
    protos: ["udp", "udplite"],
    setting: "net.ipv4.udp_mem",
    gauge: "UDP.mem",
    counters: ["UdpMemErrors", "Udp6MemErrors", "UdpLiteMemErrors", "UdpLite6MemErrors"],
    implied: ["UdpInErrors", "Udp6InErrors", "sock.drops"],
  },
  {
    proto: "tcp",
    protos: ["tcp"],
    setting: "net.ipv4.tcp_mem",
    gauge: "TCP.mem",
    counters: [
      "TcpExtTCPMemoryPressures",
      "TcpExtTCPAbortOnMemory",
      "TcpExtSockMallocOOM",
      "TcpExtTCPRcvQDrop",
      "TcpExtTCPOFODrop",
    ],
    implied: ["TcpExtTCPMemoryPressuresChrono", "TcpExtRcvPruned", "TcpExtPruneCalled"],
  },
];

/** PROTO_MEM and its counters: the memory that all sockets of a protocol may use together, or a control group's. */
export const protocolMemory: Rule = {
  id: "protocol-memory",
  examine: (facts, ledger) =>
    PROTOCOLS.flatMap((protocol) => {
      const groups = selectDrops(facts, ledger, {
        reasons: ["PROTO_MEM"],
        protos: protocol.protos,
        counters: protocol.counters,
      });
      const seen = new Set(groups.map(({ netns }) => netns));
      const silent = facts.networks
        .filter(({ netns }) => !seen.has(netns.inode))
        .filter((network) =>
          protocol.counters.some(
            (name) => counterDelta(network, name) > 0 && !ledger.isAccounted(network.netns.inode, name),
          ),
        )
        .map((network) => ({ netns: network.netns.inode, network, drops: [] }));
      return [...groups, ...silent].map(({ netns, network, drops }) => {
        ledger.claim(drops);
        if (netns !== null) {
          for (const name of [...protocol.counters, ...protocol.implied]) ledger.account(netns, name);
        }
        return tellProtocol(facts, protocol, netns, network, drops);
      });
    }),
};

function tellProtocol(
  facts: Facts,
  protocol: Protocol,
  netns: number | null,
  network: NetDelta | null,
  drops: readonly DropFact[],
): Finding {
  const { proto, setting, gauge, counters } = protocol;
  const name = proto.toUpperCase();
  const moved = Math.max(0, ...counters.map((counter) => counterDelta(network, counter)));
  const count = countDrops(drops) || moved;
  const limits = readNumbers(facts, network, setting);
  const most = limits[2];
  const used = network?.state.counters.sockstat?.[gauge];
  const isReached = used !== undefined && most !== undefined && used >= NEAR_LIMIT * most;
  const place = findPlace(facts, netns);
  const counted = tellCounters(network, counters);
  const retransmissions = tellRetransmissions(facts, drops);
  const log = proto === "tcp" ? tellLog(facts, /TCP: out of memory/) : null;
  return {
    id: "protocol-memory",
    severity: drops.length === 0 && !isReached ? "suspicious" : severityOf(count, facts.seconds, MANY),
    summary:
      drops.length === 0
        ? `${name} ran into its memory limit ${plural(count, "time")}`
        : `${plural(count, "packet")} dropped because ${name} may not use more memory: ${isReached ? `${setting} is reached` : `${setting} was reached for a moment, or the socket's own buffer or its control group's memory limit`}`,
    count,
    netns: nameNetns(facts, netns),
    evidence: [
      ...(drops.length === 0
        ? []
        : [
            `PROTO_MEM, for ${tellShares(rankDrops(drops, ({ destinationPort }) => destinationPort)) ?? "unknown"} (port)`,
          ]),
      ...(counted === null ? [] : [`${counted} in ${tellNetns(facts, netns)}`]),
      ...(used === undefined || most === undefined
        ? []
        : [
            `${formatCount(used)} of at most ${formatCount(most)} pages in use at the end (${setting}, third value)`,
          ]),
      ...(retransmissions === null ? [] : [retransmissions]),
      ...(log === null ? [] : [log]),
    ],
    check: [
      inNetns(place, "cat /proc/net/sockstat"),
      `sysctl ${setting}`,
      inNetns(place, proto === "udp" ? "ss -uanmp" : "ss -tanmp"),
      ...(isReached ? [] : ["grep -H . /sys/fs/cgroup/*/*/memory.max 2>/dev/null | grep -v max$"]),
    ],
    fix: [
      // One setting for all namespaces, to be set in the host's.
      ...(limits.length === 3 && isReached
        ? [`sysctl -w ${setting}='${limits.map((limit) => limit * 2).join(" ")}'`]
        : []),
      "# find the sockets that hold the memory (Recv-Q, Send-Q): their programs do not read, or they leak connections",
    ],
  };
}
