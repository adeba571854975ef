import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { prepareProfile } from "../../../probes/profile/program.ts";
import { TraceError } from "../../../src/error.ts";
import type { HostFacts } from "../../../src/host/facts.ts";
import { parseVersion } from "../../../src/host/version.ts";
import type { Options, PrepareContext } from "../../../src/probe/define.ts";
import { renderProgram } from "../../../src/probe/render.ts";

const template = await readFile(new URL("../../../probes/profile/profile.bt", import.meta.url), "utf8");

interface Machine {
  readonly bpftrace?: string;
  readonly kernel?: string;
  readonly arch?: string;
  readonly btf?: boolean;
  readonly most?: number;
}

/** Only what the probe asks of a host. */
function host({
  bpftrace = "v0.17.0",
  kernel = "6.1.0",
  arch = "x86_64",
  btf = true,
  most = 100_000,
}: Machine): HostFacts {
  return {
    arch,
    cpus: 2,
    btf: btf ? "/sys/kernel/btf/vmlinux" : null,
    moduleBtf: false,
    kernel: { release: kernel, version: parseVersion(kernel) },
    bpftrace: { path: "/usr/bin/bpftrace", version: bpftrace, parsed: parseVersion(bpftrace) },
    perf: { paranoid: 2, maxStack: 127, maxSampleRate: most },
    cgroup: { mode: "v1", unified: null, controllers: {}, memory: null },
  } as unknown as HostFacts;
}

async function render(machine: Machine, options: Options = {}): Promise<string> {
  const context: PrepareContext = {
    host: host(machine),
    options: { hz: 99, ...options },
    alternative: 0,
    tracepoint: async () => null,
    findNetns: async () => null,
    listNetns: async () => [],
    findDevice: async () => null,
  };
  const prepared = await prepareProfile(context);
  return renderProgram(template, prepared.variables);
}

describe("the program of trace profile", () => {
  it("follows user stacks by itself where bpftrace has a table of stacks", async () => {
    const text = await render({});
    expect(text).toContain("profile:hz:99");
    expect(text).toContain('reg("bp")');
    expect(text).toContain("clear(@told)");
    expect(text).not.toContain("raw");
  });

  it.each(["v0.21.2", "v0.23.2", "v0.27.0-dev"])("leaves them to bpftrace %s", async (bpftrace) => {
    const text = await render({ bpftrace });
    expect(text).toContain("ustack(raw)");
    expect(text).not.toMatch(/reg\(|@told|while/);
  });

  it("uses no registers on machines where they were not tried, and on kernels that refuse the loop", async () => {
    const old = await render({ kernel: "5.10.0" });
    expect(old).toContain("ustack(bpftrace)");
    expect(old).not.toMatch(/reg\(|@told|while/);
    const text = await render({ arch: "aarch64" });
    expect(text).toContain("ustack(bpftrace)");
    expect(text).not.toContain("reg(");
  });

  it("does without types of the kernel", async () => {
    expect(await render({ btf: false })).not.toContain("struct task_struct");
    // 0.17 cannot use them on kernels before 5.11.
    expect(await render({ kernel: "5.10.0" })).not.toContain("struct task_struct");
    expect(await render({ kernel: "5.10.0", bpftrace: "v0.23.2" })).toContain("struct task_struct");
    expect(await render({ bpftrace: "v0.11.3" })).not.toContain("struct task_struct");
  });

  it.each<[Options, RegExp]>([
    [{ pid: 7 }, /pid != 7/],
    [{ comm: "a b,c" }, /comm != "a b,c"/],
    [{ idle: true }, /printf\("I/],
  ])("filters in the kernel: %o", async (options, expected) => {
    expect(await render({}, options)).toMatch(expected);
    expect(await render({ bpftrace: "v0.23.0" }, options)).toMatch(expected);
  });

  it("with --kernel takes nothing in user mode, with --user nothing else", async () => {
    const kernel = await render({}, { kernel: true });
    expect(kernel).not.toMatch(/@told|printf\("u|ustack/);
    const user = await render({}, { user: true });
    expect(user).not.toMatch(/kstack/);
    expect(user).toContain('printf("u');
  });

  it.each<[string, Options, Machine]>([
    ["both modes", { user: true, kernel: true }, {}],
    ["a name that cannot be a literal", { comm: 'a"b' }, {}],
    ["more than the kernel allows", { hz: 5000 }, { most: 1000 }],
    ["cgroups without a v2 tree", { cgroup: "/web" }, {}],
  ])("refuses %s", async (_, options, machine) => {
    const refused = render(machine, options);
    await expect(refused).rejects.toBeInstanceOf(TraceError);
    await expect(refused).rejects.toMatchObject({ code: 2 });
  });
});
