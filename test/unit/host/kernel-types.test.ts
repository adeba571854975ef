import { expect, test } from "vitest";
import { hasKernelTypes, usesHeaders } from "../../../src/host/kernel-types.ts";
import { parseVersion } from "../../../src/host/version.ts";

const machine = (kernel: string, version: string, { moduleBtf = false, btf = true } = {}) => ({
  btf: btf ? "/sys/kernel/btf/vmlinux" : null,
  moduleBtf,
  kernel: { release: kernel, version: parseVersion(kernel) },
  bpftrace: { path: "/usr/bin/bpftrace", version, parsed: parseVersion(version), source: "path" as const },
});

test.each([
  ["5.10.0-32-amd64", "v0.11.3", true],
  ["6.12.107", "v0.11.3", true],
  ["5.10.0-32-amd64", "v0.17.0", true],
  ["5.10.0-32-amd64", "v0.23.2", false],
  ["5.11.0", "v0.17.0", false],
  ["6.1.0", "v0.17.0", false],
])("%s with %s: the C headers %s", (kernel, version, headers) => {
  expect(usesHeaders(machine(kernel, version))).toBe(headers);
  expect(hasKernelTypes(machine(kernel, version))).toBe(!headers);
});

test("a kernel that had the modules' types brought to it needs no headers", () => {
  expect(hasKernelTypes(machine("4.18.0-553.el8_10", "v0.17.0", { moduleBtf: true }))).toBe(true);
  expect(hasKernelTypes(machine("4.18.0-553.el8_10", "v0.11.3", { moduleBtf: true }))).toBe(false);
});

test("no types, nothing to use", () => {
  expect(hasKernelTypes(machine("6.1.0", "v0.17.0", { btf: false }))).toBe(false);
  expect(hasKernelTypes({ ...machine("6.1.0", "v0.17.0"), bpftrace: null })).toBe(false);
});
