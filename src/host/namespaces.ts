import { stat } from "node:fs/promises";
import { join } from "node:path";
import { createContainerDirectory, type ContainerDirectory, type ContainerInfo } from "./containers.ts";
import { findOldest, readComm, readNetnsByPid } from "./processes.ts";
import { listNames, mapInBatches } from "./read.ts";

/** A network namespace. Its names come from users and containers: hostile data. */
export interface NetnsInfo {
  readonly inode: number;
  /** `host`, the name `ip netns` knows, the pod as `namespace/name`, the container's name, or null. */
  readonly name: string | null;
  readonly kind: "host" | "named" | "container" | "pod" | "process";
  /** A path for `nsenter --net=PATH`, or null when there is no way in. */
  readonly path: string | null;
  /** The oldest process in it, or null when it has none. */
  readonly pid: number | null;
  readonly comm: string | null;
  readonly container: ContainerInfo | null;
}

export interface NetnsDirectory {
  /** Looks at all processes and names again. What `byInode` and `list` say is as of then. */
  refresh(): Promise<void>;
  byInode(inode: number): NetnsInfo | null;
  /** The host's first, then named ones, then the rest, by name. */
  list(): NetnsInfo[];
  /** The namespace that a user means: a name, a container's name or id, an inode, a process id. */
  resolve(text: string): NetnsInfo | null;
}

export interface NetnsOptions {
  readonly root?: string;
  readonly containers?: ContainerDirectory;
  /** Inode of the network namespace that a file stands for, or null when it is none (tests replace it). */
  readonly readInode?: (path: string) => Promise<number | null>;
}

/** Where files that are namespaces lie: `ip netns`, CNI plug-ins and podman in the first, Docker in the last. */
const NAME_FOLDERS = ["/run/netns", "/var/run/netns", "/run/docker/netns"];
/** Names a runtime makes up (`cni-5f0c…`, `netns-…`, a uuid, Docker's sandbox key): the container says more. */
const MADE_UP =
  /^(?:(?:cni|netns)-)?[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$|^[0-9a-f]{12}$/;
/** Processes of one namespace that are compared by age, lowest ids first: the oldest is nearly always among them. */
const MAX_AGED = 32;

/** Knows the machine's network namespaces by inode and by name. Empty until the first `refresh`. */
export function createNetnsDirectory(options: NetnsOptions = {}): NetnsDirectory {
  const root = options.root ?? "";
  const containers = options.containers ?? createContainerDirectory({ root });
  const readInode = options.readInode ?? readNetnsInode;
  let byInode = new Map<number, NetnsInfo>();
  let byPid = new Map<number, number>();

  async function refresh(): Promise<void> {
    const [pids, files] = await Promise.all([readNetnsByPid(root), readNamedInodes(root, readInode)]);
    const members = Map.groupBy(pids.keys(), (pid) => pids.get(pid) ?? 0);
    // Where pid 1 may not be looked at (it holds a capability that we lack) the smallest inode is the first made.
    const host = pids.get(1) ?? Math.min(...new Set(pids.values()));
    const inodes = [...new Set([...members.keys(), ...files.keys()])];
    const found = await mapInBatches(inodes, 16, (inode) =>
      inode === host
        ? describeHost(inode, members.get(inode) ?? [])
        : describe(inode, members.get(inode) ?? [], files.get(inode) ?? null),
    );
    byInode = new Map(found.map((info) => [info.inode, info]));
    byPid = pids;
  }

  async function describeHost(inode: number, pids: readonly number[]): Promise<NetnsInfo> {
    const readable = pids.includes(1) ? 1 : await findOldest(root, pids.slice(0, MAX_AGED));
    const path = readable === null ? null : `/proc/${readable}/ns/net`;
    const comm = await readComm(root, 1);
    return { inode, name: "host", kind: "host", path, pid: 1, comm, container: null };
  }

  async function describe(
    inode: number,
    pids: readonly number[],
    file: NamedFile | null,
  ): Promise<NetnsInfo> {
    const pid = await findOldest(root, pids.slice(0, MAX_AGED));
    const owner = pid === null ? null : await containers.byPid(pid);
    const container = owner?.container ?? null;
    const path = file?.path ?? (pid === null ? null : `/proc/${pid}/ns/net`);
    const comm = pid === null ? null : await readComm(root, pid);
    const base = { inode, path, pid, comm, container };
    if (file !== null && (!file.isMadeUp || container === null)) {
      return { ...base, name: file.name, kind: "named" };
    }
    if (container === null) return { ...base, name: null, kind: "process" };
    if (container.pod === null) {
      return { ...base, name: container.name ?? file?.name ?? null, kind: "container" };
    }
    const name =
      container.podNamespace === null ? container.pod : `${container.podNamespace}/${container.pod}`;
    return { ...base, name, kind: "pod" };
  }

  return {
    refresh,
    byInode: (inode) => byInode.get(inode) ?? null,
    list: () => [...byInode.values()].toSorted(compare),
    resolve(text) {
      const all = [...byInode.values()];
      const named =
        all.find((info) => info.name === text) ?? all.find((info) => isContainer(info.container, text));
      if (named !== undefined) return named;
      const number = /^(?:net:\[)?(\d{1,15})\]?$/.exec(text)?.[1];
      if (number === undefined) return null;
      if (number === "1") return all.find((info) => info.kind === "host") ?? null;
      return byInode.get(Number(number)) ?? byInode.get(byPid.get(Number(number)) ?? -1) ?? null;
    },
  };
}

/** Whether the text is the container's name, its pod, or at least six digits of its id. */
function isContainer(container: ContainerInfo | null, text: string): boolean {
  if (container === null) return false;
  if (container.name === text || container.pod === text) return true;
  return /^[0-9a-f]{6,64}$/.test(text) && container.id?.startsWith(text) === true;
}

const ORDER: Readonly<Record<NetnsInfo["kind"], number>> = {
  host: 0,
  named: 1,
  pod: 2,
  container: 3,
  process: 4,
};

function compare(a: NetnsInfo, b: NetnsInfo): number {
  return ORDER[a.kind] - ORDER[b.kind] || (a.name ?? "").localeCompare(b.name ?? "") || a.inode - b.inode;
}

interface NamedFile {
  readonly name: string;
  readonly path: string;
  readonly isMadeUp: boolean;
}

/** Namespaces that have a file, by inode. A name that a person gave wins over one that a runtime made up. */
async function readNamedInodes(
  root: string,
  readInode: (path: string) => Promise<number | null>,
): Promise<Map<number, NamedFile>> {
  const files = new Map<number, NamedFile>();
  for (const folder of NAME_FOLDERS) {
    const names = (await listNames(join(root, folder))).toSorted();
    const inodes = await mapInBatches(names, 64, (name) => readInode(join(root, folder, name)));
    for (const [index, inode] of inodes.entries()) {
      const name = names[index];
      if (name === undefined || inode === null) continue;
      const isMadeUp = folder === "/run/docker/netns" || MADE_UP.test(name);
      const known = files.get(inode);
      if (known !== undefined && (!known.isMadeUp || isMadeUp)) continue;
      files.set(inode, { name, path: `${folder}/${name}`, isMadeUp });
    }
  }
  return files;
}

/**
 * A namespace's file is a bind mount of an inode of nsfs; one that is not mounted (any more) is an ordinary file with an
 * inode that means nothing. They differ by device: all of nsfs is one.
 */
async function readNetnsInode(path: string): Promise<number | null> {
  try {
    const [file, own] = await Promise.all([stat(path), stat("/proc/self/ns/net")]);
    return file.dev === own.dev ? file.ino : null;
  } catch {
    return null;
  }
}
