import { hasMoved } from "../../change.ts";
import type {
  DatagramSocket,
  DatagramSocketDelta,
  Listener,
  ListenerDelta,
  Neighbour,
  NetDelta,
} from "../types.ts";
import { endsOf, type Ends } from "./context.ts";
import { changeIn, keyOf, pairByKey } from "./match.ts";

/** Datagram sockets that refused something; those that were closed before the end took their count with them. */
export function deltaDatagramSockets(ends: Ends): DatagramSocketDelta[] {
  const { before, after, fresh } = endsOf(ends, (snapshot) => snapshot.counters.datagramSockets);
  return pairByKey(before, after, socketKey)
    .pairs.map((pair): DatagramSocketDelta => {
      const { drops: _, sendQueue: _queue, ...socket } = pair.after;
      return {
        ...socket,
        netns: ends.netns,
        drops: changeIn(pair, fresh, (item) => item.drops),
        presence: pair.before === null && fresh ? "added" : "both",
      };
    })
    .filter(({ drops }) => hasMoved(drops));
}

/** Every listener of the end. */
export function deltaListeners(ends: Ends): ListenerDelta[] {
  const { before, after, fresh } = endsOf(ends, (snapshot) => snapshot.configuration?.listeners ?? null);
  return pairByKey(before, after, listenerKey).pairs.map((pair) => ({
    ...pair.after,
    netns: ends.netns,
    queuedBefore: pair.before?.queued ?? null,
    drops: changeIn(pair, fresh, (item) => item.drops),
  }));
}

/** Neighbours without an answer at the end. */
export function findUnresolved(ends: Ends): NetDelta["unresolved"] {
  const { before, after } = endsOf(ends, (snapshot) => snapshot.configuration?.neighbours ?? null);
  const old = new Set(before.filter(isUnresolved).map(({ dev, address }) => keyOf(dev, address)));
  return after.filter(isUnresolved).map((neighbour) => ({
    ...neighbour,
    since: old.has(keyOf(neighbour.dev, neighbour.address)) ? ("before" as const) : ("during" as const),
  }));
}

/** NUD_FAILED and NUD_INCOMPLETE of include/uapi/linux/neighbour.h. */
function isUnresolved(neighbour: Neighbour): boolean {
  return neighbour.state.includes("FAILED") || neighbour.state.includes("INCOMPLETE");
}

function socketKey(socket: DatagramSocket): string {
  return keyOf(socket.protocol, socket.family, socket.local, socket.localPort, socket.inode);
}

function listenerKey(listener: Listener): string {
  return keyOf(listener.family, listener.address, listener.dev, listener.port, listener.inode);
}
