/** Who makes containers. `unknown`: a container for sure, of a runtime that the path does not tell. */
export type ContainerRuntime =
  | "docker"
  | "containerd"
  | "cri-o"
  | "podman"
  | "lxc"
  | "systemd-nspawn"
  | "unknown";

/** What a cgroup path tells by itself. Parts of it come from users: hostile data. */
export interface CgroupIdentity {
  /** The innermost container, or null. `id` is 64 hex digits, or a name for lxc, nspawn and `ctr`. */
  readonly container: { readonly runtime: ContainerRuntime; readonly id: string } | null;
  /** Kubernetes' id of the pod, or null. */
  readonly podUid: string | null;
  /** The innermost systemd unit outside of containers (under `user@N.service` one of that user), or null. */
  readonly unit: string | null;
}

const ID = "[0-9a-f]{64}";

/** Names of systemd scopes and cgroupfs folders that hold one container. The monitors beside it (`…-conmon-ID`) do not match. */
const CONTAINER_FOLDERS: readonly (readonly [pattern: RegExp, runtime: ContainerRuntime])[] = [
  [new RegExp(`^docker-(${ID})\\.scope$`), "docker"],
  [new RegExp(`^(?:cri-containerd|nerdctl)-(${ID})\\.scope$`), "containerd"],
  [new RegExp(`^crio-(${ID})(?:\\.scope)?$`), "cri-o"],
  [new RegExp(`^libpod-(${ID})(?:\\.scope)?$`), "podman"],
  // containerd asked for systemd names on a host without them: `….slice:cri-containerd:ID`
  [new RegExp(`:cri-containerd:(${ID})$`), "containerd"],
  [/^lxc\.payload\.(.+)$/, "lxc"],
  [/^machine-(.+)\.scope$/, "systemd-nspawn"],
  [/^systemd-nspawn@(.+)\.service$/, "systemd-nspawn"],
];

/** A folder named by a bare id tells its runtime by the folder above. */
const PARENT_RUNTIMES: Readonly<Record<string, ContainerRuntime>> = {
  docker: "docker",
  libpod_parent: "podman",
  "lxc.payload": "lxc",
  lxc: "lxc",
};

/** `pod<uid>` (cgroupfs) and `kubepods-burstable-pod<uid, "_" for "-">.slice` (systemd). */
const POD =
  /(?:^|-)pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice|$|(?=\.slice:))/;

/**
 * Reads a cgroup path as it stands in `/proc/PID/cgroup` or in an OOM report (`task_memcg=`). With containers inside
 * containers the innermost counts.
 */
export function readCgroupPath(path: string): CgroupIdentity {
  const folders = path.split("/").filter((folder) => folder !== "");
  let container: CgroupIdentity["container"] = null;
  let podUid: string | null = null;
  let unit: string | null = null;
  for (const [index, folder] of folders.entries()) {
    const pod = POD.exec(folder)?.[1];
    if (pod !== undefined) podUid = pod.replaceAll("_", "-");
    // What a systemd inside a container calls a unit, this host's systemctl does not know.
    if (container === null && /\.(?:service|scope)$/.test(folder)) unit = folder;
    container = readContainerFolder(folder, folders[index - 1] ?? "", podUid) ?? container;
  }
  return { container, podUid, unit };
}

function readContainerFolder(
  folder: string,
  parent: string,
  podUid: string | null,
): CgroupIdentity["container"] {
  for (const [pattern, runtime] of CONTAINER_FOLDERS) {
    const id = pattern.exec(folder)?.[1];
    if (id === undefined) continue;
    // `machine-qemu\x2d1\x2dvm.scope` is a virtual machine, not a container.
    if (runtime === "systemd-nspawn" && id.startsWith("qemu\\x2d")) return null;
    return { runtime, id: runtime === "systemd-nspawn" ? unescapeUnit(id) : id };
  }
  const runtime = Object.hasOwn(PARENT_RUNTIMES, parent) ? PARENT_RUNTIMES[parent] : undefined;
  if (runtime === "lxc") return folder.startsWith(".") ? null : { runtime, id: folder };
  if (!new RegExp(`^${ID}$`).test(folder)) return null;
  // Under a pod the runtime is not in the path (cgroupfs driver); the state on disk tells.
  return {
    runtime: runtime ?? (podUid === null && parent === "default" ? "containerd" : "unknown"),
    id: folder,
  };
}

/** systemd writes `-` in names as `\x2d`. */
function unescapeUnit(text: string): string {
  return text.replaceAll(/\\x([0-9a-f]{2})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 16)),
  );
}

/**
 * The path in `/proc/PID/cgroup` that tells most: one with a container, else the v2 path, else the memory controller's,
 * else systemd's. Null when the text has none.
 */
export function chooseCgroupPath(text: string): string | null {
  let best: { path: string; score: number } | null = null;
  for (const line of text.split("\n")) {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    const [, controllers = "", path] = match ?? [];
    if (path === undefined) continue;
    const identity = readCgroupPath(path);
    const place =
      controllers === "" ? 3 : /\bmemory\b/.test(controllers) ? 2 : controllers === "name=systemd" ? 1 : 0;
    const score =
      place +
      (identity.container === null ? 0 : 100) +
      (identity.unit === null ? 0 : 20) +
      (path === "/" ? 0 : 10);
    if (best === null || score > best.score) best = { path, score };
  }
  return best?.path ?? null;
}
