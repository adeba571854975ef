import type { CapabilityName } from "./process-limits.ts";
import type { HostFacts } from "./facts.ts";
import { isAtLeast } from "./version.ts";

/** Whether this process may trace with the bpftrace that was found. */
export interface Privileges {
  readonly ok: boolean;
  /** What is missing, or what was found, one line. */
  readonly why: string;
}

/**
 * bpftrace up to 0.24 wants user id 0, and CAP_SYS_ADMIN to find the kernel's types (without it: `incomplete type 'enum
 * skb_drop_reason'`, seen with 0.17). From 0.25 on capabilities are enough; 0.27 names each that it misses.
 */
const CAPABILITY_VERSION = [0, 25] as const;
const NEEDED: readonly CapabilityName[] = [
  "CAP_BPF",
  "CAP_PERFMON",
  "CAP_DAC_READ_SEARCH",
  "CAP_DAC_OVERRIDE",
];
/** The two that CAP_SYS_ADMIN stands in for (capabilities(7)). */
const COVERED_BY_ADMIN: ReadonlySet<CapabilityName> = new Set(["CAP_BPF", "CAP_PERFMON"]);

/** Judges user, capabilities and user namespace against what the bpftrace version asks for. */
export function checkPrivileges(
  facts: Pick<HostFacts, "isRoot" | "capabilities" | "initialUserNamespace" | "bpftrace">,
): Privileges {
  const { isRoot, capabilities, bpftrace } = facts;
  if (facts.initialUserNamespace === false) {
    return { ok: false, why: "root of a user namespace only (rootless container): the kernel refuses BPF" };
  }
  const version = bpftrace?.parsed ?? null;
  if (!isAtLeast(version, ...CAPABILITY_VERSION)) {
    if (!isRoot)
      return { ok: false, why: `not root${version === null ? "" : ", which bpftrace before 0.25 needs"}` };
    if (!capabilities.CAP_SYS_ADMIN) return { ok: false, why: "root without CAP_SYS_ADMIN" };
    return { ok: true, why: "root" };
  }
  const missing = NEEDED.filter(
    (name) => !capabilities[name] && !(capabilities.CAP_SYS_ADMIN && COVERED_BY_ADMIN.has(name)),
  );
  if (missing.length > 0) {
    return { ok: false, why: `${isRoot ? "root" : "not root,"} without ${missing.join(", ")}` };
  }
  return { ok: true, why: isRoot ? "root" : "not root, but with the capabilities that are needed" };
}
