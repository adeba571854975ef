import { join } from "node:path";
import { chooseCgroupPath, readCgroupPath, type ContainerRuntime } from "./cgroup-path.ts";
import { readText } from "./read.ts";
import { findPodName, readRuntimeRecord } from "./runtime-state.ts";

/** A container, as far as its cgroup path and the runtime's files tell. All names are hostile data. */
export interface ContainerInfo {
  readonly runtime: ContainerRuntime;
  /** 64 hex digits, or the name for lxc and systemd-nspawn; null for the cgroup of a whole pod. */
  readonly id: string | null;
  readonly name: string | null;
  readonly image: string | null;
  readonly pod: string | null;
  readonly podNamespace: string | null;
  readonly podUid: string | null;
  /** It only holds the namespaces of its pod. */
  readonly isSandbox: boolean;
  /** Its network namespace's file, where the runtime names one. */
  readonly netnsPath: string | null;
}

/** Whose cgroup a path is. At least one of the two is known. */
export interface CgroupOwner {
  readonly container: ContainerInfo | null;
  /** systemd unit, as `systemctl` knows it. */
  readonly unit: string | null;
}

export interface ContainerDirectory {
  /** Owner of a cgroup path, as in `/proc/PID/cgroup` or in an OOM report's `task_memcg=`; null for the root and unknown ones. */
  byCgroup(path: string): Promise<CgroupOwner | null>;
  /** Owner of the cgroup that a process is in; null when it is gone. Not cached: a pid can be used again. */
  byPid(pid: number): Promise<CgroupOwner | null>;
}

/** More distinct cgroups than this are not remembered. */
const MAX_CACHED = 10_000;

/** Tells containers, pods and units by cgroup, from disk alone. What was found is remembered. `root` prefixes all paths (tests). */
export function createContainerDirectory(options: { readonly root?: string } = {}): ContainerDirectory {
  const root = options.root ?? "";
  const cache = new Map<string, Promise<CgroupOwner | null>>();

  function byCgroup(path: string): Promise<CgroupOwner | null> {
    const known = cache.get(path);
    if (known !== undefined) return known;
    const owner = findOwner(root, path);
    if (cache.size >= MAX_CACHED) cache.clear();
    cache.set(path, owner);
    return owner;
  }

  return {
    byCgroup,
    async byPid(pid) {
      const text = await readText(join(root, `/proc/${pid}/cgroup`));
      const path = text === null ? null : chooseCgroupPath(text);
      return path === null ? null : byCgroup(path);
    },
  };
}

async function findOwner(root: string, path: string): Promise<CgroupOwner | null> {
  const { container, podUid, unit } = readCgroupPath(path);
  if (container === null) {
    if (podUid !== null) return { container: await describePod(root, podUid), unit };
    return unit === null ? null : { container: null, unit };
  }
  const record = await readRuntimeRecord(root, container.runtime, container.id);
  const pod = podUid !== null && (record?.pod ?? null) === null ? await findPodName(root, podUid) : null;
  const isNamed = container.runtime === "lxc" || container.runtime === "systemd-nspawn";
  return {
    unit,
    container: {
      runtime: record?.runtime ?? container.runtime,
      id: container.id,
      name: record?.name ?? (isNamed ? container.id : null),
      image: record?.image ?? null,
      pod: record?.pod ?? pod?.pod ?? null,
      podNamespace: record?.podNamespace ?? pod?.podNamespace ?? null,
      podUid: record?.podUid ?? podUid,
      isSandbox: record?.isSandbox ?? false,
      netnsPath: record?.netnsPath ?? null,
    },
  };
}

/** A pod's own cgroup, above those of its containers: OOM reports name it when the pod's limit was hit. */
async function describePod(root: string, podUid: string): Promise<ContainerInfo> {
  const pod = await findPodName(root, podUid);
  return {
    runtime: "unknown",
    id: null,
    name: null,
    image: null,
    pod: pod?.pod ?? null,
    podNamespace: pod?.podNamespace ?? null,
    podUid,
    isSandbox: false,
    netnsPath: null,
  };
}

/** The first 12 digits of an id, as `docker ps` shows it; names stay whole. */
function shortenId(id: string): string {
  return /^[0-9a-f]{64}$/.test(id) ? id.slice(0, 12) : id;
}

/** One name for people: `pod shop/api-7d9f (api)`, `docker container web`, `nginx.service`. The text is hostile data still. */
export function describeOwner(owner: CgroupOwner): string {
  const { container, unit } = owner;
  if (container === null) return unit ?? "";
  const name = container.name ?? shortenId(container.id ?? "");
  if (container.pod !== null) {
    const pod =
      container.podNamespace === null ? container.pod : `${container.podNamespace}/${container.pod}`;
    return container.isSandbox || container.name === null ? `pod ${pod}` : `pod ${pod} (${container.name})`;
  }
  if (container.podUid !== null) return `pod ${container.podUid}${name === "" ? "" : ` (${name})`}`;
  return container.runtime === "unknown" ? `container ${name}` : `${container.runtime} container ${name}`;
}
