import type { DatagramSocket, NetDelta } from "../../../evidence/net/types.ts";
import type { DropFact, Facts } from "../../facts.ts";
import { isLoopback, tellNetns } from "../../where.ts";
import { hostPort, tellOwner } from "./endpoints.ts";

export type Proto = "tcp" | "udp" | "udplite";

const PROTO_NAMES: Readonly<Record<Proto, string>> = { tcp: "TCP", udp: "UDP", udplite: "UDP-Lite" };

/** For a sentence. */
export function tellProto(proto: Proto): string {
  return PROTO_NAMES[proto];
}

/** The command that lists who waits on a port; ss knows nothing of UDP-Lite. */
export function listSockets(proto: Proto, port: number | null): string {
  if (proto === "udplite") return "cat /proc/net/udplite /proc/net/udplite6";
  return `ss -${proto === "udp" ? "lunp" : "ltnp"}${port === null ? "" : ` 'sport = :${port}'`}`;
}

/** A socket that waits for packets on a port. */
export interface Taker {
  readonly proto: Proto;
  readonly address: string;
  readonly family: "ipv4" | "ipv6" | "both";
  /** `127.0.0.1:80`. */
  readonly local: string;
  readonly inode: number | null;
  /** It was not there when the run began. */
  readonly isNew: boolean;
}

/** Sockets of a namespace that wait on `port` at the end of the run. */
function listTakers(network: NetDelta, proto: Proto, port: number): Taker[] {
  if (proto === "tcp") {
    return network.listeners
      .filter((listener) => listener.port === port)
      .map(({ address, family, inode, queuedBefore }) => ({
        proto,
        address,
        family,
        local: hostPort(address, port),
        inode,
        isNew: queuedBefore === null,
      }));
  }
  const sockets = network.state.counters.datagramSockets ?? [];
  return sockets
    .filter((socket) => socket.protocol === proto && socket.localPort === port && socket.remotePort === 0)
    .map(({ local, family, inode }) => ({
      proto,
      address: local,
      // A socket on [::] takes IPv4 too, unless it asked for IPv6 only: which of both is not to be seen.
      family: local === "::" ? "both" : family,
      local: hostPort(local, port),
      inode,
      isNew: false,
    }));
}

/** UDP sockets on that port that are connected to one peer: datagrams of others find no socket. */
function listConnected(network: NetDelta, proto: Proto, port: number): DatagramSocket[] {
  return (network.state.counters.datagramSockets ?? []).filter(
    (socket) => socket.protocol === proto && socket.localPort === port && socket.remotePort !== 0,
  );
}

/** Whether it is known who listens in this namespace: on a machine that is too slow to answer in time nobody seems to. */
export function knowsListeners(network: NetDelta | null, proto: Proto): boolean {
  if (network === null) return false;
  const { configuration, counters } = network.state;
  return proto === "tcp" ? (configuration?.listeners ?? null) !== null : counters.datagramSockets !== null;
}

const isAny = (address: string) => address === "*" || address === "0.0.0.0" || address === "::";

function takes(taker: Taker, destination: string): boolean {
  const family = destination.includes(":") ? "ipv6" : "ipv4";
  if (taker.family !== "both" && taker.family !== family) return false;
  return isAny(taker.address) || taker.address === destination || taker.address === `::ffff:${destination}`;
}

/** Who would take every one of these packets now. */
export function findTakers(
  network: NetDelta | null,
  proto: Proto,
  drops: readonly DropFact[],
  port: number,
): Taker[] {
  if (network === null) return [];
  const destinations = new Set(drops.flatMap(({ destination }) => destination ?? []));
  // A UDP socket that was there all the time would have got them: it came during the run.
  return listTakers(network, proto, port)
    .filter((taker) => [...destinations].every((destination) => takes(taker, destination)))
    .map((taker) => (proto === "tcp" ? taker : { ...taker, isNew: true }));
}

export interface Elsewhere {
  readonly evidence: string;
  readonly fix: string;
}

/** Other namespaces named for one port: the first are enough to see the mistake. */
const MAX_OTHERS = 3;

/** Who listens on the same port where these packets do not come: on another address, in another namespace, for another protocol. */
export function tellElsewhere(
  facts: Facts,
  network: NetDelta | null,
  proto: Proto,
  port: number,
  destination: string | null,
): Elsewhere[] {
  const wanted = destination ?? "the address asked for";
  const here = network === null ? [] : listTakers(network, proto, port);
  if (here.length > 0) {
    return here.map((taker) => {
      const owner = tellOwner(facts, taker.inode);
      return {
        evidence: `${owner} listens on ${taker.local}${isLoopback(taker.address) ? ", which only this namespace itself can reach" : ""}, not on ${hostPort(wanted, port)}`,
        fix: `# make ${owner} listen on ${wanted} or on all addresses instead of ${taker.address}`,
      };
    });
  }
  const taken = network === null || proto === "tcp" ? [] : listConnected(network, proto, port);
  if (taken.length > 0) {
    return taken.slice(0, MAX_OTHERS).map(({ local, remote, remotePort, inode }) => ({
      evidence: `${tellOwner(facts, inode)} holds ${hostPort(local, port)}, but connected to ${hostPort(remote, remotePort)}: it takes datagrams from there only`,
      fix: `# let the sender use ${hostPort(remote, remotePort)} as its source, or ${tellOwner(facts, inode)} a socket without connect()`,
    }));
  }
  const others = facts.networks
    .filter((other) => other !== network)
    .flatMap((other) => listTakers(other, proto, port).map((taker) => ({ taker, inode: other.netns.inode })));
  if (others.length > 0) {
    return others.slice(0, MAX_OTHERS).map(({ taker, inode }) => ({
      evidence: `${tellOwner(facts, taker.inode)} listens on ${taker.local} in ${tellNetns(facts, inode)}`,
      fix: `# send to ${tellNetns(facts, inode)}, publish its port ${port}, or start the service where ${wanted} is`,
    }));
  }
  const twin = proto === "udp" ? "tcp" : "udp";
  const cross = network === null ? [] : listTakers(network, twin, port);
  return cross.slice(0, 1).map((taker) => ({
    evidence: `${tellOwner(facts, taker.inode)} listens on ${taker.local}, but for ${tellProto(twin)} only`,
    fix: `# let the sender use ${tellProto(twin)}, or the service ${tellProto(proto)} too`,
  }));
}
