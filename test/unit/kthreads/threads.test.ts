import { describe, expect, it } from "vitest";
import { listThreads, roleOf } from "../../../probes/kthreads/threads.ts";
import type { KernelThreadEvidence, KernelThreadState } from "../../../src/evidence/kthreads/types.ts";

const thread = (pid: number, name: string, cpuSeconds: number, started = 1): KernelThreadState => ({
  pid,
  name,
  cpuSeconds,
  isExact: true,
  voluntarySwitches: 10 * cpuSeconds,
  involuntarySwitches: null,
  started,
});
const evidence = (time: number, threads: KernelThreadState[]): KernelThreadEvidence => ({
  time,
  threads,
  disks: [{ number: "254:1", device: "vda1", path: "/srv", type: "ext4" }],
  received: [],
  memory: {},
});

describe("listThreads", () => {
  it("takes CPU time and switches between two looks", () => {
    const rows = listThreads({
      before: evidence(100, [thread(14, "ksoftirqd/0", 5), thread(15, "rcu_preempt", 1)]),
      after: evidence(110, [thread(14, "ksoftirqd/0", 9), thread(15, "rcu_preempt", 1)]),
      sampled: [{ pid: 14, comm: "ksoftirqd/0", samples: 396 }],
      hz: 99,
      seconds: 10,
      options: {},
    });
    expect(rows.map(({ name, cpuPercent, samples }) => [name, cpuPercent, samples])).toEqual([
      ["ksoftirqd/0", 40, 396],
      ["rcu_preempt", 0, 0],
    ]);
    expect(rows[0]).toMatchObject({ cpuSeconds: 4, voluntarySwitches: 40, involuntarySwitches: null });
    expect(rows[0]?.described?.captures).toEqual({ cpu: "0" });
  });

  it("gives a thread that began all its time, and one that ended what its samples say", () => {
    const rows = listThreads({
      before: evidence(100, [thread(20, "kworker/0:0-events", 50, 1), thread(21, "kworker/0:1-events", 3)]),
      after: evidence(110, [thread(20, "kworker/0:9-mm_percpu_wq", 2, 99)]),
      sampled: [{ pid: 21, comm: "kworker/0:1", samples: 99 }],
      hz: 99,
      seconds: 10,
      options: {},
    });
    expect(rows).toMatchObject([
      { pid: 20, name: "kworker/0:9-mm_percpu_wq", cpuPercent: 20, cpuSeconds: 2 },
      { pid: 21, name: "kworker/0:1-events", cpuPercent: 10, cpuSeconds: null, voluntarySwitches: null },
    ]);
  });

  it("lists what was asked for by pid or by the name the kernel compares", () => {
    const names = ["kworker/0:1-events", "kworker/0:10-events", "rcu_tasks_trace_kthread", "kswapd0"];
    const after = evidence(
      10,
      names.map((name, index) => thread(index + 1, name, 1)),
    );
    const list = (options: { pid?: number; comm?: string }) =>
      listThreads({ before: null, after, sampled: [], hz: 99, seconds: 10, options }).map(({ name }) => name);
    expect(list({ pid: 4 })).toEqual(["kswapd0"]);
    expect(list({ comm: "kworker/0:1" })).toEqual(["kworker/0:1-events"]);
    expect(list({ comm: "rcu_tasks_trace" })).toEqual(["rcu_tasks_trace_kthread"]);
    expect(list({ comm: "kswapd" })).toEqual([]);
  });

  it("says which disk and file system a journal thread works for", () => {
    const [row] = listThreads({
      before: evidence(0, [thread(30, "jbd2/vda1-8", 0)]),
      after: evidence(1, [thread(30, "jbd2/vda1-8", 0.1)]),
      sampled: [],
      hz: 99,
      seconds: 1,
      options: {},
    });
    expect(row?.disk?.path).toBe("/srv");
    expect(row === undefined ? "" : roleOf(row)).toContain("ext4 on vda1, mounted at /srv");
  });

  it("has no role for a thread that nobody knows", () => {
    const [row] = listThreads({
      before: evidence(0, []),
      after: evidence(1, [thread(31, "kmystery", 0.1)]),
      sampled: [],
      hz: 99,
      seconds: 1,
      options: {},
    });
    expect(row?.described).toBeNull();
    expect(row === undefined ? "" : roleOf(row)).toBeNull();
  });

  it("falls back to samples where the second look is missing", () => {
    const [row] = listThreads({
      before: evidence(0, [thread(14, "ksoftirqd/0", 5)]),
      after: null,
      sampled: [{ pid: 14, comm: "ksoftirqd/0", samples: 50 }],
      hz: 100,
      seconds: 1,
      options: {},
    });
    expect(row).toMatchObject({ cpuPercent: 50, cpuSeconds: null, samples: 50 });
  });
});
