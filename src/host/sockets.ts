import { join } from "node:path";
import type { NetnsInfo } from "./namespaces.ts";
import { parseProcNet } from "./proc-net.ts";
import { listPids, readComm } from "./processes.ts";
import { listNames, readLinks, readText } from "./read.ts";

/** A process that holds a socket; `comm` is its own choice: hostile data. */
interface SocketOwner {
  readonly pid: number;
  readonly comm: string | null;
}

/** A socket that takes what is sent to a port. */
interface Listener {
  readonly protocol: "tcp" | "udp";
  /** `0.0.0.0` and `::` take every address; a `::` socket usually takes IPv4 too. */
  readonly address: string;
  readonly port: number;
  readonly uid: number;
  readonly inode: number;
  /** Null where the process is not visible to us, or gone. */
  readonly owner: SocketOwner | null;
}

export interface SocketDirectory {
  /** The process that holds the socket with this inode: the lowest pid of several that share it. Null when none is seen. */
  ownerOf(inode: number): Promise<SocketOwner | null>;
  /** Listening TCP or unconnected UDP sockets of a namespace on a port, or on all ports without one. */
  findListeners(netns: NetnsInfo, protocol: "tcp" | "udp", port?: number): Promise<Listener[]>;
  /** Whether the last scan met its bound, so that a socket without an owner may have one. */
  isTruncated(): boolean;
}

export interface SocketOptions {
  readonly root?: string;
  /** File descriptors looked at in one scan. */
  readonly maxDescriptors?: number;
  /** Seconds for which a scan is used again for sockets that it did not find. */
  readonly maxAge?: number;
  /** Seconds of any clock that only goes forward. */
  readonly now?: () => number;
}

/** About a second of `readlink`: a busy host has some 10,000 descriptors, a proxy with 500,000 is cut short. */
const MAX_DESCRIPTORS = 200_000;
/** A socket that is newer than the scan is looked for again, but not for every lookup in a burst. */
const MAX_AGE = 2;
const TCP_LISTEN = 10;
const UDP_UNCONNECTED = 7;

/** Finds the processes behind sockets by `/proc/PID/fd`, only when asked, and remembers a scan. */
export function createSocketDirectory(options: SocketOptions = {}): SocketDirectory {
  const root = options.root ?? "";
  const maxDescriptors = options.maxDescriptors ?? MAX_DESCRIPTORS;
  const maxAge = options.maxAge ?? MAX_AGE;
  const now = options.now ?? (() => performance.now() / 1000);
  let scan: { owners: Map<number, number>; truncated: boolean; time: number } | null = null;
  let running: Promise<Map<number, number>> | null = null;

  async function runScan(): Promise<Map<number, number>> {
    const result = await scanSockets(root, maxDescriptors);
    scan = { ...result, time: now() };
    running = null;
    return result.owners;
  }

  async function ownerOf(inode: number): Promise<SocketOwner | null> {
    let pid = scan?.owners.get(inode);
    if (pid === undefined && (scan === null || now() - scan.time >= maxAge)) {
      pid = (await (running ??= runScan())).get(inode);
    }
    return pid === undefined ? null : { pid, comm: await readComm(root, pid) };
  }

  async function findListeners(
    netns: NetnsInfo,
    protocol: "tcp" | "udp",
    port?: number,
  ): Promise<Listener[]> {
    // The files show the namespace of the process they are read through; without one there is no way in from here.
    const pid = /^\/proc\/(\d+)\/ns\/net$/.exec(netns.path ?? "")?.[1] ?? netns.pid;
    if (pid === null) return [];
    const files = [protocol, `${protocol}6`].map((file) => join(root, `/proc/${pid}/net/${file}`));
    const texts = await Promise.all(files.map((file) => readText(file)));
    const wanted = protocol === "tcp" ? TCP_LISTEN : UDP_UNCONNECTED;
    const sockets = texts
      .flatMap((text) => parseProcNet(text ?? ""))
      .filter((socket) => socket.state === wanted && (port === undefined || socket.port === port));
    const listeners: Listener[] = [];
    for (const { address, port: own, uid, inode } of sockets) {
      listeners.push({ protocol, address, port: own, uid, inode, owner: await ownerOf(inode) });
    }
    return listeners;
  }

  return { ownerOf, findListeners, isTruncated: () => scan?.truncated ?? false };
}

/** Socket inode → lowest pid that has it open, from at most `limit` descriptors. */
async function scanSockets(
  root: string,
  limit: number,
): Promise<{ owners: Map<number, number>; truncated: boolean }> {
  const owners = new Map<number, number>();
  let seen = 0;
  for (const pid of await listPids(root)) {
    const folder = join(root, `/proc/${pid}/fd`);
    const descriptors = await listNames(folder);
    if (seen + descriptors.length > limit) return { owners, truncated: true };
    seen += descriptors.length;
    const links = await readLinks(descriptors.map((name) => `${folder}/${name}`));
    for (const link of links) {
      const inode = Number(/^socket:\[(\d{1,15})\]$/.exec(link ?? "")?.[1]);
      if (inode > 0 && !owners.has(inode)) owners.set(inode, pid);
    }
  }
  return { owners, truncated: false };
}
