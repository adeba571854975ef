import { describe, expect, it } from "vitest";
import { runProfile } from "../../../probes/profile/run.ts";
import type { Fact, Options, ProbeRun, SessionInfo } from "../../../src/probe/define.ts";
import type { Message } from "../../../src/wire/message.ts";

const SESSION: SessionInfo = {
  command: "profile",
  argv: [],
  host: "h",
  kernel: "6.18",
  bpftrace: "0.17.0",
  start: "2026-11-22T20:00:00.000Z",
  capabilities: {},
  options: {},
  tables: { cpus: 2, hz: 10 },
  degraded: [],
};

interface Driven {
  readonly run: ProbeRun;
  readonly asked: string[];
  readonly notices: string[];
  readonly text: (text: string, at?: number) => void;
}

/** A window from 10 s to 20 s of the session; the kernel's clock is 1000 s ahead. */
function drive(options: Options = {}): Driven {
  const asked: string[] = [];
  const notices: string[] = [];
  const run = runProfile({
    session: SESSION,
    options: { hz: 10, ...options },
    emit: () => {},
    print: () => {},
    notice: (_, code) => notices.push(code),
    ask: ({ fact, key }) => asked.push(`${fact} ${key}`),
  });
  const fact = (name: string, key: string, value: Fact["value"], at: number) =>
    run.fact?.({ fact: name, key, value }, at);
  fact("cpu", "before", "cpu  100 0 100 100 0 0 0 0 0 0", 10);
  fact("cpu", "after", "cpu  190 0 110 200 0 0 0 0 0 0", 20);
  return { run, asked, notices, text: (text, at = 10) => run.message({ kind: "text", text }, at) };
}

const user = (seconds: number, tid: number, comm: string, ip: string, pid = tid) =>
  `u\t${Math.round((1000 + seconds) * 1e9)}\t${pid}\t${tid}\t0\t${ip}\taa\t${comm}`;
const kernel = (seconds: number, pid: number, mode: 1 | 2, comm: string) =>
  `S\t${Math.round((1000 + seconds) * 1e9)}\t${pid}\t${pid}\t1\t${mode}\tff\tK\n        leaf+1\n        root+2\n\tU\tC${comm}`;
const map = (name: string, entries: [string | null, number][]): Message => ({
  kind: "map",
  name,
  entries: entries.map(([key, value]) => ({ key, value })),
});
const END = { seconds: 10, lost: 0, profile: null };

/** Two samples of a web server (one a thread of it), one in the kernel for dd, one of a kernel thread; one before and one after. */
function feed({ text, run }: Driven): void {
  text(user(9, 42, "web", "5000"), 9.001);
  text("V\taa\t0\t6000 0 0 0", 11);
  text(user(11, 42, "web", "5000"), 11.001);
  text(user(12, 43, "web-worker", "5000", 42), 12.001);
  text(kernel(13, 50, 1, "dd"), 13.001);
  text(kernel(14, 60, 2, "kworker/0:1"), 14.001);
  text(kernel(21, 60, 2, "kworker/0:1"), 21.001);
  for (let at = 10; at <= 20; at++) run.message(map("@idle", [[null, 10 * at]]), at);
  run.message(
    map("@taken", [
      ["0", 3],
      ["1", 3],
    ]),
    21,
  );
  run.fact?.(
    {
      fact: "frames",
      key: "42 0 0 5000 6000 web",
      value: [
        [0, "spin", "web"],
        [0, "main", "web"],
      ],
    },
    21,
  );
}

describe("runProfile", () => {
  it("counts the samples of the window, each in one kind", () => {
    const driven = drive();
    feed(driven);
    const { summary, profiles, report } = driven.run.finish(END);
    expect(summary).toMatchObject({
      hz: 10,
      samples: { total: 4, user: 2, kernel: 1, kernelThreads: 1, idle: 100 },
      cpuSeconds: 0.4,
      lost: 0,
      cpuTimes: { user: 0.45, system: 0.05, idle: 0.5, interrupts: 0, steal: 0 },
      lostStacks: { kernel: 0, user: 0 },
    });
    expect(summary["processes"]).toEqual([
      { pid: 42, comm: "web", exe: null, samples: 2, user: 2, kernel: 0 },
      { pid: 50, comm: "dd", exe: null, samples: 1, user: 0, kernel: 1 },
      { pid: 60, comm: "kworker/0:1", exe: null, samples: 1, user: 0, kernel: 1 },
    ]);
    const sums = profiles.map(({ samples }) => [...samples].reduce((sum, { weight }) => sum + weight, 0));
    expect(sums[0]).toBeCloseTo(0.4, 9);
    expect(sums[1]).toBe(4);
    for (const sum of sums.slice(2)) expect(sum).toBeCloseTo(10, 6);
    expect(profiles.map(({ name }) => name)).toEqual([
      "all",
      "all, in samples",
      "web [42] 0.10 s",
      "web [42] thread web-worker [43] 0.10 s",
      "dd [50] 0.10 s",
      "kworker/0:1 [kernel thread 60] 0.10 s",
    ]);
    expect(report.length).toBeGreaterThan(4);
    expect(driven.notices).toEqual([]);
  });

  it("draws processes, threads and kernel threads so that they can be told apart", () => {
    const driven = drive();
    feed(driven);
    const [all] = driven.run.finish(END).profiles;
    const stacks = [...(all?.samples ?? [])].map(({ stack }) => stack.map(({ name }) => name).join(";"));
    expect(stacks).toEqual([
      "web;main;spin",
      "web;web-worker;main;spin",
      "dd;root;leaf",
      "[kernel thread];kworker/0:1;root;leaf",
    ]);
    const frames = [...(driven.run.finish(END).profiles[0]?.samples ?? [])].flatMap(({ stack }) => stack);
    expect(new Set(frames.map(({ file }) => file))).toEqual(
      new Set(["[process]", "[thread]", "web", "[kernel]"]),
    );
  });

  it("says what did not arrive", () => {
    const driven = drive();
    feed(driven);
    driven.run.message(
      map("@taken", [
        ["0", 30],
        ["1", 3],
      ]),
      21,
    );
    expect(driven.run.finish(END).summary["lost"]).toBe(27);
    expect(driven.notices).toEqual(["lost-events"]);
  });

  it.each([
    ["user", { total: 2, user: 2, kernel: 0, kernelThreads: 0 }],
    ["kernel", { total: 2, user: 0, kernel: 1, kernelThreads: 1 }],
  ])("--%s leaves the other mode out, also where the program could not", (option, samples) => {
    const driven = drive({ [option]: true });
    feed(driven);
    expect(driven.run.finish(END).summary["samples"]).toMatchObject(samples);
  });

  it("--idle draws idle time as gaps", () => {
    const driven = drive({ idle: true });
    feed(driven);
    driven.text("I\t1015000000000\t1", 15.001);
    driven.text("I\t1016000000000\t1", 16.001);
    const { summary, profiles } = driven.run.finish(END);
    expect(summary["samples"]).toMatchObject({ total: 6, idle: 2 });
    const samples = [...(profiles[0]?.samples ?? [])];
    expect(samples.filter(({ stack }) => stack.length === 0)).toHaveLength(2);
    expect(samples.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(0.6, 9);
  });

  it("asks who a process is at first sight, and for its frames", () => {
    const driven = drive();
    feed(driven);
    driven.text("E", 21);
    expect(driven.asked).toContain("process 42 0");
    expect(driven.asked).toContain("frames 42 0 0 - 6000 web");
    expect(driven.asked.filter((text) => text.startsWith("process 60"))).toEqual([]);
  });

  it("counts lines it cannot read, and has a report without any sample", () => {
    const driven = drive();
    for (const text of ["", "x", "S\t1", "u\t-", "V\t", "I\tx"]) driven.text(text);
    expect(driven.notices).toHaveLength(6);
    const { summary, profiles, report } = driven.run.finish(END);
    expect(summary["samples"]).toMatchObject({ total: 0 });
    expect(profiles).toEqual([]);
    expect(JSON.stringify(report)).toContain("all CPUs were idle");
  });
});
