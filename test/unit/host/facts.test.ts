import { describe, expect, test } from "vitest";
import { TraceError } from "../../../src/error.ts";
import { readHostFacts } from "../../../src/host/facts.ts";
import { makeTree } from "./tree.ts";

const OLD = new URL("../../../fixtures/hosts/proc-5.10", import.meta.url).pathname;
const NEW = new URL("../../../fixtures/hosts/proc-7.2", import.meta.url).pathname;

describe("recorded machines", () => {
  test("Debian 11, kernel 5.10", async () => {
    const facts = await readHostFacts({ root: OLD, env: {} });
    expect(facts).toMatchObject({
      hostname: "vm",
      kernel: { release: "5.10.0-32-amd64", version: { major: 5, minor: 10, patch: 0 } },
      pageSize: 4096,
      clockTicks: 100,
      cpus: 2,
      isRoot: true,
      initialUserNamespace: true,
      btf: null,
      tracefs: "/sys/kernel/tracing",
      tracefsMount: "/sys/kernel/tracing",
      tracefsSupported: true,
      debugfsMounted: true,
      kprobes: true,
      uprobes: true,
      lockdown: null,
      perf: { paranoid: 3, maxStack: 127, maxSampleRate: 100_000 },
      cgroup: { mode: "v2", unified: "/sys/fs/cgroup", controllers: {}, memory: "/sys/fs/cgroup" },
      bpftrace: null,
      bpftraceProblem: null,
    });
    expect(Object.values(facts.capabilities)).toEqual(Array.from({ length: 9 }, () => true));
    expect(facts.bootTime).toBeGreaterThan(1_700_000_000);
  });

  test("Debian 14, kernel 7.2", async () => {
    const facts = await readHostFacts({ root: NEW, env: {} });
    expect(facts).toMatchObject({
      kernel: { version: { major: 7, minor: 2, patch: 12 } },
      arch: "x86_64",
      btf: "/sys/kernel/btf/vmlinux",
      memlockBytes: 8_388_608,
    });
  });

  test("facts are plain data", async () => {
    const facts = await readHostFacts({ root: NEW, env: {} });
    expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
  });
});

test("a machine that says nothing but its kernel: unknown is null", async () => {
  const root = makeTree({ "proc/sys/kernel/osrelease": "6.1.0\n" });
  expect(await readHostFacts({ root, env: {} })).toMatchObject({
    isRoot: false,
    bootTime: null,
    initialUserNamespace: null,
    initialPidNamespace: null,
    container: null,
    tracefs: null,
    tracefsMount: null,
    tracefsSupported: null,
    kprobes: null,
    uprobes: null,
    perf: { paranoid: null, maxStack: null, maxSampleRate: null },
    memlockBytes: null,
    cgroup: { mode: null, unified: null, memory: null },
  });
});

test("rubbish in every file: no throw", async () => {
  const files = [
    "self/status",
    "self/limits",
    "self/mounts",
    "self/auxv",
    "self/uid_map",
    "stat",
    "filesystems",
  ];
  const rubbish = new Uint8Array([0xff, 0, 10, 91, 93, 58, 32, 0xc3, 10, 48, 120]);
  const root = makeTree({
    "proc/sys/kernel/osrelease": "who knows\n",
    "sys/devices/system/cpu/online": "0-\n",
    "sys/kernel/security/lockdown": "[]",
    ...Object.fromEntries(files.map((file) => [`proc/${file}`, rubbish])),
  });
  const facts = await readHostFacts({ root, env: {} });
  expect(facts).toMatchObject({ kernel: { release: "who knows", version: null }, cpus: 1, pageSize: 4096 });
});

test("where there is no /proc it says so, with exit 3", async () => {
  const error = await readHostFacts({ root: makeTree({}), env: {} }).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(TraceError);
  expect(error).toMatchObject({ code: 3, hint: expect.stringContaining("trace replay") });
});

describe("the place", () => {
  const base = { "proc/sys/kernel/osrelease": "6.1.0\n" };

  test("tracefs below debugfs counts where the other is not mounted", async () => {
    const root = makeTree({
      ...base,
      "proc/self/mounts": "tracefs /sys/kernel/debug/tracing tracefs rw 0 0\n",
      "sys/kernel/debug/tracing/events/enable": "0\n",
    });
    expect(await readHostFacts({ root, env: {} })).toMatchObject({
      tracefs: "/sys/kernel/debug/tracing",
      kprobes: false,
    });
  });

  test("lockdown", async () => {
    const root = makeTree({ ...base, "sys/kernel/security/lockdown": "none integrity [confidentiality]\n" });
    expect((await readHostFacts({ root, env: {} })).lockdown).toBe("confidentiality");
  });

  test.each([
    [{ ".dockerenv": "" }, "/.dockerenv exists"],
    [{ "run/.containerenv": "" }, "/run/.containerenv exists"],
    [{ "proc/1/environ": "PATH=/bin\0container=lxc\0" }, "the first process has container=lxc"],
    [{ "proc/self/ns/pid": { link: "pid:[4026532201]" } }, "this is not the first pid namespace"],
    [{ "proc/self/ns/pid": { link: "pid:[4026531836]" } }, null],
  ])("container hints %o", async (entries, hint) => {
    const root = makeTree({ ...base, ...entries });
    expect((await readHostFacts({ root, env: {} })).container).toBe(hint);
  });

  test("root of a user namespace", async () => {
    const root = makeTree({
      ...base,
      "proc/self/uid_map": "         0       1000          1\n",
      "proc/self/status": "Uid:\t0\t0\t0\t0\nCapEff:\t000001ffffffffff\n",
    });
    expect(await readHostFacts({ root, env: {} })).toMatchObject({
      isRoot: true,
      initialUserNamespace: false,
    });
  });
});
