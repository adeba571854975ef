import type { DatagramSocket, Listener } from "../types.ts";
import { parseCount, parseHex, splitLines, splitWords, type Parsed } from "./values.ts";

/** A line of `/proc/net/{tcp,udp,raw}*`, addresses as text. */
export type ProcSocket = Omit<DatagramSocket, "protocol" | "receiveBuffer"> & {
  /** TCP_* number of include/net/tcp_states.h: 10 is LISTEN, 7 an unconnected datagram socket. */
  readonly state: number;
};

/**
 * `/proc/net/{tcp,tcp6,udp,udp6,udplite,raw}`. Addresses are printed as 32 bit words of the host's byte order;
 * `littleEndian` says which that was. `drops` is the last column of datagram sockets; in
 * a line of TCP it means nothing.
 */
export function parseProcSockets(text: string, littleEndian = true): Parsed<ProcSocket[]> {
  const sockets: ProcSocket[] = [];
  let unread = 0;
  for (const line of splitLines(text)) {
    if (line.includes(" local_address ")) continue;
    const socket = parseLine(splitWords(line), littleEndian);
    if (socket === null) unread += 1;
    else sockets.push(socket);
  }
  return { value: sockets, unread };
}

function parseLine(words: readonly string[], littleEndian: boolean): ProcSocket | null {
  const [, local = "", remote = "", state = "", queues = "", , , uid = "", , inode = "", , , drops = ""] =
    words;
  const here = parseEndpoint(local, littleEndian);
  const there = parseEndpoint(remote, littleEndian);
  const [sendQueue, receiveQueue] = queues.split(":").map(parseHex);
  const stateNumber = parseHex(state);
  const [uidNumber, inodeNumber, dropNumber] = [uid, inode, drops].map(parseCount);
  if (here === null || there === null || sendQueue == null || receiveQueue == null) return null;
  if (stateNumber === null || uidNumber == null || inodeNumber == null || dropNumber == null) return null;
  return {
    family: here.family,
    local: here.address,
    localPort: here.port,
    remote: there.address,
    remotePort: there.port,
    state: stateNumber,
    receiveQueue,
    sendQueue,
    uid: uidNumber,
    inode: inodeNumber,
    drops: dropNumber,
  };
}

function parseEndpoint(
  text: string,
  littleEndian: boolean,
): { family: "ipv4" | "ipv6"; address: string; port: number } | null {
  const match = /^((?:[0-9a-f]{8}){1,4}):([0-9a-f]{4})$/i.exec(text);
  const [, hex = "", port = ""] = match ?? [];
  if (match === null || (hex.length !== 8 && hex.length !== 32)) return null;
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => {
    const four = (word.match(/../g) ?? []).map((byte) => Number.parseInt(byte, 16));
    return littleEndian ? four.toReversed() : four;
  });
  return {
    family: bytes.length === 4 ? "ipv4" : "ipv6",
    address: bytes.length === 4 ? bytes.join(".") : formatIpv6(bytes),
    port: Number.parseInt(port, 16),
  };
}

/** As RFC 5952 wants it; IPv4-mapped addresses end in dotted form, as everywhere in this tool. */
function formatIpv6(bytes: readonly number[]): string {
  if (bytes.slice(0, 10).every((byte) => byte === 0) && bytes[10] === 255 && bytes[11] === 255) {
    return `::ffff:${bytes.slice(12).join(".")}`;
  }
  const groups = Array.from({ length: 8 }, (_, index) =>
    (((bytes[index * 2] ?? 0) << 8) | (bytes[index * 2 + 1] ?? 0)).toString(16),
  );
  let [start, length] = [0, 0];
  for (let from = 0; from < 8; from += 1) {
    let to = from;
    while (to < 8 && groups[to] === "0") to += 1;
    if (to - from > length) [start, length] = [from, to - from];
  }
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

/** A listening TCP socket where `ss` is missing: how long its queue is, but not how long it may get. */
export function toListener(socket: ProcSocket): Listener {
  return {
    // Without IPV6_V6ONLY this takes IPv4 too; the file does not say.
    address: socket.local,
    family: socket.family,
    dev: null,
    port: socket.localPort,
    queued: socket.receiveQueue,
    backlog: null,
    inode: socket.inode,
    uid: socket.uid,
    drops: null,
    cgroup: null,
  };
}
