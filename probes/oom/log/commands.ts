import type { CgroupOwner } from "./cgroup-owner.ts";
import { shellWord, sizeWord } from "./words.ts";

/** A memory cgroup as the log shows it. */
export interface CgroupRef {
  path: string;
  version: 1 | 2 | null;
  owner: CgroupOwner;
  /** A v1 `memory+swap` limit stands in the way of raising the memory limit. */
  memorySwapLimited: boolean;
}

const V1 = "/sys/fs/cgroup/memory";
const V2 = "/sys/fs/cgroup";

function folder(ref: CgroupRef, root: string): string {
  return shellWord(`${root}${ref.path === "/" ? "" : ref.path}`);
}

function file(ref: CgroupRef, root: string, name: string): string {
  return shellWord(`${root}${ref.path === "/" ? "" : ref.path}/${name}`);
}

function writeLimit(ref: CgroupRef, bytes: number): string[] {
  const value = String(bytes);
  const v1 = [`echo ${value} > ${file(ref, V1, "memory.limit_in_bytes")}`];
  if (ref.memorySwapLimited) v1.unshift(`echo ${value} > ${file(ref, V1, "memory.memsw.limit_in_bytes")}`);
  const v2 = [`echo ${value} > ${file(ref, V2, "memory.max")}`];
  if (ref.version === 1) return v1;
  if (ref.version === 2) return v2;
  return [`${v2[0] ?? ""} || ${v1.at(-1) ?? ""}`];
}

function podQuery(uid: string): string {
  const filter = `{range .items[?(@.metadata.uid=="${uid}")]}{.metadata.namespace} {.metadata.name}{end}`;
  return `kubectl get pods -A -o jsonpath='${filter}'`;
}

/** Commands that raise the limit to `bytes`, through whoever manages the cgroup. */
export function raiseLimit(ref: CgroupRef, bytes: number): string[] {
  const { owner } = ref;
  const size = sizeWord(bytes);
  switch (owner.kind) {
    case "docker":
      // Docker refuses a memory limit above the memory+swap limit; twice the memory is its own default.
      return [
        `docker update --memory ${size} --memory-swap ${sizeWord(2 * bytes)} ${owner.containerId ?? ""}`,
      ];
    case "podman":
      return [`podman update --memory ${size} ${owner.containerId ?? ""}`];
    case "kubernetes":
      return [
        `# in the pod's manifest: resources.limits.memory: ${size}i; until the next restart:`,
        ...writeLimit(ref, bytes),
      ];
    case "systemd":
      return [`systemctl set-property ${shellWord(owner.unit ?? "")} MemoryMax=${size}`];
    case "user-unit":
      return [
        `systemctl --user --machine=${String(owner.uid)}@ set-property ${shellWord(owner.unit ?? "")} MemoryMax=${size}`,
      ];
    case "machine":
      return [`systemctl set-property ${shellWord(owner.unit ?? "")} MemoryMax=${size}`];
    case "slurm":
      return [`# ask Slurm for more in the job: sbatch --mem=${size}`];
    case "lxc":
    case "cgroup":
      break;
  }
  return writeLimit(ref, bytes);
}

/** Commands that show the limit, the use and the kills of the cgroup now. */
export function showCgroup(ref: CgroupRef): string[] {
  const { owner } = ref;
  const id = owner.containerId ?? "";
  const show = (root: string, names: string[]): string =>
    `(cd ${folder(ref, root)} && grep . ${names.map((name) => `memory.${name}`).join(" ")})`;
  const v1 = show(V1, ["limit_in_bytes", "usage_in_bytes", "failcnt", "oom_control"]);
  const v2 = show(V2, ["max", "current", "swap.current", "events"]);
  const files = ref.version === 1 ? [v1] : ref.version === 2 ? [v2] : [`${v2} || ${v1}`];
  switch (owner.kind) {
    case "docker":
      return [`docker stats --no-stream ${id}`, ...files];
    case "podman":
      return [`podman stats --no-stream ${id}`, ...files];
    case "kubernetes":
      return owner.podUid === null ? files : [podQuery(owner.podUid), ...files];
    case "systemd":
    case "machine":
      return [
        `systemctl show ${shellWord(owner.unit ?? "")} -p MemoryMax -p MemoryCurrent -p NRestarts`,
        ...files,
      ];
    case "user-unit":
      return [
        `systemctl --user --machine=${String(owner.uid)}@ show ${shellWord(owner.unit ?? "")} -p MemoryMax -p MemoryCurrent`,
        ...files,
      ];
    case "lxc":
    case "slurm":
    case "cgroup":
      break;
  }
  return files;
}

/** The log of the service or container around the kill, where the owner keeps one. */
export function showLog(owner: CgroupOwner): string | null {
  if (owner.kind === "docker") return `docker logs --tail 50 ${owner.containerId ?? ""}`;
  if (owner.kind === "podman") return `podman logs --tail 50 ${owner.containerId ?? ""}`;
  if (owner.kind === "systemd" && owner.unit !== null) return `journalctl -u ${shellWord(owner.unit)} -n 50`;
  if (owner.kind === "kubernetes" && owner.podUid !== null) {
    return `${podQuery(owner.podUid)} | xargs -n 2 sh -c 'kubectl -n "$0" logs --previous --tail=50 "$1"'`;
  }
  return null;
}
