import { expect, test } from "vitest";
import { checkPrivileges } from "../../../src/host/privileges.ts";
import { CAPABILITY_BITS, parseCapabilities, type CapabilityName } from "../../../src/host/process-limits.ts";
import { parseVersion } from "../../../src/host/version.ts";

function judge(options: {
  root: boolean;
  caps: readonly CapabilityName[];
  bpftrace: string | null;
  user?: boolean;
}): [boolean, string] {
  const mask = options.caps.reduce((sum, name) => sum | (1n << BigInt(CAPABILITY_BITS[name])), 0n);
  const { ok, why } = checkPrivileges({
    isRoot: options.root,
    capabilities: parseCapabilities(`CapEff:\t${mask.toString(16)}\n`),
    initialUserNamespace: options.user ?? true,
    bpftrace:
      options.bpftrace === null
        ? null
        : { path: "/b", version: options.bpftrace, parsed: parseVersion(options.bpftrace), source: "path" },
  });
  return [ok, why];
}

const TRACING = ["CAP_BPF", "CAP_PERFMON", "CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"] as const;
const ROOT = [...TRACING, "CAP_SYS_ADMIN"] as const;

// Each as bpftrace 0.17, 0.23 and 0.27 themselves decided on kernel 6.18.
test.each([
  [{ root: true, caps: ROOT, bpftrace: "0.17.0" }, true, "root"],
  [{ root: true, caps: TRACING, bpftrace: "0.17.0" }, false, "root without CAP_SYS_ADMIN"],
  [{ root: false, caps: ROOT, bpftrace: "0.23.2" }, false, "not root, which bpftrace before 0.25 needs"],
  [
    { root: false, caps: TRACING, bpftrace: "0.27.0" },
    true,
    "not root, but with the capabilities that are needed",
  ],
  [
    { root: false, caps: TRACING.slice(0, 3), bpftrace: "0.27.0" },
    false,
    "not root, without CAP_DAC_OVERRIDE",
  ],
  [
    {
      root: false,
      caps: ["CAP_SYS_ADMIN", "CAP_DAC_READ_SEARCH", "CAP_DAC_OVERRIDE"] as const,
      bpftrace: "0.27.0",
    },
    true,
    "not root, but with the capabilities that are needed",
  ],
  [{ root: false, caps: [], bpftrace: null }, false, "not root"],
  [
    { root: true, caps: ROOT, bpftrace: "0.27.0", user: false },
    false,
    "root of a user namespace only (rootless container): the kernel refuses BPF",
  ],
])("%o", (options, ok, why) => {
  expect(judge(options)).toEqual([ok, why]);
});
