import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
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
  /** Seconds of any clock that only goes forward. */
  readonly now?: () => number;
  /** Waits that many seconds. */
  readonly sleep?: (seconds: number) => Promise<void>;
}

/** About a second of `readlink`: a busy host has some 10,000 descriptors, a proxy with 500,000 is cut short. */
const MAX_DESCRIPTORS = 200_000;
/**
 * Between two scans passes this many times what the last one took: a burst of new sockets costs a tenth of one CPU at most, and on a small
 * machine a process that lives for a fraction of a second is still seen.
 */
const REST = 9;
/** Bounds of that pause, seconds. */
const REST_BOUNDS = { least: 0.02, most: 2 };
const TCP_LISTEN = 10;
const UDP_UNCONNECTED = 7;

/** Finds the processes behind sockets by `/proc/PID/fd`, only when asked, and remembers a scan. */
export function createSocketDirectory(options: SocketOptions = {}): SocketDirectory {
  const root = options.root ?? "";
  const maxDescriptors = options.maxDescriptors ?? MAX_DESCRIPTORS;
  const now = options.now ?? (() => performance.now() / 1000);
  const sleep = options.sleep ?? ((seconds) => delay(seconds * 1000));
  let scan: { owners: ReadonlyMap<number, SocketOwner>; truncated: boolean; restUntil: number } | null = null;
  let running: Promise<unknown> | null = null;
  let next: Promise<ReadonlyMap<number, SocketOwner>> | null = null;

  async function runScan(): Promise<ReadonlyMap<number, SocketOwner>> {
    const start = now();
    const result = await scanSockets(root, maxDescriptors);
    const rest = Math.min(REST_BOUNDS.most, Math.max(REST_BOUNDS.least, REST * (now() - start)));
    scan = { ...result, restUntil: now() + rest };
    return result.owners;
  }

  /** A scan that begins after this call: one under way may have passed the process already. All who ask meanwhile share it. */
  function scanAgain(): Promise<ReadonlyMap<number, SocketOwner>> {
    next ??= (async () => {
      await running;
      const rest = (scan?.restUntil ?? 0) - now();
      if (rest > 0) await sleep(rest);
      next = null;
      const begun = runScan();
      running = begun;
      return await begun;
    })();
    return next;
  }

  async function ownerOf(inode: number): Promise<SocketOwner | null> {
    // Sockets of the kernel have no inode.
    if (inode === 0) return null;
    return scan?.owners.get(inode) ?? (await scanAgain()).get(inode) ?? null;
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
    return await Promise.all(
      sockets.map(async ({ address, port: own, uid, inode }): Promise<Listener> => ({
        protocol,
        address,
        port: own,
        uid,
        inode,
        owner: await ownerOf(inode),
      })),
    );
  }

  return { ownerOf, findListeners, isTruncated: () => scan?.truncated ?? false };
}

/** Socket inode → lowest pid that has it open, with its name at that moment, from at most `limit` descriptors. */
async function scanSockets(
  root: string,
  limit: number,
): Promise<{ owners: Map<number, SocketOwner>; truncated: boolean }> {
  const owners = new Map<number, SocketOwner>();
  let seen = 0;
  for (const pid of await listPids(root)) {
    const folder = join(root, `/proc/${pid}/fd`);
    const descriptors = await listNames(folder);
    if (seen + descriptors.length > limit) return { owners, truncated: true };
    seen += descriptors.length;
    const links = await readLinks(descriptors.map((name) => `${folder}/${name}`));
    const inodes = links
      .map((link) => Number(/^socket:\[(\d{1,15})\]$/.exec(link ?? "")?.[1]))
      .filter((inode) => inode > 0 && !owners.has(inode));
    if (inodes.length === 0) continue;
    const owner = { pid, comm: await readComm(root, pid) };
    for (const inode of inodes) owners.set(inode, owner);
  }
  return { owners, truncated: false };
}
