import { endianness } from "node:os";
import ipaddr from "ipaddr.js";

/** One line of `/proc/net/{tcp,udp}{,6}`. */
export interface ProcNetSocket {
  readonly address: string;
  readonly port: number;
  readonly remoteAddress: string;
  readonly remotePort: number;
  /** Number of the TCP state (include/net/tcp_states.h); a UDP socket is in 7 until it is connected (1). */
  readonly state: number;
  readonly uid: number;
  /** Inode of the socket, 0 when no file holds it any more. */
  readonly inode: number;
}

const LINE =
  /^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) ([0-9A-F]{2}) \S+ \S+ +\S+ +(\d{1,10}) +\d+ +(\d{1,15})/;

/** Parses `/proc/net/tcp`, `tcp6`, `udp`, `udp6`; the heading and lines of another shape are left out. */
export function parseProcNet(text: string): ProcNetSocket[] {
  const sockets: ProcNetSocket[] = [];
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (match === null) continue;
    const [, address = "", port = "", remote = "", remotePort = "", state = "", uid, inode] = match;
    sockets.push({
      address: decodeAddress(address),
      port: Number.parseInt(port, 16),
      remoteAddress: decodeAddress(remote),
      remotePort: Number.parseInt(remotePort, 16),
      state: Number.parseInt(state, 16),
      uid: Number(uid),
      inode: Number(inode),
    });
  }
  return sockets;
}

/** Addresses stand as 32-bit words, each printed in the byte order of the machine. */
function decodeAddress(hex: string): string {
  const bytes = Buffer.from(hex, "hex");
  if (endianness() === "LE") bytes.swap32();
  const address = ipaddr.fromByteArray([...bytes]);
  if (!(address instanceof ipaddr.IPv6) || !address.isIPv4MappedAddress()) return address.toString();
  return `::ffff:${address.toIPv4Address().toString()}`;
}
