import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Document } from "./support/document.ts";
import { sh } from "./support/shell.ts";
import { startTrace, type TraceRecord, type TraceResult } from "./support/trace.ts";

const HZ = 499;
const CLI = join(import.meta.dirname, "..", "..", "src", "cli.ts");
const hasCompiler = spawnSync("gcc", ["--version"]).status === 0;

/** Two functions at 2:1, each step waiting for the one before: how long it takes does not hang on where the code lies. With an argument, in two more threads with names of their own. */
const BURN = `
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
volatile unsigned long sink;
__attribute__((noinline)) void heavy(void) { unsigned long x = sink; for (long i = 0; i < 200000; i++) x = x * 31 + i; sink = x; }
__attribute__((noinline)) void light(void) { unsigned long x = sink; for (long i = 0; i < 100000; i++) x = x * 31 + i; sink = x; }
__attribute__((noinline)) void *spin(void *name) {
  if (name) pthread_setname_np(pthread_self(), name);
  for (;;) { heavy(); light(); }
}
int main(int argc, char **argv) {
  pthread_t thread;
  puts("ready"); fflush(stdout);
  if (argc > 1) { pthread_create(&thread, 0, spin, "first,one"); pthread_create(&thread, 0, spin, "second one"); pthread_join(thread, 0); }
  spin(0);
}
`;
const SCRIPT = `
function hotLoop(n) { let s = 0; for (let i = 0; i < n; i++) s += Math.sqrt(i) % 7; return s; }
console.log("ready");
for (;;) hotLoop(1e5);
`;
/** Sets its name as the kernel has it (prctl), then works. */
const HOSTILE = "x,1]: 7\n\u001b[31m";
const RENAMED = `$| = 1; $0 = "x,1]: 7\\n\\e[31m"; print "ready\\n"; while (1) { $s += $_ for 1..1000 }`;
/** A child that works for a twentieth of a second of CPU time, again and again: on a busy machine it lives longer, as long as trace waits for a CPU. */
const SHORT_LIVED = `use Time::HiRes "clock"; $| = 1; print "ready\\n"; while (1) { my $p = fork; if (!$p) { $0 = "shortlived"; my $e = clock() + 0.05; while (clock() < $e) { $s += $_ for 1..1000 } exit } waitpid $p, 0 }`;

const folder = mkdtempSync(join(tmpdir(), "trace-live-profile-"));
const path = (name: string) => join(folder, name);
const children: ChildProcess[] = [];

/** Starts a program and waits for its first output. */
async function start(command: string, ...args: string[]): Promise<number> {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "ignore"], cwd: folder });
  children.push(child);
  await once(child.stdout, "data");
  child.stdout.resume();
  return child.pid ?? 0;
}

async function stopAll(): Promise<void> {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    child.kill("SIGKILL");
    await once(child, "exit");
  }
}

function readDocument(name: string): Document {
  return JSON.parse(readFileSync(path(name), "utf8")) as Document;
}

const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

/** Five standard deviations of a share of `p` seen in `n` samples. */
const margin = (p: number, n: number) => 5 * Math.sqrt((p * (1 - p)) / n);

beforeAll(() => {
  writeFileSync(path("burn.c"), BURN);
  writeFileSync(path("script.cjs"), SCRIPT);
  if (hasCompiler)
    spawnSync("gcc", ["-O1", "-fno-omit-frame-pointer", "-pthread", "-o", path("burn"), path("burn.c")]);
});

afterAll(async () => {
  await stopAll();
  rmSync(folder, { recursive: true });
});

describe.skipIf(!hasCompiler)("trace profile of everything that runs", () => {
  const pids: Record<string, number> = {};
  let result: TraceResult;
  let document: Document;
  let report = "";
  /** How long this machine takes, as busy as it is, to read all of it once more and to report. */
  let replaySeconds = 0;
  const processOf = (name: string) =>
    (result.summary["processes"] as TraceRecord[]).find(({ pid }) => pid === pids[name]);
  /** Samples of a process by the names of the frames on their stack, from its threads' part of the whole. */
  const stacksOf = (root: string): { names: string[]; weight: number }[] => {
    const [, counts] = document.profiles;
    return (counts?.samples ?? []).flatMap((stack, index) => {
      const names = stack.map((frame) => document.shared.frames[frame]?.name ?? "?");
      return names[0] === root ? [{ names, weight: counts?.weights[index] ?? 0 }] : [];
    });
  };

  beforeAll(async () => {
    pids["burn"] = await start(path("burn"));
    pids["threads"] = await start(path("burn"), "threads");
    // V8 may compile the loop into its caller: then no frame has its name, and rightly so.
    pids["named"] = await start(
      process.execPath,
      "--perf-basic-prof",
      "--no-turbo-inlining",
      "--no-maglev-inlining",
      path("script.cjs"),
    );
    pids["unnamed"] = await start(process.execPath, path("script.cjs"));
    pids["dd"] = await start("sh", "-c", "echo ready; exec dd if=/dev/zero of=/dev/null bs=64k");
    pids["renamed"] = await start("perl", "-e", RENAMED);
    pids["short"] = await start("perl", "-e", SHORT_LIVED);
    await using run = startTrace(
      ["profile", "--hz", String(HZ), "-d", "4s", "--record", path("all.trace.gz"), "-o", path("all.json")],
      { cwd: folder },
    );
    result = await run.done;
    rmSync(`/tmp/perf-${pids["named"]}.map`, { force: true });
    document = readDocument("all.json");
    const began = performance.now();
    report = await sh(process.execPath, CLI, "replay", path("all.trace.gz"), "--no-profile");
    replaySeconds = (performance.now() - began) / 1000;
    await stopAll();
  });

  test("sums are exact, nothing is lost, and the report is there soon after the end", () => {
    const { summary, code, records } = result;
    expect(code).toBe(0);
    const { total, user, kernel, kernelThreads, idle } = summary["samples"];
    expect(user + kernel + kernelThreads).toBe(total);
    expect(summary["lost"]).toBe(0);
    expect(sum(summary["processes"].map(({ samples }: TraceRecord) => samples))).toBe(total);
    expect(sum(summary["threads"].map(({ samples }: TraceRecord) => samples))).toBe(total);
    const [all, counts, ...threads] = document.profiles;
    expect(all).toMatchObject({ name: "all", unit: "seconds" });
    expect(sum(all?.weights ?? [])).toBeCloseTo(summary["cpuSeconds"], 6);
    expect(sum(counts?.weights ?? [])).toBe(total);
    // Each thread's profile is as long as the run (or a little longer: samples stand for the time before them).
    for (const { weights } of threads) expect(Math.abs(sum(weights) - summary["seconds"])).toBeLessThan(0.1);
    // All CPUs were looked at all the time, but for what a hypervisor takes.
    const expected = HZ * summary["cpus"] * summary["seconds"];
    expect(total + idle).toBeGreaterThan(0.8 * expected);
    expect(total + idle).toBeLessThan(1.05 * expected);
    const ready = records.find(({ type }) => type === "ready");
    const late = (Date.parse(summary.time) - Date.parse(ready?.time ?? "")) / 1000 - summary["seconds"];
    expect(late).toBeLessThan(1 + replaySeconds);
  });

  test("two functions at 2:1 have their shares, on one stack with main", () => {
    const stacks = stacksOf("burn").filter(({ names }) => names.includes("main"));
    const of = (name: string) =>
      sum(stacks.filter(({ names }) => names.at(-1) === name).map(({ weight }) => weight));
    const [heavy, light] = [of("heavy"), of("light")];
    expect(heavy + light).toBeGreaterThan(100);
    expect(heavy / (heavy + light)).toBeGreaterThan(2 / 3 - margin(2 / 3, heavy + light) - 0.02);
    expect(heavy / (heavy + light)).toBeLessThan(2 / 3 + margin(2 / 3, heavy + light) + 0.02);
    expect(stacks.find(({ names }) => names.includes("heavy"))?.names.indexOf("main")).toBeLessThan(
      stacks.find(({ names }) => names.includes("heavy"))?.names.indexOf("heavy") ?? 0,
    );
  });

  test("threads are told apart by their names and add up to their process", () => {
    const threads = (result.summary["threads"] as TraceRecord[]).filter(({ pid }) => pid === pids["threads"]);
    expect(threads.map(({ comm }) => comm as string)).toEqual(
      expect.arrayContaining(["first,one", "second one"]),
    );
    expect(sum(threads.map(({ samples }) => samples))).toBe(processOf("threads")?.["samples"]);
    const names = document.profiles.map(({ name }) => name);
    expect(names.some((name) => name.includes("thread first,one"))).toBe(true);
    const roots = stacksOf("burn").map(({ names: stack }) => stack[1]);
    expect(roots).toEqual(expect.arrayContaining(["first,one", "second one"]));
  });

  test("a compiler's functions have their names with a perf map, and are marked without", () => {
    const stacks = [...stacksOf("MainThread (node)"), ...stacksOf("node")];
    const top = (name: string) =>
      sum(stacks.filter(({ names }) => names.includes(name)).map(({ weight }) => weight));
    const half = 0.5 * (processOf("named")?.["samples"] as number);
    expect(top("hotLoop")).toBeGreaterThan(half);
    expect(top("[jit]")).toBeGreaterThan(half / 2);
    const file = document.shared.frames.find(({ name }) => name === "hotLoop")?.file;
    expect(file).toContain("script.cjs");
  });

  test("a program that keeps the kernel busy is seen in the kernel, with its call on the stack", () => {
    const process = processOf("dd");
    expect(process?.["kernel"]).toBeGreaterThan(process?.["user"]);
    const stacks = stacksOf("dd");
    const kernel = stacks.filter(({ names }) => names.includes("do_syscall_64") || names.includes("el0_svc"));
    expect(sum(kernel.map(({ weight }) => weight))).toBeGreaterThan(0.3 * (process?.["samples"] as number));
    const frames = new Map(document.shared.frames.map(({ name, file }) => [name, file]));
    expect(frames.get("vfs_read")).toBe("[kernel]");
  });

  test("processes that live for a twentieth of a second have their functions named", () => {
    const stacks = stacksOf("shortlived (perl)");
    const named = stacks.filter(({ names }) =>
      /^Perl_|^perl_|^\[perl\]|^libc|^[a-z_]+$/.test(names.at(-1) ?? ""),
    );
    const all = sum(stacks.map(({ weight }) => weight));
    expect(all).toBeGreaterThan(50);
    expect(sum(named.map(({ weight }) => weight)) / all).toBeGreaterThan(0.8);
  });

  test("names with commas, newlines and escapes stay one name, and reach no terminal", () => {
    expect(processOf("renamed")?.["comm"]).toBe(HOSTILE);
    expect(report).not.toContain("\u001b");
    for (const line of report.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
  });

  test("its recording gives the same report and, byte for byte, the same profile", async () => {
    const text = await sh(
      process.execPath,
      CLI,
      "replay",
      path("all.trace.gz"),
      "--format",
      "json",
      "-o",
      path("again.json"),
    );
    const lines = text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as TraceRecord);
    const { profile: _, ...replayed } = lines.at(-1) as TraceRecord;
    const { profile: __, ...live } = result.summary;
    expect(replayed).toEqual(live);
    expect(readFileSync(path("again.json")).equals(readFileSync(path("all.json")))).toBe(true);
  });
});

describe.skipIf(!hasCompiler)("trace profile of some of it", () => {
  let burn = 0;
  let renamed = 0;
  beforeAll(async () => {
    burn = await start(path("burn"));
    renamed = await start("perl", "-e", RENAMED);
    await start("sh", "-c", "echo ready; exec dd if=/dev/zero of=/dev/null bs=64k");
  });
  afterAll(stopAll);

  /** One short run; waits for `count` samples instead of for a time. */
  async function runUntil(count: number, ...args: string[]): Promise<TraceResult> {
    await using run = startTrace(["profile", "--hz", String(HZ), "-i", "200ms", "--no-profile", ...args], {
      cwd: folder,
    });
    let seen = 0;
    await run.until((record) => {
      if (record.type === "interval") seen += record["samples"] as number;
      return seen >= count;
    });
    return await run.stop();
  }

  test("one process, by its number, in user mode", async () => {
    const { summary, code } = await runUntil(50, "--pid", String(burn), "--user");
    expect(code).toBe(0);
    expect(summary["processes"].map(({ pid }: TraceRecord) => pid)).toEqual([burn]);
    expect(summary["samples"]).toMatchObject({ kernel: 0, kernelThreads: 0 });
    expect(summary["top"][0].frame).toBe("heavy");
  });

  test("one program, by its name, in the kernel", async () => {
    const { summary } = await runUntil(50, "--comm", "dd", "--kernel");
    expect(new Set(summary["processes"].map(({ comm }: TraceRecord) => comm))).toEqual(new Set(["dd"]));
    expect(summary["samples"].user).toBe(0);
    expect(summary["top"].every(({ file }: TraceRecord) => file === "[kernel]")).toBe(true);
  });

  const mount = /^\S+ (\S+) cgroup2 /m.exec(readFileSync("/proc/mounts", "utf8"))?.[1];
  test.skipIf(mount === undefined)(
    "one cgroup with all below it, its name made safe, and no path that is none",
    async () => {
      const parent = join(mount ?? "", `trace-live-${process.pid}`);
      const child = join(parent, "below");
      mkdirSync(child, { recursive: true });
      try {
        writeFileSync(join(child, "cgroup.procs"), String(renamed));
        const recording = path("cgroup.trace.gz");
        const { summary } = await runUntil(50, "--cgroup", parent, "--record", recording);
        expect(summary["processes"]).toMatchObject([{ pid: renamed, comm: HOSTILE }]);
        const report = await sh(process.execPath, CLI, "replay", recording, "--no-profile");
        expect(report).not.toContain("\u001b");
        expect(report).toContain("x,1]: 7\\n\\x1b[31m");
      } finally {
        writeFileSync(join(mount ?? "", "cgroup.procs"), String(renamed));
        rmdirSync(child);
        rmdirSync(parent);
      }
      expect(existsSync(parent)).toBe(false);
      const { code, stderr } = await startTrace(["profile", "--cgroup", parent]).done;
      expect(code).toBe(2);
      expect(stderr).toContain("there is no such folder");
    },
  );
});
