import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { parseEvent, type VictimEvent } from "../../../probes/oom/events.ts";
import { createKillJoiner } from "../../../probes/oom/pending.ts";
import { createSampleBook, rateOf } from "../../../probes/oom/samples.ts";
import { only, parseFixture } from "./read.ts";

const PAGE = 4096;
// As bpftrace 0.17 printed it on 6.18, with a hostile name of the invoker.
const STACK =
  "\n        mark_oom_victim+186\n        __oom_kill_process+336\n        oom_kill_process+114\n        out_of_memory+532\n        mem_cgroup_out_of_memory+232\n        try_charge_memcg+1081\n";
const line = (pid: number, stack = STACK, comm = "a\tb\nc") =>
  `V\t7572725419000\t${String(pid)}\t${String(pid)}\t${String(pid)}\t66484\t30464\t4352\t0\t112\t0\t-998\t6173\t${stack}\t${comm}`;

function victim(text: string): VictimEvent {
  const found = parseEvent(text, PAGE);
  if (found?.kind !== "victim") throw new Error("no victim");
  return found.event;
}

describe("events of oom.bt", () => {
  test("a victim with all figures; the invoker's name may hold tabs and newlines", () => {
    expect(victim(line(25506))).toMatchObject({
      invoker: { tid: 25506, pid: 25506, comm: "a\tb\nc" },
      pid: 25506,
      totalVmBytes: 66484 * 1024,
      anonRssBytes: 30464 * 1024,
      pageTableBytes: 112 * 1024,
      uid: 0,
      oomScoreAdj: -998,
      cgroupId: "6173",
    });
  });

  test("an old kernel's pid alone: the rest is not known, not zero", () => {
    const event = victim(`V\t1\t2\t2\t3\t-1\t-1\t-1\t-1\t-1\t-1\t0\t0\t${STACK}\tsh`);
    expect(event).toMatchObject({ totalVmBytes: null, uid: null, oomScoreAdj: null, cgroupId: null });
  });

  test("a request without a limit of its own", () => {
    expect(parseEvent("K\t5\t7\t3\t0\t3264\t16384\t2251799813685247\t512", PAGE)).toMatchObject({
      kind: "request",
      event: { order: 0, gfpMask: "0xcc0", limitBytes: null, usageBytes: 512 * PAGE },
    });
  });

  test("never throws, and takes nothing that is not whole", () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom("V\t", "K\t", "B\t", "W\t", "U\t", "S\t", ""), (text, tag) => {
        const found = parseEvent(tag + text, PAGE);
        expect(found === null || Object.hasOwn(found, "kind")).toBe(true);
      }),
    );
    for (let end = 0; end < 60; end += 1) expect(parseEvent(line(1).slice(0, end), PAGE)).toBeNull();
  });
});

describe("joining both sides of a kill", () => {
  const NO_FILES = { failcnt: null, swapBytes: null, swapLimitBytes: null, pressure: null };
  const report = () => only(parseFixture("dmesg/6.1-memcg.txt").reports);
  const pidOf = () => report().victim.pid ?? 0;

  test.each(["event first", "log first"])("%s: one kill, as soon as both are there", (order) => {
    const joiner = createKillJoiner(PAGE, () => true);
    const steps = [() => joiner.event(victim(line(pidOf())), 1), () => joiner.report(report(), 1.1)];
    if (order === "log first") steps.reverse();
    steps[0]?.();
    expect(joiner.take(1.1)).toEqual([]);
    steps[1]?.();
    // What was asked about the tasks and the cgroup is still to come.
    expect(joiner.take(1.15)).toEqual([]);
    joiner.task(pidOf(), null);
    joiner.cgroup(`6173 ${String(pidOf())}`, [{ path: "/job", limitBytes: 60 * 1024 ** 2, ...NO_FILES }]);
    const [kill, ...rest] = joiner.take(1.2);
    expect(rest).toEqual([]);
    expect(kill?.report).toMatchObject({ source: "live", scope: { limitBytes: 60 * 1024 ** 2 } });
    expect(joiner.end()).toEqual([]);
  });

  test("a half that comes too late is not a second kill", () => {
    const joiner = createKillJoiner(PAGE, () => true);
    joiner.report(report(), 1);
    // bpftrace reads the kernel's symbols at its first stack: the event is given time.
    expect(joiner.take(2)).toEqual([]);
    expect(joiner.take(3)).toHaveLength(1);
    joiner.event(victim(line(pidOf())), 3.1);
    expect([...joiner.take(9), ...joiner.end()]).toEqual([]);
  });

  test("where the host has no memory left, its log is given more time", () => {
    const joiner = createKillJoiner(PAGE, () => true);
    const stack =
      "\n        __oom_kill_process+289\n        oom_kill_process+111\n        out_of_memory+445\n        __alloc_pages_slowpath+9\n";
    joiner.event(victim(line(pidOf(), stack)), 1);
    expect(joiner.take(2.7)).toEqual([]);
    joiner.report(report(), 2.8);
    expect(joiner.take(2.9)).toHaveLength(1);
    joiner.event(victim(line(9, stack)), 3);
    expect([...joiner.take(7.9), ...joiner.take(8.1)]).toHaveLength(1);
  });

  test("of a group the process that was chosen is told first", () => {
    const joiner = createKillJoiner(PAGE, () => true);
    const leader = { ...report(), group: { cgroup: "/job", leaderPid: pidOf() } };
    const member = { ...leader, victim: { ...leader.victim, pid: 9 } };
    joiner.event(victim(line(9)), 1);
    joiner.report(member, 1);
    joiner.report(leader, 1);
    joiner.task(9, null);
    joiner.cgroup("6173 9", []);
    expect(joiner.take(1.1)).toEqual([]);
    joiner.event(victim(line(pidOf())), 1.2);
    joiner.task(pidOf(), null);
    joiner.cgroup(`6173 ${String(pidOf())}`, []);
    const pids = [...joiner.take(1.3), ...joiner.take(1.4)].map((kill) => kill.report.victim.pid);
    expect(pids).toEqual([pidOf(), 9]);
  });

  test("without the log: the scope from the stack, the limit from the only limited cgroup above", () => {
    const joiner = createKillJoiner(PAGE, () => true);
    joiner.event(victim(line(9)), 1);
    joiner.name(9, "hog");
    joiner.cgroup("6173 9", [
      { path: "/shop/api", limitBytes: null, ...NO_FILES },
      { path: "/shop", limitBytes: 1024, ...NO_FILES, failcnt: 7 },
    ]);
    expect(joiner.take(1.2)).toEqual([]);
    expect(joiner.take(3)[0]?.report).toMatchObject({
      source: "live",
      scope: { kind: "memcg", cgroup: "/shop", limitBytes: 1024, usageBytes: null, failcnt: 7 },
      victim: { pid: 9, comm: "hog", cgroup: "/shop/api" },
      stack: ["try_charge_memcg", "mem_cgroup_out_of_memory", "out_of_memory", "oom_kill_process"],
    });
  });

  test("of two limits, which one was hit is not guessed", () => {
    const joiner = createKillJoiner(PAGE, () => true);
    joiner.event(victim(line(9)), 1);
    joiner.cgroup("6173 9", [
      { path: "/shop/api", limitBytes: 512, ...NO_FILES },
      { path: "/shop", limitBytes: 1024, ...NO_FILES, failcnt: 7 },
    ]);
    expect(joiner.end()[0]?.report).toMatchObject({
      scope: { kind: "memcg", cgroup: null, limitBytes: null },
      likelyCgroup: "/shop/api",
    });
  });

  test("a process that was ending anyway is marked, not killed", () => {
    const joiner = createKillJoiner(PAGE, () => true);
    joiner.event(victim(line(9, "\n        mark_oom_victim+186\n        out_of_memory+532\n")), 1);
    expect(joiner.take(9)).toEqual([]);
    expect(joiner.exiting).toBe(1);
  });
});

describe("growth", () => {
  const sample = (bytes: number, start = 7) => ({
    took: 0.01,
    available: 5,
    total: 10,
    processes: [[42, start, bytes, "worker"]],
  });

  test("from the first look within the window to the kill", () => {
    const book = createSampleBook();
    book.add(sample(1000), 10);
    book.add(sample(3000), 12);
    expect(rateOf(book.growth(42, "worker", 9000, 14))).toBe(2000);
    expect(book.growth(42, "other", 9000, 14)).toBeNull();
    expect(book.growth(43, "worker", 9000, 14)).toBeNull();
    expect(book.growth(42, "worker", null, 14)).toBeNull();
  });

  test("a new process with an old pid starts anew", () => {
    const book = createSampleBook();
    book.add(sample(1000), 10);
    book.add(sample(5000, 8), 12);
    expect(rateOf(book.growth(42, "worker", 7000, 14))).toBe(1000);
  });

  test("a process that began during the session grew from nothing, whenever it was first seen", () => {
    const book = createSampleBook();
    const young = (bytes: number, age: number) => ({
      took: 0.01,
      available: 5,
      total: 10,
      processes: [[42, 7, bytes, "worker", age]],
    });
    book.add(young(1000, 0.5), 10);
    expect(book.growth(42, "worker", 3000, 10.5)).toEqual({ bytes: 3000, seconds: 1 });
    book.add(young(4000, 3), 12.5);
    expect(book.growth(42, "worker", 9000, 15.5)).toEqual({ bytes: 9000, seconds: 6 });
    // It is older than the session: what it held before the first look is not known.
    const late = createSampleBook();
    late.add(young(1000, 5), 4);
    expect(late.growth(42, "worker", 3000, 6)).toEqual({ bytes: 2000, seconds: 2 });
  });

  test("a victim that no look ever saw: by the age that the kernel's event tells", () => {
    const birth = (flags: number, asleep = 0) =>
      parseEvent(`B\t42\t5300000000\t5000000000\t${String(5_000_000_000 - asleep)}\t${String(flags)}`, PAGE);
    expect(birth(0x400100)).toEqual({
      kind: "birth",
      event: { pid: 42, age: 0.3, startTicks: 500 },
    });
    // Forked without an exec: what it holds may be its parent's. A machine that was asleep: two clocks.
    expect(birth(0x400140)).toEqual({ kind: "birth", event: null });
    expect(birth(0x400100, 1e9)).toEqual({ kind: "birth", event: null });
    const book = createSampleBook();
    book.born({ pid: 42, start: 500, age: 0.3 }, 10);
    expect(book.growth(42, "worker", 3000, 10)?.bytes).toBe(3000);
    expect(rateOf(book.growth(42, "worker", 3000, 10))).toBe(10_000);
    expect(book.last(42)).toBeNull();
  });

  test("a slow host is looked at less often; nonsense is ignored", () => {
    const book = createSampleBook();
    book.add({ ...sample(1), took: 0.5 }, 1);
    expect(book.pause).toBe(20);
    for (const value of [null, 1, "x", [], { processes: [null, ["a"], {}] }]) book.add(value, 2);
    expect(book.available).toBeNull();
  });
});
