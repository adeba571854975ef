import type { CheckRow } from "./check.ts";
import type { DoctorInput } from "./doctor-input.ts";
import type { HostFacts } from "./facts.ts";
import { usesHeaders } from "./kernel-types.ts";
import type { PackageName } from "./packages.ts";
import { isAtLeast, type Version } from "./version.ts";

/** Oldest and newest bpftrace that the project was run with (docs/compatibility.md). */
const OLDEST = [0, 11] as const;
const NEWEST = [0, 27] as const;

/** Commands to paste; null where there is none. */
interface Repairs {
  readonly install: (name: PackageName) => string | null;
  readonly mountDebugfs: string | null;
}

/** Judges the bpftrace that was found, together with the kernel it has to work on. */
export function checkBpftrace(
  facts: HostFacts,
  input: DoctorInput,
  { install, mountDebugfs }: Repairs,
): CheckRow {
  const row = { id: "bpftrace", what: "bpftrace", required: true };
  const { bpftrace } = facts;
  if (bpftrace === null) {
    // Where a certain one was asked for, installing another does not help.
    if (facts.bpftraceProblem !== null) return { ...row, status: "missing", detail: facts.bpftraceProblem };
    const repair = install("bpftrace");
    const fixable = repair === null ? null : "install-bpftrace";
    return { ...row, status: "missing", detail: "not installed", repair, fixable };
  }
  const { path, version, parsed } = bpftrace;
  if (version === null) {
    const detail = facts.bpftraceProblem ?? `${path} did not say its version`;
    return { ...row, status: "missing", detail };
  }
  if (!isAtLeast(parsed, ...OLDEST)) {
    return { ...row, status: "missing", detail: `${path} ${version} is older than ${OLDEST.join(".")}` };
  }
  if (usesHeaders(facts) && !input.hasKernelHeaders) {
    const detail = `${path} ${version} needs linux/types.h on this kernel`;
    return { ...row, status: "missing", detail, repair: install("kernel-headers") };
  }
  // Seen with 0.11.3: "tracepoint not found" for all of them, although tracefs is mounted at its own place.
  if (!isAtLeast(parsed, 0, 12) && facts.tracefs !== null && !facts.debugfsMounted) {
    const detail = `${path} ${version} looks for tracepoints below debugfs only, which is not mounted`;
    return { ...row, status: "missing", detail, repair: mountDebugfs, fixable: "mount-debugfs" };
  }
  const limit = findLimit(facts, parsed);
  if (limit !== null) return { ...row, status: "limited", detail: `${path} ${version}: ${limit}` };
  return { ...row, status: "ok", detail: `${path} ${version}` };
}

/** What this version cannot do here, or null. */
function findLimit(facts: HostFacts, bpftrace: Version | null): string | null {
  const kernel = facts.kernel.version;
  if (usesHeaders(facts)) return "cannot use the kernel's types: fewer fields";
  if (kernel !== null && !isAtLeast(kernel, 5, 15) && isAtLeast(bpftrace, 0, 24)) {
    return "made for kernels from 5.15 on, warns here";
  }
  const isNewer = isAtLeast(bpftrace, NEWEST[0], NEWEST[1] + 1);
  return isNewer ? `newer than ${NEWEST.join(".")}, the last one tested` : null;
}
