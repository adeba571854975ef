import { EXIT, TraceError } from "../../src/error.ts";
import { findField } from "../../src/host/format.ts";
import { hasKernelTypes, usesHeaders } from "../../src/host/kernel-types.ts";
import type { NetnsInfo } from "../../src/host/namespaces.ts";
import type { JsonObject, PrepareContext, Prepared } from "../../src/probe/define.ts";
import type { AddressBlock } from "../../src/probe/filters.ts";
import { literal, type ProgramVariables } from "../../src/probe/render.ts";
import { netnsPrefix } from "../../src/diagnose/commands.ts";
import { nearest } from "../../src/text/nearest.ts";

/** Reasons that come in floods: each gets a scalar counter (30 ns an event instead of 110, measured on bpftrace 0.17). */
const HOT = ["NETFILTER_DROP", "NO_SOCKET", "SOCKET_RCVBUFF", "QDISC_DROP", "IP_RPFILTER", "CPU_BACKLOG"];

/** Stacks kept a second per reason and call site: enough for shares, too few to matter (7 µs each). */
const SAMPLES = 16;

/** Scalars for floods: this many on a machine of few CPUs, one a CPU on others, up to the last number (a line each in the program). */
const FLOODS = 16;
const MAX_FLOODS = 64;

/** ETH_P_ARP; `--proto arp` is told by the ethertype, not by an IP protocol number. */
const ARP = -1;

/** Fills the template for this kernel and these options. Throws TraceError (usage) for a filter that does not fit this host. */
export async function prepareDrops(context: PrepareContext): Promise<Prepared> {
  const { options } = context;
  const format = await context.tracepoint("skb:kfree_skb");
  const reasonField = format !== null && findField(format, "reason") !== null;
  const names = new Map<number, string>(format?.symbols["reason"] ?? []);
  const numbers = new Map([...names].map(([number, name]) => [name, number]));
  const reasons = resolveReasons(options.reason, numbers, reasonField);
  const netfilter = numbers.get("NETFILTER_DROP");
  const hot = HOT.flatMap((name) => {
    const number = numbers.get(name);
    return number === undefined || !reasonField ? [] : [{ number }];
  });
  const intervalMs = Math.round((typeof options["interval"] === "number" ? options["interval"] : 1) * 1000);
  const types = hasKernelTypes(context.host);
  if (!types) refuseFilters(context.options);
  const variables: ProgramVariables = {
    types,
    enumPrefix: reasonField && usesHeaders(context.host),
    reasonField,
    rxSocket: format !== null && findField(format, "rx_sk") !== null,
    reasons: reasons.map((reason) => ({ reason })),
    netfilter: netfilter ?? false,
    hooks: netfilter !== undefined || !reasonField,
    hot,
    samples: SAMPLES,
    // Differences are taken at least every second: see the packing in drops.bt.
    printMs: Math.min(1000, Math.max(100, intervalMs)),
    events: options.events === true,
    ...floodVariables(context.host.cpus, types && options.events !== true),
    ...(await whereVariables(context)),
    ...packetVariables(context),
  };
  return {
    variables,
    tables: {
      only: typeof variables["netnsInode"] === "number" ? variables["netnsInode"] : null,
      netns: Object.fromEntries(
        (await context.listNetns()).map((info) => [String(info.inode), describeNetns(info)]),
      ),
      reasons: Object.fromEntries([...names].map(([number, name]) => [String(number), name])),
      reasonField,
    },
    degraded: [
      ...(types
        ? []
        : [
            "no kernel types (BTF) with this bpftrace: no addresses, devices and namespaces, only reasons and call sites",
          ]),
      ...(reasonField
        ? []
        : [
            "this kernel does not say why it drops (Linux before 5.17): drops are told by where in the kernel they happen, and packets that TCP drops on an open connection only show in the counters",
          ]),
    ],
  };
}

/** Every CPU gives away scalars of its own, so that it need not agree with others which are free. */
function floodVariables(cpus: number, isPossible: boolean): ProgramVariables {
  const floodsPerCpu = Math.max(1, Math.floor(FLOODS / cpus));
  const floodCount = isPossible ? Math.min(MAX_FLOODS, cpus * floodsPerCpu) : 0;
  return {
    floods: Array.from({ length: floodCount }, (_, index) => ({ number: index + 1 })),
    floodsPerCpu,
    floodCount,
  };
}

/** Without types the program sees neither addresses nor devices: a filter on them would drop everything silently. */
function refuseFilters(options: PrepareContext["options"]): void {
  const used = (["netns", "dev", "host", "port", "proto"] as const).filter(
    (name) => options[name] !== undefined,
  );
  if (used.length === 0) return;
  throw new TraceError(EXIT.usage, `--${used[0] ?? ""} cannot be used with this bpftrace and kernel`, {
    why: "there is no type information (BTF) for it, so packets cannot be looked into",
    hint: "trace doctor   # a newer bpftrace or kernel is needed",
  });
}

function resolveReasons(
  wanted: readonly string[] | undefined,
  numbers: ReadonlyMap<string, number>,
  reasonField: boolean,
): number[] {
  if (wanted === undefined) return [];
  if (!reasonField) {
    throw new TraceError(EXIT.usage, "--reason cannot be used on this kernel", {
      why: "it does not say why it drops (Linux before 5.17)",
      hint: "leave --reason out: the report tells drops by call site",
    });
  }
  return wanted.map((name) => {
    const number = numbers.get(name);
    if (number !== undefined) return number;
    const close = nearest(name, numbers.keys());
    throw new TraceError(EXIT.usage, `--reason: this kernel has no drop reason ${name}`, {
      why: close.length > 0 ? `the nearest it has: ${close.join(", ")}` : `it has ${numbers.size} others`,
      hint: "trace explain reasons",
    });
  });
}

async function whereVariables({
  options,
  findNetns,
  listNetns,
  findDevice,
}: PrepareContext): Promise<ProgramVariables> {
  const variables: { [name: string]: ProgramVariables[string] } = { netns: false, dev: false };
  let only: NetnsInfo | null = null;
  if (options.netns !== undefined) {
    const info = await findNetns(options.netns);
    if (info === null) {
      const names = (await listNetns()).flatMap((known) => known.name ?? []);
      const close = nearest(options.netns, names);
      throw new TraceError(
        EXIT.usage,
        `--netns: there is no network namespace ${JSON.stringify(options.netns)}`,
        {
          why: `${close.length > 0 ? "the nearest" : "known here"}: ${(close.length > 0 ? close : names.slice(0, 8)).join(", ") || "none has a name"}`,
          hint: "ip netns list; lsns -t net",
        },
      );
    }
    only = info;
    variables["netns"] = true;
    variables["netnsInode"] = info.inode;
  }
  if (options.dev !== undefined) {
    const name = literal(options.dev, "--dev");
    const devices = await findDevice(options.dev, only);
    if (devices !== null && !devices.isThere) throw unknownDevice(options.dev, devices.names, only);
    variables["dev"] = true;
    variables["devName"] = name;
  }
  return variables;
}

function unknownDevice(name: string, known: readonly string[], only: NetnsInfo | null): TraceError {
  const close = nearest(name, known);
  const where = only === null ? "" : ` in namespace ${JSON.stringify(only.name ?? String(only.inode))}`;
  const names = (close.length > 0 ? close : known.slice(0, 8)).join(", ");
  return new TraceError(EXIT.usage, `--dev: there is no network device ${JSON.stringify(name)}${where}`, {
    why: `${close.length > 0 ? "the nearest" : "known here"}: ${names || "none"}`,
    hint: `${netnsPrefix(only)}ip -br link`,
  });
}

function packetVariables({ options }: PrepareContext): ProgramVariables {
  const { proto, port, host } = options;
  return {
    arp: proto?.number === ARP,
    proto: proto !== undefined && proto.number !== ARP,
    protoNumber: proto?.number ?? 0,
    port: port !== undefined,
    // As the little-endian machine reads the two bytes of the wire.
    portWire: port === undefined ? 0 : ((port & 0xff) << 8) | (port >> 8),
    host4: host?.family === 4,
    host6: host?.family === 6,
    ...(host === undefined ? {} : host.family === 4 ? words4(host) : words6(host)),
  };
}

function describeNetns({ name, kind, path, pid, comm }: NetnsInfo): JsonObject {
  return { name, kind, path, pid, comm };
}

/** Bytes in network order as the word a little-endian machine reads. */
function littleEndian(bytes: readonly number[]): bigint {
  return bytes.reduceRight((word, byte) => (word << 8n) | BigInt(byte), 0n);
}

function maskBytes(prefix: number, size: number): number[] {
  return Array.from(
    { length: size },
    (_, index) => (0xff00 >> Math.min(8, Math.max(0, prefix - index * 8))) & 0xff,
  );
}

function words4({ bytes, prefix }: AddressBlock): ProgramVariables {
  return { hostMask: littleEndian(maskBytes(prefix, 4)), hostValue: littleEndian(bytes) };
}

function words6({ bytes, prefix }: AddressBlock): ProgramVariables {
  const mask = maskBytes(prefix, 16);
  return {
    hostMask0: littleEndian(mask.slice(0, 8)),
    hostMask1: littleEndian(mask.slice(8)),
    hostValue0: littleEndian(bytes.slice(0, 8)),
    hostValue1: littleEndian(bytes.slice(8)),
  };
}
