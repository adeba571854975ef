import type { Check, CheckRow } from "./check.ts";
import { checkBpftrace } from "./doctor-bpftrace.ts";
import { checkDropEvents, checkOomEvents, checkTcpEvents } from "./doctor-events.ts";
import type { DoctorInput } from "./doctor-input.ts";
import {
  checkBtf,
  checkKernel,
  checkKprobes,
  checkLockdown,
  checkPerfEvents,
  checkTracefs,
} from "./doctor-kernel.ts";
import type { HostFacts } from "./facts.ts";
import { installCommand } from "./packages.ts";
import { checkPrivileges } from "./privileges.ts";
import { HELPER_TOOLS } from "./tools.ts";
import { isAtLeast, parseVersion } from "./version.ts";

/** The command behind `fixable: "mount-tracefs"`. */
export const MOUNT_TRACEFS = "mount -t tracefs -o nosuid,nodev,noexec tracefs /sys/kernel/tracing".split(" ");
/** The command behind `fixable: "mount-debugfs"`. */
export const MOUNT_DEBUGFS = "mount -t debugfs -o nosuid,nodev,noexec debugfs /sys/kernel/debug".split(" ");

/** All rows, in the order of the table. Pure: everything was read before. */
export function checkHost(facts: HostFacts, input: DoctorInput): Check[] {
  const sudo = facts.isRoot ? "" : "sudo ";
  const asCommand = (command: readonly string[] | null): string | null =>
    command === null ? null : sudo + command.join(" ");
  const rows: CheckRow[] = [
    checkRights(facts),
    checkKernel(facts),
    checkTracefs(facts, asCommand(MOUNT_TRACEFS)),
    checkBpftrace(facts, input, {
      install: (name) => asCommand(installCommand(input.osRelease, name)),
      mountDebugfs: asCommand(MOUNT_DEBUGFS),
    }),
    checkLockdown(facts),
    checkDropEvents(facts, input),
    checkTcpEvents(facts, input),
    checkOomEvents(facts, input),
    checkBtf(facts),
    checkKprobes(facts),
    checkPerfEvents(facts, sudo),
    ...checkTools(input, (name) => asCommand(installCommand(input.osRelease, name))),
    checkNamespaces(facts, input),
    checkCgroups(facts),
    checkKernelLog(input),
    ...checkSurroundings(facts),
    checkNode(input),
  ];
  return rows.map((row) => ({ repair: null, fixable: null, required: false, ...row }));
}

/** Whether everything that `trace drops` needs is there. */
export function canTraceDrops(checks: readonly Check[]): boolean {
  return checks.every((check) => !check.required || check.status !== "missing");
}

function checkRights(facts: HostFacts): CheckRow {
  const { ok, why } = checkPrivileges(facts);
  const repair = ok || facts.initialUserNamespace === false || facts.isRoot ? null : "sudo trace doctor";
  return {
    id: "privileges",
    what: "privileges",
    status: ok ? "ok" : "missing",
    detail: why,
    repair,
    required: true,
  };
}

function checkTools(
  input: DoctorInput,
  install: (name: Parameters<typeof installCommand>[1]) => string | null,
): CheckRow[] {
  const isThere = (name: string): boolean => (input.tools[name] ?? null) !== null;
  const found = HELPER_TOOLS.filter(({ name }) => isThere(name)).map(({ name }) => name);
  const rows: CheckRow[] = HELPER_TOOLS.filter(({ name }) => !isThere(name)).map((tool) => ({
    id: `tool-${tool.name}`,
    what: tool.name,
    status: tool.optional ? "ok" : "limited",
    detail: `not installed${tool.optional ? " (optional)" : ""}: ${tool.loss}`,
    repair: install(tool.package),
  }));
  if (found.length === 0) return rows;
  return [{ id: "tools", what: "helper tools", status: "ok", detail: found.join(", ") }, ...rows];
}

function checkNamespaces(facts: HostFacts, input: DoctorInput): CheckRow {
  const row = { id: "netns", what: "namespaces" };
  if (!facts.capabilities.CAP_SYS_ADMIN) {
    return {
      ...row,
      status: "limited",
      detail: "other network namespaces need CAP_SYS_ADMIN: only this one is read",
    };
  }
  if ((input.tools["nsenter"] ?? null) === null) {
    return {
      ...row,
      status: "limited",
      detail: "nsenter is not installed: only this network namespace is read",
    };
  }
  return { ...row, status: "ok", detail: "other network namespaces can be entered" };
}

function checkCgroups(facts: HostFacts): CheckRow {
  const { mode, memory, unified } = facts.cgroup;
  const row = { id: "cgroups", what: "cgroups" };
  if (mode === null) {
    return { ...row, status: "limited", detail: "not mounted: memory limits are not read" };
  }
  const place = memory ?? unified;
  return { ...row, status: "ok", detail: `${mode}, memory at ${place ?? "no mount point"}` };
}

function checkKernelLog(input: DoctorInput): CheckRow {
  const row = { id: "kernel-log", what: "kernel log" };
  if (input.kernelLogReadable) return { ...row, status: "ok", detail: "/dev/kmsg can be read" };
  return {
    ...row,
    status: "limited",
    detail: "/dev/kmsg cannot be read (CAP_SYSLOG): trace oom has no task table",
  };
}

/** bpftrace's maps and rings; before 5.11 they count as locked memory, since then the memory cgroup pays for them. */
const ENOUGH_MEMLOCK = 64 * 1024 * 1024;

function checkSurroundings(facts: HostFacts): CheckRow[] {
  const rows: CheckRow[] = [];
  if (facts.initialPidNamespace === false) {
    rows.push({
      id: "pid-namespace",
      what: "container",
      status: "limited",
      detail: `${facts.container ?? "own pid namespace"}: process ids are those of the machine, names may be missing`,
    });
  }
  const { memlockBytes } = facts;
  const isCounted = !isAtLeast(facts.kernel.version, 5, 11) && !facts.capabilities.CAP_SYS_RESOURCE;
  if (isCounted && typeof memlockBytes === "number" && memlockBytes < ENOUGH_MEMLOCK) {
    rows.push({
      id: "memlock",
      what: "locked memory",
      status: "limited",
      detail: `${memlockBytes} bytes: large tables may not load`,
      repair: "ulimit -l unlimited",
    });
  }
  return rows;
}

function checkNode(input: DoctorInput): CheckRow {
  const isNew = isAtLeast(parseVersion(input.nodeVersion), 22, 12);
  const detail = isNew ? input.nodeVersion : `${input.nodeVersion} is older than 22.12`;
  return { id: "node", what: "Node.js", status: isNew ? "ok" : "missing", detail };
}
