import type { NetDelta } from "../../../evidence/net/types.ts";
import type { DropFact, Facts } from "../../facts.ts";
import { isLoopback, tellNetns } from "../../where.ts";
import { hostPort, tellOwner } from "./endpoints.ts";

/** A socket that waits for packets on a port. */
export interface Taker {
  readonly proto: "tcp" | "udp";
  readonly address: string;
  readonly family: "ipv4" | "ipv6" | "both";
  /** `127.0.0.1:80`. */
  readonly local: string;
  readonly inode: number | null;
  /** It was not there when the run began. */
  readonly isNew: boolean;
}

/** Sockets of a namespace that wait on `port` at the end of the run. */
function listTakers(network: NetDelta, proto: "tcp" | "udp", port: number): Taker[] {
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
    .filter((socket) => socket.protocol === "udp" && socket.localPort === port && socket.remotePort === 0)
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

/** Whether it is known who listens in this namespace: on a machine that is too slow to answer in time nobody seems to. */
export function knowsListeners(network: NetDelta | null, proto: "tcp" | "udp"): boolean {
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
  proto: "tcp" | "udp",
  drops: readonly DropFact[],
  port: number,
): Taker[] {
  if (network === null) return [];
  const destinations = new Set(drops.flatMap(({ destination }) => destination ?? []));
  // A UDP socket that was there all the time would have got them: it came during the run.
  return listTakers(network, proto, port)
    .filter((taker) => [...destinations].every((destination) => takes(taker, destination)))
    .map((taker) => (proto === "udp" ? { ...taker, isNew: true } : taker));
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
  proto: "tcp" | "udp",
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
  const others = facts.networks
    .filter((other) => other !== network)
    .flatMap((other) => listTakers(other, proto, port).map((taker) => ({ taker, inode: other.netns.inode })));
  if (others.length > 0) {
    return others.slice(0, MAX_OTHERS).map(({ taker, inode }) => ({
      evidence: `${tellOwner(facts, taker.inode)} listens on ${taker.local} in ${tellNetns(facts, inode)}`,
      fix: `# send to ${tellNetns(facts, inode)}, publish its port ${port}, or start the service where ${wanted} is`,
    }));
  }
  const twin = proto === "tcp" ? "udp" : "tcp";
  const cross = network === null ? [] : listTakers(network, twin, port);
  return cross.slice(0, 1).map((taker) => ({
    evidence: `${tellOwner(facts, taker.inode)} listens on ${taker.local}, but for ${twin.toUpperCase()} only`,
    fix: `# let the sender use ${twin.toUpperCase()}, or the service ${proto.toUpperCase()} too`,
  }));
}
