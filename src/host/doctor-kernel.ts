import type { CheckRow } from "./check.ts";
import { explainAbsence } from "./doctor-events.ts";
import type { HostFacts } from "./facts.ts";
import { isAtLeast } from "./version.ts";

/** The oldest kernel that the project was run on (docs/compatibility.md). */
const OLDEST_KERNEL = [5, 10] as const;

/** Release, architecture, processors. */
export function checkKernel(facts: HostFacts): CheckRow {
  const { release, version } = facts.kernel;
  const row = { id: "kernel", what: "kernel" };
  if (isAtLeast(version, ...OLDEST_KERNEL)) {
    return { ...row, status: "ok", detail: `${release}, ${facts.arch}, ${facts.cpus} CPUs` };
  }
  return {
    ...row,
    status: "limited",
    detail: `${release}: older than ${OLDEST_KERNEL.join(".")}, not tested`,
  };
}

/** Mounted and readable, or what to do; `mount` is the command. */
export function checkTracefs(facts: HostFacts, mount: string | null): CheckRow {
  const row = { id: "tracefs", what: "tracefs", required: true };
  if (facts.tracefs !== null) return { ...row, status: "ok", detail: `mounted at ${facts.tracefs}` };
  if (facts.tracefsMount !== null) {
    return {
      ...row,
      status: "missing",
      detail: `mounted at ${facts.tracefsMount}, but not readable: needs root`,
    };
  }
  if (facts.tracefsSupported === false) {
    return { ...row, status: "missing", detail: "this kernel was built without tracing (CONFIG_TRACING)" };
  }
  return { ...row, status: "missing", detail: "not mounted", repair: mount, fixable: "mount-tracefs" };
}

/** Only the mode `confidentiality` keeps BPF from reading kernel memory (kernel_lockdown(7)). */
export function checkLockdown(facts: HostFacts): CheckRow {
  const row = { id: "lockdown", what: "kernel lockdown", required: true };
  if (facts.lockdown !== "confidentiality") {
    return { ...row, status: "ok", detail: facts.lockdown ?? "the kernel has none" };
  }
  const detail = "confidentiality: BPF may not read kernel memory until a boot with lockdown=integrity";
  return { ...row, status: "missing", detail };
}

/** The kernel's types: without them a program reads only the fields of its tracepoint. */
export function checkBtf(facts: HostFacts): CheckRow {
  if (facts.btf !== null) return { id: "btf", what: "BTF", status: "ok", detail: facts.btf };
  const detail = "absent (CONFIG_DEBUG_INFO_BTF): addresses, device and namespace of a packet are not read";
  return { id: "btf", what: "BTF", status: "limited", detail };
}

/** Function probes. Nothing needs them; what they add is named. */
export function checkKprobes(facts: HostFacts): CheckRow {
  const row = { id: "kprobes", what: "kprobes" };
  if (facts.kprobes === true) return { ...row, status: "ok", detail: "available" };
  if (facts.kprobes === null) return { ...row, status: "missing", detail: explainAbsence(facts) };
  const detail =
    "not in this kernel (CONFIG_KPROBES): trace oom uses oom:mark_victim and the kernel log instead";
  return { ...row, status: "limited", detail };
}

/** Default of `trace profile`, samples a second. */
const PROFILE_HZ = 99;

/** Sampling of stacks by a timer. */
export function checkPerfEvents(facts: HostFacts, sudo: string): CheckRow {
  const row = { id: "perf-events", what: "CPU sampling" };
  const { paranoid, maxSampleRate } = facts.perf;
  if (paranoid === null) {
    return {
      ...row,
      status: "missing",
      detail: "no perf events (CONFIG_PERF_EVENTS): no trace profile, kthreads",
    };
  }
  if (maxSampleRate !== null && maxSampleRate < PROFILE_HZ) {
    const detail = `kernel.perf_event_max_sample_rate is ${maxSampleRate}, trace profile wants ${PROFILE_HZ}`;
    const repair = `${sudo}sysctl -w kernel.perf_event_max_sample_rate=100000`;
    return { ...row, status: "limited", detail, repair };
  }
  return { ...row, status: "ok", detail: `stacks of up to ${facts.perf.maxStack ?? 127} frames` };
}
