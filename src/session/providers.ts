import { readFile, stat } from "node:fs/promises";
import { readDevices } from "../evidence/devices.ts";
import { collectKernelThreads } from "../evidence/kthreads/collect.ts";
import { collectNet, leaveOut } from "../evidence/net/snapshot.ts";
import type { NetnsDirectory } from "../host/namespaces.ts";
import { createSocketDirectory } from "../host/sockets.ts";
import type { Json } from "../probe/define.ts";
import type { Providers } from "./live.ts";
import { createSymbolProviders } from "./symbol-providers.ts";

/** Namespaces come and go; looking at all processes again is bounded to once in this many seconds. */
const REFRESH_SECONDS = 1;

/**
 * Namespaces whose counters and rules are read; the ones with drops come first. A Kubernetes node has up to 110 pods, twice that where somebody
 * raised it; 200 take two seconds, and the time is bounded as well (collectNet).
 */
const MAX_NETWORKS = 256;

/**
 * Answers about this machine, null where there is none. `network` (`before`, `after`): counters, rules and settings of
 * all namespaces. `owner` (socket inode): the process that holds it. `netns` (inode): who a namespace is. `device` (`inode/ifindex`): its
 * name. `ksym` (low 32 bits of an address): the kernel function it is in. `cpu` (`before`, `after`): the first line of /proc/stat.
 * `kthreads` (`before`, `after`): all kernel threads and what they work for. `process`, `frames`: see createSymbolProviders.
 */
export function createProviders(netns: NetnsDirectory, first: number | null): Providers {
  const find = createNetnsFinder(netns);
  const devices = new Map<number, Promise<Map<number, string>>>();
  const sockets = createSocketDirectory();
  const interesting = new Set<number>(first === null ? [] : [first]);
  let symbols: Promise<(site: number) => string | null> | null = null;
  return {
    ...createSymbolProviders(),
    cpu: async () => (await readFile("/proc/stat", "latin1")).split("\n", 1)[0] ?? null,
    async kthreads(): Promise<Json> {
      await netns.refresh();
      const places = netns.list().filter(({ kind }) => kind !== "host");
      // Plain data by its type's promise: JSON both ways.
      return (await collectKernelThreads(places)) as unknown as Json;
    },
    async network(key): Promise<Json> {
      await netns.refresh();
      const own = await readNetnsInode("/proc/self/ns/net");
      const targets = netns
        .list()
        .map(({ inode, name, path }) => ({ inode, name, path: inode === own ? null : path }))
        .filter((target) => target.path !== null || target.inode === own)
        .sort((a, b) => Number(interesting.has(b.inode)) - Number(interesting.has(a.inode)));
      // What is compared, and what may have dropped packets and be gone at the end, is read at both ends; how things are set up at the end.
      const read = await collectNet(targets.slice(0, MAX_NETWORKS), { brief: key === "before" });
      return [...read, ...targets.slice(MAX_NETWORKS).map((target) => leaveOut(target, LEFT_OUT))];
    },
    async owner(key): Promise<Json> {
      const owner = await sockets.ownerOf(Number(key));
      return owner === null ? null : { pid: owner.pid, comm: owner.comm };
    },
    async netns(key): Promise<Json> {
      interesting.add(Number(key));
      const info = await find(Number(key));
      return info === null
        ? null
        : { ...info, container: info.container === null ? null : { ...info.container } };
    },
    async device(key): Promise<Json> {
      const [inode = 0, ifindex = 0] = key.split("/").map(Number);
      let known = devices.get(inode);
      if (known === undefined)
        devices.set(
          inode,
          (known = find(inode).then(async (info) => {
            const names = info === null ? null : await readDevices(info.kind === "host" ? null : info.path);
            return names ?? new Map<number, string>();
          })),
        );
      return (await known).get(ifindex) ?? null;
    },
    async ksym(key): Promise<Json> {
      symbols ??= readKernelSymbols();
      return (await symbols)(Number(key));
    },
  };
}

const LEFT_OUT = `this host has more than ${MAX_NETWORKS}; --netns reads one that is asked for`;

function createNetnsFinder(netns: NetnsDirectory) {
  let refreshed = -Infinity;
  let running: Promise<void> | null = null;
  return async (inode: number) => {
    if (netns.byInode(inode) === null && performance.now() - refreshed > REFRESH_SECONDS * 1000) {
      running ??= netns.refresh().finally(() => {
        refreshed = performance.now();
        running = null;
      });
      await running;
    }
    return netns.byInode(inode);
  };
}

/** Inode of the namespace a file stands for; null where it cannot be read. */
async function readNetnsInode(path: string): Promise<number | null> {
  return stat(path).then(
    (found) => found.ino,
    () => null,
  );
}

/**
 * Kernel functions by the low 32 bits of their addresses, from /proc/kallsyms (root only; zeros otherwise). Text and modules of
 * one kernel lie within 2 GiB (Documentation/arch/x86/x86_64/mm.rst; arm64 the same), so the low half names them.
 */
async function readKernelSymbols(): Promise<(site: number) => string | null> {
  const addresses: number[] = [];
  const names: string[] = [];
  const text = await readFile("/proc/kallsyms", "latin1");
  const pattern = /^[0-9a-f]{8}([0-9a-f]{8}) [tTwW] (\S+)/gm;
  for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
    addresses.push(Number.parseInt(match[1] ?? "0", 16));
    names.push(match[2] ?? "");
  }
  const order = Uint32Array.from(addresses.keys()).sort((a, b) => (addresses[a] ?? 0) - (addresses[b] ?? 0));
  return (site) => {
    let low = 0;
    let high = order.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((addresses[order[middle] ?? 0] ?? 0) <= site) low = middle + 1;
      else high = middle;
    }
    const found = low === 0 ? undefined : order[low - 1];
    return found === undefined || addresses[found] === 0 ? null : (names[found] ?? null);
  };
}
