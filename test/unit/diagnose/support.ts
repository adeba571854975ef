import type { DropFact, Facts, Place } from "../../../src/diagnose/facts.ts";
import type {
  DatagramSocket,
  InterfaceDelta,
  Listener,
  ListenerDelta,
  NetDelta,
  NetSnapshot,
  Route,
} from "../../../src/evidence/net/types.ts";
import { changeOf } from "../../../src/evidence/change.ts";

/** Inode of the namespace that `makeDrop` and `makeNetwork` speak of unless told otherwise. */
export const NETNS = 4_026_532_414;

/** One packet to UDP port 53 that found no socket, with what is given instead. */
export function makeDrop(fields: Partial<DropFact> = {}): DropFact {
  return {
    reason: "NO_SOCKET",
    location: "__udp4_lib_rcv",
    functions: [],
    hook: null,
    proto: "udp",
    source: "10.0.0.1",
    sourcePort: 40_000,
    destination: "10.0.0.2",
    destinationPort: 53,
    icmp: null,
    dev: "eth0",
    netns: NETNS,
    benign: false,
    count: 1,
    bytes: 60,
    ...fields,
  };
}

export interface NetworkFields {
  readonly inode?: number;
  readonly name?: string | null;
  /** Deltas by nstat name; each went from 100 to 100 + delta. */
  readonly counters?: Readonly<Record<string, number>>;
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly sockstat?: Readonly<Record<string, number>>;
  /** Addresses of this namespace: they become its local routes. */
  readonly addresses?: readonly string[];
  readonly delta?: Partial<NetDelta>;
  readonly configuration?: Partial<NonNullable<NetSnapshot["configuration"]>>;
  readonly counterState?: Partial<NetSnapshot["counters"]>;
}

/** A namespace in which nothing happened, with what is given instead. */
export function makeNetwork(fields: NetworkFields = {}): NetDelta {
  const netns = { inode: fields.inode ?? NETNS, name: fields.name === undefined ? "web" : fields.name };
  const state: NetSnapshot = {
    netns,
    path: netns.name === null ? null : `/run/netns/${netns.name}`,
    takenAt: 1_795_000_000,
    seconds: 0.1,
    counters: {
      counters: {},
      gauges: {},
      devices: [],
      sockstat: fields.sockstat ?? {},
      conntrack: null,
      datagramSockets: [],
      packetQueues: [],
      host: null,
      ...fields.counterState,
    },
    configuration: {
      links: [],
      neighbours: [],
      routes: (fields.addresses ?? []).map(makeLocalRoute),
      refusals: [],
      policyRules: [],
      qdiscs: [],
      filters: [],
      firewall: null,
      firewallRead: { nft: true, iptablesNft: true, legacy: true },
      listeners: [],
      sysctls: fields.sysctls ?? {},
      driverStats: [],
      ...fields.configuration,
    },
    missing: [],
    unread: [],
  };
  return {
    netns,
    seconds: 10,
    state,
    counters: Object.entries(fields.counters ?? {}).map(([name, delta]) => ({
      netns,
      name,
      before: 100,
      after: 100 + delta,
      delta,
    })),
    interfaces: [],
    qdiscs: [],
    filters: [],
    rules: [],
    chains: [],
    setElements: [],
    datagramSockets: [],
    listeners: [],
    conntrack: null,
    packetQueues: [],
    isGone: false,
    isEndUnread: false,
    gone: { links: [], qdiscs: [], filters: [], refusals: [], policyRules: [] },
    unresolved: [],
    softnet: null,
    arp: null,
    ndisc: null,
    routing: null,
    missing: [],
    unread: [],
    ...fields.delta,
  };
}

function makeLocalRoute(address: string): Route {
  return {
    family: address.includes(":") ? "ipv6" : "ipv4",
    type: "local",
    destination: address,
    gateway: null,
    dev: "eth0",
    table: "local",
    protocol: "kernel",
    scope: "host",
    source: null,
    metric: null,
    flags: [],
    mtu: null,
    nextHops: [],
  };
}

/** A listener that was there at both ends and refused nothing, with what is given instead. */
export function makeListener(fields: Partial<ListenerDelta> & Pick<Listener, "port">): ListenerDelta {
  return {
    netns: { inode: NETNS, name: "web" },
    address: "0.0.0.0",
    family: "ipv4",
    dev: null,
    queuedBefore: 0,
    queued: 0,
    backlog: 128,
    inode: 9000,
    uid: 0,
    cgroup: "/",
    drops: changeOf(0, 0),
    ...fields,
  };
}

/** A UDP socket that anybody may send to, of inode 77. */
export function makeDatagramSocket(fields: Partial<DatagramSocket> = {}): DatagramSocket {
  return {
    protocol: "udp",
    family: "ipv4",
    local: "0.0.0.0",
    localPort: 5007,
    remote: "0.0.0.0",
    remotePort: 0,
    receiveQueue: 0,
    sendQueue: 0,
    uid: 0,
    inode: 77,
    drops: 0,
    receiveBuffer: null,
    ...fields,
  };
}

/** A device with traffic and no losses, with what is given instead. */
export function makeInterface(fields: Partial<InterfaceDelta> = {}): InterfaceDelta {
  const still = changeOf(0, 0);
  return {
    netns: { inode: NETNS, name: "web" },
    name: "eth0",
    mtu: 1500,
    mtuBefore: 1500,
    rxOk: changeOf(0, 1000),
    rxErrors: still,
    rxDropped: still,
    rxOverruns: still,
    txOk: changeOf(0, 1000),
    txErrors: still,
    txDropped: still,
    txOverruns: still,
    rxBytes: changeOf(0, 1_000_000),
    txBytes: changeOf(0, 1_000_000),
    details: {},
    driver: {},
    ...fields,
  };
}

/** Facts of a run of ten seconds: every network is a namespace with a name in /run/netns. */
export function makeFacts(fields: Partial<Facts> = {}): Facts {
  const places = new Map<number, Place>();
  for (const { netns, state } of fields.networks ?? []) {
    places.set(netns.inode, { ...netns, kind: "named", path: state.path, pid: null });
  }
  return {
    seconds: 10,
    drops: [],
    hasReason: () => true,
    isFiltered: false,
    networks: [],
    places,
    owners: new Map(),
    kernelLog: [],
    describe: () => null,
    ...fields,
  };
}
