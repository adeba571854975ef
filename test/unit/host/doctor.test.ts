import { describe, expect, test } from "vitest";
import type { Check } from "../../../src/host/check.ts";
import { canTraceDrops, checkHost } from "../../../src/host/doctor.ts";
import { readDoctorInput, type DoctorInput } from "../../../src/host/doctor-input.ts";
import { readHostFacts, type HostFacts } from "../../../src/host/facts.ts";
import { HELPER_TOOLS } from "../../../src/host/tools.ts";
import { parseVersion } from "../../../src/host/version.ts";
import { makeTree } from "./tree.ts";

const HOSTS = new URL("../../../fixtures/hosts/", import.meta.url).pathname;
const ALL_TOOLS = Object.fromEntries(HELPER_TOOLS.map(({ name }) => [name, `/usr/sbin/${name}`]));

function bpftrace(version: string): HostFacts["bpftrace"] {
  return { path: "/usr/bin/bpftrace", version, parsed: parseVersion(version), source: "path" };
}

/** A recorded machine with a bpftrace, where nothing is wrong but what `change` makes so. */
async function check(
  machine: string,
  change: { facts?: Partial<HostFacts>; input?: Partial<DoctorInput> } = {},
): Promise<Map<string, Check>> {
  const facts = await readHostFacts({ root: `${HOSTS}${machine}`, env: {} });
  const input = await readDoctorInput(facts, {});
  const well = { tools: ALL_TOOLS, kernelLogReadable: true, nodeVersion: "v24.1.0", hasKernelHeaders: true };
  const rows = checkHost(
    { ...facts, bpftrace: bpftrace("v0.17.0"), ...change.facts },
    { ...input, ...well, ...change.input },
  );
  return new Map(rows.map((row) => [row.id, row]));
}

const isReady = (rows: ReadonlyMap<string, Check>): boolean => canTraceDrops([...rows.values()]);

test("a machine without a fault: every row is ok", async () => {
  const rows = await check("proc-7.2");
  expect([...rows.values()].filter((row) => row.status !== "ok")).toEqual([]);
  expect([...rows.values()].filter((row) => row.repair !== null)).toEqual([]);
  expect(rows.get("drop-events")?.detail).toMatch(/^with 1\d\d named reasons$/);
  expect(rows.get("oom-events")?.detail).toContain("anon_rss");
  expect(isReady(rows)).toBe(true);
});

test("5.10: limits, not faults", async () => {
  const rows = await check("proc-5.10", { facts: { btf: null } });
  const limited = [...rows.values()].filter((row) => row.status === "limited").map((row) => row.id);
  expect(limited).toEqual(["bpftrace", "drop-events", "oom-events", "btf"]);
  expect(rows.get("tcp-events")?.detail).toContain("resets without their reason");
  expect(isReady(rows)).toBe(true);
});

describe("what keeps drops from running", () => {
  test("no bpftrace: the command for this distribution, and --fix", async () => {
    const rows = await check("proc-5.10", { facts: { bpftrace: null } });
    expect(rows.get("bpftrace")).toMatchObject({
      status: "missing",
      detail: "not installed",
      repair: "apt-get install -y --no-install-recommends bpftrace",
      fixable: "install-bpftrace",
      required: true,
    });
    expect(isReady(rows)).toBe(false);
  });

  test("no bpftrace and no package manager that is known", async () => {
    const rows = await check("proc-7.2", {
      facts: { bpftrace: null },
      input: { osRelease: { ID: "nixos" } },
    });
    expect(rows.get("bpftrace")).toMatchObject({ status: "missing", repair: null, fixable: null });
  });

  test("the one that was asked for does not exist: installing another is no repair", async () => {
    const facts = { bpftrace: null, bpftraceProblem: "/nope does not exist or cannot be executed" };
    const rows = await check("proc-7.2", { facts });
    expect(rows.get("bpftrace")).toMatchObject({
      detail: facts.bpftraceProblem,
      repair: null,
      fixable: null,
    });
  });

  test("tracefs not mounted", async () => {
    const facts = { tracefs: null, tracefsMount: null, kprobes: null };
    const rows = await check("proc-7.2", { facts, input: { tracepoints: {} } });
    expect(rows.get("tracefs")).toMatchObject({
      repair: "mount -t tracefs -o nosuid,nodev,noexec tracefs /sys/kernel/tracing",
      fixable: "mount-tracefs",
    });
    expect(rows.get("kprobes")?.detail).toBe("unknown without tracefs");
    expect(isReady(rows)).toBe(false);
  });

  test("0.11 without debugfs: it would find no tracepoint at all", async () => {
    const facts = { bpftrace: bpftrace("v0.11.3"), tracefs: "/sys/kernel/tracing", debugfsMounted: false };
    const rows = await check("proc-7.2", { facts });
    expect(rows.get("bpftrace")).toMatchObject({
      status: "missing",
      detail: expect.stringContaining("below debugfs only"),
      repair: "mount -t debugfs -o nosuid,nodev,noexec debugfs /sys/kernel/debug",
      fixable: "mount-debugfs",
    });
    expect(isReady(rows)).toBe(false);
    const mounted = await check("proc-7.2", { facts: { ...facts, debugfsMounted: true } });
    expect(isReady(mounted)).toBe(true);
  });

  test("not root: no mount that would not help, sudo in every command", async () => {
    const facts = { isRoot: false, tracefs: null, kprobes: null, bpftrace: null };
    const rows = await check("proc-5.10", { facts, input: { tracepoints: {}, tools: {} } });
    expect(rows.get("tracefs")).toMatchObject({ status: "missing", repair: null, fixable: null });
    expect(rows.get("bpftrace")?.repair).toMatch(/^sudo apt-get /);
    expect(rows.get("tool-nft")?.repair).toMatch(/^sudo apt-get .* nftables$/);
    expect(rows.get("privileges")?.status).toBe("missing");
  });

  test.each([
    ["lockdown", { lockdown: "confidentiality" }, {}],
    ["bpftrace", { bpftrace: bpftrace("v0.9.4") }, {}],
    ["drop-events", {}, { tracepoints: {} }],
    ["tracefs", { tracefs: null, tracefsMount: null, tracefsSupported: false }, {}],
    ["bpftrace", { bpftrace: bpftrace("v0.11.3") }, { hasKernelHeaders: false }],
  ] as const)("%s", async (id, facts, input) => {
    const rows = await check("proc-7.2", { facts, input });
    expect(rows.get(id)).toMatchObject({ status: "missing", required: true });
    expect(isReady(rows)).toBe(false);
  });
});

describe("bpftrace and kernel together (docs/compatibility.md)", () => {
  test.each([
    ["proc-5.10", "v0.17.0", false, "missing"],
    ["proc-5.10", "v0.17.0", true, "limited"],
    ["proc-5.10", "v0.23.2", false, "ok"],
    ["proc-5.10", "v0.27.0", false, "limited"],
    ["proc-5.10", "v0.11.3", true, "limited"],
    ["proc-7.2", "v0.11.3", true, "limited"],
    ["proc-7.2", "v0.17.0", false, "ok"],
    ["proc-7.2", "v0.27.0", false, "ok"],
    ["proc-7.2", "v0.28.0", false, "limited"],
  ])("%s with %s, headers: %s", async (machine, version, hasKernelHeaders, status) => {
    const rows = await check(machine, {
      facts: { bpftrace: bpftrace(version) },
      input: { hasKernelHeaders },
    });
    expect(rows.get("bpftrace")?.status).toBe(status);
  });

  test("0.23 reads the victim's name as empty", async () => {
    const rows = await check("proc-7.2", { facts: { bpftrace: bpftrace("v0.23.2") } });
    expect(rows.get("oom-events")?.status).toBe("limited");
  });
});

describe("what only costs evidence", () => {
  test("each helper program that is absent has its row, what is lost, and its package", async () => {
    const rows = await check("proc-5.10", { input: { tools: { ip: "/sbin/ip" } } });
    expect(rows.get("tools")?.detail).toBe("ip");
    expect(rows.get("tool-nft")).toMatchObject({
      status: "limited",
      detail: "not installed: drops by nftables stay without their rule",
      repair: "apt-get install -y --no-install-recommends nftables",
    });
    expect(rows.get("tool-conntrack")?.status).toBe("ok");
    expect(rows.get("netns")?.status).toBe("limited");
    expect(isReady(rows)).toBe(true);
  });

  test.each([
    ["kprobes", { kprobes: false }],
    ["btf", { btf: null }],
    ["perf-events", { perf: { paranoid: 2, maxStack: 127, maxSampleRate: 50 } }],
    ["cgroups", { cgroup: { mode: null, unified: null, controllers: {}, memory: null } }],
    ["pid-namespace", { initialPidNamespace: false, container: "/.dockerenv exists" }],
  ] as const)("%s is limited", async (id, facts) => {
    const rows = await check("proc-7.2", { facts });
    expect(rows.get(id)?.status).toBe("limited");
    expect(isReady(rows)).toBe(true);
  });

  test("locked memory counts only where the kernel counts it", async () => {
    const few = { memlockBytes: 65_536 };
    const { capabilities } = await readHostFacts({ root: `${HOSTS}proc-5.10`, env: {} });
    const facts = { ...few, capabilities: { ...capabilities, CAP_SYS_RESOURCE: false } };
    expect((await check("proc-5.10", { facts })).get("memlock")?.status).toBe("limited");
    expect((await check("proc-5.10", { facts: few })).has("memlock")).toBe(false);
    expect((await check("proc-7.2", { facts })).has("memlock")).toBe(false);
  });

  test("an old Node.js and an unreadable log", async () => {
    const rows = await check("proc-7.2", { input: { nodeVersion: "v22.11.0", kernelLogReadable: false } });
    expect(rows.get("node")?.status).toBe("missing");
    expect(rows.get("kernel-log")?.status).toBe("limited");
  });
});

test("a machine that tells nothing: every row has a judgement", async () => {
  const facts = await readHostFacts({ root: makeTree({ "proc/sys/kernel/osrelease": "?\n" }), env: {} });
  const rows = checkHost(facts, await readDoctorInput(facts, {}));
  expect(rows.length).toBeGreaterThan(15);
  expect(new Set(rows.map((row) => row.id)).size).toBe(rows.length);
  expect(canTraceDrops(rows)).toBe(false);
});
