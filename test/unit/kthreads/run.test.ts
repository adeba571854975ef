import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { prepareKthreads } from "../../../probes/kthreads/program.ts";
import { runKthreads } from "../../../probes/kthreads/run.ts";
import type { HostFacts } from "../../../src/host/facts.ts";
import { parseVersion } from "../../../src/host/version.ts";
import type { TracepointFormat } from "../../../src/host/format.ts";
import type { Json, SessionInfo } from "../../../src/probe/define.ts";
import { renderProgram } from "../../../src/probe/render.ts";

const SESSION: SessionInfo = {
  command: "kthreads",
  argv: [],
  host: "h",
  kernel: "6.18",
  bpftrace: "0.17.0",
  start: "2026-11-22T20:00:00.000Z",
  capabilities: {},
  options: {},
  tables: { cpus: 2, hz: 10, btf: true, vectors: { "3": "NET_RX" } },
  degraded: [],
};
const state = (time: number, cpuSeconds: number): Json => ({
  time,
  threads: [
    {
      pid: 22,
      name: "ksoftirqd/1",
      cpuSeconds,
      isExact: true,
      voluntarySwitches: 5,
      involuntarySwitches: 6,
      started: 1,
    },
    {
      pid: 50,
      name: "kworker/0:1-events",
      cpuSeconds: 0,
      isExact: true,
      voluntarySwitches: null,
      involuntarySwitches: null,
      started: 1,
    },
  ],
  disks: [],
  received: [],
  memory: {},
});

/** The kernel's clock is 1000 s ahead of the session's; the window goes from 10 s to 20 s. */
const sample = (at: number, pid: number, comm: string, vector: number, work: string) =>
  `T\t${vector}\t${work}\tS\t${Math.round((1000 + at) * 1e9)}\t${pid}\t${pid}\t0\t2\t0\tK\n        leaf+1\n        kthread+2\n\tU\tC${comm}`;

describe("runKthreads", () => {
  const asked: string[] = [];
  const notices: string[] = [];
  const run = runKthreads({
    session: SESSION,
    options: { hz: 10 },
    emit: () => {},
    print: () => {},
    notice: (_, code) => notices.push(code),
    ask: ({ fact, key }) => asked.push(`${fact} ${key}`),
  });
  const text = (line: string, at: number) => run.message({ kind: "text", text: line }, at);
  run.fact?.({ fact: "kthreads", key: "before", value: state(500, 1) }, 10);
  for (let at = 11; at < 15; at++) text(sample(at, 22, "ksoftirqd/1", 4, "0"), at + 0.001);
  text(sample(16, 50, "kworker/0:1", 0, "ffffffff81387400"), 16.001);
  text(sample(9, 50, "kworker/0:1", 0, "0"), 16.002);
  text("N\t77\tCa\tname", 17);
  for (let at = 8; at <= 20; at++) {
    run.message({ kind: "map", name: "@waker", entries: [{ key: "77", value: at }] }, at);
    run.message({ kind: "map", name: "@kswapd_n", entries: [{ key: "0", value: at }] }, at);
  }
  run.fact?.({ fact: "kthreads", key: "after", value: state(510, 5) }, 20.1);
  run.fact?.({ fact: "ksym", key: String(0x81387400), value: "vmstat_update" }, 20.2);
  const { summary, profiles, findings, report } = run.finish({ seconds: 10, lost: 0, profile: null });

  it("joins samples with what /proc and the tracepoints say", () => {
    expect(summary).toMatchObject({
      samples: { total: 5, kernel: 0, user: 0, kernelThreads: 5 },
      cpuSeconds: 0.5,
      processes: [],
      threads: [
        { pid: 22, comm: "ksoftirqd/1", samples: 4, cpuPercent: 40, cpuSeconds: 4 },
        { pid: 50, comm: "kworker/0:1-events", samples: 1, cpuPercent: 0 },
      ],
      work: { kswapd: { wakes: 10, callers: [{ pid: 77, comm: "a\tname", count: 10 }] } },
    });
    expect(asked).toEqual(["ksym 2167960576"]);
    expect(notices).toEqual([]);
    expect(findings.map(({ id }) => id)).toEqual(["ksoftirqd"]);
    expect(report.length).toBeGreaterThan(3);
  });

  it("draws thread, then vector or function, then the stack", () => {
    const [all, counts, ...threads] = profiles;
    const stacks = [...(all?.samples ?? [])].map(({ stack }) => stack.map(({ name }) => name).join(";"));
    expect(new Set(stacks)).toEqual(
      new Set(["ksoftirqd/1;NET_RX;kthread;leaf", "kworker/0:1-events;vmstat_update;kthread;leaf"]),
    );
    const sum = (samples: Iterable<{ weight: number }> = []) =>
      [...samples].reduce((total, { weight }) => total + weight, 0);
    expect(sum(counts?.samples)).toBe(5);
    expect(threads.map(({ name }) => name)).toEqual([
      "ksoftirqd/1 [22] 0.40 s",
      "kworker/0:1-events [50] 0.10 s",
    ]);
    for (const { samples } of threads) expect(sum(samples)).toBeCloseTo(10, 6);
  });

  it("takes no evidence that is none, and counts lines it cannot read", () => {
    const damaged = runKthreads({
      session: SESSION,
      options: {},
      emit: () => {},
      print: () => {},
      notice: (_, code) => notices.push(code),
      ask: () => {},
    });
    for (const value of [null, 3, [], { threads: 1 }])
      damaged.fact?.({ fact: "kthreads", key: "before", value }, 1);
    for (const line of ["", "T\t1", "N\tx", "?"]) damaged.message({ kind: "text", text: line }, 1);
    expect(notices).toHaveLength(4);
    const end = damaged.finish({ seconds: 0, lost: 3, profile: null });
    expect(end.summary).toMatchObject({ samples: { total: 0 }, lost: 3, threads: [] });
    expect(end.profiles).toEqual([]);
  });
});

describe("the program of trace kthreads", () => {
  const format: TracepointFormat = {
    name: "x",
    id: 1,
    fields: [],
    symbols: { vec: new Map([[3, "NET_RX"]]) },
    flagFields: [],
    malformed: 0,
  };
  const prepare = (has: (name: string) => boolean, options = {}, kernel = "6.1") =>
    prepareKthreads({
      host: {
        root: "/",
        cpus: 2,
        btf: "/sys/kernel/btf/vmlinux",
        moduleBtf: false,
        kernel: { release: kernel, version: parseVersion(kernel) },
        bpftrace: { path: "bpftrace", version: "v0.17.0", parsed: parseVersion("v0.17.0") },
        perf: { maxSampleRate: null },
      } as unknown as HostFacts,
      options: { hz: 99, ...options },
      alternative: 0,
      tracepoint: async (name) => (has(name) ? format : null),
      findNetns: async () => null,
      listNetns: async () => [],
      findDevice: async () => null,
    });
  const template = () => readFile(new URL("../../../probes/kthreads/kthreads.bt", import.meta.url), "utf8");

  it("uses what the kernel has", async () => {
    const all = await prepare(() => true);
    const program = renderProgram(await template(), all.variables);
    for (const point of [
      "irq:softirq_entry",
      "napi:napi_poll",
      "jbd2:jbd2_run_stats",
      "ext4:ext4_sync_file_enter",
    ])
      expect(program).toContain(point);
    expect(all.tables["vectors"]).toEqual({ "3": "NET_RX" });
    expect(all.degraded).toEqual([]);
    const none = await prepare(() => false);
    const poor = renderProgram(await template(), none.variables).replace(/\/\*[\s\S]*?\*\//, "");
    expect(poor).not.toMatch(/tracepoint:|@vector|@function|@named|@commit/);
    expect(none.degraded).toHaveLength(2);
  });

  it("uses no types that bpftrace 0.17 does not know on 5.10", async () => {
    const old = renderProgram(await template(), (await prepare(() => true, {}, "5.10")).variables);
    expect(old).toMatch(/^#define dev_t .*\n#define ino_t .*\n#define gfp_t .*\n#define tid_t /m);
    expect(old).not.toMatch(/\(struct \w+ \*\)/);
    expect(old).toContain("napi:napi_poll");
    expect(renderProgram(await template(), (await prepare(() => true)).variables)).not.toContain(
      "#define dev_t",
    );
  });

  it("filters in the kernel", async () => {
    const { variables } = await prepare(() => true, { pid: 14, comm: "ksoftirqd/0" });
    const program = renderProgram(await template(), variables);
    expect(program).toContain("tid != 14");
    expect(program).toContain('comm != "ksoftirqd/0"');
    // Every probe that runs in a kernel thread; those left over end what began, run in the caller, or print.
    const probes = program.split(/^(?=tracepoint:|profile:)/m).slice(1);
    const unfiltered = probes.filter((probe) => !probe.includes("tid != 14"));
    expect(unfiltered.map((probe) => /^[\w:]+/.exec(probe)?.[0])).toEqual([
      "tracepoint:irq:softirq_exit",
      "tracepoint:workqueue:workqueue_execute_end",
      "tracepoint:vmscan:mm_vmscan_wakeup_kswapd",
      "tracepoint:jbd2:jbd2_end_commit",
      "tracepoint:ext4:ext4_sync_file_enter",
    ]);
  });
});
