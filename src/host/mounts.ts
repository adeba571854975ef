/** One line of `/proc/self/mounts`. */
export interface Mount {
  readonly path: string;
  readonly type: string;
  readonly options: readonly string[];
}

/** How control groups are mounted. Paths as on the host, without a test's prefix. */
export interface CgroupLayout {
  /** v2: one tree; v1: a tree per controller; hybrid: v1 with an additional v2 tree; null: none mounted. */
  readonly mode: "v1" | "v2" | "hybrid" | null;
  /** Mount point of the v2 tree, or null. */
  readonly unified: string | null;
  /** v1 controller (`memory`, `cpu`, `name=systemd` …) → mount point. Empty in mode v2. */
  readonly controllers: Readonly<Record<string, string>>;
  /** Where the memory controller's files are (`memory.max` or `memory.limit_in_bytes`), or null. */
  readonly memory: string | null;
}

/** All controllers cgroup v1 ever had (linux kernel, include/linux/cgroup_subsys.h); other mount options are plain ones. */
const V1_CONTROLLERS: ReadonlySet<string> = new Set(
  "blkio cpu cpuacct cpuset devices freezer hugetlb memory misc net_cls net_prio perf_event pids rdma".split(
    " ",
  ),
);

/** Parses `/proc/self/mounts`; lines with too few columns are skipped. */
export function parseMounts(text: string): Mount[] {
  const mounts: Mount[] = [];
  for (const line of text.split("\n")) {
    const [, path, type, options] = line.split(" ");
    if (path === undefined || type === undefined) continue;
    mounts.push({ path: unescapeOctal(path), type, options: options?.split(",") ?? [] });
  }
  return mounts;
}

/** The kernel writes space, tab, newline and backslash in paths as `\040` and so on. */
function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}

/** Reads the cgroup layout from the mounts. Only the first mount of each tree counts: later ones are views for containers. */
export function readCgroupLayout(mounts: readonly Mount[]): CgroupLayout {
  const unified = mounts.find((mount) => mount.type === "cgroup2")?.path ?? null;
  const controllers: Record<string, string> = {};
  for (const mount of mounts) {
    if (mount.type !== "cgroup") continue;
    for (const option of mount.options) {
      const isController = V1_CONTROLLERS.has(option) || option.startsWith("name=");
      if (isController) controllers[option] ??= mount.path;
    }
  }
  const hasV1 = Object.keys(controllers).length > 0;
  const mode = hasV1 ? (unified === null ? "v1" : "hybrid") : unified === null ? null : "v2";
  return { mode, unified, controllers, memory: controllers["memory"] ?? (mode === "v2" ? unified : null) };
}
