import type { RawNet } from "./collect/raw.ts";
import { parseDev } from "./parse/dev.ts";
import { parseMibLines, parseMibPairs, partGauges } from "./parse/mib.ts";
import { parsePacketQueues } from "./parse/packet-queues.ts";
import { parsePerCpu } from "./parse/percpu.ts";
import { parseProcSockets } from "./parse/proc-sockets.ts";
import { parseSockstat } from "./parse/sockstat.ts";
import { parseSoftnet } from "./parse/softnet.ts";
import { parseSs } from "./parse/ss.ts";
import { parseCount } from "./parse/values.ts";
import type { SectionReader } from "./section-reader.ts";
import type { ConntrackState, DatagramSocket, HostNetCounters, NetCounters } from "./types.ts";

/** The counter files of a namespace. Files that depend on the kernel's configuration are null without a reason. */
export function parseCounters(raw: RawNet, reader: SectionReader): NetCounters {
  const tables = [
    reader.read("/proc/net/snmp", parseMibPairs),
    reader.read("/proc/net/netstat", parseMibPairs),
    reader.readOptional("/proc/net/snmp6", parseMibLines),
    reader.readOptional("/proc/net/xfrm_stat", parseMibLines),
  ];
  const known = tables.filter((table) => table !== null);
  const { counters, gauges } = partGauges(Object.assign({}, ...known));
  const sockstat = reader.read("/proc/net/sockstat", parseSockstat);
  const sockstat6 = reader.readOptional("/proc/net/sockstat6", parseSockstat);
  return {
    counters: known.length === 0 ? null : counters,
    gauges,
    devices: reader.read("/proc/net/dev", parseDev),
    sockstat: sockstat === null ? null : { ...sockstat, ...sockstat6 },
    conntrack: readConntrack(reader),
    datagramSockets: readDatagramSockets(raw, reader),
    packetQueues: reader.readOptional("/proc/net/netfilter/nfnetlink_queue", parsePacketQueues),
    host: raw.target.path === null ? readHost(reader) : null,
  };
}

function readConntrack(reader: SectionReader): ConntrackState | null {
  const stats = reader.readOptional("/proc/net/stat/nf_conntrack", parsePerCpu);
  const count = readNumber(reader, "/proc/sys/net/netfilter/nf_conntrack_count");
  const max = readNumber(reader, "/proc/sys/net/netfilter/nf_conntrack_max");
  if (stats === null && count === null && max === null) return null;
  const { entries, ...rest } = stats ?? {};
  return { count: count ?? entries ?? null, max, stats: stats === null ? null : rest };
}

function readNumber(reader: SectionReader, path: string): number | null {
  return reader.readOptional(path, (text) => {
    const value = parseCount(text.trim());
    return { value, unread: value === null ? 1 : 0 };
  });
}

const DATAGRAM_FILES = [
  { file: "udp", protocol: "udp" },
  { file: "udp6", protocol: "udp" },
  { file: "udplite", protocol: "udplite" },
  { file: "udplite6", protocol: "udplite" },
  { file: "raw", protocol: "raw" },
  { file: "raw6", protocol: "raw" },
] as const;

function readDatagramSockets(raw: RawNet, reader: SectionReader): DatagramSocket[] | null {
  const details = new Map(
    (reader.readOptional("ss udp", parseSs) ?? []).map((socket) => [socket.inode, socket.receiveBuffer]),
  );
  const lists = DATAGRAM_FILES.map(({ file, protocol }) => {
    const sockets = reader.readOptional(`/proc/net/${file}`, (text) =>
      parseProcSockets(text, raw.littleEndian),
    );
    return sockets?.map((socket): DatagramSocket => {
      const receiveBuffer = socket.inode === 0 ? null : (details.get(socket.inode) ?? null);
      const { state: _, ...rest } = socket;
      return { ...rest, protocol, receiveBuffer };
    });
  });
  if (lists.every((list) => list === undefined)) {
    reader.miss("/proc/net/udp", "not readable");
    return null;
  }
  return lists.flatMap((list) => list ?? []);
}

function readHost(reader: SectionReader): HostNetCounters {
  return {
    softnet: reader.read("/proc/net/softnet_stat", parseSoftnet),
    arp: reader.readOptional("/proc/net/stat/arp_cache", parsePerCpu),
    ndisc: reader.readOptional("/proc/net/stat/ndisc_cache", parsePerCpu),
    routing: reader.readOptional("/proc/net/stat/rt_cache", parsePerCpu),
  };
}
