/** Who made a cgroup, by the naming habits of container runtimes and systemd. */
export type OwnerKind =
  | "docker"
  | "podman"
  | "kubernetes"
  | "lxc"
  | "machine"
  | "slurm"
  | "user-unit"
  | "systemd"
  | "cgroup";

export interface CgroupOwner {
  kind: OwnerKind;
  /** Short name for a reader: "docker container 5f1a2b3c4d5e", "nginx.service". */
  label: string;
  /** Container id (64 hex digits), where the path holds one. */
  containerId: string | null;
  podUid: string | null;
  /** systemd unit that has the cgroup. */
  unit: string | null;
  /** uid of the user manager a unit belongs to. */
  uid: number | null;
  /** Name of an LXC container or a virtual machine. */
  name: string | null;
}

const CONTAINER = /(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?:\/|$)/;
const POD =
  /[/-]pod([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12}|[0-9a-f]{32})(?:\.slice)?(?:[/:]|$)/;
const UNIT = /^(.+\.(?:service|scope|slice|socket|mount|swap))$/;

function short(id: string): string {
  return id.slice(0, 12);
}

function unitOf(path: string): { unit: string | null; uid: number | null } {
  const parts = path.split("/").filter((part) => part !== "");
  const unit = parts.findLast((part) => UNIT.test(part)) ?? null;
  const manager = parts.findIndex((part) => /^user@\d+\.service$/.test(part));
  const inUser = manager >= 0 && unit !== parts[manager];
  return { unit, uid: inUser ? Number((parts[manager] ?? "").slice(5, -8)) : null };
}

function container(path: string, id: string): Pick<CgroupOwner, "kind" | "label"> | null {
  if (/libpod[-_]/.test(path)) return { kind: "podman", label: `podman container ${short(id)}` };
  if (/\/docker[/-]|^\/docker\//.test(path))
    return { kind: "docker", label: `docker container ${short(id)}` };
  return null;
}

function named(path: string): { kind: OwnerKind; label: string; name: string } | null {
  const lxc = /\/lxc(?:\.payload)?[./]([^/]+)/.exec(path)?.[1];
  if (lxc !== undefined) return { kind: "lxc", label: `LXC container ${lxc}`, name: lxc };
  const job = /\/slurm[^/]*\/.*?job_(\d+)/.exec(path)?.[1];
  if (job !== undefined) return { kind: "slurm", label: `Slurm job ${job}`, name: job };
  const machine = /\/machine\.slice\/machine-([^/]+)\.scope/.exec(path)?.[1];
  if (machine !== undefined) {
    // systemd escapes "-" in unit names: machine-qemu\x2d1\x2dweb.scope.
    const name = machine.replace(/\\x([0-9a-f]{2})/g, (_, hex: string) =>
      String.fromCharCode(Number.parseInt(hex, 16)),
    );
    return { kind: "machine", label: `machine ${name}`, name };
  }
  return null;
}

/** Reads a cgroup path as the kernel prints it (from the root of the hierarchy). The path is hostile text. */
export function findOwner(path: string): CgroupOwner {
  const containerId = CONTAINER.exec(path)?.[1] ?? null;
  const podUid = POD.exec(path)?.[1]?.replaceAll("_", "-") ?? null;
  const { unit, uid } = unitOf(path);
  const base = { containerId, podUid, unit, uid, name: null };
  if (podUid !== null || path.startsWith("/kubepods")) {
    const what = podUid === null ? "Kubernetes pods" : `pod ${podUid}`;
    return {
      ...base,
      kind: "kubernetes",
      label: containerId === null ? what : `container ${short(containerId)} of ${what}`,
    };
  }
  const runtime = containerId === null ? null : container(path, containerId);
  if (runtime !== null) return { ...base, ...runtime };
  const other = named(path);
  if (other !== null) return { ...base, ...other };
  if (unit !== null) return { ...base, kind: uid === null ? "systemd" : "user-unit", label: unit };
  return { ...base, kind: "cgroup", label: path === "/" ? "the root cgroup" : `cgroup ${path}` };
}
