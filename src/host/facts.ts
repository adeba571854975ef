import { hostname as readHostname, machine } from "node:os";
import { dirname, join } from "node:path";
import { EXIT, TraceError } from "../error.ts";
import { findContainerHint, isInitialPidNamespace } from "./container-hint.ts";
import { findBpftrace, type BpftraceTool } from "./find-bpftrace.ts";
import { parseMounts, readCgroupLayout, type CgroupLayout, type Mount } from "./mounts.ts";
import {
  countCpus,
  isInitialUidMap,
  parseAuxv,
  parseCapabilities,
  parseIsRoot,
  parseMemlock,
  type Capabilities,
} from "./process-limits.ts";
import { canRead, exists, listNames, readBytes, readNumber, readText } from "./read.ts";
import type { RunTool } from "./run-tool.ts";
import { parseVersion, type Version } from "./version.ts";

/** What is known about this machine, read once. Plain data: it can go into a recording as it is. */
export interface HostFacts {
  /** Prefix of every path below; "" but in tests. */
  readonly root: string;
  readonly hostname: string;
  readonly kernel: { readonly release: string; readonly version: Version | null };
  /** As `uname -m` says: `x86_64`, `aarch64`. */
  readonly arch: string;
  /** Bytes. */
  readonly pageSize: number;
  /** Ticks a second in which `/proc/PID/stat` counts (USER_HZ). */
  readonly clockTicks: number;
  /** Online processors. */
  readonly cpus: number;
  /** Seconds since 1970, whole: the kernel gives no more. */
  readonly bootTime: number | null;
  readonly isRoot: boolean;
  readonly capabilities: Capabilities;
  /** Root of a user namespace is no root for BPF. */
  readonly initialUserNamespace: boolean | null;
  /** False where process ids here are not those the kernel's programs see. */
  readonly initialPidNamespace: boolean | null;
  /** What says that this is a container (`/.dockerenv`, `container=lxc` …), or null. */
  readonly container: string | null;
  /** Path of the kernel's own BTF, or null. */
  readonly btf: string | null;
  /** Whether a loaded module has types of its own beside it; a distribution's kernel before 5.11 may have them, too. */
  readonly moduleBtf: boolean;
  /** The first tracefs whose events can be read, or null. */
  readonly tracefs: string | null;
  /** Where tracefs is mounted, readable or not, or null. */
  readonly tracefsMount: string | null;
  /** Whether the kernel knows the file system; null when unknown. */
  readonly tracefsSupported: boolean | null;
  readonly debugfsMounted: boolean;
  /** Whether `kprobe_events` / `uprobe_events` exist; null without tracefs. */
  readonly kprobes: boolean | null;
  readonly uprobes: boolean | null;
  /** `none`, `integrity` or `confidentiality`; null where the kernel has no lockdown or does not show it. */
  readonly lockdown: string | null;
  /** `kernel.perf_event_*`; null without perf events. */
  readonly perf: {
    readonly paranoid: number | null;
    readonly maxStack: number | null;
    readonly maxSampleRate: number | null;
  };
  readonly unprivilegedBpfDisabled: number | null;
  readonly memlockBytes: number | "unlimited" | null;
  readonly cgroup: CgroupLayout;
  readonly bpftrace: BpftraceTool | null;
  /** What is wrong with the bpftrace that was asked for or found; null also where none is installed. */
  readonly bpftraceProblem: string | null;
}

export interface FactsOptions {
  /** Prefix of every path that is read (tests). */
  readonly root?: string;
  /** `--bpftrace`. */
  readonly bpftracePath?: string | null;
  /** Runs `bpftrace --version`; without it the version stays unknown. */
  readonly run?: RunTool;
  readonly env?: { readonly PATH?: string | undefined; readonly TRACE_BPFTRACE?: string | undefined };
}

const TRACEFS_PLACES = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
const BTF = "/sys/kernel/btf/vmlinux";
/** Every 64-bit Linux but for a few with larger pages; only used where the auxiliary vector cannot be read. */
const USUAL_PAGE_SIZE = 4096;
/** USER_HZ is 100 on everything that runs Node. */
const USUAL_CLOCK_TICKS = 100;

/**
 * Reads what this machine is and allows. Missing knowledge is null. Throws TraceError (exit 3) only where there is no
 * Linux to ask.
 */
export async function readHostFacts(options: FactsOptions = {}): Promise<HostFacts> {
  const root = options.root ?? "";
  const at = (path: string): string => join(root, path);
  const release = (await readText(at("/proc/sys/kernel/osrelease")))?.trim();
  if (release === undefined) {
    throw new TraceError(EXIT.host, "this machine cannot be traced", {
      why: "/proc/sys/kernel/osrelease cannot be read: not Linux, or /proc is not mounted",
      hint: "trace replay FILE shows a recording on any machine",
    });
  }
  const [status, mountsText, auxv] = await Promise.all([
    readText(at("/proc/self/status")),
    readText(at("/proc/self/mounts")),
    readBytes(at("/proc/self/auxv")),
  ]);
  const mounts = parseMounts(mountsText ?? "");
  const sizes = parseAuxv(auxv ?? Buffer.alloc(0));
  const uidMap = await readText(at("/proc/self/uid_map"));
  const tracefs = await findTracefs(at);
  const search = await findBpftrace({
    requested: options.bpftracePath ?? null,
    env: options.env ?? process.env,
    root,
    run: options.run ?? null,
  });
  return {
    root,
    hostname: (await readText(at("/proc/sys/kernel/hostname")))?.trim() ?? readHostname(),
    kernel: { release, version: parseVersion(release) },
    arch: (await readText(at("/proc/sys/kernel/arch")))?.trim() ?? machine(),
    pageSize: sizes.pageSize ?? USUAL_PAGE_SIZE,
    clockTicks: sizes.clockTicks ?? USUAL_CLOCK_TICKS,
    cpus: countCpus((await readText(at("/sys/devices/system/cpu/online"))) ?? "") ?? 1,
    bootTime: readBootTime((await readText(at("/proc/stat"))) ?? ""),
    isRoot: parseIsRoot(status ?? ""),
    capabilities: parseCapabilities(status ?? ""),
    initialUserNamespace: uidMap === null ? null : isInitialUidMap(uidMap),
    initialPidNamespace: await isInitialPidNamespace(root),
    container: await findContainerHint(root),
    btf: (await canRead(at(BTF))) ? BTF : null,
    moduleBtf: (await listNames(dirname(at(BTF)))).some((name) => name !== "vmlinux"),
    tracefs,
    ...(await readTracingSupport(at, mounts, tracefs)),
    lockdown: /\[(\w+)\]/.exec((await readText(at("/sys/kernel/security/lockdown"))) ?? "")?.[1] ?? null,
    perf: {
      paranoid: await readNumber(at("/proc/sys/kernel/perf_event_paranoid")),
      maxStack: await readNumber(at("/proc/sys/kernel/perf_event_max_stack")),
      maxSampleRate: await readNumber(at("/proc/sys/kernel/perf_event_max_sample_rate")),
    },
    unprivilegedBpfDisabled: await readNumber(at("/proc/sys/kernel/unprivileged_bpf_disabled")),
    memlockBytes: parseMemlock((await readText(at("/proc/self/limits"))) ?? ""),
    cgroup: readCgroupLayout(mounts),
    bpftrace: search.tool,
    bpftraceProblem: search.problem,
  };
}

async function findTracefs(at: (path: string) => string): Promise<string | null> {
  for (const place of TRACEFS_PLACES) {
    if (await canRead(at(`${place}/events`))) return place;
  }
  return null;
}

async function readTracingSupport(
  at: (path: string) => string,
  mounts: readonly Mount[],
  tracefs: string | null,
): Promise<Pick<HostFacts, "tracefsMount" | "tracefsSupported" | "debugfsMounted" | "kprobes" | "uprobes">> {
  const fileSystems = await readText(at("/proc/filesystems"));
  const has = async (file: string): Promise<boolean | null> =>
    tracefs === null ? null : exists(at(`${tracefs}/${file}`));
  return {
    tracefsMount: mounts.find((mount) => mount.type === "tracefs")?.path ?? tracefs,
    tracefsSupported: fileSystems === null ? null : /^nodev\ttracefs$/m.test(fileSystems),
    debugfsMounted: mounts.some((mount) => mount.type === "debugfs"),
    kprobes: await has("kprobe_events"),
    uprobes: await has("uprobe_events"),
  };
}

function readBootTime(stat: string): number | null {
  const seconds = /^btime (\d{1,12})$/m.exec(stat)?.[1];
  return seconds === undefined ? null : Number(seconds);
}
