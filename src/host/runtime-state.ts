import { join } from "node:path";
import type { ContainerRuntime } from "./cgroup-path.ts";
import { listNames, readJson, readText } from "./read.ts";

/** What a runtime's files on disk say about one container. Names come from users: hostile data. */
export interface RuntimeRecord {
  readonly runtime: ContainerRuntime;
  readonly name: string | null;
  readonly image: string | null;
  readonly pod: string | null;
  readonly podNamespace: string | null;
  readonly podUid: string | null;
  /** The container that only holds the pod's namespaces ("pause"). */
  readonly isSandbox: boolean;
  /** Path of its network namespace where the runtime made one (`/run/netns/cni-…`), or null. */
  readonly netnsPath: string | null;
}

/** Where containerd keeps the bundles of running tasks: itself, k3s and rke2, microk8s. */
const CONTAINERD_STATES = [
  "/run/containerd/io.containerd.runtime.v2.task",
  "/run/k3s/containerd/io.containerd.runtime.v2.task",
  "/var/snap/microk8s/common/run/containerd/io.containerd.runtime.v2.task",
];
const STORAGE_FOLDERS = ["/run/containers/storage", "/var/lib/containers/storage"];
const STORAGE_DRIVERS = ["overlay", "vfs", "btrfs", "zfs"];
const MAX_NAME = 256;

/** Looks the container up in the state of every runtime that could have made it; no daemon is asked. */
export async function readRuntimeRecord(
  root: string,
  runtime: ContainerRuntime,
  id: string,
): Promise<RuntimeRecord | null> {
  // An id becomes part of a path: hex digits only.
  if (!/^[0-9a-f]{64}$/.test(id)) return null;
  // Docker runs its containers by containerd: its bundle is there too, but without the name.
  const readers: Record<string, readonly Reader[]> = {
    docker: [readDocker, readContainerd],
    containerd: [readContainerd],
    "cri-o": [readCrio],
    podman: [readPodman],
    unknown: [readDocker, readContainerd, readCrio, readPodman],
  };
  for (const reader of readers[runtime] ?? []) {
    const record = await reader(root, id);
    if (record !== null) return record;
  }
  return null;
}

type Reader = (root: string, id: string) => Promise<RuntimeRecord | null>;

async function readDocker(root: string, id: string): Promise<RuntimeRecord | null> {
  const configured = field(await readJson(join(root, "/etc/docker/daemon.json")), "data-root");
  for (const folder of [text(configured), "/var/lib/docker", "/var/snap/docker/common/var-lib-docker"]) {
    if (folder === null) continue;
    const state = await readJson(join(root, folder, "containers", id, "config.v2.json"));
    if (state === null) continue;
    const config = field(state, "Config");
    return {
      ...readPod(field(config, "Labels")),
      runtime: "docker",
      name: text(field(state, "Name"))?.replace(/^\//, "") ?? null,
      image: text(field(config, "Image")),
      netnsPath: text(field(field(state, "NetworkSettings"), "SandboxKey")),
    };
  }
  return null;
}

async function readContainerd(root: string, id: string): Promise<RuntimeRecord | null> {
  for (const state of CONTAINERD_STATES) {
    for (const namespace of await listNames(join(root, state))) {
      const bundle = await readJson(join(root, state, namespace, id, "config.json"));
      if (bundle !== null) return readBundle(bundle, namespace === "moby" ? "docker" : "containerd");
    }
  }
  return null;
}

async function readCrio(root: string, id: string): Promise<RuntimeRecord | null> {
  for (const path of storagePaths(root, `${id}/userdata/config.json`)) {
    const bundle = await readJson(path);
    if (bundle !== null) return readBundle(bundle, "cri-o");
  }
  return null;
}

async function readPodman(root: string, id: string): Promise<RuntimeRecord | null> {
  const lists = storagePaths(root, "containers.json");
  // Rootless: in the home of the user. One small file a user.
  for (const line of ((await readText(join(root, "/etc/passwd"))) ?? "").split("\n")) {
    const home = line.split(":")[5];
    if (home?.startsWith("/") !== true || home === "/") continue;
    for (const driver of STORAGE_DRIVERS) {
      lists.push(
        join(root, home, ".local/share/containers/storage", `${driver}-containers`, "containers.json"),
      );
    }
  }
  for (const path of new Set(lists)) {
    const list = await readJson(path);
    const entry = Array.isArray(list) ? list.find((item: unknown) => field(item, "id") === id) : undefined;
    if (entry === undefined) continue;
    const metadata = parseObject(field(entry, "metadata"));
    const names = field(entry, "names");
    return {
      ...readPod(null),
      runtime: "podman",
      name: text(field(metadata, "name")) ?? (Array.isArray(names) ? text(names[0]) : null),
      image: text(field(metadata, "image-name")),
      netnsPath: null,
    };
  }
  return null;
}

function storagePaths(root: string, rest: string): string[] {
  return STORAGE_FOLDERS.flatMap((folder) =>
    STORAGE_DRIVERS.map((driver) => join(root, folder, `${driver}-containers`, rest)),
  );
}

/** An OCI bundle's config.json: the annotations of containerd's CRI, of CRI-O, and of nerdctl. */
function readBundle(bundle: unknown, runtime: ContainerRuntime): RuntimeRecord {
  const notes = field(bundle, "annotations");
  const namespaces = field(field(bundle, "linux"), "namespaces");
  const network: unknown = Array.isArray(namespaces)
    ? namespaces.find((item: unknown) => field(item, "type") === "network")
    : null;
  return {
    ...readPod(notes),
    runtime,
    name: firstText(notes, [
      "io.kubernetes.cri.container-name",
      "io.kubernetes.container.name",
      "nerdctl/name",
      "io.kubernetes.cri-o.Name",
    ]),
    image: firstText(notes, [
      "io.kubernetes.cri.image-name",
      "io.kubernetes.cri-o.ImageName",
      "io.kubernetes.cri-o.Image",
    ]),
    netnsPath: text(field(network, "path")),
  };
}

/** The pod in a set of labels or annotations; the kubelet's labels are the same with every runtime. */
function readPod(notes: unknown): Pick<RuntimeRecord, "pod" | "podNamespace" | "podUid" | "isSandbox"> {
  const type = firstText(notes, [
    "io.kubernetes.cri.container-type",
    "io.kubernetes.cri-o.ContainerType",
    "io.kubernetes.docker.type",
  ]);
  return {
    pod: firstText(notes, [
      "io.kubernetes.cri.sandbox-name",
      "io.kubernetes.pod.name",
      "io.kubernetes.cri-o.KubeName",
    ]),
    podNamespace: firstText(notes, [
      "io.kubernetes.cri.sandbox-namespace",
      "io.kubernetes.pod.namespace",
      "io.kubernetes.cri-o.Namespace",
    ]),
    podUid: firstText(notes, ["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"]),
    isSandbox: type === "sandbox" || type === "podsandbox",
  };
}

/** The pod with that uid, from the folders of its logs: `/var/log/pods/NAMESPACE_NAME_UID` (the kubelet makes them). */
export async function findPodName(
  root: string,
  uid: string,
): Promise<{ pod: string; podNamespace: string } | null> {
  for (const folder of await listNames(join(root, "/var/log/pods"))) {
    const [podNamespace, pod, podUid, ...rest] = folder.split("_");
    if (podUid === uid && rest.length === 0 && pod && podNamespace) return { pod, podNamespace };
  }
  return null;
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return null;
  return Object.getOwnPropertyDescriptor(value, name)?.value ?? null;
}

function text(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value.slice(0, MAX_NAME) : null;
}

function firstText(value: unknown, names: readonly string[]): string | null {
  for (const name of names) {
    const found = text(field(value, name));
    if (found !== null) return found;
  }
  return null;
}

function parseObject(value: unknown): unknown {
  if (typeof value !== "string") return null;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return null;
  }
}
